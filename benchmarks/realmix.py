"""Speed of RealMix's step beside a straightforward port of the published one; its memory.

    python benchmarks/realmix.py           # half an hour; writes results/realmix.json
    python benchmarks/realmix.py --quick   # to see that it runs; writes only with --out

Contenders: `zoolib.run` with all a run does between its steps, its data made on the host, and
yardsticks/realmix_port.py: five passes, tf.data with a map call per image. Networks: the one
of the tutorial on the embedded digits, and Wide ResNet 28-2 on batches of 64 images in CIFAR-10's
format. What counts are labelled images per second; yardsticks/turns.py tells how they are paired.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from yardsticks.surroundings import ask, commit, machine
from yardsticks.turns import Running, line, race, rates, ratio

HERE = Path(__file__).resolve().parent
TARGET = 1.3
PORTS = {"port": True, "port, batch norm as in Keras": False}  # name -> fused kernel
SETTINGS = dict(labels=250, validation=50, split_seed=1)  # of the stand-in for CIFAR-10


@dataclasses.dataclass(frozen=True)
class Plan:
    """How much to measure: rounds, and (timed steps, untimed steps) of a turn."""

    rounds: int = 9
    digits: tuple[int, int] = (60, 30)
    wide_rounds: int = 5
    wide: tuple[int, int] = (3, 1)
    filters: int = 32
    method_rounds: int = 5
    memory_steps: int = 3000
    images: int = 5000


QUICK = Plan(2, (15, 5), 1, (1, 0), 4, 1, 60, 600)


def stand_in(place: Path, count: int) -> dict[str, Any]:
    """Records of random images in CIFAR-10's format; the settings that read them."""
    from zoolib.data.archives import digests
    from zoolib.data.semi_builder import BuildOptions, build_semisup
    from zoolib.data.semi_fixtures import write_cifar
    from zoolib.data.semi_sources import cifar

    archive = place / "cifar-10-binary.tar.gz"
    write_cifar(archive, "binary", np.arange(count) % 10, np.arange(100) % 10)
    origin = cifar("cifar10", archive, digests(archive, "sha256"))
    build_semisup(origin, place / "records", BuildOptions(labels=(SETTINGS["labels"],)))
    return {"data_dir": str(place / "records"), "dataset": "cifar10", "batch_size": 64, **SETTINGS}


def port_of(config: Any, fused: bool = True) -> tuple[Any, Any]:
    """The published step with a run's settings and data; the data."""
    from yardsticks.realmix_port import Port

    from zoolib.data.views import Views
    from zoolib.models.realmix import sources
    from zoolib.models.realmix.network import automatic_scales

    data, views = sources.make(config), Views(sources.augmentation(config))
    size = data.labelled.images.shape[1]
    settings = config.replace(scales=config.scales or automatic_scales(size))
    port = Port(settings, len(data.names), size, config.ramp_images or config.images, fused)
    flip = "flip" in views.operations
    labelled, others = data.labelled, data.unlabelled
    port.feed(labelled.images, labelled.labels, others.images, flip, views.padding)
    return port, data


def network(title: str, running: Running, rounds: int, steps: tuple[int, int]) -> dict[str, Any]:
    """zoolib's run beside the port with either batch norm."""
    made = {name: port_of(running.config, fused) for name, fused in PORTS.items()}
    ports, data = {name: port for name, (port, _) in made.items()}, made["port"][1]
    for port in ports.values():
        port.train(1)  # compiles
    contenders = {"zoolib": running.train, **{n: port.train for n, port in ports.items()}}
    found = race(contenders, rounds, *steps, title)
    return {
        "labelled_images": rates(found, running.config.batch_size),
        "ratios": {n: ratio(found, "zoolib", n, TARGET if f else None) for n, f in PORTS.items()},
        "traces": running.traces,
        "memory": held(data),
    }


def held(data: Any) -> dict[str, Any]:
    """How the images of a run are kept."""
    images = data.unlabelled.images
    return {
        "dtype": str(images.dtype),
        "images": len(images),
        "bytes_per_image": images.nbytes // len(images),
        "bytes_per_image_as_float32": 4 * images[0].size,
    }


def methods(rounds: int, steps: tuple[int, int]) -> dict[str, Any]:
    """Milliseconds per step of every method on the digits, all in turns."""
    from zoolib.models.realmix.seed_flags import METHODS

    runs = {method: Running("realmix", "tutorial", method=method) for method in METHODS}
    found = race({name: run.train for name, run in runs.items()}, rounds, *steps, "methods")
    told = rates(found, next(iter(runs.values())).config.batch_size)
    for name, run in runs.items():
        told[name]["traces"] = run.traces
        told[name]["to_supervised"] = ratio(found, "supervised", name, None)["wall"]["median"]
        run.close()
    return told


def measure(plan: Plan) -> dict[str, Any]:
    """All measurements."""
    document: dict[str, Any] = {"commit": commit(), "machine": machine()}
    document["protocol"] = "turns of consecutive steps in one process, medians over rounds"
    script = [sys.executable, str(HERE / "yardsticks" / "turns.py"), "realmix", "tutorial"]
    document["memory"] = ask([*script, "--steps", str(plan.memory_steps)])
    found: dict[str, Any] = {}
    running = Running("realmix", "tutorial")
    found["digits, tutorial"] = network("digits", running, plan.rounds, plan.digits)
    running.close()
    with tempfile.TemporaryDirectory() as place:
        settings = stand_in(Path(place), plan.images)
        running = Running("realmix", "paper", **settings, filters=plan.filters)
        title = f"Wide ResNet 28, {plan.filters} filters, batch 64"
        found[title] = network(title, running, plan.wide_rounds, plan.wide)
        running.close()
    document["networks"] = found
    document["methods"] = methods(plan.method_rounds, plan.digits)
    document["machine"]["load_at_end"] = [round(load, 2) for load in os.getloadavg()]
    return document


def table(document: dict[str, Any]) -> str:
    """The document for people."""
    lines = []
    for title, found in document["networks"].items():
        lines += ["", f"{title:38} labelled images/s   ms per step"]
        for name, rate in found["labelled_images"].items():
            lines.append(f"  {name:30}{rate['per_second']:22.1f}{rate['ms_per_step']:14.1f}")
        lines += [line(f"zoolib to {name}", told) for name, told in found["ratios"].items()]
        kept = found["memory"]
        lines.append(
            f"  traced {found['traces']} time(s); {kept['images']} images held as {kept['dtype']}, "
            f"{kept['bytes_per_image']} bytes each (float32: {kept['bytes_per_image_as_float32']})"
        )
    lines += ["", f"{'methods, digits':26} ms per step   times supervised"]
    for name, found in document["methods"].items():
        lines.append(f"  {name:24}{found['ms_per_step']:12.1f}{found['to_supervised']:16.2f}")
    memory, host = document["memory"], document["machine"]
    lines += [
        "",
        f"  memory over {memory['steps']} steps: {memory['growth_mib']:+.2f} MiB "
        f"(MiB: {', '.join(map(str, memory['marks_mib']))})",
        f"  cores {host['cores']}, load {host['load_at_start']} to {host['load_at_end']}",
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="a short version, to see that it runs")
    parser.add_argument("--out", type=Path, help="JSON file to write")
    given = parser.parse_args()
    out = given.out or (None if given.quick else HERE / "results" / "realmix.json")
    document = measure(QUICK if given.quick else Plan())
    print(f"\n{table(document)}")
    if out:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps({"quick": given.quick, **document}, indent=1) + "\n")


if __name__ == "__main__":
    main()
