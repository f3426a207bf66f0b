"""Speed of AM3's step beside a straightforward port of the published one; of its evaluation.

    python benchmarks/am3.py           # half an hour; writes benchmarks/results/am3.json
    python benchmarks/am3.py --quick   # to see that it runs; writes nothing without --out

Contenders in training: `zoolib.run` with all a run does between its steps, and
yardsticks/am3_port.py: support and query pass by pass, tasks drawn by looking through all labels,
float images to the graph. Backbones: the tutorial's, and the published one at 84 x 84 pixels with a
single task per step. What counts are tasks per second; see yardsticks/turns.py for the pairing.

In evaluation: tasks from features embedded once beside tasks embedded anew; the results of both
have to be the same.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from yardsticks.surroundings import ask, commit, machine
from yardsticks.turns import Running, line, race, rates, ratio

HERE = Path(__file__).resolve().parent
TRAINING, EVALUATION = 1.5, 5.0
_ONE_CALL = 50  # test tasks that one compiled call takes at most
PORTS = {"port": True, "port, batch norm as in Keras": False}  # name -> fused kernel
WIDE = dict(datasource="attrshapes", image_size=84, tasks=1, lr=0.01)  # of the published recipe


@dataclasses.dataclass(frozen=True)
class Plan:
    """How much to measure: rounds, (timed steps, untimed steps) of a turn, test tasks, filters."""

    rounds: int = 9
    tutorial: tuple[int, int] = (30, 5)
    wide_rounds: int = 3
    wide: tuple[int, int] = (2, 1)
    episodes: int = 400
    published_episodes: int = 100
    evaluation_rounds: int = 5
    memory_steps: int = 1500
    filters: int = 64


QUICK = Plan(2, (5, 2), 1, (1, 0), 200, 50, 1, 40, 8)


def port_of(config: Any, fused: bool = True) -> Any:
    """The published step with a run's settings and data."""
    from yardsticks.am3_port import Port

    from zoolib.models.am3 import sources

    train = sources.make(config).sets["train"]
    port = Port(config, train.vectors, fused)
    port.feed(train.images, train.class_of)
    return port


def backbone(title: str, running: Running, rounds: int, steps: tuple[int, int]) -> dict[str, Any]:
    """zoolib's run beside the port with either batch norm."""
    config = running.config
    ports = {name: port_of(config, fused) for name, fused in PORTS.items()}
    for port in ports.values():
        port.train(1)  # compiles
    contenders = {"zoolib": running.train, **{n: port.train for n, port in ports.items()}}
    found = race(contenders, rounds, *steps, title)
    return {
        "images_per_step": config.tasks * (config.ways * config.shots + config.queries),
        "tasks_per_step": config.tasks,
        "tasks": rates(found, config.tasks),
        "ratios": {n: ratio(found, "zoolib", n, TRAINING if f else None) for n, f in PORTS.items()},
        "traces": running.traces,
    }


def evaluation(plan: Plan) -> dict[str, Any]:
    """A briefly trained network tested with and without the cache, on two protocols."""
    import zoolib

    small = dict(iterations=8, eval_every=0, checkpoint_every=8, report_every=4, lr_drop_every=1)
    config = zoolib.get_model("am3").preset("tutorial", **small, eval_episodes=_ONE_CALL)
    protocols = {
        "tutorial": dict(queries=25, balanced=True, episodes=plan.episodes),
        "published": dict(queries=100, balanced=False, episodes=plan.published_episodes),
    }
    with tempfile.TemporaryDirectory() as out:
        task = zoolib.train(config, device="cpu", out=out, progress=False).task
        found = {name: compared(task, name, p, plan) for name, p in protocols.items()}
    counts = [call.experimental_get_tracing_count() for call in task._compiled.values()]
    # From features and from pictures each with its number of queries; and the embedding.
    return {"protocols": found, "shapes": 2 * len(protocols) + 1, "traces": sum(counts)}


