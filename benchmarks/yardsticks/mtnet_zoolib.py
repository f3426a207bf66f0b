"""What benchmarks/mtnet.py measures of zoolib itself; each part is a process of its own.

python benchmarks/yardsticks/mtnet_zoolib.py rate       # like the yardsticks beside it
python benchmarks/yardsticks/mtnet_zoolib.py whole      # the paper preset from start to end
python benchmarks/yardsticks/mtnet_zoolib.py explorer   # milliseconds per slider move
"""

from __future__ import annotations

import argparse
import functools
import json
import statistics
import tempfile
import time
from typing import Any

import meters

VARIANTS = ("maml", "tnet", "mtnet")
MOVED = ("amplitude", "phase", "frequency", "shots")  # another `steps` costs no adaptation


def rate(given: argparse.Namespace, out: str) -> None:
    """Steps per second on the wall clock, with all that a run does between its steps.

    A block of 5000 steps holds their data, finiteness checks, ten rows of the history and one
    checkpoint. The first block, with the compilation, is not timed.
    """
    import tensorflow as tf

    import zoolib

    total = given.steps * (given.blocks + 1)
    config = zoolib.get_model("mtnet").preset("paper", iterations=total)
    began, compiled, marks = time.perf_counter(), None, []
    events = zoolib.run(config, device="cpu", out=out)
    for event in events:
        if type(event).__name__ != "Stepped":
            continue
        compiled = compiled or time.perf_counter() - began
        if event.step % given.steps == 0:
            marks.append(time.perf_counter())
        if event.step == total:
            break
    loss = event.metrics["loss"]
    events.close()
    rates = [given.steps / (b - a) for a, b in zip(marks, marks[1:])]
    meters.tell(rates, compiled, loss, versions={"tensorflow": tf.__version__})


def whole(given: argparse.Namespace, out: str) -> None:
    """A run with imports, compilation and evaluation; its memory, and how often it was traced."""
    began = time.perf_counter()
    import zoolib
    from zoolib.runtime.device import Session

    loops: list[Any] = []
    make = Session.loop
    Session.loop = lambda *arguments: loops.append(make(*arguments)) or loops[-1]
    config = zoolib.get_model("mtnet").preset("paper", iterations=given.iterations)
    warm, resident = min(10_000, given.iterations // 3), {}
    for event in zoolib.run(config, device="cpu", out=out):
        if type(event).__name__ == "Stepped" and event.step >= warm:
            resident[event.step] = meters.resident_mib()
    first, last = min(resident), max(resident)
    later = max(step for step in resident if step <= first + 5000)
    document = {
        "iterations": given.iterations,
        "seconds": round(time.perf_counter() - began, 2),
        "training_seconds": round(event.seconds, 2),
        "peak_mib": round(meters.peak_mib(), 1),
        "growth": {
            "from_step": first,
            "steps": later - first,
            "mib": round(resident[later] - resident[first], 2),
            "steps_to_end": last - first,
            "mib_to_end": round(resident[last] - resident[first], 2),
        },
        "loops": [loop.kind for loop in loops],
        "traces": sum(loop.traces for loop in loops),
        "metrics": {k: round(v, 4) for k, v in event.metrics.items() if "query" in k},
    }
    print(json.dumps(document))


def explorer(given: argparse.Namespace, out: str) -> None:
    """Time from a slider's move to the finished picture, three learners in one explorer."""
    import numpy as np

    import zoolib
    from zoolib.models.mtnet.learner import prediction_curve
    from zoolib.ui.explorer import SineExplorer

    adapts = {}
    for variant in VARIANTS:
        config = zoolib.get_model("mtnet").preset(
            "smoke", variant=variant, iterations=given.iterations, report_every=50
        )
        result = zoolib.train(config, device="cpu", out=out, progress=False)
        adapts[variant] = functools.partial(prediction_curve, result.task)
    shown = SineExplorer(adapts)
    warm = 2 * len(MOVED)
    durations = [_move(shown, number) for number in range(warm + given.moves)][warm:]
    x = np.linspace(-5, 5, 201, dtype=np.float32)
    adapting = []
    for _ in range(given.moves):
        began = time.perf_counter()
        for adapt in adapts.values():
            adapt(x[:10], np.sin(x[:10]), x, 10)
        adapting.append(1000 * (time.perf_counter() - began))
    document = {
        "learners": list(VARIANTS),
        "moves": given.moves,
        "median_ms": round(statistics.median(durations), 1),
        "worst_ms": round(max(durations), 1),
        "adapting_ms": round(statistics.median(adapting), 1),
    }
    print(json.dumps(document))


def _move(shown: Any, number: int) -> float:
    """Move one slider, wait for the picture; milliseconds."""
    slider = shown.sliders[MOVED[number % len(MOVED)]]
    began = time.perf_counter()
    following = slider.value + slider.step
    slider.value = following if following <= slider.max else slider.min
    shown.settle()
    return 1000 * (time.perf_counter() - began)


def main() -> None:
    parts = {part.__name__: part for part in (rate, whole, explorer)}
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("part", choices=tuple(parts))
    parser.add_argument("--steps", type=int, default=5000, help="rate: meta-steps per timed block")
    parser.add_argument("--blocks", type=int, default=4, help="rate: timed blocks")
    parser.add_argument("--iterations", type=int, default=60_000, help="whole, explorer: steps")
    parser.add_argument("--moves", type=int, default=60, help="explorer: timed moves")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as out:
        parts[given.part](given, out)


if __name__ == "__main__":
    main()
