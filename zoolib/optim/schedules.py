"""Step sizes as plain functions of the step, evaluated on the host for many steps at once."""

from __future__ import annotations

import numpy as np


def schedule(kind: str, start: float, steps: range, total: int) -> np.ndarray:
    """Step sizes, float32 [len(steps)].

    Args:
        kind: ``"constant"``, or ``"cosine"`` from ``start`` to 0 at ``total`` (Loshchilov and
            Hutter 2017, eq. 5, one cycle).

    Raises:
        ValueError: for another kind.
    """
    at = np.arange(steps.start, steps.stop, dtype=np.float64)
    if kind == "constant":
        return np.full(len(at), start, np.float32)
    if kind == "cosine":
        return (start * 0.5 * (1.0 + np.cos(np.pi * at / total))).astype(np.float32)
    raise ValueError(f"schedule: expected constant or cosine, got {kind!r}")
