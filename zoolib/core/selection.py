"""The best state of a run, by a metric of its validations.

A method that names such a metric (`Task.selection`) is validated while it trains, and what is
evaluated at the end, once, is the state that was best by then. It lies beside the checkpoints with
its score, so a resumed run selects as an uninterrupted one does.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from zoolib.core.store import Checkpoint


class Selection:
    """Keeps the best state of one run.

    Args:
        task: names the metric, and whether less is better.
        folder: the run folder.

    Attributes:
        score: of the best state so far; None before the first.
    """

    def __init__(self, task: Any, folder: Any) -> None:
        self._task, self._folder = task, folder
        best = folder.best()
        self.score = None if best is None else best.score

    def better(self, metrics: dict[str, float]) -> bool:
        """Whether a state with these metrics is better than all before; a tie is not."""
        score = metrics[self._task.selection]
        if self.score is None:
            return True
        return score < self.score if self._task.lower_is_better else score > self.score

    def keep(self, checkpoint: Checkpoint, metrics: dict[str, float]) -> None:
        """Store a state as the best one.

        Raises:
            StoreError: if it cannot be written; the one before is untouched.
        """
        self.score = float(metrics[self._task.selection])
        self._folder.save_best(dataclasses.replace(checkpoint, score=self.score))

    def take(self, bulk: Any, variables: list[Any]) -> int:
        """Put the best state into the task; returns its step. All ranks call this together."""
        session, best = self._task.session, None
        if not session.rank:
            best = self._folder.best()
            bulk.write(best.arrays)
        session.broadcast(variables)
        return int(session.tell(str(best.step if best else "")) or 0)


def selection_of(task: Any, averaging: Any, folder: Any) -> Selection | None:
    """The selection a method asks for; none beside SWA, whose average is that of the last steps."""
    return Selection(task, folder) if task.selection and averaging is None else None
