"""Weights of another run to start from (the published `load_checkpoint`)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from zoolib.core.store import RunFolder
from zoolib.errors import ConfigError


def load(network: Any, folder: str) -> None:
    """Take weights and statistics from a run's newest checkpoint, all but the last layer's.

    Args:
        network: receives them.
        folder: the run folder.

    Raises:
        StoreError: if it is no run folder.
        ConfigError: if it has no checkpoint, or one of another network.
    """
    checkpoint, _ = RunFolder.open(Path(folder)).latest()
    if checkpoint is None:
        raise ConfigError(f"start_from: expected a checkpoint in {folder}, found none")
    for variable in network.variables:
        name = variable.name.split(":")[0]
        if name.startswith(("dense/", "head/")):
            continue
        found = checkpoint.arrays.get(name)
        if found is None or found.shape != tuple(variable.shape):
            told = "nothing" if found is None else str(list(found.shape))
            raise ConfigError(
                f"start_from: expected {list(variable.shape)} for {name} in {folder}, got {told}"
            )
        variable.assign(found)
