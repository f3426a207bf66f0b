"""The run folder.

::

    config.json      the settings            metrics.jsonl    one row per report
    env.json         versions, device        summary.json     final metrics, timings (when finished)
    checkpoints/…    the last few states     tensorboard/     the same numbers for TensorBoard
                     and the best one        *.tsv, …         what a method tells of a finished run

Rows hold no timings, so the file of an interrupted and resumed run equals, byte for byte, that of
an uninterrupted one.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import io
import json
import os
import re
import shutil
import time
import uuid
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from zoolib.core import files
from zoolib.core.config import Config
from zoolib.core.spec import config_from_json
from zoolib.errors import ConfigError, DamagedCheckpoint, StoreError

KEEP = 3
_FORMAT = 1
_STEP = re.compile(r"step-(\d+)$")
_BEST = re.compile(r"best-(\d+)$")


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """A state after ``step`` steps.

    Attributes:
        arrays: values of the task's variables.
        pending: values of the loss terms since the last report, per term.
        metrics_bytes: length of ``metrics.jsonl`` that belongs to this state.
        score: of a state kept as the best one.
    """

    step: int
    arrays: dict[str, np.ndarray]
    pending: dict[str, np.ndarray]
    metrics_bytes: int
    score: float | None = None


class RunFolder:
    """Reads and writes one run; made by :meth:`create` or :meth:`open`."""

    def __init__(self, path: Path, config: Config, checkpoints: str = "checkpoints") -> None:
        self.path = path
        self.config = config
        self._checkpoints = path / checkpoints
        self._lock: io.IOBase | None = None

    @classmethod
    def create(cls, out: Path, config: Config, env: dict, checkpoints: str) -> RunFolder:
        """A new, uniquely named folder under ``out``, locked for this process.

        Raises:
            StoreError: if it cannot be made.
        """
        stamp = time.strftime("%Y%m%d-%H%M%S")
        name = f"{config.model}-{config.preset}-s{config.seed}-{stamp}-{uuid.uuid4().hex[:6]}"
        folder = cls(Path(out).absolute() / name, config, checkpoints)
        document = {
            "format": _FORMAT,
            "model": config.model,
            "checkpoints": checkpoints,
            "settings": config.to_dict(),
        }
        try:
            with files.writing(folder.path):
                folder.path.mkdir(parents=True)
                folder._checkpoints.mkdir(parents=True)
            folder.lock()
            files.write_json(folder.path / "env.json", env)
            files.write_bytes(folder.path / "metrics.jsonl", b"")
            files.write_json(folder.path / "config.json", document)  # last: now it counts as a run
        except StoreError:
            folder.unlock()
            shutil.rmtree(folder.path, ignore_errors=True)
            raise
        return folder

    @classmethod
    def open(cls, path: Path | str) -> RunFolder:
        """An existing run folder, not locked.

        Raises:
            StoreError: if it is not a run folder.
        """
        path = Path(path).absolute()
        if not (path / "config.json").is_file():
            raise StoreError(f"{path}: expected a run folder, found no config.json in it")
        document = files.read_json(path / "config.json")
        try:
            config = config_from_json(document)
        except ConfigError as error:
            raise StoreError(f"{path / 'config.json'}: {error}") from error
        return cls(path, config, document.get("checkpoints", "checkpoints"))

    @property
    def env(self) -> dict:
        """What ``env.json`` tells of the machine and the precision."""
        return files.read_json(self.path / "env.json")

    def lock(self) -> None:
        """Reserve the folder for this process; the system frees it when the process ends.

        Raises:
            StoreError: if another process (or another run of this one) works in it.
        """
        with files.writing(self.path):
            handle = open(self.path / "run.lock", "a+")
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            handle.seek(0)
            owner = handle.read().strip() or "unknown"
            handle.close()
            raise StoreError(
                f"{self.path}: in use by process {owner}; stop it first, or start a run of its own"
            ) from None
        handle.truncate(0)
        handle.write(str(os.getpid()))
        handle.flush()
        self._lock = handle

    def unlock(self) -> None:
        """Free the folder."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def append(self, row: dict[str, Any]) -> None:
        """Add one row to the history."""
        path = self.path / "metrics.jsonl"
        with files.writing(path), path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")

    def history(self) -> list[dict[str, Any]]:
        """All rows; a last line cut off by a crash is passed over.

        Raises:
            StoreError: naming the line, if the file is damaged before its end.
        """
        path = self.path / "metrics.jsonl"
        lines = path.read_text(encoding="utf-8").split("\n") if path.exists() else []
        rows = []
        for number, line in enumerate(lines, 1):
            try:
                if line:
                    rows.append(json.loads(line))
            except ValueError:
                if number == len(lines):
                    break
                raise StoreError(
                    f"{path}:{number}: expected a JSON row, got {line[:60]!r}"
                ) from None
        return rows

    def metrics_bytes(self) -> int:
        """Length of the history file."""
        path = self.path / "metrics.jsonl"
        return path.stat().st_size if path.exists() else 0

    def rewind(self, checkpoint: Checkpoint | None) -> None:
        """Cut the history back to a checkpoint (or to nothing)."""
        path, length = self.path / "metrics.jsonl", checkpoint.metrics_bytes if checkpoint else 0
        with files.writing(path), path.open("ab") as file:
            file.truncate(length)

    def save(self, checkpoint: Checkpoint) -> Path:
        """Write a checkpoint and drop the oldest ones.

        Raises:
            StoreError: if it cannot be written; earlier checkpoints are untouched.
        """
        final = self._place(checkpoint.step)
        self._write(checkpoint, final)
        for old in self._steps()[KEEP:]:
            shutil.rmtree(old, ignore_errors=True)
        return final

    def save_best(self, checkpoint: Checkpoint) -> Path:
        """Write the best state and drop the one that was best before.

        Raises:
            StoreError: if it cannot be written; the one before is untouched.
        """
        final = self._checkpoints / f"best-{checkpoint.step:09d}"
        self._write(checkpoint, final)
        for old in self._steps(_BEST):
            if old != final:
                shutil.rmtree(old, ignore_errors=True)
        return final

    def best(self) -> Checkpoint | None:
        """The best state, where a method selects one."""
        for path in self._steps(_BEST):
            with contextlib.suppress(DamagedCheckpoint):
                return read_checkpoint(path)
        return None

    def write_document(self, name: str, text: str) -> None:
        """Write what a method tells of a finished run."""
        files.write_bytes(self.path / name, text.encode())

    def _write(self, checkpoint: Checkpoint, final: Path) -> None:
        temporary = self._checkpoints / f".{final.name}.{os.getpid()}"
        arrays = {f"state/{k}": v for k, v in checkpoint.arrays.items()}
        arrays.update({f"pending/{k}": v for k, v in checkpoint.pending.items()})
        packed = io.BytesIO()
        np.savez(packed, **arrays)
        manifest = {
            "format": _FORMAT,
            "step": checkpoint.step,
            "metrics_bytes": checkpoint.metrics_bytes,
            "sha256": {"arrays.npz": files.sha256(packed.getvalue())},
        }
        if checkpoint.score is not None:
            manifest["score"] = checkpoint.score
        manifest["sha256"]["manifest"] = _checksum(manifest)
        with files.writing(final):
            files.sync_file(self.path / "metrics.jsonl")  # the rows this checkpoint counts on
            shutil.rmtree(temporary, ignore_errors=True)
            temporary.mkdir(parents=True)
            try:
                files.write_bytes(temporary / "arrays.npz", packed.getvalue())
                files.write_json(temporary / "manifest.json", manifest)
                if final.exists():  # same step, same state: the one there is as good
                    shutil.rmtree(final)
                os.rename(temporary, final)
                files.sync_folder(self._checkpoints)
            finally:
                shutil.rmtree(temporary, ignore_errors=True)

    def latest(self) -> tuple[Checkpoint | None, list[str]]:
        """The newest whole checkpoint whose rows of the history are there, and remarks.

        Remarks tell of checkpoints passed over; the numbers are the same from any of them.
        """
        remarks, length = [], self.metrics_bytes()
        for path in self._steps():
            try:
                checkpoint = read_checkpoint(path)
            except DamagedCheckpoint as error:
                remarks.append(f"{error}; using the one before")
                continue
            if checkpoint.metrics_bytes <= length:
                return checkpoint, remarks
            remarks.append(
                f"{self.path / 'metrics.jsonl'}: has {length} bytes, the checkpoint of step "
                f"{checkpoint.step} belongs to {checkpoint.metrics_bytes}; using the one before"
            )
        return None, remarks

    def checkpoints(self) -> list[Checkpoint]:
        """The whole checkpoints that are kept, oldest first; damaged ones are left out."""
        found = []
        for path in reversed(self._steps()):
            with contextlib.suppress(DamagedCheckpoint):
                found.append(read_checkpoint(path))
        return found

    def _place(self, step: int) -> Path:
        return self._checkpoints / f"step-{step:09d}"

    def _steps(self, kind: re.Pattern[str] = _STEP) -> list[Path]:
        if not self._checkpoints.is_dir():
            return []
        found = [p for p in self._checkpoints.iterdir() if kind.match(p.name)]
        return sorted(found, key=lambda p: p.name, reverse=True)

    def write_summary(self, summary: dict) -> None:
        """Write ``summary.json``; its presence means that the run is finished."""
        files.write_json(self.path / "summary.json", summary)

    def summary(self) -> dict | None:
        """The summary of a finished run, else None."""
        path = self.path / "summary.json"
        return files.read_json(path) if path.exists() else None


