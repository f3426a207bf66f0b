"""The learning rate of a Keras optimizer, of either Keras, behind loss scaling or not."""

from __future__ import annotations

import math
import warnings
from typing import Any, Optional

import numpy as np
import tensorflow as tf

from zoolib.errors import ConfigError


class OptimizerRate:
    """Reads it, sets it, notices others setting it.

    Args:
        optimizer: of a compiled model.
        schedule: the callback's; all but ``"manual"`` set the rate.

    Raises:
        ConfigError: if the rate is to be set but is a schedule object, which cannot be.
    """

    def __init__(self, optimizer: Any, schedule: str) -> None:
        self.optimizer, self.scheduled = optimizer, schedule != "manual"
        config = getattr(optimizer, "inner_optimizer", optimizer).get_config()
        self.known = not isinstance(config.get("learning_rate"), dict)
        self._variable = self._own_variable()
        self._set: Optional[float] = None
        self._prepared: list[tuple[float, tf.Tensor]] = []
        self._complained = False
        if self.scheduled and not self.known:
            raise ConfigError(
                f"lr_schedule={schedule!r}: expected 'manual', because the optimizer's learning "
                "rate is a LearningRateSchedule, which cannot be set"
            )

    def _own_variable(self) -> Optional[tf.Variable]:
        """The rate's variable, to be set without Keras' detours, which cost three times as much.

        None where there is no plain one: a schedule object, several replicas.
        """
        rate = self.optimizer.learning_rate if self.known else None
        rate = getattr(rate, "value", None) if not isinstance(rate, tf.Variable) else rate
        alone = tf.distribute.get_strategy().num_replicas_in_sync == 1
        return rate if alone and isinstance(rate, tf.Variable) else None

    def read(self) -> Optional[float]:
        """The rate now; None if it is a schedule object's."""
        return float(tf.convert_to_tensor(self.optimizer.learning_rate)) if self.known else None

    def set(self, rate: float) -> None:
        """Set it, if it is not what was set last."""
        if rate == self._set:
            return
        if self._variable is None:
            self.optimizer.learning_rate = rate
        else:
            self._variable.assign(rate, read_value=False)
        self._set = rate

    def prepare(self, rates: np.ndarray) -> None:
        """Rates of the coming batches, for :meth:`set_prepared`."""
        self._prepared = list(zip(rates.tolist(), tf.unstack(tf.constant(rates, tf.float32))))

    def set_prepared(self, place: int) -> None:
        """Set the rate of a batch: what a fit pays for at every step, so without any detour."""
        rate, tensor = self._prepared[place]
        if self._variable is None or self._variable.dtype != tf.float32:
            self.set(rate)
        else:
            tf.raw_ops.AssignVariableOp(resource=self._variable.handle, value=tensor)
            self._set = rate

    def watch(self) -> None:
        """Warn, once, if it is not what was set last."""
        if not self.scheduled or self._complained:
            return
        now = self.read()
        if not math.isclose(now, self._set, rel_tol=1e-5):
            self._complained = True
            warnings.warn(
                f"SWA: something else set the learning rate to {now:g} where {self._set:g} was "
                "due; use lr_schedule='manual' with a schedule of your own",
                stacklevel=4,
            )
