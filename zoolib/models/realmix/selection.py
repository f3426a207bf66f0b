"""Which rows count: annealing of labelled ones, the mask of unlabelled ones (spec 1.5, 1.6)."""

from __future__ import annotations

import numpy as np
import tensorflow as tf


def annealed(
    logits: tf.Tensor, targets: tf.Tensor, eta: tf.Tensor, rule: str = "target"
) -> tf.Tensor:
    """1 for labelled rows that train, 0 for those already predicted too well; [N].

    ``target``, as meant: a row counts if some class has target mass L_c > 0 and p_c < eta L_c.
    ``compat``, as published: if for some class p_c 1[L_c > 0] < z_c eta, where the logit z stands
    in for the target; nearly every row does.

    Args:
        logits, targets: [N, classes].
        eta: threshold, scalar.
        rule: see above.
    """
    p = tf.nn.softmax(logits)
    has = tf.cast(targets > 0.0, tf.float32)
    if rule == "target":
        low = has * tf.cast(p < eta * targets, tf.float32)
    else:
        low = tf.cast(p * has < logits * eta, tf.float32)
    return tf.stop_gradient(tf.reduce_max(low, axis=-1))


def confident(confidence: tf.Tensor, fraction: float) -> tf.Tensor:
    """1 for rows above the percentile, 0 for the least confident ones; [N].

    The threshold is the k-th smallest confidence (k from 0), k = floor(N fraction) in float32, and
    rows have to be above it: without ties N - k - 1 are kept. Found by counting instead of sorting:
    a value is above the k-th smallest where more than k others are below it.

    Args:
        confidence: [N].
        fraction: share to leave out, in (0, 1).

    Raises:
        ValueError: for another fraction.
    """
    if not 0.0 < fraction < 1.0:
        raise ValueError(f"fraction: expected a number between 0 and 1, got {fraction:g}")
    k = int(np.float32(confidence.shape[0]) * np.float32(fraction))
    below = tf.reduce_sum(tf.cast(confidence[None, :] < confidence[:, None], tf.float32), axis=1)
    return tf.stop_gradient(tf.cast(below > float(k), tf.float32))


def masked_mean(values: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    """Sum of the weighted values over the sum of the weights, which counts as at least 1."""
    return tf.reduce_sum(weights * values) / tf.maximum(tf.reduce_sum(weights), 1.0)
