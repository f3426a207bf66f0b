"""Long noisy curves made fit to draw: fewer points, running means."""

from __future__ import annotations

import numpy as np


def downsample(x: np.ndarray, y: np.ndarray, points: int) -> tuple[np.ndarray, np.ndarray]:
    """At most ``points`` of the points, peaks kept: smallest and largest y of each stretch.

    Args:
        x, y: [n]; non-finite y count as neither smallest nor largest.
        points: even number, at least 4; twice the pixels of the plot is plenty.
    """
    if len(x) <= points:
        return x, y
    inner = points // 2 - 1  # stretches; the first and the last point always stay
    edges = np.linspace(1, len(x) - 1, inner + 1).astype(int)
    kept = [0]
    for start, stop in zip(edges[:-1], edges[1:]):
        part = y[start:stop]
        low = start + int(np.argmin(np.where(np.isnan(part), np.inf, part)))
        high = start + int(np.argmax(np.where(np.isnan(part), -np.inf, part)))
        kept += sorted({low, high})
    kept.append(len(x) - 1)
    return x[kept], y[kept]


def running_mean(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Means over a fortieth of a curve, centred; fewer than 60 points are left as they are."""
    if len(x) < 60:
        return x, y
    width = max(3, len(x) // 40) | 1
    smooth = np.convolve(y, np.full(width, 1 / width), "valid")
    return x[width // 2 : len(x) - width // 2], smooth
