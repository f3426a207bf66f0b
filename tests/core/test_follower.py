"""The run folder as ranks other than 0 have it: read, never written."""

from __future__ import annotations

import pytest

import zoolib
from zoolib.core.events import Finished, Stepped
from zoolib.core.follower import Follower
from zoolib.core.store import RunFolder
from zoolib.runtime.device import Session

pytestmark = pytest.mark.usefixtures("line")


def content(folder):
    return {p: p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.fixture
def second(monkeypatch):
    """Runs of this process are those of rank 1, and are told this folder by rank 0."""
    told = []
    monkeypatch.setattr(Session, "tell", lambda self, text: told[0])
    make = Session.__init__

    def init(self, *args):
        make(self, *args)
        self.rank = 1

    monkeypatch.setattr(Session, "__init__", init)
    return told


def stopped(config, out, step):
    events = zoolib.run(config, out=out)
    for event in events:
        if isinstance(event, Stepped) and event.step == step:
            break
    events.close()
    return next(out.iterdir())


def test_a_new_run_of_another_rank_writes_nothing(line, tmp_path, second):
    second.append(str(tmp_path / "theirs"))
    config = line.preset("smoke", iterations=30, eval_every=20)
    result = zoolib.train(config, "cpu", out=tmp_path / "mine", progress=False)
    assert list(tmp_path.iterdir()) == []
    assert str(result.folder) == second[0] and result.config == config
    assert [row["step"] for row in result.history] == [10, 20, 30]
    assert ["test_mse" in row for row in result.history] == [False, True, True]
    assert result.metrics["test_mse"] == result.history[-1]["test_mse"]


def test_it_gives_the_numbers_of_the_rank_that_writes(line, tmp_path, request):
    config = line.preset("smoke", iterations=30, eval_every=20)
    first = zoolib.train(config, "cpu", out=tmp_path, progress=False)
    told = request.getfixturevalue("second")
    told.append(str(tmp_path / "theirs"))
    other = zoolib.train(config, "cpu", out=tmp_path, progress=False)
    assert other.history == first.history and other.metrics == first.metrics


def test_another_rank_goes_on_where_rank_0_stopped(line, tmp_path, request):
    config = line.preset("smoke", iterations=40)
    whole = zoolib.train(config, "cpu", out=tmp_path / "whole", progress=False)
    folder = stopped(config, tmp_path / "cut", 25)
    told = request.getfixturevalue("second")
    told.append(str(folder))
    before = content(folder)
    result = zoolib.train(resume=folder, device="cpu", progress=False)
    assert content(folder) == before
    assert result.history == whole.history and result.metrics == whole.metrics
    open_here = RunFolder.open(folder)
    open_here.lock()  # nobody holds it
    open_here.unlock()


def test_of_a_finished_run_it_tells_the_end(line, tmp_path, request):
    folder = zoolib.train(line.preset("smoke"), "cpu", out=tmp_path, progress=False).folder
    request.getfixturevalue("second").append(str(folder))
    before, events = content(folder), list(zoolib.run(resume=folder, device="cpu"))
    assert isinstance(events[-1], Finished) and len(events[0].history) == 10
    assert content(folder) == before


def test_rows_after_the_checkpoint_are_forgotten(line, tmp_path):
    folder = RunFolder.open(stopped(line.preset("smoke"), tmp_path, 25))
    follower = Follower.of(folder)
    assert [row["step"] for row in follower.history()] == [10, 20]
    checkpoint, _ = follower.latest()
    assert checkpoint.step == 25
    follower.append({"step": 30})
    follower.rewind(checkpoint)
    assert [row["step"] for row in follower.history()] == [10, 20]
    follower.rewind(None)
    assert follower.history() == []
