"""The inputs of any data set a Keras user may hold, batch by batch, ready for a strategy."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from typing import Any, Optional

import numpy as np
import tensorflow as tf

from zoolib.errors import DataError

_USUAL = 32  # Keras' batch size


def batches(
    data: Any, steps: Optional[int], batch_size: Optional[int], strategy: tf.distribute.Strategy
) -> Iterator[Any]:
    """x of each batch; under a strategy of several replicas, divided among them.

    Args:
        data: see `zoolib.update_batch_norm`.
        steps: number of batches to take; None takes all.
        batch_size: for arrays.

    Raises:
        DataError: for an endless data set without ``steps``, or steps that are no number.
    """
    if steps is not None and (isinstance(steps, bool) or not isinstance(steps, int) or steps < 1):
        raise DataError(f"steps={steps!r}: expected a positive whole number or None")
    distributed = (tf.distribute.DistributedDataset, tf.distribute.DistributedIterator)
    if isinstance(data, distributed):
        found: Iterable = data
    elif isinstance(data, tf.data.Dataset):
        endless = data.cardinality() == tf.data.INFINITE_CARDINALITY
        if steps is None and bool(endless):
            raise DataError("dataset has no end: expected the number of batches to take as steps")
        found = strategy.experimental_distribute_dataset(data)
    else:
        found = _host_batches(data, batch_size or _USUAL)
        if strategy.num_replicas_in_sync > 1:
            return (_divided(strategy, _inputs(b)) for b in itertools.islice(found, steps))
    return (_inputs(batch) for batch in itertools.islice(found, steps))


def sample_inputs(data: Any, batch_size: Optional[int], least: int = 64) -> Any:
    """x of about a batch, for a look at the model: spread over arrays, else the first batch.

    Args:
        data: see `batches`; nothing that is distributed already.
        batch_size: for arrays.
        least: number of samples at least, where there are as many.
    """
    if not isinstance(data, tf.data.Dataset) and _is_arrays(data):
        x = tf.nest.map_structure(_array, _inputs(data))
        n = len(tf.nest.flatten(x)[0])
        stride = max(n // max(batch_size or _USUAL, least), 1)
        return tf.nest.map_structure(lambda a: a[::stride], x)
    found, rows = [], 0
    for batch in data if isinstance(data, tf.data.Dataset) else _host_batches(data, _USUAL):
        found.append(tf.nest.map_structure(np.asarray, _inputs(batch)))
        rows += len(tf.nest.flatten(found[-1])[0])
        if rows >= least:
            break
    shapes = {tuple(a.shape[1:] for a in tf.nest.flatten(x)) for x in found}
    if len(shapes) > 1:  # sequences of different lengths
        return found[0]
    return tf.nest.map_structure(lambda *parts: np.concatenate(parts), *found)


def _is_arrays(data: Any) -> bool:
    return isinstance(data, (tuple, dict)) or hasattr(data, "shape")


def _host_batches(data: Any, batch_size: int) -> Iterable:
    if _is_arrays(data):
        x = tf.nest.map_structure(_array, _inputs(data))
        n = len(tf.nest.flatten(x)[0])
        return (
            (tf.nest.map_structure(lambda a, i=i: a[i : i + batch_size], x),)
            for i in range(0, n, batch_size)
        )
    if hasattr(data, "__getitem__") and hasattr(data, "__len__"):
        return (data[i] for i in range(len(data)))
    return data


def _array(value: Any) -> Any:
    """Arrays as they are, tables (of pandas) as arrays."""
    return value.to_numpy() if hasattr(value, "to_numpy") else value


def _inputs(batch: Any) -> Any:
    """x of x, (x,), (x, y) or (x, y, sample_weight)."""
    return batch[0] if isinstance(batch, (tuple, list)) else batch


def _divided(strategy: tf.distribute.Strategy, x: Any) -> Any:
    """Each replica's part of a batch that every worker holds whole."""
    count = strategy.num_replicas_in_sync

    def part(context: tf.distribute.InputReplicaContext) -> Any:
        i = int(context.replica_id_in_sync_group)

        def cut(a: Any) -> tf.Tensor:
            n = int(np.shape(a)[0])
            return tf.convert_to_tensor(a[n * i // count : n * (i + 1) // count])

        return tf.nest.map_structure(cut, x)

    return strategy.experimental_distribute_values_from_function(part)
