"""Task conditioning (TADAM, spec 1.5): a task's mean prototype shifts and scales every unit.

The factors of the predicted shifts and scales start at 0, so conditioning starts as the identity.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from zoolib.models.am3.backbone import Film, swish
from zoolib.nn.layers import Dense, Maker
from zoolib.nn.variance_scaling import variance_scaling, zeros

_LAYERS = 3


class Projection(tf.Module):
    """Three dense layers with skips, times one trained factor that starts at 0."""

    def __init__(self, make: Maker, kind: str, i: int, j: int, inputs: int, width: int) -> None:
        super().__init__()
        self.layers = [
            Dense(make, f"projection_{kind}{i}{j}{n}", width if n else inputs, width)
            for n in range(_LAYERS)
        ]
        self.factor = make.variable(f"{kind}_weight{i}{j}", (), zeros)

    def __call__(self, tau: tf.Tensor) -> tf.Tensor:
        """Task representations [T, D] to [T, channels]."""
        first, second, third = self.layers
        u = swish(first(tau))
        u = swish(second(u) + u)
        return self.factor * (third(u) + u)


class TaskConditioning(tf.Module):
    """Predicts (gamma, beta) of every convolutional unit from the task.

    Args:
        make: names, initial values and products.
        config: sizes of the backbone.
    """

    def __init__(self, make: Maker, config: Any) -> None:
        super().__init__()
        # Not the backbone's setting: the earlier code has this factor fixed.
        make = Maker(make.session, make.source, variance_scaling(0.2, "fan_out"), make.scope)
        width = config.widths[-1]
        self.beta, self.gamma = (
            [
                Projection(make, kind, i, j, width, channels)
                for i, channels in enumerate(config.widths)
                for j in range(config.units)
            ]
            for kind in ("beta", "gamma")
        )

    def __call__(self, tau: tf.Tensor) -> Film:
        """(gamma, beta), each [T, channels], for every unit in order."""
        return [(gamma(tau), beta(tau)) for gamma, beta in zip(self.gamma, self.beta)]

    @property
    def kernels(self) -> list[tf.Variable]:
        """72 of them in the published size."""
        return [layer.kernel for part in (*self.beta, *self.gamma) for layer in part.layers]

    @property
    def factors(self) -> list[tf.Variable]:
        """The scalars, all betas first."""
        return [part.factor for part in (*self.beta, *self.gamma)]
