"""A run with SWA on two processes is the run of one."""

from __future__ import annotations

import subprocess
import sys

import pytest

import zoolib

CHANGES = dict(norm="none", iterations=93, swa_start=31, checkpoint_every=31)


@pytest.mark.slow
def test_two_ranks_average_what_one_process_averages(tmp_path, environment):
    words = [w for name, value in CHANGES.items() for w in (f"--{name}", str(value))]
    command = [sys.executable, "-m", "zoolib", "launch", "--ranks", "2", "--", "train", "swa"]
    done = subprocess.run(
        [*command, "--preset", "smoke", *words, "--device", "cpu", "--out", str(tmp_path / "two")],
        env=environment,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    (folder,) = (p.parent for p in (tmp_path / "two").glob("*/summary.json"))
    two = zoolib.load(folder, "cpu")
    config = zoolib.get_model("swa").preset("smoke", **CHANGES)
    one = zoolib.train(config, "cpu", out=tmp_path / "one", progress=False)
    for here, there in zip(two.history, one.history):
        assert here["loss"] == pytest.approx(there["loss"], rel=1e-6)
    for name in ("test_loss", "swa_test_loss", "swa_train_loss"):
        assert two.metrics[name] == pytest.approx(one.metrics[name], rel=1e-6)
