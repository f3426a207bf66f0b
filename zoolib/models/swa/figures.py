"""Arrays behind the pictures: the loss around trained weights, in planes, lines and rays.

Weights are seen as one vector. Batch norm, where there is any, normalises by the statistics of the
whole set at every point, so that no running average stands in the way.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from zoolib.core.store import RunFolder
from zoolib.data.draws import generator
from zoolib.errors import StoreError
from zoolib.models.swa.evaluation import accuracy
from zoolib.nn.losses import softmax_cross_entropy

SNAPSHOTS = 3


class Landscape:
    """Train loss and test error as functions of the weight vector.

    Args:
        task: a trained task; its weights are put back after every look.
    """

    def __init__(self, task: Any) -> None:
        self.task = task
        self.weights = list(task.network.trainable_variables)
        self._sizes = [v.shape.num_elements() for v in self.weights]
        source = task.source
        self._sets = [tf.constant(a) for a in (source.x, source.y, source.test_x, source.test_y)]
        self._look = task.cached("landscape", lambda: self._at)

    def vector(self) -> np.ndarray:
        """The task's weights as one vector, float32 [P]."""
        return np.concatenate([v.numpy().ravel() for v in self.weights])

    def values(self, vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Train loss and test error (a share) at weight vectors [..., P], each [...]."""
        here = self.vector()
        flat = vectors.reshape(-1, vectors.shape[-1]).astype(np.float32)
        found = np.array([[float(v) for v in self._look(tf.constant(w))] for w in flat])
        self._assign(tf.constant(here))
        return tuple(found[:, i].reshape(vectors.shape[:-1]) for i in range(2))

    def _assign(self, vector: tf.Tensor) -> None:
        for variable, part in zip(self.weights, tf.split(vector, self._sizes)):
            variable.assign(tf.reshape(part, variable.shape))

    def _at(self, vector: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        self._assign(vector)
        x, y, test_x, test_y = self._sets
        logits = self.task.network(x, training=True, update=False)
        loss = tf.reduce_mean(softmax_cross_entropy(logits, y))
        return loss, 1.0 - accuracy(self.task.network(test_x, True, False), test_y)


def published(name: str = "digits") -> dict[str, Any]:
    """What `benchmarks/swa_quality.py` measured, as stored with the library."""
    path = Path(__file__).parent / "results" / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8"))


def snapshots(result: Any) -> np.ndarray:
    """Raw weight vectors of the run's last checkpoints, oldest first, float32 [3, P].

    Raises:
        StoreError: if the run kept fewer than three.
    """
    names = [v.name.split(":")[0] for v in result.task.network.trainable_variables]
    kept = RunFolder.open(result.folder).checkpoints()[-SNAPSHOTS:]
    if len(kept) < SNAPSHOTS:
        raise StoreError(f"{result.folder}: expected {SNAPSHOTS} checkpoints, found {len(kept)}")
    return np.stack([np.concatenate([c.arrays[n].ravel() for n in names]) for c in kept])


def plane(result: Any, size: int = 41, margin: float = 0.6) -> dict[str, np.ndarray]:
    """The plane through the last three checkpoints of a run (paper, figure 1).

    Args:
        result: a finished run with SWA.
        size: points along each side of the grid.
        margin: how far the grid goes beyond the snapshots, as a share of their extent.

    Returns:
        ``across`` and ``up`` [size], coordinates in units of weight; ``train_loss`` and
        ``test_error`` [size, size] (rows: up); ``snapshots`` [3, 2] and ``average`` [2], in the
        plane; ``outside``: distance of the average from the plane.
    """
    w = snapshots(result)
    u = (w[1] - w[0]) / np.linalg.norm(w[1] - w[0])
    v = w[2] - w[0] - np.dot(w[2] - w[0], u) * u
    v /= np.linalg.norm(v)
    with result.task.session.placement():
        landscape = Landscape(result.task)
        mean = landscape.vector()  # a run with SWA gives the averaged task
        points = np.stack([(w - w[0]) @ u, (w - w[0]) @ v], axis=1)
        middle = np.array([(mean - w[0]) @ u, (mean - w[0]) @ v])
        seen = np.vstack([points, middle])
        low, high = seen.min(0), seen.max(0)
        edge = margin * (high - low).max()
        across, up = (np.linspace(low[i] - edge, high[i] + edge, size) for i in range(2))
        grid = w[0] + across[None, :, None] * u + up[:, None, None] * v
        loss, error = landscape.values(grid)
    return {
        "across": across,
        "up": up,
        "train_loss": loss,
        "test_error": error,
        "snapshots": points,
        "average": middle,
        "outside": np.array(np.linalg.norm(mean - w[0] - middle[0] * u - middle[1] * v)),
    }


def line(result: Any, other: Any, places: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """Train loss and test error on the line from one run's weights (0) to another's (1)."""
    with result.task.session.placement():
        landscape = Landscape(result.task)
        start, end = landscape.vector(), Landscape(other.task).vector()
        return landscape.values(start + np.asarray(places)[:, None] * (end - start))


def rays(
    result: Any, distances: Sequence[float], count: int = 20, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Train loss and test error along random rays from a run's weights, each [count, distances].

    Directions are uniform on the sphere and the same for any run of the same network, so two
    optima are looked at in the same directions (paper, figure 4).
    """
    with result.task.session.placement():
        landscape = Landscape(result.task)
        start = landscape.vector()
        directions = generator(seed, "swa/rays").standard_normal((count, len(start)))
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        steps = np.asarray(distances)[None, :, None] * directions[:, None]
        return landscape.values(start + steps)
