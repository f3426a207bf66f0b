"""Speed of RealMix: labelled images a second beside a plain graph port of the published step.

    python benchmarks/realmix.py             # a quarter of an hour; writes results/realmix.json
    python benchmarks/realmix.py --quick     # to see that it runs; writes nothing

Two networks: the Wide ResNet 28-2 on 32 pixels in batches of 64, and the small one of the
`tutorial` preset on 16 pixels in batches of 32. Both contenders make their own batches, so what is
counted is a step with its data: zoolib's views by NumPy, one call ahead, the port's image by image
in `map` (yardsticks/realmix_port.py). They take turns in one process, in changing order; of a turn
the fastest stretch of steps counts, a ratio is the median over turns of the ratio within one.
Beside wall time stands processor time, which a busy machine disturbs less.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Callable

import numpy as np
from yardsticks.surroundings import commit, machine

HERE = Path(__file__).resolve().parent
TARGET = 1.3
NETWORKS: dict[str, dict[str, Any]] = {
    "small": dict(pixels=16, batch=32, pad=2, steps=20, filters=8, repeat=1, scales=2),
    "wrn-28-2": dict(pixels=32, batch=64, pad=4, steps=1, filters=32, repeat=4, scales=3),
}


def images(pixels: int) -> Any:
    """The embedded digits, brought to a size by repeating pixels."""
    import dataclasses

    from zoolib.data.semisup import digits

    def larger(part: Any) -> Any:
        times = pixels // part.images.shape[1]
        grown = part.images.repeat(times, 1).repeat(times, 2)
        return dataclasses.replace(part, images=np.ascontiguousarray(grown))

    data = digits(1)
    names = ("labelled", "unlabelled", "validation", "test")
    return dataclasses.replace(data, **{n: larger(getattr(data, n)) for n in names})


def zoolib_call(data: Any, case: dict[str, Any]) -> Callable[[], Any]:
    """A training step with its batch, made one call ahead as in a run."""
    import zoolib
    from zoolib.models.realmix import sources
    from zoolib.models.realmix.task import RealMix
    from zoolib.runtime.device import open_session

    shape = {n: case[n] for n in ("filters", "repeat", "scales")}
    config = zoolib.get_model("realmix").preset(
        "mixmatch", batch_size=case["batch"], weight_decay=0.02, **shape
    )
    make, sources.make = sources.make, lambda _: data
    task = RealMix(config, open_session("cpu"))
    task.build()
    sources.make = make
    loop = task.session.loop(task.train_step, task.terms, False, 1)
    pool, state = ThreadPoolExecutor(1), {"step": 0}

    def prepare(step: int) -> tuple:
        at = range(step, step + 1)
        return task.batch(at), task.draws(at)

    state["next"] = pool.submit(prepare, 0)

    def call() -> Any:
        batch, draws = state["next"].result()
        state["step"] += 1
        state["next"] = pool.submit(prepare, state["step"])
        return loop(batch, draws, 1)["loss"]

    return call


def seconds(call: Callable[[], Any], steps: int, calls: int) -> tuple[float, float]:
    """Least wall and processor time of a step, over several stretches."""
    walls, works = [], []
    for _ in range(calls):
        began, worked = time.perf_counter(), time.process_time()
        for _ in range(steps):
            call()
        walls.append((time.perf_counter() - began) / steps)
        works.append((time.process_time() - worked) / steps)
    return min(walls), min(works)


def race(name: str, rounds: int) -> dict[str, Any]:
    """Both contenders in turns."""
    from yardsticks import realmix_port

    case = NETWORKS[name]
    data = images(case["pixels"])
    shape = {n: case[n] for n in ("filters", "repeat", "scales")}
    calls = {
        "zoolib": zoolib_call(data, case),
        "port": realmix_port.trainer(data, case["batch"], shape, case["pad"]),
    }
    wall: dict[str, list[float]] = {n: [] for n in calls}
    work: dict[str, list[float]] = {n: [] for n in calls}
    memory = []
    for number in range(-1, rounds):  # the first round compiles
        for n in list(calls) if number % 2 else list(calls)[::-1]:
            spent, worked = seconds(calls[n], case["steps"], 2)
            if number >= 0:
                wall[n].append(spent)
                work[n].append(worked)
        memory.append(round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))
        told = ", ".join(f"{n} {case['batch'] / s[-1]:.1f}" for n, s in wall.items() if s)
        print(f"{name}: round {number + 1} of {rounds}, images/s: {told}", flush=True)
    return {
        "images_per_second": {
            n: round(case["batch"] / statistics.median(s), 1) for n, s in wall.items()
        },
        "wall": ratio(wall),
        "processor": ratio(work),
        "peak_memory_mib_by_round": memory,
        "target": TARGET,
    }


def ratio(spent: dict[str, list[float]]) -> dict[str, Any]:
    """How many times faster zoolib is: median and range over rounds."""
    each = [round(port / mine, 2) for mine, port in zip(spent["zoolib"], spent["port"])]
    return {"median": round(statistics.median(each), 2), "low": min(each), "high": max(each)}


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="one round of the small network")
    parser.add_argument("--networks", nargs="*", default=list(NETWORKS), choices=list(NETWORKS))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--out", type=Path, default=HERE / "results" / "realmix.json")
    given = parser.parse_args()
    document: dict[str, Any] = {"commit": commit(), "machine": machine()}
    names, rounds = (["small"], 1) if given.quick else (given.networks, given.rounds)
    document["networks"] = {name: race(name, rounds) for name in names}
    for name, found in document["networks"].items():
        print(name, json.dumps(found))
    if not given.quick:
        given.out.parent.mkdir(parents=True, exist_ok=True)
        given.out.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
