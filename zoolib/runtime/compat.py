"""Differences between TensorFlow 2.6.5 and current TensorFlow, one function each.

Features are tested for, versions are not compared.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Iterator
from typing import Any, Callable

import numpy as np
import tensorflow as tf


def quiet() -> None:
    """Keep TensorFlow's Python logger to errors; progress is told by events."""
    tf.get_logger().setLevel("ERROR")


def one_thread() -> bool:
    """Give CPU kernels one thread; False if TensorFlow has started and the number stands."""
    try:
        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    except RuntimeError:
        return False
    return True


def loops_under_xla() -> bool:
    """Whether XLA on the CPU compiles a loop that reads its data by the loop index.

    The compiler in TensorFlow 2.6 refuses slices by a loop variable; the release that brought
    ``reduce_retracing`` (2.9) is the first in use here that does not.
    """
    return "reduce_retracing" in inspect.signature(tf.function).parameters


def enable_determinism() -> bool:
    """Ask for bit-reproducible kernels; False where only the environment variable can (2.6)."""
    enable = getattr(tf.config.experimental, "enable_op_determinism", None)
    if enable is None:
        return False
    enable()
    return True


def freeze(concrete: Any) -> Any:
    """A concrete function with its variables turned into constants."""
    from tensorflow.python.framework.convert_to_constants import (
        convert_variables_to_constants_v2,
    )

    return convert_variables_to_constants_v2(concrete, lower_control_flow=True)


def to_tflite(concrete: Any, module: Any, samples: dict[str, np.ndarray] | None = None) -> bytes:
    """A TFLite file of one concrete function (2.6 takes no owner of the variables).

    Gradients inside a function (adaptation) have no native TFLite kernels; such ops are kept as
    TensorFlow's own ("flex"), except in eight bits, which they have not.

    Args:
        concrete: the function.
        module: owner of its variables.
        samples: for eight bits; of each input by name [samples, *its shape].

    Raises:
        ValueError: if the function cannot be converted, or samples do not fit its inputs.
    """
    make: Callable = tf.lite.TFLiteConverter.from_concrete_functions
    owned = "trackable_obj" in inspect.signature(make).parameters
    converter = make([concrete], module) if owned else make([concrete])
    sets = tf.lite.OpsSet
    converter.target_spec.supported_ops = [sets.TFLITE_BUILTINS, sets.SELECT_TF_OPS]
    if samples is not None:
        rows = _by_input(concrete, samples)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: (list(row) for row in zip(*rows))
        converter.target_spec.supported_ops = [sets.TFLITE_BUILTINS_INT8]
    try:
        return converter.convert()
    except Exception as error:  # the converter's own kind of error has no public name
        raise ValueError(str(error).strip().splitlines()[0][:300]) from error


def _by_input(concrete: Any, samples: dict[str, np.ndarray]) -> list[np.ndarray]:
    """Samples in the order of a function's inputs."""
    captured = {id(inside) for _, inside in concrete.graph.captures}
    rows = []
    for tensor in concrete.inputs:
        if id(tensor) in captured:
            continue
        name = tensor.name.split(":")[0]
        found = samples.get(name)
        if found is None or not len(found) or list(found.shape[1:]) != tensor.shape.as_list():
            got = "none" if found is None else list(found.shape)
            raise ValueError(f"samples of {name}: expected [n, *{tensor.shape}], got {got}")
        rows.append(found.astype(tensor.dtype.as_numpy_dtype))
    return rows


def function_body(graph: Any, name: str) -> Any:
    """The graph of a function that an operator of ``graph`` calls by name; None if unknown."""
    while graph is not None:
        body = getattr(graph._functions.get(name), "graph", None)
        if body is not None:
            return body
        graph = getattr(graph, "outer_graph", None)
    return None


@contextlib.contextmanager
def eager_variable_operations() -> Iterator[list[str]]:
    """Collects the types of operators that touch a variable eagerly, in this thread.

    Calls of compiled functions do not count: they take variables along without an operation of
    their own. On an NPU each one that counts builds, runs and unloads a graph.
    """
    from tensorflow.python.framework import op_callbacks

    found: list[str] = []

    def note(op_type: Any, inputs: Any, *_: Any, graph: Any = None, **__: Any) -> None:
        kind = op_type.decode() if isinstance(op_type, bytes) else str(op_type)
        handles = any(getattr(t, "dtype", None) == tf.resource for t in inputs)
        called = kind.startswith("__") or kind.endswith("PartitionedCall")
        freed = kind == "DestroyResourceOp"  # of 2.6, at whatever time garbage is collected
        if graph is None and (handles or kind == "VarHandleOp") and not called and not freed:
            found.append(kind)

    op_callbacks.add_op_callback(note)
    try:
        yield found
    finally:
        op_callbacks.remove_op_callback(note)
