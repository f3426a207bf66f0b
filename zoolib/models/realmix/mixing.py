"""MixUp of labelled and unlabelled rows, and their interleaving for batch norm (spec 1.3, 1.4).

Coefficients and partners are drawn on the host: `coefficients` and `partners` make them from
uniform numbers, `mixup` and `interleave` act on tensors.
"""

from __future__ import annotations

import functools

import numpy as np
import tensorflow as tf

_GRID = 4096


def coefficients(uniform: np.ndarray, beta: float) -> np.ndarray:
    """lambda' = max(lambda, 1 - lambda) of lambda ~ Beta(beta, beta), float32 in [0.5, 1].

    Args:
        uniform: independent uniform numbers in [0, 1), any shape; one gives one coefficient.
        beta: both parameters of the distribution.

    1 - lambda' is the lower half of the distribution; its distribution function is inverted on a
    grid, so that no rejection makes the count of random numbers vary.
    """
    s, share = _lower_half(float(beta))
    small = np.interp(uniform.astype(np.float64), share, s) ** (1.0 / beta)
    return (1.0 - small).astype(np.float32)


@functools.lru_cache(maxsize=8)
def _lower_half(beta: float) -> tuple[np.ndarray, np.ndarray]:
    """Grid of s = t^beta for t in [0, 0.5], and the share of the lower half below it.

    In s the density is (1 - t)^(beta - 1), without the singularity at t = 0.
    """
    s = np.linspace(0.0, 0.5**beta, _GRID + 1)
    density = (1.0 - s ** (1.0 / beta)) ** (beta - 1.0)
    area = np.concatenate([[0.0], np.cumsum(0.5 * (density[1:] + density[:-1]))])
    return s, area / area[-1]


def partners(uniform: np.ndarray, mode: str = "xxy.yxy") -> tuple[np.ndarray, np.ndarray]:
    """With which row each of the 3 B rows [x; u1; u2] mixes, and which rows mix at all.

    Args:
        uniform: [steps, 2, 3 B]; the order of the numbers of a row of length 3 B is a permutation.
        mode: what labelled rows (before the dot) and unlabelled ones mix with: nothing, `xx` or
            `yy` their own kind, `xxy` and `yxy` all rows, `yx` labelled rows.

    Returns:
        Partners, int32 [steps, 3 B], and a float32 [3 B] of ones where rows mix, else zeros.
    """
    steps, _, rows = uniform.shape
    third = rows // 3
    labelled, unlabelled = mode.split(".")
    every = np.argsort(uniform[:, 0], axis=-1, kind="stable")
    chosen = np.tile(np.arange(rows), (steps, 1))
    among_x = np.argsort(uniform[:, 1, :third], axis=-1, kind="stable")
    among_u = np.argsort(uniform[:, 1, third:], axis=-1, kind="stable") + third
    own = {"xx": among_x, "xxy": every[:, :third]}
    if labelled:
        chosen[:, :third] = own[labelled]
    several = np.argsort(uniform[:, 0, third:], axis=-1, kind="stable") % third
    own = {"yy": among_u, "yxy": every[:, third:], "yx": several}
    if unlabelled:
        chosen[:, third:] = own[unlabelled]
    mixes = np.repeat([float(bool(labelled)), float(bool(unlabelled))], [third, rows - third])
    return chosen.astype(np.int32), mixes.astype(np.float32)


def mixup(
    images: tf.Tensor, targets: tf.Tensor, weight: tf.Tensor, partner: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """lambda' a + (1 - lambda') a[partner], for images and targets alike (MixMatch, eq. 8 to 11).

    Args:
        images: [N, height, width, channels].
        targets: probabilities [N, classes].
        weight: lambda' of each row, [N], at least 0.5, so a row stays closest to its own source.
        partner: row to mix with, int32 [N].
    """
    other, other_targets = tf.gather(images, partner), tf.gather(targets, partner)
    here = weight[:, None, None, None]
    mixed = other + here * (images - other)
    return mixed, other_targets + weight[:, None] * (targets - other_targets)


def offsets(rows: int, groups: int = 3) -> list[int]:
    """Where the groups of a batch begin and end: equal sizes, what is left over to the last."""
    size, left = divmod(rows, groups)
    sizes = [size + (group >= groups - left) for group in range(groups)]
    return [sum(sizes[:group]) for group in range(groups + 1)]


def interleave(rows: tf.Tensor, parts: int = 3) -> tf.Tensor:
    """Exchange pieces between batches so that the first is a mixture of all; its own inverse.

    Batch 0 gives its piece i to batch i and takes that one's piece i, for i = 1 … parts - 1: the
    one batch that moves batch norm's running statistics then has labelled rows and both views.

    Args:
        rows: ``parts`` batches of one size behind one another, [parts B, ...].
    """
    batch = rows.shape[0] // parts
    cuts = offsets(batch, parts)
    pieces = [
        [rows[part * batch + a : part * batch + b] for a, b in zip(cuts, cuts[1:])]
        for part in range(parts)
    ]
    for i in range(1, parts):
        pieces[0][i], pieces[i][i] = pieces[i][i], pieces[0][i]
    return tf.concat([piece for part in pieces for piece in part], axis=0)
