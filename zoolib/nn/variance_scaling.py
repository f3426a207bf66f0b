"""Initial values whose spread follows a layer's fans; functions (generator, shape) -> float32.

A kernel's shape is [..., inputs, outputs]; fan_in = window * inputs, fan_out = window * outputs. A
depthwise kernel [h, w, channels, 1] counts by the same rule, as in TensorFlow: fan_in = 9 channels
and fan_out = 9 for a 3x3 window; PyTorch counts what one filter sees, 9 and 9 (`per_filter`).
"""

from __future__ import annotations

from typing import Callable

import numpy as np

from zoolib.nn import initialise

Initial = Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]

_FANS = ("fan_in", "fan_out", "average")
_SHRINK = 0.87962566103423978  # standard deviation of a normal cut at two of them


def variance_scaling(
    scale: float = 1.0,
    mode: str = "fan_in",
    distribution: str = "normal",
    per_filter: bool = False,
) -> Initial:
    """Values of variance ``scale / fan``.

    Args:
        scale: 2 for He, 1 for Glorot and LeCun.
        mode: ``"fan_in"``, ``"fan_out"`` or ``"average"``.
        distribution: ``"normal"``, ``"truncated"`` (at two deviations, the variance made good as
            in TensorFlow) or ``"uniform"``.
        per_filter: count a depthwise kernel's fans as one filter has them.

    Raises:
        ValueError: for another mode or distribution.
    """
    if mode not in _FANS or distribution not in ("normal", "truncated", "uniform"):
        raise ValueError(
            "variance_scaling: expected mode fan_in, fan_out or average and distribution normal, "
            f"truncated or uniform, got {mode!r} and {distribution!r}"
        )

    def draw(source: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        window = int(np.prod(shape[:-2]))
        inputs, outputs = (1, 1) if per_filter else shape[-2:]
        fans = (window * inputs, window * outputs, 0.5 * window * (inputs + outputs))
        std = float(np.sqrt(scale / fans[_FANS.index(mode)]))
        if distribution == "uniform":
            limit = np.sqrt(3.0) * std
            return source.uniform(-limit, limit, shape).astype(np.float32)
        if distribution == "truncated":
            return initialise.truncated_normal(source, shape, std / _SHRINK)
        return initialise.normal(source, shape, std)

    return draw


def normal(std: float) -> Initial:
    """Normal values of a given standard deviation."""
    return lambda source, shape: initialise.normal(source, shape, std)


def truncated_normal(std: float) -> Initial:
    """Normal values redrawn until within two of ``std`` (the deviation before the cut)."""
    return lambda source, shape: initialise.truncated_normal(source, shape, std)


def constant(value: float) -> Initial:
    """The same value everywhere."""
    return lambda source, shape: np.full(shape, value, np.float32)


zeros = constant(0.0)
glorot_uniform = initialise.xavier_uniform
glorot_normal = variance_scaling(1.0, "average", "truncated")
he_normal = variance_scaling(2.0, "fan_in", "normal")
he_uniform = variance_scaling(2.0, "fan_in", "uniform")
