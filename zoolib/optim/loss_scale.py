"""Loss scaling for half precision: multiply the loss, divide the gradients, skip overflows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Callable

import tensorflow as tf


class LossScale(tf.Module):
    """A loss scale that stays, or adapts.

    Args:
        mode: ``"none"``, ``"static"`` (never changes, overflowing steps are skipped) or
            ``"dynamic"`` (halved at an overflow, doubled after ``growth_steps`` good steps).
        value: the static scale, or the first dynamic one.
        overflowed: predicate on the scaled gradients; the device knows which applies.
    """

    def __init__(
        self, mode: str, value: float, overflowed: Callable, growth_steps: int = 2000
    ) -> None:
        super().__init__(name="loss_scale")
        if mode not in ("none", "static", "dynamic"):
            raise ValueError(f"loss_scale: expected none, static or dynamic, got {mode!r}")
        self.mode, self._overflowed, self._growth_steps = mode, overflowed, growth_steps
        if mode != "none":
            self.value = tf.Variable(float(value), trainable=False, name="loss_scale/value")
            self.good_steps = tf.Variable(0, trainable=False, name="loss_scale/good_steps")
            self.skipped = tf.Variable(0, trainable=False, name="loss_scale/skipped")

    def scale(self, loss: tf.Tensor) -> tf.Tensor:
        """The loss to differentiate."""
        return loss if self.mode == "none" else loss * self.value

    def unscale(self, gradients: Sequence[tf.Tensor]) -> tuple[list[tf.Tensor], tf.Tensor | None]:
        """True gradients, and whether to skip this step; a dynamic scale moves on.

        Skipped gradients come back as zeros, so that what follows stays finite.
        """
        if self.mode == "none":
            return list(gradients), None
        overflow = self._overflowed(gradients)
        inverse = 1.0 / self.value
        true = [tf.where(overflow, tf.zeros_like(g), g * inverse) for g in gradients]
        self.skipped.assign_add(tf.cast(overflow, tf.int32))
        if self.mode == "dynamic":
            good = tf.where(overflow, 0, self.good_steps + 1)
            grow = good >= self._growth_steps
            larger = tf.where(grow, tf.minimum(self.value * 2.0, 2.0**24), self.value)
            self.value.assign(tf.where(overflow, tf.maximum(self.value * 0.5, 1.0), larger))
            self.good_steps.assign(tf.where(grow, 0, good))
        return true, overflow
