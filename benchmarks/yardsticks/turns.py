"""Contenders in turns: a zoolib run that is asked for a few steps at a time, and paired ratios.

    python benchmarks/yardsticks/turns.py realmix tutorial --steps 600     # memory, traces; as JSON

All contenders live in one process and take turns in changing order, so that what else the machine
does meets them alike; a ratio is the median over rounds of the ratio within a round. Before the
timed steps of a turn come a few untimed ones, which use up batches made ahead during other turns.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import tempfile
import time
from collections.abc import Iterator
from typing import Any, Callable

LONG = 10**6  # steps no benchmark reaches: no evaluation, no checkpoint
Train = Callable[[int], None]


class Running:
    """`zoolib.run` of a preset, with all a run does between its steps, taken a few at a time.

    Args:
        model, preset: what is trained.
        changes: settings that differ from the preset.

    Attributes:
        config: the settings.
        loops: the compiled loops the run has made.
        loss: of the last report's steps so far.
    """

    def __init__(self, model: str, preset: str, **changes: Any) -> None:
        import zoolib

        calm = dict(iterations=LONG, checkpoint_every=LONG, eval_every=0, report_every=50)
        self.config = zoolib.get_model(model).preset(preset, **{**calm, **changes})
        self.place = tempfile.TemporaryDirectory()
        self.loops: list[Any] = []
        self.loss = float("nan")
        with recorded(self.loops):
            self.events = zoolib.run(self.config, device="cpu", out=self.place.name)
            self.train(1)  # compiles

    def train(self, steps: int) -> None:
        """Go on for so many steps."""
        while steps:
            event = next(self.events)
            if type(event).__name__ == "Stepped":
                steps, self.loss = steps - 1, event.metrics["loss"]

    @property
    def traces(self) -> int:
        """How often the step was traced."""
        return sum(loop.traces for loop in self.loops)

    def close(self) -> None:
        """End the run and remove its folder."""
        self.events.close()
        self.place.cleanup()


@contextlib.contextmanager
def recorded(loops: list[Any]) -> Iterator[None]:
    """Within, compiled loops that sessions make are also put on a list."""
    from zoolib.runtime.device import Session

    make = Session.loop
    Session.loop = lambda *arguments: loops.append(make(*arguments)) or loops[-1]
    try:
        yield
    finally:
        Session.loop = make


def seconds(train: Train, steps: int, skipped: int) -> tuple[float, float]:
    """Wall and processor seconds of a step, after ``skipped`` untimed ones."""
    train(skipped)
    began, worked = time.perf_counter(), time.process_time()
    train(steps)
    return (time.perf_counter() - began) / steps, (time.process_time() - worked) / steps


def race(
    contenders: dict[str, Train], rounds: int, steps: int, skipped: int, title: str
) -> dict[str, dict[str, list[float]]]:
    """Seconds per step of each contender in each round: ``wall`` and ``processor``."""
    found = {name: {"wall": [], "processor": []} for name in contenders}
    names = list(contenders)
    for number in range(rounds):
        for name in names if number % 2 else names[::-1]:
            wall, processor = seconds(contenders[name], steps, skipped)
            found[name]["wall"].append(wall)
            found[name]["processor"].append(processor)
        told = ", ".join(f"{name} {1000 * s['wall'][-1]:.1f}" for name, s in found.items())
        print(f"{title}: round {number + 1} of {rounds}, ms per step: {told}", flush=True)
    return found


def rates(found: dict[str, dict[str, list[float]]], items: int) -> dict[str, Any]:
    """Of each contender: items per second of wall time, median and best; ms per step, median."""
    return {
        name: {
            "per_second": round(items / statistics.median(s["wall"]), 2),
            "best_per_second": round(items / min(s["wall"]), 2),
            "ms_per_step": round(1000 * statistics.median(s["wall"]), 2),
            "processor_ms_per_step": round(1000 * statistics.median(s["processor"]), 2),
        }
        for name, s in found.items()
    }


def ratio(
    found: dict[str, dict[str, list[float]]], first: str, second: str, target: float | None
) -> dict[str, Any]:
    """How many times as fast the first is as the second, in wall and in processor time."""
    told: dict[str, Any] = {"target": target}
    for kind in ("wall", "processor"):
        told[kind] = spread(found[second][kind], found[first][kind])
    return told


def spread(above: list[float], below: list[float]) -> dict[str, Any]:
    """Median and range of paired quotients."""
    each = [round(a / b, 3) for a, b in zip(above, below)]
    middle = round(statistics.median(each), 3)
    return {"median": middle, "low": min(each), "high": max(each), "rounds": each}


def line(title: str, found: dict[str, Any]) -> str:
    """A ratio for people: wall time, processor time, target."""
    wall, work = found["wall"], found["processor"]
    wanted = "" if found["target"] is None else f"  target {found['target']}"
    return (
        f"  {title:40}{wall['median']:6.2f} times ({wall['low']:.2f} to {wall['high']:.2f}); "
        f"processor time {work['median']:.2f}{wanted}"
    )


def memory(model: str, preset: str, steps: int, marks: int) -> dict[str, Any]:
    """Resident set of a run at equal distances after a first, untold part; traces of its step."""
    from yardsticks import meters

    running = Running(model, preset)
    running.train(max(steps // 4, 1))
    found = [meters.resident_mib()]
    for _ in range(marks):
        running.train(max(steps // marks, 1))
        found.append(meters.resident_mib())
    told = {
        "steps": marks * max(steps // marks, 1),
        "marks_mib": [round(mark, 1) for mark in found],
        "growth_mib": round(found[-1] - found[0], 2),
        "peak_mib": round(meters.peak_mib(), 1),
        "traces": running.traces,
        "loops": [loop.kind for loop in running.loops],
    }
    running.close()
    return told


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model")
    parser.add_argument("preset")
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--marks", type=int, default=6)
    given = parser.parse_args()
    print(json.dumps(memory(given.model, given.preset, given.steps, given.marks)))


if __name__ == "__main__":
    import sys
    from pathlib import Path

    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    main()
