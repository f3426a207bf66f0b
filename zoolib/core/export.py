"""A trained task as a file for other programs: SavedModel, frozen graph, ONNX, TFLite."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from zoolib.errors import ConfigError, StoreError

FORMATS = ("savedmodel", "frozen", "onnx", "tflite")


def export(task: Any, format: str, to: str | Path) -> Path:
    """Write a trained task.

    A SavedModel holds all functions of ``task.export_module()``; the other formats hold its
    stateless ``serve`` function with static shapes.

    Args:
        task: a trained task, e.g. ``result.task``.
        format: one of savedmodel, frozen, onnx, tflite.
        to: folder (savedmodel) or file to make; must not exist.

    Raises:
        ConfigError: for an unknown format, or one whose converter is not installed.
        StoreError: if ``to`` exists.
    """
    import tensorflow as tf

    from zoolib.core import files
    from zoolib.runtime import compat

    if format not in FORMATS:
        raise ConfigError(f"format: expected one of {', '.join(FORMATS)}, got {format!r}")
    path = Path(to)
    if path.exists():
        raise StoreError(f"to: {path} exists; nothing was overwritten")
    files.check_writable(path.parent)
    path.parent.mkdir(parents=True, exist_ok=True)
    with task.session.placement():
        module = task.export_module()
        if format == "savedmodel":
            tf.saved_model.save(module, str(path), signatures=module.signatures())
            return path
        concrete = module.signatures()["serve"]
        if format == "tflite":
            content = compat.to_tflite(concrete, module)
        else:
            graph = compat.freeze(concrete).graph.as_graph_def()
            content = graph.SerializeToString() if format == "frozen" else _onnx(concrete)
    files.write_bytes(path, content)
    return path


def _onnx(concrete: Any) -> bytes:
    try:
        import tf2onnx
    except ImportError:
        raise ConfigError(
            "format: onnx needs the package tf2onnx (pip install 'zoolib[export]')"
        ) from None
    from zoolib.runtime import compat

    frozen = compat.freeze(concrete)
    names = [[t.name for t in tensors] for tensors in (frozen.inputs, frozen.outputs)]
    model, _ = tf2onnx.convert.from_graph_def(
        frozen.graph.as_graph_def(), input_names=names[0], output_names=names[1]
    )
    return model.SerializeToString()
