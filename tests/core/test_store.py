"""The run folder: whole files or none, verified checkpoints, locks."""

from __future__ import annotations

import json
import os
import threading

import numpy as np
import pytest

from zoolib.core import files
from zoolib.core.store import KEEP, Checkpoint, RunFolder, read_checkpoint
from zoolib.errors import DamagedCheckpoint, StoreError


def checkpoint(step: int, length: int = 0) -> Checkpoint:
    arrays = {"a/w": np.arange(6, dtype=np.float32).reshape(2, 3) + step, "count": np.int32(step)}
    return Checkpoint(step, arrays, {"loss": np.ones(3, np.float32)}, length)


@pytest.fixture
def folder(line, tmp_path):
    made = RunFolder.create(tmp_path, line.preset("smoke"), {"precision": "float32"}, "ck/deep")
    yield made
    made.unlock()


def test_what_is_saved_is_what_is_read(folder):
    path = folder.save(checkpoint(7))
    read, remarks = folder.latest()
    assert path.name == "step-000000007" and path.parent == folder.path / "ck" / "deep"
    assert remarks == [] and (read.step, read.metrics_bytes) == (7, 0)
    for name, value in checkpoint(7).arrays.items():
        np.testing.assert_array_equal(read.arrays[name], value)
        assert read.arrays[name].dtype == value.dtype
    assert list(read.pending) == ["loss"]


def test_only_the_newest_are_kept_and_the_newest_counts(folder):
    assert folder.latest() == (None, [])
    for step in (5, 20, 10, 1000000000, 30):
        folder.save(checkpoint(step))
    assert folder.latest()[0].step == 1000000000
    kept = sorted(int(p.name[5:]) for p in (folder.path / "ck" / "deep").iterdir())
    assert kept == [20, 30, 1000000000] and len(kept) == KEEP


def test_saving_a_step_again_replaces_it(folder):
    place = folder.save(checkpoint(3))
    (place / "arrays.npz").write_bytes(b"damaged")
    assert folder.save(checkpoint(3)) == place
    assert read_checkpoint(place).step == 3


def test_any_changed_bit_is_noticed(folder):
    """Every byte of the manifest, and bytes all over the arrays."""
    place = folder.save(checkpoint(7))
    for name, stride in (("manifest.json", 1), ("arrays.npz", 97)):
        whole = (place / name).read_bytes()
        for at in range(0, len(whole), stride):
            changed = bytearray(whole)
            changed[at] ^= 0x02
            (place / name).write_bytes(bytes(changed))
            with pytest.raises(DamagedCheckpoint, match="damaged, "):
                read_checkpoint(place)
        (place / name).write_bytes(whole)
    assert read_checkpoint(place).step == 7


def test_half_written_checkpoints_do_not_count(folder):
    folder.save(checkpoint(1))
    half = folder.path / "ck" / "deep" / ".step-000000002.123"
    half.mkdir()
    (half / "arrays.npz").write_bytes(b"x")
    assert folder.latest()[0].step == 1 and folder.latest()[1] == []


def test_a_failed_save_leaves_nothing_and_the_old_ones(folder, monkeypatch):
    folder.save(checkpoint(1))
    before = sorted(folder.path.rglob("*"))
    monkeypatch.setattr(os, "rename", lambda *_: (_ for _ in ()).throw(OSError(28, "full")))
    with pytest.raises(StoreError, match="step-000000002: cannot be written"):
        folder.save(checkpoint(2))
    assert sorted(folder.path.rglob("*")) == before and folder.latest()[0].step == 1


def test_rows_the_newest_checkpoint_counts_on_are_durable_before_it(folder, monkeypatch):
    synced = []
    monkeypatch.setattr(
        files, "sync_file", lambda path: synced.append((path.name, os.listdir(place)))
    )
    place = folder.path / "ck" / "deep"
    folder.save(checkpoint(1))
    assert synced[0] == ("metrics.jsonl", [])


def test_the_history_is_cut_back_to_a_checkpoint(folder):
    folder.append({"step": 1, "loss": 0.1 + 0.2})
    length = folder.metrics_bytes()
    folder.append({"step": 2, "loss": float("inf")})
    assert [row["loss"] for row in folder.history()] == [0.1 + 0.2, float("inf")]
    folder.rewind(checkpoint(1, length))
    assert folder.history() == [{"step": 1, "loss": 0.1 + 0.2}]
    folder.rewind(None)
    assert folder.history() == [] and folder.metrics_bytes() == 0


def test_a_checkpoint_whose_rows_are_missing_is_passed_over(folder):
    folder.append({"step": 1})
    folder.save(checkpoint(1, folder.metrics_bytes()))
    folder.save(checkpoint(2, folder.metrics_bytes() + 5))
    found, remarks = folder.latest()
    assert found.step == 1 and "the checkpoint of step 2 belongs to" in remarks[0]


def test_reopening_gives_the_same_run(folder, line):
    folder.save(checkpoint(4))
    again = RunFolder.open(str(folder.path))
    assert again.config == line.preset("smoke") and again.env == {"precision": "float32"}
    assert again.latest()[0].step == 4 and again.summary() is None
    again.write_summary({"metrics": {}})
    assert folder.summary() == {"metrics": {}}


def test_a_locked_folder_is_refused_until_it_is_free(folder):
    other = RunFolder.open(folder.path)
    with pytest.raises(StoreError, match=f"in use by process {os.getpid()}; stop it first"):
        other.lock()
    folder.unlock()
    other.lock()
    other.unlock()
    folder.lock()


def test_folders_made_at_the_same_time_differ(line, tmp_path):
    made, config = [], line.preset("smoke")

    def make():
        made.append(RunFolder.create(tmp_path, config, {}, "checkpoints"))

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({folder.path for folder in made}) == 8
    assert all(f.path.name.startswith("line-smoke-s0-") for f in made)
    for folder in made:
        folder.unlock()


def test_files_are_whole_or_the_old_ones(tmp_path, monkeypatch):
    path = tmp_path / "file.json"
    files.write_json(path, {"a": 1})

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreError, match="file.json: cannot be written: No space left on device"):
        files.write_json(path, {"a": 2})
    assert json.loads(path.read_text()) == {"a": 1} and list(tmp_path.iterdir()) == [path]


def test_reading_says_which_file_and_why(tmp_path):
    with pytest.raises(StoreError, match="gone.json: cannot be read: No such file"):
        files.read_json(tmp_path / "gone.json")
    (tmp_path / "bad.json").write_text("{")
    with pytest.raises(StoreError, match="bad.json: expected JSON, "):
        files.read_json(tmp_path / "bad.json")
