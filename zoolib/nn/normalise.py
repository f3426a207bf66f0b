"""Normalisation by explicit formulas.

`tf.nn.moments` and the batch norms built on it put a stop-gradient into the variance: first
derivatives come out right, second derivatives do not. Meta-learning needs both.
"""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf


def standardise(x: tf.Tensor, axes: Sequence[int], epsilon: float = 1e-3) -> tf.Tensor:
    """(x - mean) / sqrt(var + epsilon) over ``axes``; biased variance (divided by the count)."""
    centred = x - tf.reduce_mean(x, axes, keepdims=True)
    variance = tf.reduce_mean(tf.square(centred), axes, keepdims=True)
    return centred * tf.math.rsqrt(variance + epsilon)
