"""Adam as TensorFlow 1 has it (Kingma and Ba 2015, the form with the folded bias correction)."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf


class Adam(tf.Module):
    """Adam over a list of variables.

    p <- p - r sqrt(1 - beta2^t) / (1 - beta1^t) * m / (sqrt(v) + epsilon)

    Args:
        variables: what is trained; slots are created at once.
    """

    def __init__(
        self,
        variables: Sequence[tf.Variable],
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-8,
        name: str = "adam",
    ) -> None:
        super().__init__(name=name)
        self.variables_trained = list(variables)
        self.beta1, self.beta2, self.epsilon = beta1, beta2, epsilon
        self.first = [self._slot(v, "m") for v in variables]
        self.second = [self._slot(v, "v") for v in variables]
        self.count = tf.Variable(0.0, trainable=False, name=f"{name}/count")

    def _slot(self, variable: tf.Variable, letter: str) -> tf.Variable:
        name = f"{self.name}/{letter}/{variable.name.split(':')[0]}"
        return tf.Variable(tf.zeros(variable.shape), trainable=False, name=name)

    def apply(
        self, gradients: Sequence[tf.Tensor], rate: tf.Tensor, skip: tf.Tensor | None = None
    ) -> None:
        """Update all variables.

        Args:
            gradients: one per variable.
            rate: step size, scalar.
            skip: scalar bool; where true nothing changes, the count neither. None never skips.
        """
        t = self.count + 1.0
        correction = tf.sqrt(1.0 - tf.pow(self.beta2, t)) / (1.0 - tf.pow(self.beta1, t))
        slots = zip(self.variables_trained, self.first, self.second, gradients)
        for p, m, v, g in slots:
            new_m = self.beta1 * m + (1.0 - self.beta1) * g
            new_v = self.beta2 * v + (1.0 - self.beta2) * tf.square(g)
            new_p = p - rate * correction * new_m / (tf.sqrt(new_v) + self.epsilon)
            for variable, value in ((m, new_m), (v, new_v), (p, new_p)):
                variable.assign(value if skip is None else tf.where(skip, variable, value))
        self.count.assign(t if skip is None else tf.where(skip, self.count, t))
