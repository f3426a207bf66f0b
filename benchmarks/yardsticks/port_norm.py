"""Batch norm of the ports, in training: TensorFlow's fused kernel, or the formula as in Keras 3.

The published programs had the fused kernel (TensorFlow 1), so the figure to reach is measured
against that. Keras 3's layer, and a layer written by hand to get a switch for its updates, compute
moments and quotients one after the other: what most ports to a newer TensorFlow run.
"""

from __future__ import annotations

import tensorflow as tf

EPSILON = 1e-3


def batch_norm(
    x: tf.Tensor, gamma: tf.Tensor, beta: tf.Tensor, fused: bool
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Images [N, H, W, C] normalised by their own statistics; what moves the running ones.

    The running variance is of the n - 1 kind from the fused kernel, of the n kind from the formula.
    """
    if fused:
        return tuple(tf.compat.v1.nn.fused_batch_norm(x, gamma, beta, epsilon=EPSILON))
    mean, variance = tf.nn.moments(x, [0, 1, 2])
    return tf.nn.batch_normalization(x, mean, variance, beta, gamma, EPSILON), mean, variance
