"""Lint for step functions: what an Ascend NPU would make of a graph, told without an NPU.

A function is traced with its real shapes on whatever machine this is; its graph, with the bodies
of all functions it calls, is compared with the operator tables of `zoolib.runtime.npu_ops`.
"""

from __future__ import annotations

import collections
from collections.abc import Iterator
from typing import Any, Callable

import tensorflow as tf

from zoolib.runtime import compat, npu_ops
from zoolib.runtime.npu_report import StepReport

STEPS = 50  # over which traces and eager operations are counted
_NUMERIC = frozenset(
    "bool float16 bfloat16 float32 int8 int16 int32 int64 uint8 uint16 uint32 uint64".split()
)


def npu_check(
    fn: Callable,
    *specs: Any,
    feed: Callable[[int], tuple] | None = None,
    steps: int = STEPS,
    name: str | None = None,
    autograph: bool = True,
) -> StepReport:
    """Check a function of one's own for the NPU; nothing is run, so no variable changes.

    Args:
        fn: a Python function, or a `tf.function`, whose Python function is then taken.
        specs: its arguments: `tf.TensorSpec` with the real shapes, tensors, arrays, nests of them;
            Python values are taken as constants of the trace, as a call would.
        feed: function of the step number giving the arguments of that step, where they vary; shows
            retraces, and eager operations on variables made to get at the arguments.
        steps: steps over which retraces are counted.
        name: the report's title, the function's own name unless told.
        autograph: whether `if` and `for` on tensors are converted, as `tf.function` does.

    Returns:
        A report with ``ok``, ``problems``, ``warnings``, ``table()`` and ``to_dict()``.

    Raises:
        Whatever ``fn`` raises with these arguments.
    """
    python = getattr(fn, "python_function", fn)
    watched = Watched(python)
    compiled = tf.function(watched, autograph=autograph)
    arguments = feed or (lambda _: specs)
    title = name or getattr(python, "__name__", type(python).__name__)
    return check_steps(
        lambda i: compiled.get_concrete_function(*arguments(i)), watched, title, steps
    )


class Watched:
    """A function that notes how often it is traced, and what variables it creates meanwhile."""

    def __init__(self, fn: Callable) -> None:
        self.traces, self.created, self._fn = 0, [], fn

    def __call__(self, *arguments: Any) -> Any:
        """What the function returns."""
        self.traces += 1
        with tf.variable_creator_scope(self._note):
            return self._fn(*arguments)

    def _note(self, make: Callable, **options: Any) -> Any:
        self.created.append(options.get("name") or "unnamed")
        return make(**options)


def check_steps(
    trace: Callable[[int], Any], watched: Watched, title: str, steps: int = STEPS
) -> StepReport:
    """The report on a compiled function over a number of steps.

    Args:
        trace: function of the step number returning the concrete function of that step.
        watched: what is traced.
        title: name of the report.
        steps: how many; the first is always taken.
    """
    concrete = trace(0)
    report = StepReport(title, steps=steps)
    _look_at_graph(concrete, report)
    for variable in dict.fromkeys(watched.created):
        report.find("variable created in the step", variable)
    with compat.eager_variable_operations() as eager:
        for step in range(1, steps):
            trace(step)
    report.retraces = watched.traces - 1
    if report.retraces:
        report.find("retrace", f"{watched.traces} traces in {steps} steps")
    report.eager_variable_operations = len(eager) / max(steps - 1, 1)
    for kind, count in collections.Counter(eager).items():
        report.find("eager variable operation", f"{kind}, {count} in {steps - 1} steps")
    return report


def check_graph(concrete: Any, title: str) -> StepReport:
    """The report on one concrete function as it stands, such as a frozen one."""
    report = StepReport(title, steps=1)
    _look_at_graph(concrete, report)
    return report


def _look_at_graph(concrete: Any, report: StepReport) -> None:
    handles = {id(variable.handle) for variable in concrete.graph.variables}
    for tensor in concrete.captured_inputs:
        if tensor.dtype == tf.resource and id(tensor) not in handles:
            report.find("unsupported type", f"resource that is no variable, {_short(tensor)}")
    for tensors, name in ((concrete.inputs, "in"), (concrete.outputs, "out")):
        copied = [t for t in tensors if t.dtype not in (tf.resource, tf.variant)]
        report.copies[name] = len(copied)
        report.copied_bytes[name] = sum(_bytes(t) for t in copied)
    report.variables = len(handles)
    report.library_functions = len(_bodies(concrete.graph)) - 1
    for place, graph in _bodies(concrete.graph).items():
        for op in graph.get_operations():
            report.nodes += 1
            _look_at(op, f"{place}/{op.name}" if place else op.name, report)


