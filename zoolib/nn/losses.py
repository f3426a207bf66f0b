"""Losses: of meta-learning per task (leading task axis, results [tasks]), else per example."""

from __future__ import annotations

import tensorflow as tf


def mean_squared_error(prediction: tf.Tensor, target: tf.Tensor) -> tf.Tensor:
    """Mean over all elements of a task."""
    return tf.reduce_mean(tf.square(prediction - target), list(range(1, len(target.shape))))


def cross_entropy(logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """Summed cross-entropy of a task's examples; logits [B, N, C], integer labels [B, N]."""
    one_hot = tf.one_hot(labels, logits.shape[-1], dtype=logits.dtype)
    return -tf.reduce_sum(one_hot * tf.nn.log_softmax(logits), [1, 2])


def accuracy(logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """Share of examples whose largest logit is the label's."""
    guess = tf.argmax(logits, axis=-1, output_type=tf.int32)
    return tf.reduce_mean(tf.cast(tf.equal(guess, labels), tf.float32), axis=-1)


def softmax_cross_entropy(logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """Cross-entropy of every example, [N]; logits [N, C], integer labels [N]."""
    one_hot = tf.one_hot(labels, logits.shape[-1], dtype=logits.dtype)
    return -tf.reduce_sum(one_hot * tf.nn.log_softmax(logits), axis=-1)
