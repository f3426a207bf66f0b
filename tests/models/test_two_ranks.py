"""Methods with batch norm on two processes: the ranks share the work and agree on the outcome.

Each rank normalises by its own rows, so a run of two is not the run of one; what has to hold is
that it sees the same draws, that its ranks hold the same weights, and that it ends as runs end.
"""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

import zoolib
from zoolib.core.store import RunFolder

CHANGES = {
    "realmix": dict(iterations=20, checkpoint_every=10, report_every=5, eval_every=10),
    "am3": dict(iterations=20, checkpoint_every=10, report_every=5, eval_every=10, tasks=2),
}


def launch(folder, environment, *words):
    command = [sys.executable, "-m", "zoolib", "launch", "--ranks", "2", "--", "train", *words]
    run = dict(env=environment, capture_output=True, text=True, cwd=folder, timeout=500)
    done = subprocess.run([*command, "--device", "cpu"], **run)
    assert done.returncode == 0, done.stdout + done.stderr
    (place,) = (p.parent for p in folder.glob("runs/*/summary.json"))
    return place


@pytest.mark.slow
@pytest.mark.parametrize("method", sorted(CHANGES))
def test_two_ranks_agree(tmp_path, environment, method):
    changes = CHANGES[method]
    words = [w for name, value in changes.items() for w in (f"--{name}", str(value))]
    place = launch(tmp_path, environment, method, "--preset", "smoke", *words)
    assert RunFolder.open(place).env["ranks"] == 2

    two = zoolib.load(place, "cpu")
    told = json.loads((place / "summary.json").read_text())["metrics"]
    again = two.task.evaluate()
    for name, value in again.items():  # what two processes measured, one measures, too
        if name.startswith(("tuned", "recal")):
            continue  # statistics anew, from each rank's own rows
        assert told[name] == pytest.approx(value, abs=2e-3, rel=1e-3), name

    config = zoolib.get_model(method).preset("smoke", **changes)
    one = zoolib.train(config, "cpu", out=tmp_path / "one", progress=False)
    first, other = two.history[0]["loss"], one.history[0]["loss"]
    assert first == pytest.approx(other, rel=0.3), "the same draws, other rows to normalise by"
