"""Initial values, drawn on the host so that they are the same on every device and TensorFlow."""

from __future__ import annotations

import numpy as np


def truncated_normal(source: np.random.Generator, shape: tuple[int, ...], std: float) -> np.ndarray:
    """Normal values redrawn until within two standard deviations, float32."""
    values = source.standard_normal(shape)
    while True:
        outside = np.abs(values) > 2.0
        if not outside.any():
            return (std * values).astype(np.float32)
        values[outside] = source.standard_normal(int(outside.sum()))


def xavier_uniform(source: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Uniform in +-sqrt(6 / (fan_in + fan_out)) (Glorot and Bengio 2010, eq. 16), float32.

    The last two dimensions are input and output, the ones before a kernel's window.
    """
    window = int(np.prod(shape[:-2]))
    limit = np.sqrt(6.0 / (window * (shape[-2] + shape[-1])))
    return source.uniform(-limit, limit, shape).astype(np.float32)


def normal(source: np.random.Generator, shape: tuple[int, ...], std: float) -> np.ndarray:
    """Normal values, float32."""
    return (std * source.standard_normal(shape)).astype(np.float32)
