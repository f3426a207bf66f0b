"""After which epochs SWA takes the weights (Izmailov et al. 2018, algorithm 1).

Epochs count from 0; ``start`` is the first epoch of averaging (a user's 1-based ``start_epoch``
minus one). The step sizes that go with it are in `zoolib.optim.schedules`.
"""

from __future__ import annotations


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
