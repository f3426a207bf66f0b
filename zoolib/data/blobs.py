"""Gaussian blobs by scikit-learn's recipe, number for number, for the same `random_state`.

The SWA seed's demonstration draws its data with scikit-learn 0.2x's `make_blobs`; NumPy keeps the
legacy generator's stream frozen, so a run here sees the very same points.
"""

from __future__ import annotations

import numpy as np


def blobs(
    samples: int,
    centers: int = 3,
    features: int = 2,
    cluster_std: float = 2.0,
    random_state: int = 2,
) -> tuple[np.ndarray, np.ndarray]:
    """Points around centres that are uniform in [-10, 10].

    Returns:
        x float32 [samples, features], y int32 [samples].
    """
    source = np.random.RandomState(random_state)
    middle = source.uniform(-10.0, 10.0, (centers, features))
    counts = [samples // centers + (i < samples % centers) for i in range(centers)]
    parts = [source.normal(c, cluster_std, (n, features)) for c, n in zip(middle, counts)]
    order = np.arange(samples)
    source.shuffle(order)
    x, y = np.concatenate(parts), np.repeat(np.arange(centers), counts)
    return x[order].astype(np.float32), y[order].astype(np.int32)
