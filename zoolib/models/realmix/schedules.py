"""Ramps and thresholds as functions of the labelled images seen so far (spec 1.5, 1.7)."""

from __future__ import annotations

import numpy as np


def ramp(weight: float, images: np.ndarray, length: int) -> np.ndarray:
    """Weight of the unlabelled loss: weight clip(images / length, 0, 1), float32."""
    done = np.asarray(images, np.float64) / max(length, 1)
    return (weight * np.clip(done, 0.0, 1.0)).astype(np.float32)


def annealing(schedule: str, progress: np.ndarray | float, classes: int) -> np.ndarray:
    """eta = alpha (1 - 1/C) + 1/C: the probability above which a labelled row is left out.

    Args:
        schedule: ``none`` (eta 1), ``linear_schedule`` (alpha = r), ``exp_schedule``
            (exp(5 (r - 1))) or ``log_schedule`` (1 - exp(-5 r)).
        progress: r, the share of the annealing done; cut to [0, 1].
        classes: C.

    Raises:
        ValueError: for another schedule.
    """
    r = np.clip(np.asarray(progress, np.float64), 0.0, 1.0)
    if schedule == "none":
        alpha = np.ones_like(r)
    elif schedule == "linear_schedule":
        alpha = r
    elif schedule == "exp_schedule":
        alpha = np.exp(5.0 * (r - 1.0))
    elif schedule == "log_schedule":
        alpha = 1.0 - np.exp(-5.0 * r)
    else:
        raise ValueError(
            f"tsa: expected none, linear_schedule, exp_schedule or log_schedule, got {schedule!r}"
        )
    return (alpha * (1.0 - 1.0 / classes) + 1.0 / classes).astype(np.float32)
