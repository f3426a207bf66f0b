"""Prototypes, how pictures and words are mixed in them, and the distance to them (spec 1.1, 1.4).

p'_c = lambda_c p_c + (1 - lambda_c) w_c,        logit = -alpha |f(q) - p'_c|
"""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

_SMALLEST = 1e-12  # of a squared distance: the root has no gradient at 0


def prototypes(features: tf.Tensor, ways: int) -> tf.Tensor:
    """Mean of each class's support features: [T, C K, D], class after class -> [T, C, D]."""
    tasks, count, width = features.shape
    return tf.reduce_mean(tf.reshape(features, [tasks, ways, count // ways, width]), axis=2)


def mixed(share: tf.Tensor, p: tf.Tensor, w: tf.Tensor) -> tf.Tensor:
    """Cross-modal prototypes; ``share`` [T, C, 1], or [T, Q, C, 1] for prototypes per query."""
    if len(share.shape) == 4:
        p, w = p[:, None], w[:, None]
    return share * p + (1.0 - share) * w


def distances(queries: tf.Tensor, centres: tf.Tensor) -> tf.Tensor:
    """Euclidean, not squared, [T, Q, C].

    By differences rather than by |a|^2 + |b|^2 - 2ab, which loses digits where it matters most.

    Args:
        queries: [T, Q, D].
        centres: [T, C, D], or [T, Q, C, D] if each query has its own.
    """
    if len(centres.shape) == 3:
        centres = centres[:, None]
    squares = tf.reduce_sum(tf.square(queries[:, :, None] - centres), axis=-1)
    return tf.sqrt(tf.maximum(squares, _SMALLEST))


def polynomial(d: tf.Tensor, weights: Sequence[tf.Variable]) -> tf.Tensor:
    """Logits: sum of weights[n] d^(n + 1); without weights -d."""
    if not weights:
        return -d
    terms = [weights[0] * d]
    for order, weight in enumerate(weights[1:], 2):
        terms.append(weight * tf.pow(d, float(order)))
    return tf.add_n(terms)
