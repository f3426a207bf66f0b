"""A trained task as a file for other programs: SavedModel, frozen graph, ONNX, TFLite."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from zoolib.core import convert
from zoolib.errors import ConfigError, StoreError

FORMATS = ("savedmodel", "frozen", "onnx", "tflite")


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
        format: one of savedmodel, frozen, onnx, tflite.
        to: folder (savedmodel) or file to make; must not exist.

    Returns:
        The path; of a frozen graph, ``.conversion.command`` is the converter's command.

    Raises:
        ConfigError: for an unknown format, one whose converter is not installed, or a function
            without the static shapes a frozen graph is to have.
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
        content, path.conversion = _content(module, format, path)
    files.write_bytes(path, content)
    if path.conversion is not None:
        files.write_bytes(beside, path.conversion.text().encode())
    return path


def _content(module: Any, format: str, path: Path) -> tuple[bytes, convert.Conversion | None]:
    """The bytes of the file and, of a frozen graph, how to convert it."""
    from zoolib.runtime import compat

    concrete = module.signatures()["serve"]
    if format == "tflite":
        return compat.to_tflite(concrete, module), None
    frozen = compat.freeze(concrete)
    graph = frozen.graph.as_graph_def()
    if format == "onnx":
        return _onnx(frozen, graph), None
    conversion = convert.describe(path, frozen, concrete.structured_outputs)
    return graph.SerializeToString(), conversion


def _onnx(frozen: Any, graph: Any) -> bytes:
    try:
        import tf2onnx
    except ImportError:
        raise ConfigError(
            "format: onnx needs the package tf2onnx (pip install 'zoolib[export]')"
        ) from None
    names = [[t.name for t in tensors] for tensors in (frozen.inputs, frozen.outputs)]
    model, _ = tf2onnx.convert.from_graph_def(graph, input_names=names[0], output_names=names[1])
    return model.SerializeToString()
