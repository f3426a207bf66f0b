"""What the running ``fit`` of a model reads, for a callback that was given no data of its own.

Keras shows its callbacks neither data nor neighbours. Both stand in the frame of ``Model.fit``
under the names of its public arguments (``x``, ``batch_size``, ``callbacks``), in Keras 2 and 3
alike; that frame is above every callback on the stack.
"""

from __future__ import annotations

import sys
from typing import Any, NamedTuple, Optional

import tensorflow as tf


class FitCall(NamedTuple):
    """A call of ``fit`` in progress.

    Attributes:
        x: what it was given to train on; with ``validation_split`` the training part of it.
        batch_size: as given; None if left to Keras.
        steps_per_epoch: as given.
        callbacks: all of them, in the order in which they are called.
        iterator: where it takes its batches from; None before the first one.
    """

    x: Any
    batch_size: Optional[int]
    steps_per_epoch: Optional[int]
    callbacks: list
    iterator: Any

    @property
    def kind(self) -> str:
        """What ``x`` is: dataset, generator, sequence (of batches by number) or arrays."""
        if isinstance(self.x, (tf.data.Dataset, tf.distribute.DistributedDataset)):
            return "dataset"
        if hasattr(self.x, "__next__"):
            return "generator"
        arrays = isinstance(self.x, (list, tuple, dict)) or hasattr(self.x, "shape")
        if not arrays and hasattr(self.x, "__getitem__") and hasattr(self.x, "__len__"):
            return "sequence"
        return "arrays" if arrays else "generator"

    def once_more(self) -> tuple[Any, Optional[int]]:
        """Data for one more pass, and how many batches of it to take (None: all)."""
        if self.kind == "arrays":
            return (self.x,), None
        if self.kind == "generator":  # goes on where training stopped
            return self.iterator, self.steps_per_epoch
        return self.x, self.steps_per_epoch


def current_fit(model: Any) -> Optional[FitCall]:
    """The ``fit`` of this model that is running; None in a training loop that is not Keras'."""
    frame = sys._getframe(1)
    while frame is not None:
        names = frame.f_locals
        if frame.f_code.co_name == "fit" and names.get("self") is model and "x" in names:
            callbacks = names.get("callbacks")
            return FitCall(
                names["x"],
                names.get("batch_size"),
                names.get("steps_per_epoch"),
                list(getattr(callbacks, "callbacks", callbacks) or []),
                names.get("iterator"),
            )
        frame = frame.f_back
    return None
