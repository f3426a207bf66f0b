"""What goes wrong, one test each: said clearly, nothing lost, and the run goes on from there."""

from __future__ import annotations

import errno
import functools
import json
import os
import random
import re
import signal

import numpy as np
import pytest

import zoolib
from zoolib.core import files
from zoolib.core.events import Failed, Saved, Started, Stepped
from zoolib.core.store import RunFolder
from zoolib.errors import ConfigError, DeviceError, NonFiniteLoss, StoreError

pytestmark = pytest.mark.usefixtures("line")
ARGUMENTS = "--preset smoke --iterations 1500 --report_every 30 --checkpoint_every 50 --seed 7"


def rows(folder) -> bytes:
    return (folder / "metrics.jsonl").read_bytes()


def stop_at(step: int, *args, **kwargs):
    events = zoolib.run(*args, **kwargs)
    folder = next(events).folder
    for event in events:
        if event.step >= step:
            events.close()
            return folder
    raise AssertionError(f"the run ended before step {step}")


@pytest.fixture
def stopped(line, tmp_path):
    """The folder of a run stopped after 70 of 100 steps: checkpoints at 40, 60 and 70."""
    return stop_at(70, line.preset("smoke"), out=tmp_path / "runs")


@pytest.fixture(scope="module")
def uninterrupted(line, tmp_path_factory):
    """What stopped runs come to: a finished run of the smoke preset."""
    out = tmp_path_factory.mktemp("uninterrupted")
    return zoolib.train(line.preset("smoke"), out=out, progress=False)


@pytest.fixture(scope="module")
def long(launcher, tmp_path_factory):
    """A finished, undisturbed run of ARGUMENTS as a process; its folder."""
    place = tmp_path_factory.mktemp("long")
    command = launcher.run("train", "line", *ARGUMENTS.split(), cwd=place)
    assert command.code == 0, command.err
    return next((place / "runs").iterdir())


# ---- before anything is written


@pytest.mark.parametrize(
    "change, told",
    [
        ({"metalr": 1}, "metalr: not a setting of mtnet; did you mean meta_lr?"),
        ({"iterations": 0}, "iterations: expected an integer from 1 to 1e+09, got 0"),
        ({"variant": "reptile"}, "variant: expected one of maml, tnet, .*, got 'reptile'"),
        ({"norm": 3}, "norm: expected one of none, batch_norm, layer_norm, got 3"),
        ({"update_lr": float("nan")}, "update_lr: expected a finite number .*, got nan"),
        ({"shots": 2.5}, "shots: expected an integer from 1 to 1000, got 2.5"),
    ],
)
def test_unknown_settings_and_values_out_of_range(change, told):
    with pytest.raises(ConfigError, match=told.replace("+", r"\+").replace("?", r"\?")):
        zoolib.get_model("mtnet").preset("smoke", **change)


@pytest.mark.parametrize(
    "asked, told",
    [
        ({"device": "gpu:7"}, r"device: expected one of auto, cpu.*, got 'gpu:7'"),
        ({"device": "tpu"}, r"device: expected one of auto, cpu.*, got 'tpu'"),
        ({"device": "cpu", "precision": "mixed_float16"}, r"precision: .*float32.* on cpu, got"),
        ({"device": "cpu", "precision": "float8"}, r"precision: .*mixed_bfloat16 on cpu, got"),
    ],
)
def test_devices_and_precisions_that_are_not_there(line, tmp_path, asked, told):
    with pytest.raises(DeviceError, match=told):
        next(zoolib.run(line.preset("smoke"), out=tmp_path / "runs", **asked))
    assert list(tmp_path.iterdir()) == []


