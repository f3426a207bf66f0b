"""Run in a process of its own: MT-net on image folders with the fake adapter's device.

Each function is one use, in the order written; prints one JSON object.
"""

from __future__ import annotations

import os
from pathlib import Path

from npu_scenarios import IMAGES, outcomes

import zoolib
from zoolib.runtime.npu import NpuOptions

_out = Path(os.environ["SCENARIO_OUT"])
_config = zoolib.get_model("mtnet").preset("smoke", data_dir=os.environ["DATA"], **IMAGES)
_options = NpuOptions(precision_mode="allow_mix_precision")
_results: list = []


def trains():
    """Rows, metrics, and what they cost in eager access to variables and in traces."""
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
        "metrics": last.metrics,
        "history": _results[0].history,
        "eager": counts[-1] - counts[0],
        "traces": [loop.traces for loop in loops],
    }


def the_adapter_was_told_the_mode():
    import npu_device

    from zoolib.core.store import RunFolder

    told = npu_device.global_options().as_dict()["precision_mode"]
    return [told, RunFolder.open(_results[0].folder).env["npu_options"]]


def the_loss_was_scaled():
    return float(_results[0].task.loss_scale.scale(1.0))


if __name__ == "__main__":
    outcomes(globals())
