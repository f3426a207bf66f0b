"""Run in a process of its own: whole trainings of MT-net with the fake adapter's device.

Each function is one use, in the order written; prints one JSON object.
"""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

from npu_scenarios import SMALL, outcomes

import zoolib
from zoolib.core.events import Stepped
from zoolib.runtime.npu import NpuOptions

_out = Path(os.environ["SCENARIO_OUT"])
_config = zoolib.get_model("mtnet").preset("smoke", **SMALL)
_options = NpuOptions(over_dump=True, data_save_path=str(_out))
_results: list = []


def _rows(folder):
    return (folder / "metrics.jsonl").read_text()


def refuses_bad_options_and_writes_nothing():
    try:
        zoolib.train(_config, "npu:0", out=_out / "none", options=NpuOptions(profiling=True))
    finally:
        assert not (_out / "none").exists()


def trains():
    """Rows and metrics of a run, and what it cost in eager access to variables and in traces."""
    import npu_device

    from zoolib.runtime.device import Session

    loops, make, counts = [], Session.loop, []
    Session.loop = lambda *a: loops.append(make(*a)) or loops[-1]
    for event in zoolib.run(_config, "npu:0", out=_out, options=_options):
        counts.append(npu_device.eager_variable_operations())
        last = event
    Session.loop = make
    _results.append(zoolib.load(last.folder, "npu:0"))
    return {
        "folder": str(last.folder),
        "metrics": last.metrics,
        "history": _results[0].history,
        "eager": counts[-1] - counts[0],
        "traces": [loop.traces for loop in loops],
    }


def records_its_options():
    from zoolib.core.store import RunFolder

    env = RunFolder.open(_results[0].folder).env
    return [env["device"], env["npu_options"] == _options.changed(), env["ranks"]]


def stopped_and_resumed_is_bit_equal():
    events = zoolib.run(_config, "npu:0", out=_out)
    for event in events:
        if isinstance(event, Stepped) and event.step == 7:
            break
    events.close()
    folder = next(p for p in _out.glob("mtnet-*") if not (p / "summary.json").exists())
    again = zoolib.train(resume=folder, device="npu", progress=False)
    assert again.metrics == _results[0].metrics
    return _rows(folder) == _rows(_results[0].folder)


def evaluates_what_it_stored():
    return _results[0].task.evaluate() == _results[0].metrics


def adapts_and_predicts():
    learner = _results[0].task.adapt([0.0, 1.0, 2.0], [0.0, 1.0, 0.5])
    return list(learner.predict([0.5, 1.5]).shape)


def draws_its_figures():
    import npu_device

    before = npu_device.eager_variable_operations()
    data = _results[0].task.figure_data()
    return [len(data["mask_probability"]), npu_device.eager_variable_operations() - before]


def exports():
    for form in ("frozen", "savedmodel"):
        zoolib.export(_results[0].task, form, _out / form)
    return [(_out / "frozen").stat().st_size > 1000, (_out / "savedmodel").is_dir()]


def other_options_are_refused():
    other = dataclasses.replace(_options, over_dump=False, deterministic=True)
    zoolib.train(_config, "npu:0", out=_out / "other", options=other)


def another_device_is_refused():
    zoolib.train(_config, "cpu", out=_out / "other")


def nothing_was_written_for_those():
    return (_out / "other").exists()


if __name__ == "__main__":
    outcomes(globals())
