"""How a frozen graph becomes an offline model of an Ascend chip: the converter's command.

The converter, ``atc``, is part of the chip's software (CANN) and knows the graph only by what it is
told: names and shapes of the inputs, names of the outputs. All of that is read off the frozen
function here, so the command fits the file whatever the method. Options and their forms are those
of the vendor's reference of the tool (CANN 8.0 to 9.0); without ``--precision_mode`` it would lower
everything to float16.
"""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from zoolib.errors import ConfigError

SUFFIX = ".convert.txt"
CHIP = "<soc_version>"
ACCEPTED = ("float16", "float32", "uint8", "int32", "int64", "bool")  # types of inputs
# The mode of runs at float32 on an Ascend 910: products take float16, the rest keeps float32.
PRECISION, PRECISION_LATER = "allow_fp32_to_fp16", "must_keep_origin_dtype"
_TEXT = """\
{model}: frozen TensorFlow graph with static shapes, for Ascend's offline converter

{table}

Convert it where CANN is installed, after sourcing its set_env.sh:

{command}

This makes {output}.om. In place of {chip} put the chip it will run on:
Ascend followed by the Name that `npu-smi info` shows there.
{precision} takes float16 in matrix products and convolutions and keeps float32 where
the chip has it; an Atlas A2 or later has it throughout: --precision_mode={later}.
{remarks}"""


@dataclasses.dataclass(frozen=True)
class Port:
    """An input or output of a frozen graph.

    Attributes:
        name: of the node in the file.
        dtype: TensorFlow's name of the type.
        shape: static.
        layout: ``NHWC`` for four dimensions (images), ``ND`` otherwise.
        index: which output of the node.
        key: an output's name in the function's dictionary, if it returns one.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    layout: str
    index: int = 0
    key: str = ""


@dataclasses.dataclass(frozen=True)
class Conversion:
    """How to make an offline model of a frozen graph.

    Attributes:
        model: the graph's file.
        inputs, outputs: as the file names them, in the function's order.
        remarks: what the graph has that an Ascend 910's tables of operators and types have not.
    """

    model: Path
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    remarks: tuple[str, ...] = ()

    @property
    def output(self) -> Path:
        """The offline model, to which the converter adds ``.om``."""
        return self.model.with_suffix("") if self.model.suffix == ".pb" else self.model

    @property
    def input_format(self) -> str:
        """The one layout the converter is told: it takes no two, so mixed ones are ``ND``."""
        layouts = {port.layout for port in self.inputs}
        return layouts.pop() if len(layouts) == 1 else "ND"

    @property
    def words(self) -> tuple[str, ...]:
        """The command, word by word, unquoted; :data:`CHIP` stands for the chip's name."""
        shapes = ";".join(f"{p.name}:{','.join(map(str, p.shape))}" for p in self.inputs)
        nodes = ";".join(f"{p.name}:{p.index}" for p in self.outputs)
        return (
            "atc",
            "--framework=3",
            f"--model={self.model}",
            f"--output={self.output}",
            f"--input_format={self.input_format}",
            f"--input_shape={shapes}",
            f"--out_nodes={nodes}",
            f"--precision_mode={PRECISION}",
            f"--soc_version={CHIP}",
        )

    @property
    def command(self) -> str:
        """The command as one line of shell."""
        return shlex.join(self.words)

    def table(self) -> str:
        """Inputs and outputs as plain text."""
        rows = [("", "name", "dtype", "shape", "layout")]
        for kind, ports in (("input", self.inputs), ("output", self.outputs)):
            for port in ports:
                name = f"{port.name}:{port.index}" if kind == "output" else port.name
                name += f" ({port.key})" if port.key else ""
                shape = f"[{', '.join(map(str, port.shape))}]"
                rows.append((kind, name, port.dtype, shape, port.layout))
        widths = [max(map(len, column)) for column in zip(*rows)]
        return "\n".join(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip()
            for row in rows
        )

    def text(self) -> str:
        """Table, command and what its placeholder stands for."""
        return _TEXT.format(
            model=self.model,
            table=self.table(),
            command=" \\\n    ".join(shlex.quote(word) for word in self.words),
            chip=CHIP,
            output=self.output,
            precision=PRECISION,
            later=PRECISION_LATER,
            remarks="".join(f"On an Ascend 910: {line}.\n" for line in self.remarks),
        )


def describe(model: Path, frozen: Any, structured: Any = None) -> Conversion:
    """What the converter must be told of a frozen function.

    Args:
        model: where its graph is written.
        frozen: the function, variables turned into constants.
        structured: what the function returned before, from which outputs get their keys.

    Raises:
        ConfigError: for an input that has no static shape or a type the converter does not take.
    """
    from zoolib.runtime.npu_lint import check_graph

    keys: Sequence[str] = sorted(structured) if isinstance(structured, dict) else ()
    if len(keys) != len(frozen.outputs):
        keys = [""] * len(frozen.outputs)
    inputs = tuple(_port(tensor) for tensor in frozen.inputs)
    for port in inputs:
        if port.dtype not in ACCEPTED:
            raise ConfigError(
                f"export: expected inputs of {', '.join(ACCEPTED)}, got {port.name} of "
                f"{port.dtype}; the method's `serve` is to convert before"
            )
    remarks = check_graph(frozen, model.name).problems
    operators = frozen.graph.get_operations()
    if any(t.dtype.name == "bfloat16" for operator in operators for t in operator.outputs):
        remarks.append("bfloat16: the chip has none; train at float32, or convert for later chips")
    outputs = tuple(map(_port, frozen.outputs, keys))
    return Conversion(model, inputs, outputs, tuple(remarks))


def _port(tensor: Any, key: str = "") -> Port:
    name, _, index = tensor.name.partition(":")
    shape = tensor.shape
    if not shape.is_fully_defined():
        raise ConfigError(
            f"export: expected static shapes in a frozen graph, got {name} of {shape}; the "
            "method's `serve` is to fix them"
        )
    sizes = tuple(shape.as_list())
    layout = "NHWC" if len(sizes) == 4 else "ND"
    return Port(name, tensor.dtype.name, sizes, layout, int(index or 0), key)
