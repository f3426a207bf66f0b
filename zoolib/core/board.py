"""TensorBoard event files beside the run's own history."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path

import tensorflow as tf

from zoolib.errors import StoreError

# What `tf.summary.scalar` writes; that function itself needs the tensorboard package, which current
# TensorFlow no longer brings along.
_SCALAR = tf.compat.v1.SummaryMetadata(
    plugin_data=tf.compat.v1.SummaryMetadata.PluginData(plugin_name="scalars"),
    data_class="DATA_CLASS_SCALAR",
)


class Board:
    """Writes scalars, eagerly and from Python, so no summary op enters a compiled step.

    Args:
        folder: where to.
        silent: write nothing, for ranks other than 0.
    """

    def __init__(self, folder: Path, silent: bool = False) -> None:
        self._folder = folder
        with _writing(folder):
            self._writer = (
                tf.summary.create_noop_writer()
                if silent
                else tf.summary.create_file_writer(str(folder))
            )

    def scalars(self, step: int, values: dict[str, float]) -> None:
        """Write named numbers at a step.

        Raises:
            StoreError: if they cannot be written.
        """
        with _writing(self._folder), self._writer.as_default():
            for name, value in values.items():
                tf.summary.write(name, tf.constant(value, tf.float32), step, _SCALAR)

    def close(self) -> None:
        """Flush and close; called when a run ends for whatever reason, so it only warns."""
        try:
            with _writing(self._folder):
                self._writer.close()
        except StoreError as error:
            logging.getLogger("zoolib").warning(error)


@contextlib.contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except tf.errors.OpError as error:
        told = " ".join(error.message.split())
        raise StoreError(f"{folder}: cannot be written: {told}") from error
