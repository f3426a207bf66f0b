"""Run in a process of its own per rank: data-parallel trainings of MT-net with the fake adapter."""

from __future__ import annotations

import os
from pathlib import Path

from npu_scenarios import SMALL, outcomes

import zoolib
from zoolib.core.events import Saved, Started

_out = Path(os.environ["SCENARIO_OUT"])
_config = zoolib.get_model("mtnet").preset("smoke", **SMALL)
_results: list = []


def _report(result):
    return {
        "folder": str(result.folder),
        "metrics": result.metrics,
        "history": result.history,
    }


def tasks_that_do_not_divide():
    try:
        zoolib.train(_config.replace(meta_batch_size=3), "npu", out=_out / "odd")
    finally:
        assert not (_out / "odd").exists()


def trains():
    from zoolib.runtime.device import current

    result = zoolib.train(_config, "npu", out=_out, progress=False)
    session = current()
    _results.append(result)
    return {**_report(result), "ranks": [session.rank, session.size, session.device.name]}


def overflow_anywhere_skips_the_step_everywhere():
    """One rank's gradients are too large for float16; both skip, and stay alike."""
    import tensorflow as tf

    from zoolib.runtime.device import current

    session = current()
    call = session.compile(lambda x: session.overflowed([x]))
    large = float("inf") if session.rank else 1.0
    return [bool(call(tf.constant(value)).numpy()) for value in (large, 1.0)]


def evaluates_its_share():
    """Metrics of an evaluation by both, the test tasks this rank adapted to, and the cost."""
    import npu_device

    task, asked = _results[0].task, []
    whole = task.source.test_part
    task.source.test_part = lambda places, shots=None: asked.append(places) or whole(places, shots)
    task.evaluate()
    before = npu_device.eager_variable_operations()
    metrics = task.evaluate()
    return {
        "metrics": metrics,
        "tasks": sorted({int(place) for places in asked for place in places}),
        "calls": len(asked),
        "eager": npu_device.eager_variable_operations() - before,
    }


def stops_at_a_checkpoint_and_resumes():
    events = zoolib.run(_config, "npu", out=_out / "cut")
    for event in events:
        if isinstance(event, Started):
            folder = event.folder
        if isinstance(event, Saved):
            break
    events.close()
    again = zoolib.train(resume=folder, device="npu", progress=False)
    return _report(again)


if __name__ == "__main__":
    outcomes(globals())
