"""Averages of weights: equal (SWA, Izmailov et al. 2018, algorithm 1), last-k, exponential (EMA).

Averages are kept in float32 whatever the weights' type, so that a mean of float16 weights does not
lose its last bits; they are variables, so a checkpoint that holds them resumes bit for bit.
"""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf


class EqualAverage(tf.Module):
    """The mean of all snapshots, or of the last ``window`` of them.

    The plain mean costs one copy of the weights, a window costs ``window`` copies.

    Args:
        variables: what is averaged, of any floating type.
        window: number of latest snapshots in the mean; 0 keeps them all.

    Raises:
        TypeError: for a variable that is not floating (a counter, a seed): no mean makes sense.
    """

    def __init__(self, variables: Sequence[tf.Variable], window: int = 0, name: str = "swa"):
        super().__init__(name=name)
        self.sources, self.window = list(variables), window
        for v in self.sources:
            if not v.dtype.is_floating:
                raise TypeError(f"{v.name}: expected a floating variable to average, got {v.dtype}")
        shape = [window] if window else []
        self.kept = [
            tf.Variable(
                tf.zeros([*shape, *v.shape]), trainable=False, name=f"{name}/{v.name.split(':')[0]}"
            )
            for v in self.sources
        ]
        self.count = tf.Variable(0, trainable=False, name=f"{name}/count")

    def update(self) -> None:
        """Take a snapshot of the weights: w_avg <- (n w_avg + w) / (n + 1)."""
        n = self.count
        for kept, source in zip(self.kept, self.sources):
            w = tf.cast(source, tf.float32)
            if self.window:
                rows = tf.range(self.window) == n % self.window
                kept.assign(tf.where(tf.reshape(rows, [-1] + [1] * w.shape.rank), w[None], kept))
            else:
                kept.assign(kept + (w - kept) / tf.cast(n + 1, tf.float32))
        self.count.assign_add(1)

    def values(self) -> list[tf.Tensor]:
        """The averages, each in its variable's own type; meaningless before the first snapshot."""
        if not self.window:
            return [tf.cast(k, v.dtype) for k, v in zip(self.kept, self.sources)]
        filled = tf.cast(tf.minimum(self.count, self.window), tf.float32)
        return [
            tf.cast(tf.reduce_sum(k, axis=0) / filled, v.dtype)
            for k, v in zip(self.kept, self.sources)
        ]

    def assign(self) -> None:
        """Put the averages into the weights."""
        for variable, value in zip(self.sources, self.values()):
            variable.assign(value)


class ExponentialAverage(tf.Module):
    """EMA: shadow <- decay shadow + (1 - decay) w after every step, started at the weights.

    Args:
        variables: what is averaged.
        decay: weight of the old value.
    """

    def __init__(self, variables: Sequence[tf.Variable], decay: float, name: str = "ema"):
        super().__init__(name=name)
        self.sources, self.decay = list(variables), decay
        self.shadows = [
            tf.Variable(
                tf.cast(v, tf.float32), trainable=False, name=f"{name}/{v.name.split(':')[0]}"
            )
            for v in self.sources
        ]

    def update(self, decay: tf.Tensor | float | None = None) -> None:
        """Move the shadows towards the weights; ``decay`` overrides this once (a warmup)."""
        keep = self.decay if decay is None else decay
        for shadow, source in zip(self.shadows, self.sources):
            shadow.assign(shadow - (1.0 - keep) * (shadow - tf.cast(source, tf.float32)))

    def values(self) -> list[tf.Tensor]:
        """The shadows, each in its variable's own type."""
        return [tf.cast(s, v.dtype) for s, v in zip(self.shadows, self.sources)]
