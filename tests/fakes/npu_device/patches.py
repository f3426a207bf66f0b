"""What `as_default()` changes in TensorFlow, and refusal of what then breaks without a word."""

from __future__ import annotations

import functools
from typing import Any

import tensorflow as tf

from .contract import ContractViolation, memory

# What `assign` gives back, and the exporter's stand-ins: handles of variables that exist.
_NOT_NEW = ("_UnreadVariable", "UninitializedVariable")


def install() -> None:
    """Install all rules; there is no way back."""
    _functions()
    _devices()
    _variables()


def _functions() -> None:
    make = tf.function
    kind = type(make(lambda: None))
    call, concrete = kind.__call__, kind.get_concrete_function

    @functools.wraps(make)
    def function(*args: Any, **kwargs: Any) -> Any:
        for name in ("jit_compile", "experimental_compile"):
            if kwargs.get(name):
                kwargs[name] = False  # the adapter forces XLA off
        return make(*args, **kwargs)

    @functools.wraps(call)
    def checked(self: Any, *args: Any, **kwargs: Any) -> Any:
        if memory.depth or _inside_graph():
            raise ContractViolation(
                f"compiled function {_name(self)} called inside another one: the adapter runs it "
                "as plain Python, perhaps twice, and drops its signature"
            )
        _check_loop(self, concrete, args, kwargs)
        memory.depth += 1
        try:
            memory.record("call", _name(self))
            return call(self, *args, **kwargs)
        finally:
            memory.depth -= 1

    @functools.wraps(concrete)
    def traced(self: Any, *args: Any, **kwargs: Any) -> Any:
        memory.depth += 1
        try:
            return concrete(self, *args, **kwargs)
        finally:
            memory.depth -= 1

    tf.function = function
    kind.__call__, kind.get_concrete_function = checked, traced


def _name(function: Any) -> str:
    return getattr(function.python_function, "__name__", "?")


def _inside_graph() -> bool:
    """In a function's graph; a data pipeline's and an exporter's run on the host."""
    if tf.executing_eagerly():
        return False
    name = getattr(tf.compat.v1.get_default_graph(), "name", None)  # plain graphs have none
    return name is not None and "ataset" not in name


def _check_loop(function: Any, concrete: Any, args: tuple, kwargs: dict) -> None:
    """Loop size against loop count, and the number of batches pulled from each iterator."""
    counts = [int(a) for a in tf.nest.flatten((args, kwargs)) if _is_count(a)]
    pending, memory.loop_pending = memory.loop_pending, False
    if pending and memory.loop_size not in counts:
        raise ContractViolation(
            f"loop size {memory.loop_size} is followed by {_name(function)} with the integers "
            f"{counts}: the device runs as many rounds as the loop size says"
        )
    if not any(isinstance(a, tf.data.Iterator) for a in (*args, *kwargs.values())):
        return
    memory.depth += 1
    try:
        definition = concrete(function, *args, **kwargs).graph.as_graph_def()
    finally:
        memory.depth -= 1
    looped = any(_pulls(f.node_def) for f in definition.library.function)
    if looped and memory.loop_size not in counts:
        raise ContractViolation(
            f"{_name(function)} loops {counts} times over an iterator, the loop size is "
            f"{memory.loop_size}: it hangs, or runs the wrong number of steps"
        )
    sources = [node.input[0] for node in _pulls(definition.node)]
    if len(set(sources)) < len(sources):
        raise ContractViolation(
            f"{_name(function)} takes two batches from one iterator in a call: it hangs"
        )


def _is_count(value: Any) -> bool:
    if not isinstance(value, tf.Tensor) or not hasattr(value, "numpy"):
        return isinstance(value, int) and not isinstance(value, bool)
    return value.dtype.is_integer and value.shape.rank == 0


def _pulls(nodes: Any) -> list:
    return [node for node in nodes if node.op == "IteratorGetNext"]


def _devices() -> None:
    def device(name: Any) -> Any:
        raise ContractViolation(f"tf.device({name!r}) has no effect once the NPU is the default")

    def run_functions_eagerly(on: bool) -> None:
        if on:
            raise ContractViolation("run_functions_eagerly: every operator would be its own graph")

    tf.device = device
    tf.config.run_functions_eagerly = run_functions_eagerly


def _variables() -> None:
    kind = type(tf.Variable)
    create = kind.__call__

    def checked(cls: Any, *args: Any, **kwargs: Any) -> Any:
        tracing = memory.depth or not tf.executing_eagerly()
        if tracing and cls.__name__ not in _NOT_NEW:
            raise ContractViolation(
                "a variable created inside a compiled function is never initialised on the device"
            )
        result = create(cls, *args, **kwargs)
        memory.eager_variable_operations += not tracing
        return result

    kind.__call__ = checked
    base = next(c for c in _resource_class().__mro__ if "numpy" in vars(c) and "assign" in vars(c))
    for name in ("assign", "assign_add", "assign_sub", "numpy", "read_value"):
        setattr(base, name, _counted(vars(base)[name]))


def _resource_class() -> type:
    probe = tf.Variable(0.0)
    return type(probe)


def _counted(method: Any) -> Any:
    @functools.wraps(method)
    def counting(self: Any, *args: Any, **kwargs: Any) -> Any:
        if not memory.depth and tf.executing_eagerly():
            memory.eager_variable_operations += 1  # a graph build each on the device
        return method(self, *args, **kwargs)

    return counting
