"""What SWA gathers in a training run, as variables that travel with the model's checkpoints."""

from __future__ import annotations

import warnings
from typing import Any, Callable, Optional

import tensorflow as tf

from zoolib.errors import ConfigError
from zoolib.models.swa.arguments import Arguments
from zoolib.models.swa.batch_norm import strategy_of, variable
from zoolib.optim.averaging import EqualAverage


class State:
    """The average and the place in the run: last finished epoch, steps averaged over, first rate.

    Args:
        given: the callback's arguments.
        carrier: makes, from this object, what brings `variables` into the weight files of a Keras
            that saves by walking over the model's attributes; None where the model is trackable.
    """

    def __init__(self, given: Arguments, carrier: Optional[Callable] = None) -> None:
        self.given = given
        self.root = tf.train.Checkpoint()
        self.last_step = 0
        self._carrier = carrier and carrier(self)
        self._model: Any = None

    @property
    def average(self) -> Optional[EqualAverage]:
        """The average; None before the model has weights."""
        return getattr(self.root, "average", None)

    @property
    def variables(self) -> list[tf.Variable]:
        """All there is to save, in a fixed order."""
        place = [self.root.epoch, self.root.steps, self.root.rate]
        return place + ([self.average.count, *self.average.kept] if self.average else [])

    def attach(self, model: Any) -> None:
        """Let the model's checkpoints carry the state."""
        self._model = model
        if not hasattr(self.root, "epoch"):
            with strategy_of(model).scope():
                self.root.epoch = tf.Variable(-1, dtype=tf.int64, trainable=False)
                self.root.steps = tf.Variable(0, dtype=tf.int64, trainable=False)
                self.root.rate = tf.Variable(0.0, dtype=tf.float64, trainable=False)
        self._make_average()
        model._swa_state = self.root
        if self._carrier:  # past Keras' tracking, which would count it among the layers
            object.__setattr__(model, "_swa_carrier", self._carrier)

    def detach(self) -> None:
        """Take the state out of the model again."""
        del self._model._swa_state
        if self._carrier:
            object.__delattr__(self._model, "_swa_carrier")

    def finish(self) -> None:
        """Detach, and let the next training start afresh; the average stays to be looked at."""
        self.detach()
        self.root.epoch.assign(-1)
        self.root.rate.assign(0.0)

    def begin(self, epoch: int, rate: Optional[float]) -> Optional[float]:
        """Decide whether training goes on or starts, at its first epoch.

        Args:
            epoch: that epoch, from 0.
            rate: the optimizer's rate as it is now.

        Returns:
            The rate the whole run started with.

        Raises:
            ConfigError: if the state is of another epoch than training goes on after.
        """
        self._make_average()
        last, start = int(self.root.epoch.numpy()), self.given.start
        if not (epoch and last == epoch - 1):
            if epoch > start and last >= start:
                raise ConfigError(
                    f"SWA: the average is of epoch {last + 1} but training goes on with epoch "
                    f"{epoch + 1}; expected a state saved in the epoch before. In the list of "
                    "callbacks SWA must stand before the one that saves the model"
                )
            if epoch > start:
                warnings.warn(
                    f"SWA: training goes on with epoch {epoch + 1}, after start_epoch="
                    f"{self.given.start_epoch}, without the state of the epochs before; averaging "
                    "starts now",
                    stacklevel=3,
                )
            self._clear(rate)
        self.last_step = self.steps()
        return self.rate()

    def rate(self) -> Optional[float]:
        """The optimizer's rate at the beginning of the run; None if unknown."""
        return float(self.root.rate.numpy()) or None

    def steps(self) -> int:
        """Steps of the averaging phase up to the end of the last epoch."""
        return int(self.root.steps.numpy())

    def count(self) -> int:
        """Number of snapshots."""
        return int(self.average.count.numpy()) if self.average else 0

    def snapshot(self) -> None:
        """Take the weights into the average."""
        self._make_average()
        with strategy_of(self._model).scope():
            self._update()

    def end_epoch(self, epoch: int) -> None:
        """Note that an epoch is complete."""
        self.root.epoch.assign(epoch)
        self.root.steps.assign(self.last_step)

    def apply(self) -> None:
        """Put the average into the model."""
        with strategy_of(self._model).scope():
            self.average.assign()

    def _clear(self, rate: Optional[float]) -> None:
        self.root.epoch.assign(-1)
        self.root.steps.assign(0)
        self.root.rate.assign(rate or 0.0)
        if self.average:
            for v in [self.average.count, *self.average.kept]:
                v.assign(tf.zeros_like(v))

    def _make_average(self) -> None:
        """The average of the model's chosen weights, once there are weights."""
        if not self._model.built:
            return
        weights = [w for w in self._model.trainable_variables if self.given.chooses(_name(w))]
        if not weights:
            names = [_name(w) for w in self._model.trainable_variables]
            raise ConfigError(
                f"include={self.given.include!r}, exclude={self.given.exclude!r}: expected "
                f"patterns that choose some of the trainable weights {names[:20]}"
            )
        sources = [variable(w) for w in weights]
        known = self.average.sources if self.average else []
        if [id(v) for v in known] != [id(v) for v in sources]:
            with strategy_of(self._model).scope():
                self.root.average = EqualAverage(sources, self.given.window or 0)
            # concrete: of many fits in a row TensorFlow would say that they trace too often
            self._update = tf.function(self.average.update).get_concrete_function()


def _name(weight: Any) -> str:
    return getattr(weight, "path", None) or weight.name.split(":")[0]
