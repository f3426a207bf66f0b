"""Use a trained meta-learner: adapt to a task of one's own, then predict."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import tensorflow as tf

from zoolib.errors import ConfigError, DataError
from zoolib.models.mtnet.evaluation import adapted, test_masks


@dataclasses.dataclass(frozen=True)
class Learner:
    """Parameters adapted to one task.

    Attributes:
        task: the meta-learner they come from.
        theta: W and b of every layer, after the last inner step.
        support_loss: the support set's loss after 0, 1, … inner steps, [steps + 1].
    """

    task: Any
    theta: list[np.ndarray]
    support_loss: np.ndarray

    def predict(self, x: Any) -> np.ndarray:
        """Predictions (regression) or logits (classification) for inputs [N, …]."""
        task = self.task
        call = task.cached("predict", lambda: lambda theta, x: task.network(theta, x)[0])
        inputs = task.source.inputs_of(tf.constant(_inputs(task, x)))
        return call([tf.constant(w) for w in self.theta], inputs).numpy()


def adapt(
    task: Any, support_x: Any, support_y: Any, steps: int | None = None, mask: str = "expected"
) -> Learner:
    """Inner gradient steps on one task's support set.

    Args:
        task: a trained :class:`~zoolib.models.mtnet.task.MTNet`.
        support_x: inputs [N] or [N, 1]; images [N, H, W, C] with values 0 to 255.
        support_y: targets [N] or [N, 1]; class numbers for images.
        steps: inner steps, as many as in training unless told; 0 gives the meta-learned start.
        mask: expected (deterministic), sampled or thresholded.

    Raises:
        DataError: if shapes do not fit together.
        ConfigError: for a negative number of steps or an unknown kind of mask.
    """
    steps = task.updates if steps is None else steps
    batch = support(task, support_x, support_y, mask)
    if steps < 0:
        raise ConfigError(f"steps: expected at least 0, got {steps}")

    def run(batch: dict) -> tuple[list, tf.Tensor]:
        thetas = adapted(task, batch, steps)
        return thetas[-1], tf.stack([task.loss(t, batch, "support")[0] for t in thetas])

    theta, losses = task.cached(("adapt", steps), lambda: run)(batch)
    return Learner(task, [w.numpy() for w in theta], losses.numpy())


def prediction_curve(
    task: Any, support_x: Any, support_y: Any, x: Any, steps: int = 10, mask: str = "expected"
) -> np.ndarray:
    """Predictions [steps + 1, N] at inputs ``x`` after every inner step of one regression task."""
    batch = {**support(task, support_x, support_y, mask), "x": tf.constant(_inputs(task, x))}

    def run(batch: dict) -> tf.Tensor:
        thetas = adapted(task, batch, steps)
        return tf.stack([task.network(theta, batch["x"])[0, :, 0] for theta in thetas])

    # One trace serves any number of points, so that sliders never wait for a compilation.
    free = {
        name: tf.TensorSpec(v.shape if name == "masks" else [1, None, v.shape[-1]], v.dtype)
        for name, v in batch.items()
    }
    return task.cached(("prediction curve", steps), lambda: run, [free])(batch).numpy()


def support(task: Any, x: Any, y: Any, mask: str) -> dict[str, tf.Tensor]:
    """One task's support set, and its masks, with a task axis."""
    inputs = _inputs(task, x)
    images = task.config.images
    targets = np.asarray(y, np.int32 if images else np.float32)
    targets = targets.reshape([1, -1] if images else [1, -1, 1])
    if targets.shape[1] != inputs.shape[1]:
        raise DataError(
            f"support: expected one target per input, got {inputs.shape[1]} inputs and "
            f"{targets.shape[1]} targets"
        )
    batch = {"support_x": tf.constant(inputs), "support_y": tf.constant(targets)}
    if mask not in ("expected", "sampled", "thresholded"):
        raise ConfigError(f"mask: expected expected, sampled or thresholded, got {mask!r}")
    if task.network.zeta:
        batch["masks"] = tf.constant(test_masks(task, mask, 1))
    return batch


def _inputs(task: Any, x: Any) -> np.ndarray:
    """Inputs with a task axis: [1, N, features] or [1, N, H, W, C]."""
    values = np.asarray(x)
    if task.config.images:
        if values.ndim != 4:
            raise DataError(f"images: expected [N, H, W, C], got shape {values.shape}")
        return values[None].astype(np.uint8)
    width = task.source.inputs
    if values.size % width:
        raise DataError(f"x: expected {width} numbers per point, got shape {values.shape}")
    return values.astype(np.float32).reshape(1, -1, width)
