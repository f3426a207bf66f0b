"""A trained meta-learner as a module that still adapts (the earlier port's export did not)."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from zoolib.models.mtnet.evaluation import test_masks


class Exported(tf.Module):
    """``adapt`` to a task, then ``predict``; or ``serve``, both in one stateless call.

    Masks are the expected ones, so results are deterministic. ``adapt`` starts from the
    meta-learned parameters each time; ``adapt_more`` goes one step on from where it ended.

    Signatures (regression; N is free, classification has images and class numbers instead):
        adapt(support_x [N, 1], support_y [N, 1]) -> support_loss after every step [steps + 1]
        adapt_more(support_x, support_y) -> support_loss [2]
        predict(x [N, 1]) -> [N, 1]
        serve(support_x [K, 1], support_y [K, 1], x [Q, 1]) -> [Q, 1]
    """

    def __init__(self, task: Any) -> None:
        super().__init__(name="mtnet")
        # Methods, not the task itself: a SavedModel must not track its optimizer and caches.
        self._loss, self._inner_step, self._updates = task.loss, task.inner_step, task.updates
        self._inputs_of, self.network = task.source.inputs_of, task.network
        self.fast = [tf.Variable(w[None], trainable=False) for w in task.network.theta]
        masks = test_masks(task, "expected", 1) if task.network.zeta else None
        self._M = None if masks is None else task.spread(task.by_layer(tf.constant(masks[:, 0])))
        free, fixed = _specs(task.config, None), _specs(task.config, task.config)
        make = task.session.compile
        self.adapt = make(self._adapt, free[:2])
        self.adapt_more = make(self._adapt_more, free[:2])
        self.predict = make(self._predict, free[2:])
        self.serve = make(self._serve, fixed)

    def signatures(self) -> dict[str, Any]:
        """Concrete functions by name."""
        names = ("adapt", "adapt_more", "predict", "serve")
        return {name: getattr(self, name).get_concrete_function() for name in names}

    def _steps(self, theta: list, x: tf.Tensor, y: tf.Tensor, count: int) -> tuple[list, tf.Tensor]:
        batch = {"support_x": x[None], "support_y": y[None]}
        losses = [self._loss(theta, batch, "support")]
        for _ in range(count):
            theta = self._inner_step(theta, self._M, batch)
            losses.append(self._loss(theta, batch, "support"))
        return theta, tf.concat(losses, axis=0)

    def _adapt(self, support_x: tf.Tensor, support_y: tf.Tensor) -> tf.Tensor:
        start = self.network.tasks_own(1)
        theta, losses = self._steps(start, support_x, support_y, self._updates)
        for variable, value in zip(self.fast, theta):
            variable.assign(value)
        return losses

    def _adapt_more(self, support_x: tf.Tensor, support_y: tf.Tensor) -> tf.Tensor:
        start = [tf.identity(w) for w in self.fast]
        theta, losses = self._steps(start, support_x, support_y, 1)
        for variable, value in zip(self.fast, theta):
            variable.assign(value)
        return losses

    def _predict(self, x: tf.Tensor) -> tf.Tensor:
        return self._forward([tf.identity(w) for w in self.fast], x)

    def _serve(self, support_x: tf.Tensor, support_y: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
        start = self.network.tasks_own(1)
        theta, _ = self._steps(start, support_x, support_y, self._updates)
        return self._forward(theta, x)

    def _forward(self, theta: list, x: tf.Tensor) -> tf.Tensor:
        return self.network(theta, self._inputs_of(x[None]))[0]


def _specs(config: Any, fixed: Any) -> list[tf.TensorSpec]:
    """Specs of support_x, support_y and x; with ``fixed`` their numbers are static."""
    if config.images:  # convolutions want static shapes throughout
        support, query = config.shots * config.num_classes, config.queries * config.num_classes
        image = config.image_shape
        return [
            tf.TensorSpec([support, *image], tf.uint8, name="support_x"),
            tf.TensorSpec([support], tf.int32, name="support_y"),
            tf.TensorSpec([query, *image], tf.uint8, name="x"),
        ]
    inputs = 4 if config.baseline == "oracle" else 1
    support, query = (config.shots, config.queries) if fixed else (None, None)
    return [
        tf.TensorSpec([support, inputs], tf.float32, name="support_x"),
        tf.TensorSpec([support, 1], tf.float32, name="support_y"),
        tf.TensorSpec([query, inputs], tf.float32, name="x"),
    ]