def _bodies(graph: Any) -> dict[str, Any]:
    """The graph itself under "", and every function it calls, however deep, by name."""
    found, waiting = {"": graph}, [graph]
    while waiting:
        inside = waiting.pop()
        for op in inside.get_operations():
            for name in _called(op):
                body = None if name in found else compat.function_body(inside, name)
                if body is not None:
                    found[name] = body
                    waiting.append(body)
    return found


_CALLERS = npu_ops.CALLS | npu_ops.WHILE_LOOPS | {"If", "StatelessIf", "Case"}


def _called(op: Any) -> Iterator[str]:
    known = npu_ops.class_of(op.type) != npu_ops.REFUSED
    if known and op.type not in _CALLERS:  # attributes are slow to read
        return
    for value in op.node_def.attr.values():
        if value.HasField("func"):
            yield value.func.name
        yield from (each.name for each in value.list.func)


def _look_at(op: Any, place: str, report: StepReport) -> None:
    kind = npu_ops.class_of(op.type)
    folded = op.type in npu_ops.SHAPE_ARITHMETIC and all(_constant(t.op) for t in op.inputs)
    if folded:
        kind = npu_ops.ENGINE
    report.operators[kind][op.type] += 1
    if npu_ops.is_random(op.type):
        report.find("random operator", op.type, place)
    elif kind == npu_ops.REFUSED:
        report.find("operator not accepted", op.type, place)
    elif kind == npu_ops.SLOW:
        report.find("slow path", op.type, place)
    if op.type in npu_ops.WHILE_LOOPS:
        report.find("while loop", op.type, place)
    if op.type in npu_ops.CALLS:
        report.find("nested call", " ".join([op.type, *list(_called(op))[:1]]), place)
    # Conditions of loops have such arguments for what only the body uses.
    shapeless = folded or "redundant_placeholder" in op.name
    for tensor in op.outputs:
        if _reserved(tensor) or (op.type == "ZerosLike" and _reserved(op.inputs[0])):
            continue
        if not shapeless and not tensor.shape.is_fully_defined() and tensor.dtype != tf.resource:
            report.find("unknown shape", f"{op.type} {tensor.shape}", place)
        _look_at_type(op, tensor, place, report)


def _reserved(tensor: Any) -> bool:
    """Whether this is what a fused batch norm keeps for its own gradient, on GPUs only.

    TensorFlow gives that output no static shape, and a tape a `ZerosLike` of it that nothing uses.
    """
    return tensor.op.type == "FusedBatchNormV3" and tensor.value_index == 5


def _look_at_type(op: Any, tensor: Any, place: str, report: StepReport) -> None:
    name = tensor.dtype.base_dtype.name
    if name in ("float64", "int64"):
        report.find(name, op.type, place)
    elif name == "resource":
        pass  # of variables; others show as captured, or as operators that are not accepted
    elif name == "string" and op.type == "Const":
        # The text of an assertion stays with the graph engine.
        if any(user.type != "Assert" for user in tensor.consumers()):
            report.find("unsupported type", f"{name}, {op.type}", place)
    elif name not in _NUMERIC:
        report.find("unsupported type", f"{name}, {op.type}", place)


def _constant(op: Any) -> bool:
    """Whether an operator's value is known when the graph is built."""
    if op.type == "Const":
        return True
    if not op.inputs or npu_ops.is_random(op.type) or npu_ops.class_of(op.type) != npu_ops.FLOAT32:
        return op.type in npu_ops.SHAPE_ARITHMETIC and all(_constant(t.op) for t in op.inputs)
    return all(_constant(tensor.op) for tensor in op.inputs)


def _bytes(tensor: Any) -> int:
    return (tensor.shape.num_elements() or 0) * tensor.dtype.size


def _short(tensor: Any) -> str:
    return str(getattr(tensor, "name", "") or type(tensor).__name__)
