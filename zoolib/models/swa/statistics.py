"""Batch-norm statistics for the average of a running ``fit``: from which data, and a check."""

from __future__ import annotations

import warnings
from typing import Any, Optional

import tensorflow as tf

from zoolib.errors import ConfigError
from zoolib.models.swa.batch_norm import BatchNormPass, disagreement
from zoolib.models.swa.batches import sample_inputs
from zoolib.models.swa.fit_data import FitCall

_ALARM = 0.5  # disagreement of inference and training mode, as a share of the outputs' spread
_ONE_PASS = (tf.distribute.DistributedDataset, tf.distribute.DistributedIterator)


class Statistics:
    """The batch-norm pass of one run.

    Args:
        model: a Keras model; without batch norm that trains there is nothing to do.
        fit: the call that trains it, if it is Keras' own.
        dataset: data for the pass; None takes those of ``fit``.
        batch_size: for arrays; None is that of ``fit``.
        repeated: whether passes are made while training goes on.

    Raises:
        ConfigError: if there are no data for it, or reading them would change training.
    """

    def __init__(
        self,
        model: Any,
        fit: Optional[FitCall],
        dataset: Any,
        batch_size: Optional[int],
        repeated: bool,
    ) -> None:
        self.model, self.fit, self.dataset = model, fit, dataset
        self.batch_size = batch_size or (fit.batch_size if fit else None)
        self._pass = BatchNormPass(model)
        self.needed = bool(self._pass.layers)
        if not self.needed or dataset is not None:
            return
        if fit is None:
            raise ConfigError(
                "bn_dataset=None: expected the data for the batch-norm statistics, because this "
                "training loop is not fit(), whose data would be read"
            )
        if repeated and fit.kind in ("dataset", "generator"):
            raise ConfigError(
                "bn_dataset=None: expected a dataset of its own for the batch-norm statistics, "
                f"because validating the average reads it every time and reading the {fit.kind} "
                "that fit() trains on would change the order of training"
            )

    def refresh(self) -> int:
        """Recompute them for the weights at hand; returns the number of samples read."""
        if not self.needed:
            return 0
        data, steps = (self.dataset, None) if self.dataset is not None else self.fit.once_more()
        return self._pass.run(data, steps, self.batch_size)

    def check(self) -> Optional[float]:
        """Compare inference with training mode on some training data; warn if they disagree.

        Returns:
            The disagreement (see `batch_norm.disagreement`); None if there is nothing to compare.
        """
        data = self.dataset
        if self.fit is not None and self.fit.kind != "generator":
            data = self.fit.once_more()[0]  # what is trained on, whatever the pass was given
        once = data is None or hasattr(data, "__next__") or isinstance(data, _ONE_PASS)
        if not self.needed or once:
            return None
        away = disagreement(self.model, sample_inputs(data, self.batch_size))
        if not away < _ALARM:
            warnings.warn(
                "SWA: on training data the averaged model's outputs at inference differ from those "
                f"with batch statistics by {away:.0%} of their spread. The batch-norm statistics "
                "do not fit the training data; is bn_dataset prepared as they are? Mend them with "
                "zoolib.update_batch_norm(model, data).",
                stacklevel=4,
            )
        return away
