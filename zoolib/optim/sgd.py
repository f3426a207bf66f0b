"""Stochastic gradient descent with momentum as TensorFlow 1 has it.

The rate multiplies the whole accumulator, so a drop of the rate acts at once. Keras keeps the rate
inside its velocity, which is the same for a constant rate only.
"""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf


class SGD(tf.Module):
    """Gradient descent over a list of variables.

    g <- g + l2 p;  a <- momentum a + g;  p <- p - rate a
    Nesterov:                             p <- p - rate (g + momentum a)

    Args:
        variables: what is trained; slots are created at once.
        momentum: weight of the old accumulator; 0 is plain descent, without slots.
        nesterov: look ahead (Sutskever et al. 2013, in the form of TensorFlow 1).
        l2: weight of the coupled decay, the gradient of l2 / 2 |p|^2; one number for all variables
            or one for each.
    """

    def __init__(
        self,
        variables: Sequence[tf.Variable],
        momentum: float = 0.0,
        nesterov: bool = False,
        l2: float | Sequence[float] = 0.0,
        name: str = "sgd",
    ) -> None:
        super().__init__(name=name)
        self.variables_trained = list(variables)
        self.momentum, self.nesterov = momentum, nesterov
        each = list(l2) if isinstance(l2, Sequence) else [l2] * len(self.variables_trained)
        if len(each) != len(self.variables_trained):
            raise ValueError(
                f"l2: expected one number, or one for each of {len(self.variables_trained)} "
                f"variables, got {len(each)}"
            )
        self._l2 = tuple(float(value) for value in each)
        self.accumulators = [self._slot(v) for v in self.variables_trained] if momentum else []

    def _slot(self, variable: tf.Variable) -> tf.Variable:
        name = f"{self.name}/a/{variable.name.split(':')[0]}"
        return tf.Variable(tf.zeros(variable.shape), trainable=False, name=name)

    def apply(
        self, gradients: Sequence[tf.Tensor], rate: tf.Tensor, skip: tf.Tensor | None = None
    ) -> None:
        """Update all variables.

        Args:
            gradients: one per variable.
            rate: step size, scalar.
            skip: scalar bool; where true nothing changes. None never skips.
        """
        for place, (p, g) in enumerate(zip(self.variables_trained, gradients)):
            g = g + self._l2[place] * p if self._l2[place] else g
            step = g
            if self.momentum:
                a = self.accumulators[place]
                new_a = self.momentum * a + g
                step = g + self.momentum * new_a if self.nesterov else new_a
                a.assign(new_a if skip is None else tf.where(skip, a, new_a))
            new_p = p - rate * step
            p.assign(new_p if skip is None else tf.where(skip, p, new_p))
