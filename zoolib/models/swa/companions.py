"""How SWA gets on with the other callbacks of a run, and with the other workers."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import tensorflow as tf


def check_order(callbacks: list[Any], swa: Any) -> None:
    """Warn of callbacks whose place in the list undoes what SWA does."""
    place = callbacks.index(swa) if swa in callbacks else len(callbacks)
    if any(getattr(other, "restore_best_weights", False) for other in callbacks[place + 1 :]):
        warnings.warn(
            "SWA: EarlyStopping(restore_best_weights=True) comes after SWA and may replace the "
            "average by its best weights; put SWA after it",
            stacklevel=4,
        )
    if any(type(other).__name__ == "BackupAndRestore" for other in callbacks[:place]):
        warnings.warn(
            "SWA: BackupAndRestore comes before SWA and saves without the epoch's snapshot; put "
            "SWA before it",
            stacklevel=4,
        )


def restored_by_another(callbacks: list[Any], epoch: int, model: Any) -> bool:
    """Whether EarlyStopping has put its best weights into the model at the end of this epoch."""
    for other in callbacks:
        best = getattr(other, "best_weights", None)
        if best and getattr(other, "stopped_epoch", 0) == epoch:
            if all(np.array_equal(a, b) for a, b in zip(best, model.get_weights())):
                return True
    return False


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Whether this process is the one of its cluster that prints and saves."""
    resolver = strategy.cluster_resolver
    if resolver is None or not resolver.task_type:
        return True
    if "chief" in resolver.cluster_spec().as_dict():
        return resolver.task_type == "chief"
    return resolver.task_id == 0
