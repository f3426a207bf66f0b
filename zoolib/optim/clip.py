"""Clipping of gradients by their norm; directions stay."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf


def clip_by_norm(gradients: Sequence[tf.Tensor], limit: float) -> list[tf.Tensor]:
    """Each gradient on its own shortened to at most ``limit``, as `tf.clip_by_norm` does."""
    return [g * _factor(tf.reduce_sum(tf.square(g)), limit) for g in gradients]


def clip_by_global_norm(gradients: Sequence[tf.Tensor], limit: float) -> list[tf.Tensor]:
    """All gradients by one factor, so that together they are at most ``limit`` long."""
    factor = _factor(squared_norm(gradients), limit)
    return [g * factor for g in gradients]


def squared_norm(gradients: Sequence[tf.Tensor]) -> tf.Tensor:
    """Sum of the squares of all entries."""
    return tf.add_n([tf.reduce_sum(tf.square(g)) for g in gradients])


def _factor(squares: tf.Tensor, limit: float) -> tf.Tensor:
    return limit / tf.maximum(tf.sqrt(squares), limit)
