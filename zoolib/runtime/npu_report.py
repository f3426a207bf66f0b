"""What the graph lint found, as an object, a table and plain values for JSON."""

from __future__ import annotations

import collections
import dataclasses
import textwrap
from typing import Any

from zoolib.runtime.npu_ops import CLASSES

# What is found -> why it matters. The first table fails a check, the second is told and no more.
PROBLEMS = {
    "operator not accepted": "splits the step into several device graphs with copies in between",
    "unknown shape": "makes a dynamic graph: no prebuilt kernels, some operators not at all",
    "float64": "has no kernel on the device; make it float32 before it gets here",
    "unsupported type": "only plain numbers can be on the device",
    "random operator": "draw on the host, pass the numbers as tensors",
    "while loop": "unroll over static dimensions, or call once per step",
    "nested call": "the adapter calls nested compiled functions as plain Python; pass the function",
    "variable created in the step": "is never initialised on an NPU; create it before",
    "retrace": "every trace is a graph to build; pass numbers as tensors, keep shapes fixed",
    "eager variable operation": "builds and runs a graph of its own; read and write in bulk",
}
WARNINGS = {
    "slow path": "accepted, but without a kernel on the AI Core: keep it rare",
    "int64": "works, slower than int32",
}


@dataclasses.dataclass
class StepReport:
    """One function as the NPU would see it.

    Attributes:
        name: what was checked.
        steps: calls over which traces and eager operations were counted.
        operators: class (:data:`zoolib.runtime.npu_ops.CLASSES`) -> operator -> nodes.
        nodes: size of the graph, called functions included.
        library_functions: functions it calls.
        variables: variables bound into it; they stay on the device.
        copies: tensors copied per call, ``"in"`` to the device and ``"out"`` back to the host.
        copied_bytes: their sizes.
        retraces: traces beyond the first.
        eager_variable_operations: per step, after the first.
        found: kind (:data:`PROBLEMS`, :data:`WARNINGS`) -> what -> the nodes, first one named.
    """

    name: str
    steps: int
    operators: dict[str, collections.Counter] = dataclasses.field(
        default_factory=lambda: {kind: collections.Counter() for kind in CLASSES}
    )
    nodes: int = 0
    library_functions: int = 0
    variables: int = 0
    copies: dict[str, int] = dataclasses.field(default_factory=dict)
    copied_bytes: dict[str, int] = dataclasses.field(default_factory=dict)
    retraces: int = 0
    eager_variable_operations: float = 0.0
    found: dict[str, dict[str, list]] = dataclasses.field(default_factory=dict)

    def find(self, kind: str, what: str, place: str = "") -> None:
        """Note one more node (or one thing) of a kind."""
        entry = self.found.setdefault(kind, {}).setdefault(what, [0, place])
        entry[0] += 1

    def count(self, kind: str) -> int:
        """How many nodes of a kind were found."""
        return sum(nodes for nodes, _ in self.found.get(kind, {}).values())

    @property
    def ok(self) -> bool:
        """Whether nothing stands against running it on an NPU."""
        return not self.problems

    @property
    def problems(self) -> list[str]:
        """One line for each thing that fails the check, its kind first; see :data:`PROBLEMS`."""
        return self._told(PROBLEMS)

    @property
    def warnings(self) -> list[str]:
        """One line for each thing that is slow but accepted; see :data:`WARNINGS`."""
        return self._told(WARNINGS)

    def _told(self, kinds: dict[str, str]) -> list[str]:
        lines = []
        for kind, reason in kinds.items():
            for what, (nodes, place) in self.found.get(kind, {}).items():
                where = f" ({nodes} node{'s' * (nodes > 1)}, first {place})" if place else ""
                lines.append(f"{kind}: {what}{where}; {reason}")
        return lines

    def table(self) -> str:
        """The report as plain text."""
        lines = [f"{self.name}: {'ready for the NPU' if self.ok else 'not for the NPU as it is'}"]
        lines.append(f"  {'class of operator':23}{'nodes':>6}  operators")
        for kind, title in CLASSES.items():
            operators = self.operators[kind]
            listed = ", ".join(f"{op} {n}" for op, n in sorted(operators.items())) or "none"
            first, *rest = textwrap.wrap(listed, 67)
            lines.append(f"  {title:23}{sum(operators.values()):6}  {first}")
            lines += [" " * 33 + line for line in rest]
        lines += [f"  {title:47}{value}" for title, value in self._figures()]
        lines += [f"  problem: {line}" for line in self.problems]
        lines += [f"  warning: {line}" for line in self.warnings]
        return "\n".join(lines)

    def _figures(self) -> list[tuple[str, str]]:
        count, copies, size = self.count, self.copies, self.copied_bytes
        rows = [
            ("nodes in graph and library", f"{self.nodes} ({self.library_functions} functions)"),
            ("unknown shapes", count("unknown shape")),
            ("float64 / int64 tensors", f"{count('float64')} / {count('int64')}"),
            ("tensors of other types", count("unsupported type")),
            ("random operators", count("random operator")),
            ("while loops / nested calls", f"{count('while loop')} / {count('nested call')}"),
            ("variables, resident on the device", self.variables),
            ("copies to the device per step, estimated", f"{copies['in']} ({size['in']} bytes)"),
            ("copies to the host per step, estimated", f"{copies['out']} ({size['out']} bytes)"),
            (f"retraces in {self.steps} steps", self.retraces),
            ("eager variable operations per step", f"{self.eager_variable_operations:g}"),
        ]
        return [(title, str(value)) for title, value in rows]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        names = {
            "not_accepted": "operator not accepted",
            "unknown_shapes": "unknown shape",
            "float64": "float64",
            "int64": "int64",
            "unsupported_types": "unsupported type",
            "random_operators": "random operator",
            "while_loops": "while loop",
            "nested_calls": "nested call",
            "variables_created": "variable created in the step",
            "slow_path": "slow path",
        }
        return {
            "name": self.name,
            "ok": self.ok,
            "problems": self.problems,
            "warnings": self.warnings,
            "operators": {kind: dict(sorted(ops.items())) for kind, ops in self.operators.items()},
            **{name: self.count(kind) for name, kind in names.items()},
            "nodes": self.nodes,
            "library_functions": self.library_functions,
            "variables": self.variables,
            "copies": dict(self.copies),
            "copied_bytes": dict(self.copied_bytes),
            "steps": self.steps,
            "retraces": self.retraces,
            "eager_variable_operations_per_step": self.eager_variable_operations,
        }
