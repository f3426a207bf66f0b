"""Collectives over files in FAKE_NPU_DIR, for a few processes on one machine."""

from __future__ import annotations

import os
import time
from typing import Any, Callable

import numpy as np
import tensorflow as tf

from .contract import ContractViolation, memory

_REDUCED = ("int8", "int32", "float16", "float32")
_SENT = (*_REDUCED, "int64", "uint64")
_created = 0  # collectives made so far: equal programs count alike on every rank
_COMBINE = {"sum": np.sum, "max": np.max, "min": np.min, "prod": np.prod}


def all_reduce(
    values: Any,
    reduction: str = "mean",
    fusion: int = 1,
    fusion_id: int = -1,
    group: str = "hccl_world_group",
) -> Any:
    """Combine one tensor or a list; None stays in place; the identity on one device."""
    single = not isinstance(values, (list, tuple))
    given = [v for v in ([values] if single else values) if v is not None]
    _check(given, _REDUCED, "all_reduce")
    if not _cluster():
        return values
    if reduction == "mean" and not all(v.dtype.is_floating for v in given):
        raise ContractViolation("the mean of integers is float64, which the device does not have")
    reduced = _reduced([tf.convert_to_tensor(v) for v in given], reduction)
    result = [None if v is None else reduced.pop(0) for v in ([values] if single else values)]
    return result[0] if single else result


def broadcast(
    values: Any,
    root_rank: int = 0,
    fusion: int = 2,
    fusion_id: int = 0,
    group: str = "hccl_world_group",
) -> None:
    """Assign the root's values to the variables, in place."""
    variables = list(values) if isinstance(values, (list, tuple)) else [values]
    _check(variables, _SENT, "broadcast")
    if not _cluster():
        return
    memory.depth += 1  # the adapter compiles this, so it is no eager access to variables
    try:
        sent = _exchange([v.read_value() for v in variables], lambda parts: parts[root_rank], "b")
        for variable, value in zip(variables, sent):
            variable.assign(value)
    finally:
        memory.depth -= 1


def shard_and_rebatch_dataset(dataset: Any, global_bs: int) -> tuple[Any, int]:
    """This rank's part of a data set and of the batch size."""
    if not _cluster():
        return dataset, global_bs
    if global_bs % memory.handle.workers_num:
        raise ValueError(f"batch size {global_bs} does not divide by {memory.handle.workers_num}")
    shard = dataset.shard(memory.handle.workers_num, memory.handle.worker_id)
    return shard, global_bs // memory.handle.workers_num


def _cluster() -> bool:
    return memory.default and memory.handle.is_cluster_worker()


def _reduced(values: list, reduction: str) -> list:
    combine = _COMBINE["sum" if reduction == "mean" else reduction]
    factor = 1.0 / memory.handle.workers_num if reduction == "mean" else 1

    @tf.custom_gradient
    def reduce(*tensors: tf.Tensor) -> Any:
        out = _exchange(tensors, lambda p: [combine(np.stack(c), axis=0) for c in zip(*p)], "r")
        out = [tf.cast(factor, v.dtype) * v for v in out]

        def gradient(*upstream: tf.Tensor) -> list:
            return _reduced([tf.cast(factor, u.dtype) * u for u in upstream], "sum")

        return out, gradient

    result = reduce(*values)
    return list(result) if isinstance(result, (list, tuple)) else [result]


def _check(values: list, valid: tuple[str, ...], what: str) -> None:
    for value in values:
        name = tf.as_dtype(value.dtype).name
        if name not in valid:
            raise ContractViolation(f"{what} of {name}: the device knows {', '.join(valid)}")


def _exchange(tensors: Any, combine: Callable, kind: str) -> list:
    """All ranks' tensors, combined on the host."""
    global _created
    _refuse_branches()
    _created += 1
    place, runs = f"{kind}{_created}", [0]
    dtypes = [t.dtype for t in tensors]

    def run(*arrays: np.ndarray) -> list:
        runs[0] += 1
        parts = _swap(f"{place}-{runs[0]}", f"{place}-{runs[0] - 2}", arrays)
        # One rank after another: the sum is the same number everywhere.
        return [np.asarray(v, d.as_numpy_dtype) for v, d in zip(combine(parts), dtypes)]

    out = tf.numpy_function(run, list(tensors), dtypes)
    out = list(out) if isinstance(out, (list, tuple)) else [out]
    for value, tensor in zip(out, tensors):
        value.set_shape(tensor.shape)
    return out


def _refuse_branches() -> None:
    graph = None if tf.executing_eagerly() else tf.compat.v1.get_default_graph()
    while graph is not None:
        if "Cond" in type(graph).__name__:
            raise ContractViolation("a collective in a branch that depends on data hangs the job")
        graph = getattr(graph, "outer_graph", None)


def _swap(name: str, stale: str, arrays: tuple) -> list[list[np.ndarray]]:
    """Leave this rank's arrays, wait for the others', return all by rank."""
    folder, rank = os.environ["FAKE_NPU_DIR"], memory.handle.worker_id
    deadline = time.monotonic() + float(os.environ.get("FAKE_NPU_TIMEOUT", "60"))
    draft = os.path.join(folder, f"draft-{rank}.npz")
    np.savez(draft, *arrays)
    os.replace(draft, os.path.join(folder, f"{name}-{rank}.npz"))
    parts = []
    for other in range(memory.handle.workers_num):
        path = os.path.join(folder, f"{name}-{other}.npz")
        while not os.path.exists(path):
            if time.monotonic() > deadline:
                raise RuntimeError(f"rank {other} did not come to collective {name}")
            time.sleep(0.002)
        with np.load(path) as file:
            parts.append([file[f"arr_{i}"] for i in range(len(file.files))])
    _same(name, parts)
    old = os.path.join(folder, f"{stale}-{rank}.npz")
    if os.path.exists(old):  # everyone who reached this round has read the one before
        os.remove(old)
    return parts


def _same(name: str, parts: list) -> None:
    forms = [[(a.dtype.name, a.shape) for a in part] for part in parts]
    if any(form != forms[0] for form in forms):
        raise RuntimeError(f"collective {name} differs between ranks: {forms}")
