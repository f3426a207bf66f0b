"""SWA for a run of any method: snapshots along the way, their mean beside the raw weights.

Training never notices: the raw weights go on, the average is swapped in for an evaluation only.
Batch-norm statistics are not averaged but recomputed for the average (Izmailov et al. 2018,
section 3.2); they are kept with it in the checkpoint, so a finished run loads without another pass.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from zoolib.optim.averaging import EqualAverage
from zoolib.optim.schedules import swa
from zoolib.runtime.compile import Bulk


class Averaging:
    """The average of one task's weights.

    Args:
        task: a built task; its `averaged_variables`, `statistics` and `refresh_statistics` are
            what this needs of a method.
    """

    def __init__(self, task: Any) -> None:
        self.task, self.config = task, task.config
        self.average = EqualAverage(task.averaged_variables(), self.config.swa_window)
        self.statistics = [
            tf.Variable(tf.zeros(v.shape), trainable=False, name=f"swa/{v.name.split(':')[0]}")
            for v in task.statistics()
        ]
        swapped = [*self.average.sources, *task.statistics()]
        self._live = Bulk({str(i): v for i, v in enumerate(swapped)})
        self._update = task.session.compile(self.average.update)
        self._assign = task.session.compile(self.average.assign)
        self._keep = task.session.compile(lambda: _copy(task.statistics(), self.statistics))
        self._give = task.session.compile(lambda: _copy(self.statistics, task.statistics()))
        self._settled_at = -1

    def state(self) -> dict[str, tf.Variable]:
        """What a checkpoint needs beside the task's own state."""
        variables = [*self.average.kept, self.average.count, *self.statistics]
        return {v.name.split(":")[0]: v for v in variables}

    def due(self, step: int) -> bool:
        """Whether a snapshot is taken after this step: at the end of each cycle."""
        since = step - self.config.swa_start
        return since > 0 and since % self.config.swa_every == 0

    def exists(self, step: int) -> bool:
        """Whether there is a snapshot by this step."""
        return step - self.config.swa_start >= self.config.swa_every

    def snapshot(self) -> None:
        """Take the weights into the average."""
        self._update()

    def settle(self, step: int) -> None:
        """Compute the batch-norm statistics that belong to the average of this step."""
        if self._settled_at == step:
            return
        raw = self._live.read()
        self._assign()
        self.task.refresh_statistics()
        self._keep()
        self._live.write(raw)
        self._settled_at = step

    def apply(self) -> None:
        """Put the average and its statistics into the task, for good."""
        self._assign()
        self._give()

    @contextlib.contextmanager
    def applied(self) -> Iterator[None]:
        """The task with the average in it, for a while; the raw weights come back bit for bit."""
        raw = self._live.read()
        self.apply()
        try:
            yield
        finally:
            self._live.write(raw)


def averaging_of(task: Any) -> Averaging | None:
    """The averaging a run's settings ask for, if they do."""
    return Averaging(task) if task.config.swa_start else None


def step_sizes(config: Any, start: float, usual: np.ndarray, steps: range) -> np.ndarray:
    """Step sizes of a run, float32 [len(steps)]: SWA's rule if ``swa_lr`` is set, else the usual.

    Args:
        config: the run's.
        start: the step size the run starts with.
        usual: the method's own step sizes of these steps.
    """
    if not (config.swa_start and config.swa_lr):
        return usual
    return swa(start, config.swa_lr, steps, config.swa_start, config.swa_every, config.swa_lr2)


def evaluate(
    task: Any, averaging: Averaging | None, step: int, final: bool = True
) -> dict[str, float]:
    """The task's metrics; those of the average, once there is one, with the prefix ``swa_``.

    Args:
        final: not one of those during training, which may leave a test set alone.
    """
    measure = task.evaluate if final else task.validate
    metrics = measure()
    if averaging is None or not averaging.exists(step):
        return metrics
    averaging.settle(step)
    with averaging.applied():
        averaged = measure()
    return {**metrics, **{f"swa_{name}": value for name, value in averaged.items()}}


def _copy(sources: list[tf.Variable], targets: list[tf.Variable]) -> None:
    for source, target in zip(sources, targets):
        target.assign(source)
