"""A trained classifier for other programs: batch norm folded, no shuffle left."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from zoolib.models.shufflenet_v2 import evaluation
from zoolib.models.shufflenet_v2.folding import FoldedNet, values_of

Tensors = dict[str, tf.Tensor]
_SAMPLES = 128  # images that eight-bit ranges are measured on; more change little


def samples(task: Any) -> dict[str, np.ndarray]:
    """Training images as ``serve`` takes them, augmented, [samples, 1, size, size, 3]."""
    train = task.source.train
    steps = -(-min(_SAMPLES, train.count) // train.batch_size)
    parts = [train.batch(range(step, step + 1))["images"][0] for step in range(steps)]
    return {"images": np.concatenate(parts)[:_SAMPLES, None]}


class Exported(tf.Module):
    """The folded network with the weights that evaluations use.

    Signatures, images float32 RGB in [0, 1]:
        serve(images [1, size, size, 3]) -> logits, probabilities [1, classes], classes int32 [1];
            static shapes, numbers only
        predict(images [N, size, size, 3]) -> the same for any N
        classify(images [N, size, size, 3]) -> names, numbers int32 and probabilities of the five
            most probable classes, best first, [N, 5]
    """

    def __init__(self, task: Any) -> None:
        super().__init__(name="shufflenet_v2")
        with evaluation.averaged(task):
            self.network = FoldedNet(task.network, values_of(task.network), products=False)
        size, make = task.config.image_size, task.session.compile
        self._names = list(task.source.names)
        free = [tf.TensorSpec([None, size, size, 3], tf.float32, name="images")]
        fixed = [tf.TensorSpec([1, size, size, 3], tf.float32, name="images")]
        self.serve, self.predict = make(self._serve, fixed), make(self._serve, free)
        self.classify = make(self._classify, free)

    def signatures(self) -> dict[str, Any]:
        """Concrete functions by name."""
        names = ("serve", "predict", "classify")
        return {name: getattr(self, name).get_concrete_function() for name in names}

    def _serve(self, images: tf.Tensor) -> Tensors:
        logits = self.network(images)
        return {
            "logits": logits,
            "probabilities": tf.nn.softmax(logits),
            "classes": tf.argmax(logits, axis=-1, output_type=tf.int32),
        }

    def _classify(self, images: tf.Tensor) -> Tensors:
        shares = tf.nn.softmax(self.network(images))
        best, numbers = tf.math.top_k(shares, min(5, len(self._names)))
        names = tf.gather(tf.constant(self._names), numbers)
        return {"names": names, "numbers": numbers, "probabilities": best}
