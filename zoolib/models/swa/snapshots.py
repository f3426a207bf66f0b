"""Learning rates and snapshot epochs of SWA as plain functions of numbers, without NumPy.

Epochs count from 0; ``start`` is the first epoch of averaging (a user's 1-based ``start_epoch``
minus one). Izmailov et al. 2018, section 3.2 and algorithm 1; the ramp is their published code's.
"""

from __future__ import annotations


def ramp(epoch: float, start: float, rate: float, swa_rate: float) -> float:
    """The rate of an epoch before averaging starts, and after it if that rate is constant.

    With t = epoch / start: ``rate`` up to t = 0.5, then linear, ``swa_rate`` from t = 0.9 on.
    """
    t = epoch / start if start else 1.0
    if t <= 0.5:
        return rate
    if t > 0.9:
        return swa_rate
    return rate * (1.0 - (1.0 - swa_rate / rate) * (t - 0.5) / 0.4)


def cyclic(i: int, cycle_steps: int, low: float, high: float) -> float:
    """The rate of step i = 1, 2, … of the averaging phase (section 3.2, alpha(i)).

    It falls linearly through a cycle: the first step is one part below ``high``, the last, after
    which the paper takes its snapshot, is exactly ``low``; then it jumps back.
    """
    t = ((i - 1) % cycle_steps + 1) / cycle_steps
    return (1.0 - t) * high + t * low


def is_snapshot(epoch: int, start: int, frequency: int, at_end: bool) -> bool:
    """Whether weights are taken at the end of this epoch.

    Args:
        frequency: epochs of a cycle, or between snapshots.
        at_end: take them in the last epoch of a cycle, where a cyclic rate is lowest (the paper's
            rule); otherwise in the first one.
    """
    phase = frequency - 1 if at_end else 0
    return epoch >= start and (epoch - start) % frequency == phase


def snapshot_epochs(start: int, frequency: int, epochs: int, at_end: bool = True) -> list[int]:
    """The epochs, below ``epochs``, after which weights are taken."""
    return [e for e in range(start, epochs) if is_snapshot(e, start, frequency, at_end)]
