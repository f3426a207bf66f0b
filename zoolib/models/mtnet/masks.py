"""Binary masks on the inner gradient (paper, section 3.2; Gumbel-softmax of Jang et al. 2017).

A two-class Gumbel-softmax on the logits (zeta, 0) needs only the difference of its two Gumbel
variables, which is one logistic variable: hard mask = [zeta + noise > 0], P(mask = 1) =
sigmoid(zeta), relaxed mask = sigmoid((zeta + noise) / tau). Forward hard, backward relaxed.
"""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf


def straight_through(zeta: tf.Tensor, noise: tf.Tensor, tau: float) -> tf.Tensor:
    """Sampled masks: 0 or 1 going forward, the relaxation's gradient going backward."""
    soft = tf.sigmoid((zeta + noise) / tau)
    hard = tf.cast(zeta + noise > 0.0, soft.dtype)
    return soft + tf.stop_gradient(hard - soft)


def spread(masks: Sequence[tf.Tensor], shared: bool, ranks: Sequence[int]) -> list[tf.Tensor]:
    """One mask per entry of theta, shaped to multiply its gradient.

    Args:
        masks: per layer [B, units] if shared, else per entry of theta [B, *shape].
        shared: whether a unit's column of W and its bias share a mask.
        ranks: number of dimensions of each entry of theta, without the task axis.
    """
    if not shared:
        return list(masks)
    pairs = [m for m in masks for _ in ("W", "b")]
    return [
        tf.reshape(m, [m.shape[0], *[1] * (rank - 1), m.shape[-1]]) for m, rank in zip(pairs, ranks)
    ]
