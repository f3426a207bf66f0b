"""Guessed labels of unlabelled images: the mean over two views, sharpened (spec 1.2)."""

from __future__ import annotations

import tensorflow as tf


def sharpen(p: tf.Tensor, temperature: float = 0.5) -> tf.Tensor:
    """q_c = p_c^(1/T) / sum of the same over classes (MixMatch, eq. 7); [N, classes].

    At T = 0.5 probabilities are squared and brought back to a sum of one.
    """
    powers = tf.square(p) if temperature == 0.5 else tf.pow(p, 1.0 / temperature)
    return powers / tf.reduce_sum(powers, axis=-1, keepdims=True)


def mean_of_views(logits: tf.Tensor, views: int = 2) -> tf.Tensor:
    """Mean probabilities [N, classes] over views that lie behind one another, [views N, classes].

    No gradient goes through a guess.
    """
    p = tf.split(tf.nn.softmax(logits), views, axis=0)
    return tf.stop_gradient(tf.add_n(p) / float(views))


def entropy(p: tf.Tensor) -> tf.Tensor:
    """-sum p log p over the last axis, in nats; 0 log 0 is 0."""
    return -tf.reduce_sum(p * tf.math.log(tf.maximum(p, 1e-30)), axis=-1)
