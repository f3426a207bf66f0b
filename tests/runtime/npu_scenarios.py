"""Runs scenario files in processes of their own: an NPU is opened once per process, for good."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import FunctionType

TESTS = Path(__file__).resolve().parents[1]
# A training of seconds, with every kind of row, checkpoint and mask in it.
SMALL = {
    "iterations": 20,
    "report_every": 5,
    "eval_every": 10,
    "checkpoint_every": 10,
    "test_tasks": 7,  # odd: shares of two ranks are padded
    "test_updates": 2,
    "dim_hidden": 8,
    "variant": "mtnet_full",
    "loss_scale": "static",
}
# One of seconds on images: a convolutional network with batch norm, masks and a metric.
IMAGES = {
    "datasource": "omniglot",
    "variant": "mtnet",
    "norm": "batch_norm",
    "num_classes": 2,
    "shots": 1,
    "queries": 1,
    "num_filters": 3,
    "meta_batch_size": 2,
    "num_updates": 1,
    "update_lr": 0.4,
    "iterations": 6,
    "report_every": 3,
    "checkpoint_every": 3,
    "test_tasks": 5,
    "test_updates": 1,
    "loss_scale": "static",
}
_STALE = ("RANK_", "CM_", "ASCEND_", "FAKE_NPU_", "NPU_LOOP_SIZE", "JOB_ID")


def environment(**variables: str) -> dict[str, str]:
    """This process's environment with the repository and the fake adapter importable."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(_STALE)}
    paths = [TESTS.parent, TESTS / "fakes", TESTS / "runtime"]
    kept.update(PYTHONPATH=os.pathsep.join(map(str, paths)), TF_CPP_MIN_LOG_LEVEL="3")
    return {**kept, **variables}


def start(script: str, **variables: str) -> subprocess.Popen:
    """Start a scenario file of this folder."""
    return subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name(script))],
        env=environment(**variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen) -> dict:
    """Wait for a scenario and give the JSON object it printed last."""
    try:
        out, err = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 0, err[-3000:]
    return json.loads(out.strip().splitlines()[-1])


def outcomes(namespace: dict) -> None:
    """Run the public functions of a scenario in order and print what came of each."""
    result = {}
    for name, function in list(namespace.items()):
        local = isinstance(function, FunctionType) and function.__module__ == "__main__"
        if local and not name.startswith("_"):
            try:
                result[name] = function()
            except Exception as error:
                result[name] = f"{type(error).__name__}: {error}"
    print(json.dumps(result))
