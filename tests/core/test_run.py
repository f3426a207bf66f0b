"""The loop: events in order, stop and resume, one trace, flat memory."""

from __future__ import annotations

import gc
import json
import os

import pytest

import zoolib
from zoolib.core.events import Evaluated, Finished, Saved, Started, Stepped
from zoolib.core.store import RunFolder
from zoolib.errors import ConfigError, StoreError
from zoolib.runtime.device import Session

pytestmark = pytest.mark.usefixtures("line")


def collect(*args, **kwargs) -> list:
    return list(zoolib.run(*args, **kwargs))


def rows(folder) -> bytes:
    return (folder / "metrics.jsonl").read_bytes()


def stop_at(step: int, *args, **kwargs):
    """Runs until ``step`` steps are done, then closes the generator; returns the folder."""
    events = zoolib.run(*args, **kwargs)
    folder = next(events).folder
    for event in events:
        if isinstance(event, Stepped) and event.step >= step:
            events.close()
            return folder
    raise AssertionError(f"the run ended before step {step}")


@pytest.fixture(scope="module")
def whole(line, tmp_path_factory):
    """An uninterrupted run of 100 steps with evaluations; its events."""
    out = tmp_path_factory.mktemp("whole")
    return collect(line.preset("smoke", eval_every=50), out=out)


def test_events_come_in_order(whole):
    started, finished = whole[0], whole[-1]
    assert isinstance(started, Started) and isinstance(finished, Finished)
    assert (started.step, started.total, started.device) == (0, 100, "cpu")
    assert started.precision == "float32" and started.history == () and started.notes == ()
    steps = [e.step for e in whole if isinstance(e, Stepped)]
    assert steps == list(range(1, 101))
    assert [e.step for e in whole if isinstance(e, Saved)] == [20, 40, 60, 80, 100]
    assert [e.step for e in whole if isinstance(e, Evaluated)] == [50, 100, 100]
    assert all(a.step <= b.step for a, b in zip(whole, whole[1:]))


def test_rows_are_means_since_the_last_report(whole):
    history = zoolib.load(whole[0].folder).history
    assert [row["step"] for row in history] == list(range(10, 101, 10))
    single = {e.step: e.metrics for e in whole if isinstance(e, Stepped)}
    assert [single[s] for s in (20, 30)] == history[1:3]
    # Within a report the means run on: the first alone, then of two, ...
    first, second = single[11]["loss"], 2 * single[12]["loss"] - single[11]["loss"]
    assert first != second and single[12]["loss"] == pytest.approx((first + second) / 2)
    assert set(history[0]) == {"step", "loss", "penalty"}
    assert set(history[4]) == {"step", "loss", "penalty", "test_mse", "test_mse_ci95"}


def test_the_result_holds_metrics_and_the_trained_object(whole):
    result = zoolib.load(whole[0].folder)
    assert result.metrics == whole[-1].metrics == whole[-2].metrics
    assert result.task.evaluate() == result.metrics
    assert result.summary["steps"] == 100 and result.summary["device"] == "cpu"
    assert "test_mse=" in repr(result)
    assert result.history[-1]["loss"] < 0.5 * result.history[0]["loss"]


def test_the_last_checkpoints_are_kept(whole):
    kept = sorted(p.name for p in (whole[0].folder / "checkpoints").iterdir())
    assert kept == [f"step-{step:09d}" for step in (60, 80, 100)]


@pytest.mark.parametrize(
    "cuts, looped",
    [((7,), False), ((20,), False), ((3, 4, 50, 60, 61, 99), False), ((33,), True)],
)
def test_stop_and_resume_equals_uninterrupted(line, tmp_path, whole, cuts, looped):
    config = line.preset("smoke", eval_every=50, looped=looped)
    reference = whole[0].folder
    if looped:
        reference = zoolib.train(config, out=tmp_path, progress=False).folder
    where = {"config": config, "out": tmp_path / "cut"}
    for cut in cuts:
        folder = stop_at(cut, **where)
        where = {"resume": folder}
        assert RunFolder.open(folder).summary() is None
    result = zoolib.train(**where, progress=False)
    assert rows(result.folder) == rows(reference)
    assert result.metrics == zoolib.load(reference).metrics


def test_a_loop_of_many_steps_gives_the_numbers_of_single_steps(line, tmp_path, whole):
    result = zoolib.train(line.preset("smoke", looped=True), out=tmp_path, progress=False)
    alone = zoolib.load(whole[0].folder).history
    for row, other in zip(result.history, alone):
        assert row["loss"] == pytest.approx(other["loss"], rel=1e-5)


def test_resuming_tells_where_it_starts_and_what_was(line, tmp_path):
    folder = stop_at(35, line.preset("smoke"), out=tmp_path)
    started = next(events := zoolib.run(resume=folder))
    events.close()
    assert started.step == 35 and [row["step"] for row in started.history] == [10, 20, 30]


def test_a_closed_run_is_saved_and_free(line, tmp_path):
    folder = stop_at(33, line.preset("smoke"), out=tmp_path)
    checkpoint, remarks = RunFolder.open(folder).latest()
    assert checkpoint.step == 33 and remarks == []
    assert len(checkpoint.pending["loss"]) == 3
    free = RunFolder.open(folder)
    free.lock()
    free.unlock()


