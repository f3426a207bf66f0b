"""A trained task as a file for other programs: SavedModel, frozen graph, ONNX, TFLite.

`tflite-int8` is a TFLite file whose weights and arithmetic have eight bits. The ranges of values
are measured on training inputs of the run, `Task.export_samples`; in and out go float32 as before.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from zoolib.core import convert
from zoolib.errors import ConfigError, StoreError

FORMATS = ("savedmodel", "frozen", "onnx", "tflite", "tflite-int8")


class ExportedPath(type(Path())):  # type: ignore[misc]
    """The path of what was written.

    Attributes:
        conversion: of a frozen graph, its inputs and outputs and the command that makes an offline
            model for an Ascend chip of it (:class:`~zoolib.core.convert.Conversion`); else None.
    """

    conversion: convert.Conversion | None = None


def export(task: Any, format: str, to: str | Path) -> ExportedPath:
    """Write a trained task.

    A SavedModel holds all functions of ``task.export_module()``; the other formats hold its
    stateless ``serve`` function with static shapes. Beside a frozen graph, in a file of the same
    name with ``.convert.txt`` after it, stands how to convert it for an Ascend chip.

    Args:
        task: a trained task, e.g. ``result.task``.
        format: one of FORMATS.
        to: folder (savedmodel) or file to make; must not exist.

    Returns:
        The path; of a frozen graph, ``.conversion.command`` is the converter's command.

    Raises:
        ConfigError: for an unknown format, one whose converter is not installed, a function
            without the static shapes a frozen graph is to have, or one that eight bits cannot hold.
        StoreError: if ``to`` exists.
    """
    import tensorflow as tf

    from zoolib.core import files

    if format not in FORMATS:
        raise ConfigError(f"format: expected one of {', '.join(FORMATS)}, got {format!r}")
    path = ExportedPath(to)
    beside = path.with_name(path.name + convert.SUFFIX)
    for place in (path, beside) if format == "frozen" else (path,):
        if place.exists():
            raise StoreError(f"to: {place} exists; nothing was overwritten")
    files.check_writable(path.parent)
    path.parent.mkdir(parents=True, exist_ok=True)
    with task.session.placement():
        module = task.export_module()
        if format == "savedmodel":
            tf.saved_model.save(module, str(path), signatures=module.signatures())
            return path
        content, path.conversion = _content(task, module, format, path)
    files.write_bytes(path, content)
    if path.conversion is not None:
        files.write_bytes(beside, path.conversion.text().encode())
    return path


def _content(
    task: Any, module: Any, format: str, path: Path
) -> tuple[bytes, convert.Conversion | None]:
    """The bytes of the file and, of a frozen graph, how to convert it."""
    from zoolib.runtime import compat

    concrete = module.signatures()["serve"]
    if format.startswith("tflite"):
        samples = task.export_samples() if format == "tflite-int8" else None
        try:
            return compat.to_tflite(concrete, module, samples), None
        except ValueError as error:
            raise ConfigError(f"format: {format} cannot hold this function: {error}") from error
    frozen = compat.freeze(concrete)
    graph = frozen.graph.as_graph_def()
    if format == "onnx":
        return _onnx(frozen, graph, concrete.structured_outputs), None
    conversion = convert.describe(path, frozen, concrete.structured_outputs)
    return graph.SerializeToString(), conversion


def _onnx(frozen: Any, graph: Any, structured: Any) -> bytes:
    """The graph in ONNX; inputs and outputs are called what the function calls them."""
    try:
        import tf2onnx
    except ImportError:
        raise ConfigError(
            "format: onnx needs the package tf2onnx (pip install 'zoolib[export]')"
        ) from None
    names = [[t.name for t in tensors] for tensors in (frozen.inputs, frozen.outputs)]
    plain = {name: name.split(":")[0] for name in names[0]}
    if isinstance(structured, dict):
        plain.update(zip(names[1], sorted(structured)))
    model, _ = tf2onnx.convert.from_graph_def(
        graph, input_names=names[0], output_names=names[1], tensors_to_rename=plain
    )
    return model.SerializeToString()
