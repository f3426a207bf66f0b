"""Data parallelism behind one thin interface: rank, size, all_reduce, broadcast, shard.

The training step calls `all_reduce` unconditionally; on one device it is the identity. On an NPU
the adapter's collectives stand behind the same names (`zoolib.runtime.npu.Npu`).
"""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from zoolib.errors import ConfigError


class SingleProcess:
    """The interface on one device."""

    rank = 0
    size = 1

    def all_reduce(self, tensors: Sequence[tf.Tensor], reduction: str = "mean") -> list[tf.Tensor]:
        """Combine tensors over ranks: each is its own mean and its own sum."""
        return list(tensors)

    def broadcast(self, variables: Sequence[tf.Variable]) -> None:
        """Give every rank the chief's values; nothing to do."""


def shard(count: int, rank: int, size: int, name: str = "batch") -> range:
    """This rank's part of ``count`` items.

    Args:
        name: the setting that holds the count.

    Raises:
        ConfigError: if the items do not divide evenly.
    """
    if count % size:
        raise ConfigError(
            f"{name}: expected a multiple of the number of ranks ({size}), got {count}"
        )
    part = count // size
    return range(rank * part, (rank + 1) * part)
