"""Pooling that TensorFlow's own functions have no argument for."""

from __future__ import annotations

import tensorflow as tf

from zoolib.nn.layers import padded


def max_pool(
    x: tf.Tensor, window: int = 2, stride: int = 2, padding: str | int = "VALID"
) -> tf.Tensor:
    """Maximum over windows of images [N, H, W, C].

    Args:
        padding: as for :class:`~zoolib.nn.layers.Conv2D`; the margin never wins a maximum.
    """
    x, padding = padded(x, window, stride, padding, fill=x.dtype.min)
    return tf.nn.max_pool2d(x, window, stride, padding)


def global_mean(x: tf.Tensor) -> tf.Tensor:
    """Mean over all places: [N, H, W, C] -> [N, C]."""
    return tf.reduce_mean(x, [1, 2])