def test_an_absent_device_is_listed_with_the_reason_and_refused_with_it(line, tmp_path):
    absent = [device for device in zoolib.devices() if not device.available]
    assert {d.kind for d in zoolib.devices()} == {"cpu", "gpu", "npu"}
    for device in absent:
        assert device.reason
        with pytest.raises(DeviceError, match=re.escape(device.reason)):
            next(zoolib.run(line.preset("smoke"), device=device.name, out=tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_output_folders_that_cannot_be(line, tmp_path):
    file = tmp_path / "file"
    file.write_text("in the way")
    for out in (file, file / "runs", "/proc/runs"):
        with pytest.raises(StoreError, match="^out: "):
            next(zoolib.run(line.preset("smoke"), out=out))
    assert file.read_text() == "in the way" and len(list(tmp_path.iterdir())) == 1


def test_a_disk_that_is_full_at_once_leaves_nothing(line, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreError, match="env.json: cannot be written: No space left on device"):
        next(zoolib.run(line.preset("smoke"), out=tmp_path))
    assert list(tmp_path.iterdir()) == []


def full(_handle: int) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


# ---- full disks while running


def test_a_disk_that_fills_up_leaves_the_old_checkpoint_whole(
    line, tmp_path, monkeypatch, uninterrupted
):
    events, seen = zoolib.run(line.preset("smoke"), out=tmp_path), []
    with pytest.raises(StoreError, match="cannot be written: No space left on device"):
        for event in events:
            seen.append(event)
            if event.step == 50:
                monkeypatch.setattr(os, "fsync", full)
    assert isinstance(seen[-1], Failed) and isinstance(seen[-1].error, StoreError)
    monkeypatch.undo()
    folder = seen[0].folder
    assert not [p for p in folder.rglob(".*")], "temporary files stay behind"
    checkpoint, remarks = RunFolder.open(folder).latest()
    assert (checkpoint.step, remarks) == (40, [])
    result = zoolib.train(resume=folder, progress=False)
    assert rows(result.folder) == rows(uninterrupted.folder)


def test_a_row_that_does_not_fit_is_written_again(line, tmp_path, monkeypatch, uninterrupted):
    def append(self, row):
        if row["step"] == 50:
            with (self.path / "metrics.jsonl").open("a") as file:
                file.write(json.dumps(row)[:9])
            raise StoreError("metrics.jsonl: cannot be written: No space left on device")
        return kept(self, row)

    kept = RunFolder.append
    monkeypatch.setattr(RunFolder, "append", append)
    with pytest.raises(StoreError, match="No space left"):
        zoolib.train(line.preset("smoke"), out=tmp_path, progress=False)
    monkeypatch.undo()
    folder = next(tmp_path.iterdir())
    assert len(zoolib.load(folder).history) == 4  # the cut row is passed over
    assert rows(zoolib.train(resume=folder, progress=False).folder) == rows(uninterrupted.folder)


def test_files_that_may_not_grow(launcher, tmp_path, long):
    """The kernel's own refusal: no file of the process may exceed 4 KiB."""
    command = launcher.run("train", "line", *ARGUMENTS.split(), cwd=tmp_path, limit=4096)
    assert command.code == 1, command.err
    last = command.err.strip().splitlines()[-1]
    assert re.match(r"zoolib: /.*: cannot be written: .*(File too large|flush)", last), last
    assert "Traceback" not in command.err
    folder = next((tmp_path / "runs").iterdir())
    assert RunFolder.open(folder).latest()[0].step > 0
    command = launcher.run("train", "line", "--resume", folder, cwd=tmp_path)
    assert command.code == 0, command.err
    assert rows(folder) == rows(long)


# ---- damaged files


def test_folders_that_hold_no_run(tmp_path):
    with pytest.raises(StoreError, match="expected a run folder, found no config.json in it"):
        next(zoolib.run(resume=tmp_path))
    for content, told in (
        ("{", "expected JSON"),
        ("[]", "expected an object with 'model' and 'settings'"),
        ('{"model": "gone", "settings": {}}', "model: expected one of .*, got 'gone'"),
        ('{"model": "mtnet", "settings": {"new": 1}}', "new: not a setting of mtnet; is the file"),
        ('{"model": "mtnet", "settings": {"shots": 0}}', "shots: expected an integer"),
    ):
        (tmp_path / "config.json").write_text(content)
        with pytest.raises(StoreError, match=told):
            zoolib.load(tmp_path)


def flip(path, place: int) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(bytes(content))


DAMAGE = {
    "bit flip": lambda folder: flip(folder / "arrays.npz", 700),
    "bit flip at the end": lambda folder: flip(folder / "arrays.npz", -5),
    "truncated": lambda folder: os.truncate(folder / "arrays.npz", 300),
    "empty": lambda folder: os.truncate(folder / "arrays.npz", 0),
    "no arrays": lambda folder: (folder / "arrays.npz").unlink(),
    "no manifest": lambda folder: (folder / "manifest.json").unlink(),
    "half a manifest": lambda folder: os.truncate(folder / "manifest.json", 40),
    "other manifest": lambda folder: (folder / "manifest.json").write_text('{"sha256": []}'),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_damaged_checkpoints_are_told_and_the_one_before_is_used(stopped, uninterrupted, damage):
    damage(stopped / "checkpoints" / "step-000000070")
    events = list(zoolib.run(resume=stopped))
    assert events[0].step == 60
    (note,) = events[0].notes
    assert "step-000000070: damaged, " in note and note.endswith("using the one before")
    assert note.count(": damaged") == 1
    assert rows(stopped) == rows(uninterrupted.folder)


def test_no_whole_checkpoint_left_begins_again(stopped, uninterrupted):
    for place in (stopped / "checkpoints").iterdir():
        DAMAGE["bit flip"](place)
    events = list(zoolib.run(resume=stopped))
    assert events[0].step == 0 and len(events[0].notes) == 3 and events[0].history == ()
    assert rows(stopped) == rows(uninterrupted.folder)


def test_loading_a_damaged_checkpoint_says_so(stopped, caplog):
    DAMAGE["truncated"](stopped / "checkpoints" / "step-000000070")
    assert zoolib.load(stopped).task.optimizer.count.numpy() == 60
    assert "step-000000070: damaged" in caplog.text
    for place in (stopped / "checkpoints").iterdir():
        DAMAGE["no manifest"](place)
    with pytest.raises(StoreError, match="expected a checkpoint, found none.*manifest.json"):
        zoolib.load(stopped).task  # noqa: B018


@pytest.mark.parametrize("keep", [0, 1, 300, -1])
def test_a_truncated_history_is_computed_again(stopped, uninterrupted, keep):
    os.truncate(stopped / "metrics.jsonl", keep if keep >= 0 else len(rows(stopped)) - 1)
    zoolib.load(stopped)  # a cut last line is no reason not to look
    events = list(zoolib.run(resume=stopped))
    assert events[0].step in (0, 40, 60)
    assert "metrics.jsonl: has" in events[0].notes[0]
    assert rows(stopped) == rows(uninterrupted.folder)


def test_a_history_damaged_before_its_end_names_the_line(stopped):
    lines = rows(stopped).split(b"\n")
    (stopped / "metrics.jsonl").write_bytes(b"\n".join([lines[0], b"{oops", *lines[2:]]))
    with pytest.raises(StoreError, match=r"metrics.jsonl:2: expected a JSON row, got '\{oops'"):
        zoolib.load(stopped)


# ---- numbers that are not finite


@pytest.mark.parametrize("term", ["loss", "penalty"])
@pytest.mark.parametrize("looped", [False, True])
def test_a_loss_that_is_not_finite_stops_the_run(line, tmp_path, term, looped):
    config = line.preset("smoke", poison=term, poison_at=57, looped=looped)
    seen = []
    with pytest.raises(
        NonFiniteLoss, match=f"{term} became inf at step 57; .* of step 40 "
    ) as info:
        for event in zoolib.run(config, out=tmp_path):
            seen.append(event)
    assert (info.value.step, info.value.term) == (57, term)
    assert isinstance(seen[-1], Failed) and seen[-1].error is info.value
    folder = seen[0].folder
    assert RunFolder.open(folder).latest()[0].step == 40
    assert RunFolder.open(folder).summary() is None
    again = zoolib.run(resume=folder)
    assert next(again).step == 40
    with pytest.raises(NonFiniteLoss, match="at step 57"):
        list(again)


def test_variables_that_are_not_finite_are_never_saved(line, tmp_path):
    """Broken by the update of step 60, when the loss is still finite and a checkpoint is due."""
    config = line.preset("smoke", poison="state", poison_at=60)
    with pytest.raises(NonFiniteLoss, match="variable [wb] is not finite after step 60") as info:
        for event in zoolib.run(config, out=tmp_path):
            assert not (isinstance(event, Saved) and event.step == 60)
    assert info.value.step == 60
    folder = next(tmp_path.iterdir())
    checkpoint, _ = RunFolder.open(folder).latest()
    assert checkpoint.step == 40
    assert all(np.isfinite(values).all() for values in checkpoint.arrays.values())


# ---- signals


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupts_save_and_exit_130(launcher, tmp_path, long, eventually, number):
    """Signals that come while a step is computed: between two rows, at no special place."""
    command = launcher.start("train", "line", *ARGUMENTS.split(), cwd=tmp_path)
    folder = eventually(lambda: next(tmp_path.glob("runs/*"), None))
    eventually(lambda: rows(folder).count(b"\n") >= 5 if (folder / "metrics.jsonl").exists() else 0)
    command.kill(number)
    assert command.wait() == 130
    last = command.err.strip().splitlines()[-1]
    assert last == f"zoolib: interrupted; saved, go on with --resume {folder}"
    step = RunFolder.open(folder).latest()[0].step
    assert 150 <= step < 1500
    command = launcher.run("train", "line", "--resume", folder, cwd=tmp_path)
    assert command.code == 0, command.err
    assert rows(folder) == rows(long)
    assert zoolib.load(folder).metrics == zoolib.load(long).metrics


def reached(folder, stop: int) -> bool:
    """Odd stops wait for a checkpoint, whole or being written; even ones for a row."""
    if stop % 2 and stop > 50:
        return any(folder.glob(f"checkpoints/*step-{stop // 50 * 50:09d}*"))
    return rows(folder).count(b"\n") >= stop // 30


@pytest.mark.parametrize("seed", [1, 2])
def test_kill_at_random_moments_and_resume(launcher, tmp_path, long, eventually, seed):
    """SIGKILL several times, at moments drawn from a seed, some of them while files are written."""
    chance = random.Random(seed)
    stops = sorted(chance.sample(range(5, 1495), 4))
    argv = ["train", "line", *ARGUMENTS.split()]
    for stop in stops:
        command = launcher.start(*argv, cwd=tmp_path)
        folder = eventually(lambda: next(tmp_path.glob("runs/*/config.json"), None)).parent
        eventually(functools.partial(reached, folder, stop))
        eventually(lambda: chance.random() < 0.1)
        command.kill(signal.SIGKILL)
        assert command.wait() == -signal.SIGKILL
        zoolib.load(folder)
        argv = ["train", "line", "--resume", folder]
    command = launcher.run(*argv, cwd=tmp_path)
    assert command.code == 0, command.err
    assert rows(folder) == rows(long)
    assert zoolib.load(folder).metrics == zoolib.load(long).metrics
    assert len(list(tmp_path.glob("runs/*"))) == 1


# ---- two at once


def test_the_second_process_on_a_run_folder_refuses(launcher, tmp_path, eventually):
    config = ["--preset", "smoke", "--wait", "0.02"]
    first = launcher.start("train", "line", *config, cwd=tmp_path)
    folder = eventually(lambda: next(tmp_path.glob("runs/*/config.json"), None)).parent
    second = launcher.run("train", "line", "--resume", folder, cwd=tmp_path)
    assert second.code == 2
    assert second.err == (
        f"zoolib: {folder}: in use by process {first.pid}; "
        "stop it first, or start a run of its own\n"
    )
    first.kill(signal.SIGTERM)
    assert first.wait() == 130
    assert RunFolder.open(folder).latest()[1] == []


def test_a_second_run_in_the_same_process_refuses_too(line, tmp_path):
    first = zoolib.run(line.preset("smoke"), out=tmp_path)
    folder = next(first).folder
    with pytest.raises(StoreError, match=f"in use by process {os.getpid()}"):
        next(zoolib.run(resume=folder))
    first.close()
    assert isinstance(next(zoolib.run(resume=folder)), Started)


def test_signals_wait_while_state_changes(line, tmp_path):
    """Ctrl-C in the middle of a step, or of writing, is delivered after it."""
    events = zoolib.run(line.preset("smoke"), out=tmp_path)
    folder = next(events).folder
    order = []

    def save(self, checkpoint, original=RunFolder.save):
        os.kill(os.getpid(), signal.SIGINT)
        order.append("signalled")
        path = original(self, checkpoint)
        order.append("saved")
        return path

    before = RunFolder.save
    RunFolder.save = save
    try:
        with pytest.raises(KeyboardInterrupt):
            for event in events:
                assert not (isinstance(event, Stepped) and event.step > 20)
    finally:
        RunFolder.save = before
    assert order == ["signalled", "saved"]
    assert RunFolder.open(folder).latest()[0].step == 20


def test_checks_for_writing_name_the_place(tmp_path):
    files.check_writable(tmp_path / "a" / "b")
    assert list(tmp_path.iterdir()) == []
