"""The one case that can be computed exactly: SGD on lambda w^2 / 2 with noisy gradients.

w <- w - eta (lambda w + noise), noise of variance sigma^2. At rest the iterate has variance
eta sigma^2 / (lambda (2 - eta lambda)), however long one runs; the mean of n iterates goes to
sigma^2 / (lambda^2 n) and forgets the step size.
"""

from __future__ import annotations

import numpy as np


def iterate_variance(curvature: float, rate: float, sigma: float) -> float:
    """Variance of w at rest.

    Raises:
        ValueError: if the iteration does not settle (rate * curvature outside 0 to 2).
    """
    if not 0 < rate * curvature < 2:
        raise ValueError(f"rate: expected between 0 and {2 / curvature:g}, got {rate:g}")
    return rate * sigma**2 / (curvature * (2 - rate * curvature))


def mean_variance(curvature: float, rate: float, sigma: float, count: np.ndarray) -> np.ndarray:
    """Variance of the mean of ``count`` consecutive iterates at rest; an AR(1) process's."""
    keep, n = 1 - rate * curvature, np.asarray(count, float)
    at_rest = iterate_variance(curvature, rate, sigma)
    correlated = keep * (n - (1 - keep**n) / (1 - keep)) / (1 - keep)
    return at_rest / n**2 * (n + 2 * correlated)


def simulate(
    curvature: float, rate: float, sigma: float, steps: int, paths: int, seed: int = 0
) -> np.ndarray:
    """Iterates of many independent runs that start at rest, float64 [paths, steps]."""
    source = np.random.Generator(np.random.Philox(key=seed))
    noise = source.normal(0.0, sigma, (steps, paths))
    w = source.normal(0.0, iterate_variance(curvature, rate, sigma) ** 0.5, paths)
    path = np.empty((steps, paths))
    for step in range(steps):
        w = w - rate * (curvature * w + noise[step])
        path[step] = w
    return path.T
