"""What a rank other than 0 has for a run folder: it reads what rank 0 wrote, and writes nothing.

When resuming, all ranks read the same folder, so it must be visible to each of them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from zoolib.core.store import Checkpoint, RunFolder


class Follower(RunFolder):
    """The run folder of rank 0, seen from another rank."""

    _rows: list[dict[str, Any]]
    _summary: dict | None = None

    @classmethod
    def of(cls, folder: RunFolder) -> Follower:
        """A follower of an existing folder."""
        made = cls(folder.path, folder.config)
        made._checkpoints, made._rows = folder._checkpoints, folder.history()
        return made

    def __init__(self, path: Path, config: Any, checkpoints: str = "checkpoints") -> None:
        super().__init__(path, config, checkpoints)
        self._rows = []

    def lock(self) -> None:
        """Rank 0 holds the lock."""

    def append(self, row: dict[str, Any]) -> None:
        """Keep a row in memory; rank 0 writes it."""
        self._rows.append(row)

    def history(self) -> list[dict[str, Any]]:
        """The rows so far."""
        return list(self._rows)

    def rewind(self, checkpoint: Checkpoint | None) -> None:
        """Forget the rows after a checkpoint; it is rank 0 that cuts the file."""
        step = checkpoint.step if checkpoint else 0
        self._rows = [row for row in self._rows if row["step"] <= step]

    def save(self, checkpoint: Checkpoint) -> Path:
        """Where rank 0 saves."""
        return self._place(checkpoint.step)

    def save_best(self, checkpoint: Checkpoint) -> Path:
        """Where rank 0 keeps the best state."""
        return self._place(checkpoint.step)

    def write_document(self, name: str, text: str) -> None:
        """Rank 0 writes it."""

    def write_summary(self, summary: dict) -> None:
        """Keep the summary in memory; rank 0 writes it."""
        self._summary = summary

    def summary(self) -> dict | None:
        """The summary of a finished run, else None."""
        return self._summary or super().summary()