def compared(task: Any, name: str, protocol: dict[str, Any], plan: Plan) -> dict[str, Any]:
    """One protocol both ways, in turns; raises unless the results agree."""
    from zoolib.models.am3.evaluation import evaluate_split

    found: dict[bool, list[tuple[float, float]]] = {True: [], False: []}
    outcomes = {}
    for number in range(-1, plan.evaluation_rounds):  # the first round compiles
        for cache in (True, False) if number % 2 else (False, True):
            few = {"episodes": _ONE_CALL} if number < 0 else {}
            began, worked = time.perf_counter(), time.process_time()
            outcome = evaluate_split(task, "test", cache=cache, **{**protocol, **few})
            spent = time.perf_counter() - began, time.process_time() - worked
            if number >= 0:
                found[cache].append(spent)
                outcomes[cache] = outcome
        told = {c: f"{s[-1][0]:.2f} s" for c, s in found.items() if s}
        print(f"evaluation, {name}: round {number + 1}, with and without cache {told}", flush=True)
    timed = {
        title: dict(zip(("wall", "processor"), map(list, zip(*found[cache]))))
        for title, cache in (("cached", True), ("embedded anew", False))
    }
    return {
        **protocol,
        "seconds": rates(timed, 1),
        "ratio": ratio(timed, "cached", "embedded anew", EVALUATION),
        **same(outcomes[True], outcomes[False]),
    }


def same(cached: Any, anew: Any) -> dict[str, Any]:
    """The largest differences of two outcomes on the same tasks.

    Raises:
        AssertionError: they differ by more than rounding of float32 can cause.
    """
    np.testing.assert_array_equal(cached.classes, anew.classes)
    np.testing.assert_allclose(cached.loss, anew.loss, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(cached.share, anew.share, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(cached.accuracy, anew.accuracy, atol=1e-3)
    return {
        "accuracy": {"cached": cached.accuracy, "embedded anew": anew.accuracy},
        "tasks_with_another_count": int((cached.correct != anew.correct).sum()),
        "largest_difference_of_loss": float(np.abs(cached.loss - anew.loss).max()),
    }


def measure(plan: Plan) -> dict[str, Any]:
    """All measurements."""
    document: dict[str, Any] = {"commit": commit(), "machine": machine()}
    document["protocol"] = "turns of consecutive steps in one process, medians over rounds"
    script = [sys.executable, str(HERE / "yardsticks" / "turns.py"), "am3", "tutorial"]
    document["memory"] = ask([*script, "--steps", str(plan.memory_steps)])
    document["evaluation"] = evaluation(plan)
    wide = dict(WIDE, filters=plan.filters)
    settings = {
        "tutorial": (("tutorial", {}), plan.rounds, plan.tutorial),
        f"published, 84 x 84, {plan.filters} filters": (
            ("mini_1shot", wide),
            plan.wide_rounds,
            plan.wide,
        ),
    }
    document["training"] = {}
    for title, ((preset, changes), rounds, steps) in settings.items():
        running = Running("am3", preset, eval_every_late=0, **changes)
        document["training"][title] = backbone(title, running, rounds, steps)
        running.close()
    document["machine"]["load_at_end"] = [round(load, 2) for load in os.getloadavg()]
    return document


def table(document: dict[str, Any]) -> str:
    """The document for people."""
    lines = []
    for title, found in document["training"].items():
        lines += ["", f"{title + ' backbone':32} tasks/s in training   ms per step"]
        for name, rate in found["tasks"].items():
            lines.append(f"  {name:30}{rate['per_second']:16.2f}{rate['ms_per_step']:18.1f}")
        lines += [line(f"zoolib to {name}", told) for name, told in found["ratios"].items()]
        lines.append(
            f"  {found['images_per_step']} images a step; traced {found['traces']} time(s)"
        )
    tested = document["evaluation"]
    for name, found in tested["protocols"].items():
        lines += ["", f"evaluation, {name}: {found['episodes']} tasks, {found['queries']} queries"]
        for title, spent in found["seconds"].items():
            lines.append(f"  {title:30}{spent['ms_per_step'] / 1000:16.2f} s")
        lines.append(line("cached to embedded anew", found["ratio"]))
        lines.append(
            f"  accuracies {found['accuracy']}, {found['tasks_with_another_count']} tasks differ, "
            f"losses by at most {found['largest_difference_of_loss']:.1e}"
        )
    memory, host = document["memory"], document["machine"]
    lines += [
        f"  {tested['shapes']} functions and shapes in evaluation, {tested['traces']} traces",
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
    out = given.out or (None if given.quick else HERE / "results" / "am3.json")
    document = measure(QUICK if given.quick else Plan())
    print(f"\n{table(document)}")
    if out:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps({"quick": given.quick, **document}, indent=1) + "\n")


if __name__ == "__main__":
    main()
