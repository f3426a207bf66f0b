"""A trained classifier for other programs: the averaged weights in a network of their own."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from zoolib.models.realmix import sources
from zoolib.models.realmix.network import make_network

Tensors = dict[str, tf.Tensor]


class Exported(tf.Module):
    """The network with the averaged weights and the running statistics.

    Signatures, images float32 RGB in [0, 1]:
        serve(images [1, height, width, 3]) -> logits, probabilities [1, classes], classes int32
            [1]; static shapes, numbers only
        predict(images [N, height, width, 3]) -> the same for any N
    """

    def __init__(self, task: Any) -> None:
        super().__init__(name="realmix")
        config = task.config
        self.network = make_network(
            task.session,
            task.classes,
            config.filters,
            config.repeat,
            config.scales,
            task.image_shape[0],
            config.arch,
            momentum=config.bn_momentum,
            whiten=sources.whitening(task.data) if config.whiten else None,
        )
        with task.evaluator.averaged():
            for mine, theirs in zip(self.network.variables, task.network.variables):
                mine.assign(theirs)
        make, shape = task.session.compile, task.image_shape
        self.serve = make(self._serve, [tf.TensorSpec([1, *shape], tf.float32, name="images")])
        self.predict = make(self._serve, [tf.TensorSpec([None, *shape], tf.float32, name="images")])

    def signatures(self) -> dict[str, Any]:
        """Concrete functions by name."""
        return {n: getattr(self, n).get_concrete_function() for n in ("serve", "predict")}

    def _serve(self, images: tf.Tensor) -> Tensors:
        logits = self.network(2.0 * images - 1.0)
        return {
            "logits": logits,
            "probabilities": tf.nn.softmax(logits),
            "classes": tf.argmax(logits, axis=-1, output_type=tf.int32),
        }
