"""A trained classifier as a module for other programs."""

from __future__ import annotations

from typing import Any

import tensorflow as tf


class Exported(tf.Module):
    """Class probabilities.

    Signatures:
        predict(x float32 [N, features]) -> [N, classes]
        serve(x float32 [1, features]) -> [1, classes], static shapes
    """

    def __init__(self, task: Any) -> None:
        super().__init__(name="swa")
        self.network, features = task.network, task.source.x.shape[1]
        make = task.session.compile
        self.predict = make(self._predict, [tf.TensorSpec([None, features], tf.float32, name="x")])
        self.serve = make(self._predict, [tf.TensorSpec([1, features], tf.float32, name="x")])

    def signatures(self) -> dict[str, Any]:
        """Concrete functions by name."""
        names = ("predict", "serve")
        return {name: getattr(self, name).get_concrete_function() for name in names}

    def _predict(self, x: tf.Tensor) -> tf.Tensor:
        return tf.nn.softmax(self.network(x, training=False))
