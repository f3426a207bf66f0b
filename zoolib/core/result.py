"""A finished (or stopped) run as an object."""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path
from typing import Any

from zoolib.core.config import Config
from zoolib.core.store import RunFolder
from zoolib.errors import StoreError


@dataclasses.dataclass(frozen=True)
class Result:
    """What a run left behind.

    Attributes:
        config: its settings.
        metrics: the final evaluation; empty while the run is unfinished.
        history: one row per report.
        folder: the run folder.
        device: where :attr:`task` is rebuilt.
    """

    config: Config
    metrics: dict[str, float]
    history: list[dict[str, Any]]
    folder: Path
    device: str = "auto"

    @functools.cached_property
    def task(self) -> Any:
        """The trained object (predict, adapt, embed …, by method), from the newest checkpoint.

        Of a run with SWA it is the averaged one.
        """
        from zoolib.core.restore import restore

        return restore(self.folder, self.device)

    def evaluate(self) -> dict[str, float]:
        """The final evaluation once more, from the newest checkpoint.

        Raises:
            StoreError: if there is no checkpoint yet.
        """
        from zoolib.core.averaging import evaluate
        from zoolib.core.restore import restore_run

        task, averaging, step = restore_run(self.folder, self.device)
        with task.session.placement():
            return evaluate(task, averaging, step)

    @property
    def summary(self) -> dict[str, Any]:
        """Timings, device and precision of a finished run; empty before."""
        return RunFolder.open(self.folder).summary() or {}

    def __repr__(self) -> str:
        shown = ", ".join(f"{k}={v:.4g}" for k, v in list(self.metrics.items())[:4])
        return f"Result({self.config.model}, {shown or 'unfinished'})"


def load(folder: str | Path, device: str = "auto") -> Result:
    """The result of the run in ``folder``.

    Raises:
        StoreError: if it is not a run folder, or its files are damaged.
    """
    run = RunFolder.open(folder)
    summary = run.summary() or {}
    try:
        metrics = dict(summary.get("metrics", {}))
    except (AttributeError, TypeError, ValueError):
        raise StoreError(f"{run.path / 'summary.json'}: expected an object with metrics") from None
    return Result(run.config, metrics, run.history(), run.path, device)
