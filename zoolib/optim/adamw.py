"""Adam with decoupled weight decay (Loshchilov and Hutter 2019, algorithm 2)."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from zoolib.optim.adam import Adam


class AdamW(Adam):
    """Adam; before each step the decayed variables shrink: p <- p (1 - rate weight_decay).

    The decay is multiplied by the rate, as in RealMix and MixMatch, and enters no moment.

    Args:
        variables: what is trained.
        weight_decay: 0 does not decay.
        decayed: those of the variables that decay; all unless told.

    Raises:
        ValueError: if a decayed variable is not among the trained ones.
    """

    def __init__(
        self,
        variables: Sequence[tf.Variable],
        weight_decay: float,
        decayed: Sequence[tf.Variable] | None = None,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-8,
        name: str = "adamw",
    ) -> None:
        super().__init__(variables, beta1, beta2, epsilon, name)
        trained = {id(v) for v in self.variables_trained}
        self.decayed = list(self.variables_trained if decayed is None else decayed)
        for v in self.decayed:
            if id(v) not in trained:
                raise ValueError(f"decayed: expected trained variables, got also {v.name}")
        self.weight_decay = weight_decay

    def apply(
        self, gradients: Sequence[tf.Tensor], rate: tf.Tensor, skip: tf.Tensor | None = None
    ) -> None:
        """Decay, then Adam's update; arguments as there."""
        if self.weight_decay:
            keep = 1.0 - rate * self.weight_decay
            keep = keep if skip is None else tf.where(skip, 1.0, keep)
            for p in self.decayed:
                p.assign(p * keep)
        super().apply(gradients, rate, skip)