def test_an_exception_of_the_consumer_saves_too(line, tmp_path):
    with pytest.raises(ZeroDivisionError):
        for event in zoolib.run(line.preset("smoke"), out=tmp_path):
            if event.step == 44:
                folder = next(tmp_path.iterdir())
                raise ZeroDivisionError
    gc.collect()
    assert RunFolder.open(folder).latest()[0].step == 44


def test_a_finished_run_resumes_to_nothing(whole):
    folder = whole[0].folder

    def content():
        files = [p for p in folder.rglob("*") if p.is_file() and p.name != "run.lock"]
        return {p: (p.read_bytes(), os.stat(p).st_mtime_ns) for p in files}

    before = content()
    events = collect(resume=folder)
    assert [type(e) for e in events] == [Started, Finished]
    assert events[0].step == 100 and len(events[0].history) == 10
    assert events[1].metrics == whole[-1].metrics
    assert content() == before


def test_a_run_killed_before_its_summary_only_evaluates(line, tmp_path, whole):
    folder = zoolib.train(line.preset("smoke"), out=tmp_path, progress=False).folder
    (folder / "summary.json").unlink()
    events = collect(resume=folder)
    assert [type(e) for e in events] == [Started, Evaluated, Finished]
    assert events[-1].metrics == whole[-1].metrics and events[-1].steps_per_second == 0.0


def test_same_seed_same_numbers_other_seed_others(line, tmp_path, whole):
    again = zoolib.train(line.preset("smoke", eval_every=50), out=tmp_path, progress=False)
    other = zoolib.train(line.preset("smoke", eval_every=50, seed=1), out=tmp_path, progress=False)
    assert rows(again.folder) == rows(whole[0].folder) != rows(other.folder)


@pytest.mark.parametrize("looped", [False, True])
def test_the_step_is_traced_once(line, tmp_path, monkeypatch, looped):
    loops, make = [], Session.loop
    monkeypatch.setattr(Session, "loop", lambda *args: loops.append(make(*args)) or loops[-1])
    config = line.preset("smoke", looped=looped, iterations=457, report_every=17)
    folder = stop_at(30, config, out=tmp_path)
    zoolib.train(resume=folder, progress=False)
    assert [loop.traces for loop in loops] == [1, 1]
    assert {loop.kind == "single" for loop in loops} == {not looped}


def test_memory_stays_flat_over_5000_steps(line, tmp_path):
    psutil = pytest.importorskip("psutil")
    process, sizes = psutil.Process(), {}
    config = line.preset(
        "smoke", looped=True, iterations=6000, report_every=50, checkpoint_every=1000
    )
    for event in zoolib.run(config, out=tmp_path):
        if isinstance(event, Stepped) and event.step in (1000, 6000):
            gc.collect()
            sizes[event.step] = process.memory_info().rss
    grown = (sizes[6000] - sizes[1000]) / 2**20
    assert grown < 8, f"{grown:.1f} MiB in 5,000 steps"


def test_tensorboard_gets_the_same_rows(whole):
    import tensorflow as tf

    found = {}
    for path in (whole[0].folder / "tensorboard").iterdir():
        for event in tf.compat.v1.train.summary_iterator(str(path)):
            for value in event.summary.value:
                found[event.step, value.tag] = float(tf.make_ndarray(value.tensor))
    for row in zoolib.load(whole[0].folder).history:
        assert found[row["step"], "loss"] == pytest.approx(row["loss"], rel=1e-6)
    assert (100, "test_mse") in found


def test_the_folder_tells_what_the_numbers_depend_on(whole):
    env = json.loads((whole[0].folder / "env.json").read_text())
    assert env["zoolib"] == zoolib.__version__ and env["precision"] == "float32"
    assert "numpy" in env["packages"] and env["device"] == "cpu"


def test_neither_config_nor_folder_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="expected a config, or resume=FOLDER; got neither"):
        collect(out=tmp_path)


def test_resume_refuses_other_settings_and_shows_them(line, tmp_path, whole):
    folder = stop_at(3, line.preset("smoke"), out=tmp_path)
    before = rows(folder), sorted(folder.rglob("*"))
    for wrong, told in (
        ({"config": line.preset("smoke", rate=0.5)}, "rate: 0.01 there, 0.5 asked"),
        ({"config": zoolib.get_model("mtnet").preset("smoke")}, "model: 'line' there, 'mtnet'"),
        ({"precision": "mixed_bfloat16"}, "precision: 'float32' there, 'mixed_bfloat16' asked"),
    ):
        with pytest.raises(StoreError, match=told):
            collect(**wrong, resume=folder)
    assert (rows(folder), sorted(folder.rglob("*"))) == before
    collect(line.preset("smoke"), resume=folder)  # the same settings are welcome


def test_two_runs_of_the_same_settings_never_share_a_folder(line, tmp_path):
    folders = {stop_at(1, line.preset("smoke"), out=tmp_path) for _ in range(3)}
    assert len(folders) == 3