def _checksum(manifest: dict[str, Any]) -> str:
    return files.sha256(json.dumps(manifest, sort_keys=True).encode())


def read_checkpoint(path: Path) -> Checkpoint:
    """Read and verify one checkpoint folder; nothing is ever unpickled.

    Raises:
        DamagedCheckpoint: saying what does not agree.
    """
    try:
        manifest = json.loads((path / "manifest.json").read_text(encoding="utf-8"))
        content = (path / "arrays.npz").read_bytes()
        told = manifest["sha256"]
        for name, found in (
            ("manifest", _checksum({**manifest, "sha256": {"arrays.npz": told["arrays.npz"]}})),
            ("arrays.npz", files.sha256(content)),
        ):
            if told[name] != found:
                raise DamagedCheckpoint(f"{path}: damaged, {name} does not match its checksum")
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        return Checkpoint(
            step=int(manifest["step"]),
            arrays={k[6:]: v for k, v in arrays.items() if k.startswith("state/")},
            pending={k[8:]: v for k, v in arrays.items() if k.startswith("pending/")},
            metrics_bytes=int(manifest["metrics_bytes"]),
            score=manifest.get("score"),
        )
    except DamagedCheckpoint:
        raise
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise DamagedCheckpoint(f"{path}: damaged, {error}") from error
