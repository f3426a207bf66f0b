"""TensorBoard event files beside the run's own history."""

from __future__ import annotations

from pathlib import Path

import tensorflow as tf


# What `tf.summary.scalar` writes; that function itself needs the tensorboard package, which current
# TensorFlow no longer brings along.
_SCALAR = tf.compat.v1.SummaryMetadata(
    plugin_data=tf.compat.v1.SummaryMetadata.PluginData(plugin_name="scalars"),
    data_class="DATA_CLASS_SCALAR",
)


class Board:
    """Writes scalars, eagerly and from Python, so no summary op enters a compiled step."""

    def __init__(self, folder: Path) -> None:
        self._writer = tf.summary.create_file_writer(str(folder))

    def scalars(self, step: int, values: dict[str, float]) -> None:
        """Write named numbers at a step."""
        with self._writer.as_default():
            for name, value in values.items():
                tf.summary.write(name, tf.constant(value, tf.float32), step, _SCALAR)

    def close(self) -> None:
        """Flush and close."""
        self._writer.close()
