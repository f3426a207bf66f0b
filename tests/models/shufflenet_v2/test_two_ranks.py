"""Training on two processes: a killed worker ends the job, and the run goes on where it was."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import zoolib
from zoolib.core.store import RunFolder

SETTINGS = "--preset smoke --iterations 80 --checkpoint_every 10 --report_every 5 --batch_size 8"
WITHIN = 60  # seconds in which the job has to notice that a worker is gone


@pytest.fixture(scope="module")
def start(environment):
    """Starts a training on two ranks in a folder, its output in the file `told`."""

    def started(folder: Path, *words: str) -> subprocess.Popen:
        command = [sys.executable, "-m", "zoolib", "launch", "--ranks", "2", "--grace", "1", "--"]
        settings = ["train", "shufflenet_v2", "--device", "cpu", *words]
        pipes = dict(stdout=(folder / "told").open("wb"), stderr=subprocess.STDOUT)
        return subprocess.Popen(command + settings, cwd=folder, env=environment, **pipes)

    return started


@pytest.mark.slow
def test_a_killed_worker_ends_the_job_and_the_resumed_run_equals_an_undisturbed_one(
    start, tmp_path, eventually
):
    psutil = pytest.importorskip("psutil")
    for name in ("undisturbed", "killed"):
        (tmp_path / name).mkdir()
    process = start(tmp_path / "undisturbed", *SETTINGS.split())
    assert process.wait(400) == 0, (tmp_path / "undisturbed" / "told").read_text()

    folder = tmp_path / "killed"
    process = start(folder, *SETTINGS.split())
    checkpoints = lambda: list(folder.glob("runs/*/checkpoints/step-*"))  # noqa: E731
    try:
        eventually(lambda: process.poll() is not None or checkpoints(), 300)
        assert process.poll() is None, (folder / "told").read_text()
        worker = psutil.Process(process.pid).children()[1]
        os.kill(worker.pid, signal.SIGKILL)
        killed = time.monotonic()
        assert process.wait(2 * WITHIN) == 137
        assert time.monotonic() - killed < WITHIN
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(90)
    told = (folder / "told").read_text()
    assert "zoolib: rank-1 ended with signal SIGKILL; the others were stopped" in told

    (run,) = (folder / "runs").iterdir()
    assert RunFolder.open(run).latest()[0].step < 80, "it was over before the worker was killed"
    process = start(folder, "--resume", str(run))
    assert process.wait(400) == 0, (folder / "told").read_text()
    (other,) = (tmp_path / "undisturbed" / "runs").iterdir()
    assert (run / "metrics.jsonl").read_bytes() == (other / "metrics.jsonl").read_bytes()
    resumed, undisturbed = zoolib.load(run, "cpu"), zoolib.load(other, "cpu")
    assert resumed.metrics == undisturbed.metrics
    assert RunFolder.open(run).env["ranks"] == 2
