"""Where MT-net's tasks come from: generated regression tasks, or episodes of images."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from zoolib.data import regression
from zoolib.data.draws import uniforms
from zoolib.models.mtnet.config import MTNetConfig

Arrays = dict[str, np.ndarray]


def make(config: MTNetConfig) -> Any:
    """The source a config names.

    Raises:
        DataError: if image folders are missing or do not suffice.
    """
    if config.images:
        from zoolib.models.mtnet.images import ImageSource

        return ImageSource(config)
    return RegressionSource(config)


class RegressionSource:
    """Sinusoids and polynomials; every training task is new.

    Attributes:
        inputs: inputs of the network: x, and for the oracle what it is told.
    """

    def __init__(self, config: MTNetConfig) -> None:
        self.config = config
        self.inputs = 4 if config.baseline == "oracle" else 1
        self._test: dict[Any, Arrays] = {}

    def train_tasks(self, steps: range) -> Arrays:
        """Tasks of the given steps: arrays [steps, B, points, 1]."""
        config, points = self.config, self.config.shots + self.config.queries
        family = config.datasource
        count = regression.numbers_per_task(family, points, config.poly_order)
        uniform = uniforms(config.seed, "mtnet/tasks", steps, config.meta_batch_size * count)
        uniform = uniform.reshape(len(steps), config.meta_batch_size, count)
        return self._split(regression.from_uniforms(family, uniform, points), config.shots)

    def test_tasks(self, shots: int | None = None) -> Arrays:
        """The stored test tasks: arrays [tasks, points, 1]."""
        config, shots = self.config, shots or self.config.shots
        count, points = config.test_tasks, shots + config.queries
        if config.datasource == "sinusoid":
            tasks = regression.stored_sinusoids(count, points)
        else:
            tasks = regression.stored_polynomials(count, points, config.poly_order)
        return self._split(tasks, shots)

    def test_part(self, places: np.ndarray, shots: int | None = None) -> Arrays:
        """Some of the stored test tasks."""
        if shots not in self._test:
            self._test[shots] = self.test_tasks(shots)
        return {name: values[places] for name, values in self._test[shots].items()}

    def inputs_of(self, x: tf.Tensor) -> tf.Tensor:
        """Network inputs; nothing to convert."""
        return x

    def _split(self, tasks: regression.RegressionTasks, shots: int) -> Arrays:
        x = tasks.x
        if self.config.baseline == "oracle":
            told = np.broadcast_to(tasks.knowledge[..., None, :], (*x.shape[:-1], 3))
            x = np.concatenate([x, told], axis=-1).astype(np.float32)
        return {
            "support_x": x[..., :shots, :],
            "support_y": tasks.y[..., :shots, :],
            "query_x": x[..., shots:, :],
            "query_y": tasks.y[..., shots:, :],
        }
