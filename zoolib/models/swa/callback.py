"""`SWA`, stochastic weight averaging as a Keras callback (Izmailov et al. 2018, algorithm 1).

For Keras 2.6 and Keras 3 on TensorFlow; the only file of the zoo about Keras besides
`zoolib.core.keras`. What differs from keras-swa, whose arguments it takes, is told at the class.
"""

from __future__ import annotations

import contextlib
import sys
import warnings
from collections.abc import Iterator
from typing import Any, Optional, Union

import tensorflow as tf
from tensorflow import keras

from zoolib.errors import ConfigError
from zoolib.models.swa.arguments import Arguments, Names
from zoolib.models.swa.batch_norm import preserved, strategy_of
from zoolib.models.swa.companions import check_order, is_chief, restored_by_another
from zoolib.models.swa.fit_data import current_fit
from zoolib.models.swa.optimizer_rate import OptimizerRate
from zoolib.models.swa.snapshots import is_snapshot
from zoolib.models.swa.state import State
from zoolib.models.swa.statistics import Statistics
from zoolib.optim.schedules import swa, swa_ramp

_WALKED = hasattr(keras.layers.Layer, "save_own_variables")  # Keras 3 saves by walking


class SWA(keras.callbacks.Callback):
    """Average the weights of a training run and leave the model with the average.

    ``model.fit(..., callbacks=[SWA(start_epoch=75, lr_schedule="cyclic", swa_lr=0.001,
    swa_lr2=0.003, swa_freq=3)])`` is all; code written for keras-swa runs as it is. At the end of
    ``fit`` the model holds the mean of the snapshots and batch-norm statistics recomputed for it by
    forward passes over the training data; every epoch, the last one too, trains as usual.

    Snapshots are taken at the end of an epoch. With a cyclic rate: of the last one of each cycle,
    where the rate is lowest (the paper's rule; ``compat=True`` takes the first one's, as keras-swa
    does). With a constant or manual one: of epochs start_epoch, start_epoch + swa_freq, … (with
    cycles of your own, let start_epoch be the last epoch of one). If no such epoch comes, the last
    one's weights are taken. Averaged are the trainable weights, in float32; batch-norm statistics,
    counters, seeds and frozen weights are not.

    Order of callbacks: SWA after EarlyStopping(restore_best_weights=True), which would otherwise
    put its own weights over the average; before BackupAndRestore, which saves with the model what
    SWA did in an epoch (so does any ``tf.train.Checkpoint(model=model)``; `state` is that part). A
    resumed run then continues bit for bit. ModelCheckpoint sees the weights of training; for the
    average use `save_average`, or `averaged` in a callback of your own. If training stops early,
    the average of the snapshots so far is delivered; without any, the weights stay, with a warning.

    In a training loop of your own use `zoolib.optim.averaging.EqualAverage` (``update()`` after a
    step, ``assign()`` at the end) and `zoolib.update_batch_norm`; this callback is those two in
    ``fit``.

    Args:
        start_epoch: first epoch that is averaged, counted from 1; at least 2.
        lr_schedule: ``"manual"`` leaves the rate alone. ``"constant"`` and ``"cyclic"`` lower it
            from half of start_epoch on, to ``swa_lr`` at nine tenths; then constant, or falling
            from ``swa_lr2`` to ``swa_lr`` within each cycle of ``swa_freq`` epochs.
        swa_lr: the rate, or the lower one; ``"auto"`` is a tenth of the optimizer's.
        swa_lr2: the upper rate; ``"auto"`` is a quarter of the way from swa_lr to the optimizer's,
            None ten times swa_lr.
        swa_freq: epochs between snapshots, and of a cycle.
        batch_size: of ``bn_dataset`` and ``validation_data`` if they are arrays; None is fit's.
        verbose: 1 prints a line per event (on the chief worker).
        bn_dataset: data for the batch-norm statistics, as for `zoolib.update_batch_norm`. None
            reads what ``fit`` trains on once more (a generator goes on where training stopped).
        compat: snapshots in the first epoch of a cycle.
        average_every: ``"epoch"``, or N to take a snapshot every N steps from start_epoch on.
        window: average the latest ``window`` snapshots; costs as many copies of the weights.
        include: name patterns (``"dense*"``, with ``*``, ``?``, ``[]``) of the weights to average,
            matched with the whole name (``"dense/kernel"``) and with each part of it.
        exclude: name patterns of weights that keep their latest value.
        validation_data: ``(x, y)``, ``(x, y, sample_weight)`` or a dataset: the average is
            evaluated after each epoch with a new snapshot, as ``swa_val_loss`` and so on in the
            logs; training is not changed by a bit. Costs a batch-norm pass each time.
        restore_lr: give the optimizer its first rate back at the end. Its other state is never
            touched.
        self_check: after the end compare inference with training mode on a batch and warn if they
            disagree (as they do with wrong batch-norm statistics); the number is `disagreement`.

    Attributes:
        average: the `EqualAverage`; ``average.count`` is the number of snapshots.
        state: a trackable object holding all that a resumed run needs.
        disagreement: result of the self-check; None before.

    History gets ``swa_lr``, the rate at the end of each epoch.

    Raises:
        ConfigError: a ValueError, for arguments that cannot be meant; at the beginning of training
            also for a start not before the end, ``swa_lr`` above the optimizer's rate, a schedule
            object in the optimizer (allowed if manual), a cyclic schedule over an unknown number of
            batches, no weight to average, or training data that cannot be seen.
    """

    def __init__(
        self,
        start_epoch: int,
        lr_schedule: str = "manual",
        swa_lr: Union[float, str] = "auto",
        swa_lr2: Union[float, str, None] = "auto",
        swa_freq: int = 1,
        batch_size: Optional[int] = None,
        verbose: int = 0,
        *,
        bn_dataset: Any = None,
        compat: bool = False,
        average_every: Union[int, str] = "epoch",
        window: Optional[int] = None,
        include: Names = None,
        exclude: Names = None,
        validation_data: Any = None,
        restore_lr: bool = True,
        self_check: bool = True,
    ):
        super().__init__()
        self._supports_tf_logs = True  # Keras 2: no copy to the host at every batch
        every = (average_every, window, include, exclude)
        self.given = Arguments(
            start_epoch, lr_schedule, swa_lr, swa_lr2, swa_freq, batch_size, verbose, *every
        )
        # Keras 3 waits for the numbers of each step if a callback must see its end in turn. Only
        # snapshots taken by the step must: otherwise the fit's own order stays as it is.
        self.async_safe = self.given.by_epoch
        self.compat, self.restore_lr, self.self_check = compat, restore_lr, self_check
        self.bn_dataset, self.validation_data = bn_dataset, validation_data
        self.disagreement: Optional[float] = None
        self._saved = State(self.given, _Carrier if _WALKED else None)
        self._statistics: Optional[Statistics] = None
        self._training = False

    @property
    def state(self) -> tf.train.Checkpoint:
        """What a resumed run needs: give it to ``tf.train.Checkpoint`` beside a model."""
        return self._saved.root

    @property
    def average(self) -> Any:
        """The `EqualAverage` of the latest training; None before there are weights."""
        return self._saved.average

    # ---- Keras calls these

    def set_model(self, model: Any) -> None:
        """Know the model; from here on its checkpoints carry the state."""
        super().set_model(model)
        self._saved.attach(model)

    def on_train_begin(self, logs: Optional[dict] = None) -> None:
        """Check what could not be checked before the model and the data were known."""
        given, params = self.given, self.params or {}
        self._steps, self._epochs = params.get("steps"), params.get("epochs")
        given.check_run(self._epochs, self._steps)
        self._rate = OptimizerRate(self.model.optimizer, given.lr_schedule)
        self._first_rate = self._rate.read()
        if self._first_rate is not None and not self._saved.rate():
            given.rates(self._first_rate)
        self._look_at_fit()
        check_order(self._callbacks(), self)
        self.disagreement, self._validated = None, (0, {})
        self._begun, self._training = False, True

    def on_epoch_begin(self, epoch: int, logs: Optional[dict] = None) -> None:
        """Set the epoch's rate; a cyclic one is set at each batch."""
        if not self._begun:
            self._first_rate = self._saved.begin(epoch, self._first_rate)
            if self._first_rate is not None:
                self._low, self._high = self.given.rates(self._first_rate)
            self._begun = True
        start = self.given.start
        self._epoch, self._done = epoch, self._saved.steps()
        self._cycling = self.given.lr_schedule == "cyclic" and epoch >= start
        if self._rate.scheduled and not self._cycling:
            at = range(epoch, epoch + 1)
            self._rate.set(float(swa_ramp(self._first_rate, self._low, at, start)[0]))
        elif self._cycling:
            n, cycle = self._steps, self.given.swa_freq * self._steps
            at = range(epoch * n, (epoch + 1) * n)
            rates = swa(self._low, self._low, at, start * n, cycle, self._high)
            self._rate.prepare(rates)
        if epoch == start:
            self._say("starting stochastic weight averaging")

    def on_train_batch_begin(self, batch: int, logs: Optional[dict] = None) -> None:
        """Set a cyclic rate, by the number of batches there really are."""
        if self._cycling:
            self._rate.set_prepared(min(batch, self._steps - 1))

    def on_train_batch_end(self, batch: int, logs: Optional[dict] = None) -> None:
        """Take the snapshot of a step."""
        if not self.given.by_epoch and self._epoch >= self.given.start:
            before, now = self._saved.last_step, self._done + batch + 1
            self._saved.last_step = now
            if now // self.given.average_every > before // self.given.average_every:
                self._saved.snapshot()

    def on_epoch_end(self, epoch: int, logs: Optional[dict] = None) -> None:
        """Take the snapshot of an epoch; add to the logs."""
        if self.given.by_epoch and self._due(epoch) and self._sound(epoch):
            self._saved.snapshot()
        self._saved.end_epoch(epoch)
        self._rate.watch()
        if logs is not None:
            if self._rate.known:
                logs["swa_lr"] = self._rate.read()
            logs.update(self._validate())

    def on_train_end(self, logs: Optional[dict] = None) -> None:
        """Leave the model with the average and its batch-norm statistics."""
        if self._saved.count():
            self._look_at_fit()
            self._saved.apply()
            self._say("final weights set to the stochastic weight average")
            samples = self._statistics.refresh()
            if samples:
                self._say(f"batch norm statistics recomputed from {samples} samples")
            if self.self_check:
                self.disagreement = self._statistics.check()
        else:
            warnings.warn(
                f"SWA: training stopped in epoch {self._epoch + 1}, before the first snapshot "
                f"(start_epoch={self.given.start_epoch}); the weights are left as they are",
                stacklevel=2,
            )
        if self._rate.scheduled and self.restore_lr:
            self._rate.set(self._first_rate)
        self._saved.finish()
        self._training, self._statistics = False, None

    # ---- for users

    @contextlib.contextmanager
    def averaged(self) -> Iterator[Any]:
        """The model with the average so far in it; afterwards its own weights are back, bit by bit.

        Raises:
            ConfigError: if there is no snapshot yet.
        """
        if not self._saved.count():
            raise ConfigError(f"SWA: no snapshot yet, start_epoch={self.given.start_epoch}")
        if not self._training:  # it was delivered
            yield self.model
            return
        with preserved(self.model, self.model.variables):
            self._saved.apply()
            self._statistics.refresh()
            self._saved.detach()  # a file written now is the averaged model's alone
            try:
                yield self.model
            finally:
                self._saved.attach(self.model)

    def save_average(self, path: str, **options: Any) -> None:
        """Save the model with the average so far: ``model.save(path, **options)``."""
        with self.averaged() as model:
            model.save(path, **options)

    # ---- parts

    def _look_at_fit(self) -> None:
        """Know the data; again at the end, where a generator stands elsewhere."""
        repeated = self.validation_data is not None
        given = (self.bn_dataset, self.given.batch_size, repeated)
        self._statistics = Statistics(self.model, current_fit(self.model), *given)

    def _callbacks(self) -> list[Any]:
        return self._statistics.fit.callbacks if self._statistics.fit else []

    def _due(self, epoch: int) -> bool:
        at_end = self.given.lr_schedule == "cyclic" and not self.compat
        if is_snapshot(epoch, self.given.start, self.given.swa_freq, at_end):
            return True
        return epoch + 1 == self._epochs and not self._saved.count()  # no cycle was complete

    def _sound(self, epoch: int) -> bool:
        """Whether the weights are what this epoch's training made of them, and finite."""
        if not self.model.stop_training:
            return True
        weights = self.model.trainable_variables
        finite = all(bool(tf.reduce_all(tf.math.is_finite(w))) for w in weights)
        return finite and not restored_by_another(self._callbacks(), epoch, self.model)

    def _validate(self) -> dict[str, float]:
        count = self._saved.count()
        if self.validation_data is None or not count:
            return {}
        if self._validated[0] != count:
            data, options = self.validation_data, {}
            x, y, weight = (
                (*data, None, None)[:3] if isinstance(data, tuple) else (data, None, None)
            )
            if y is not None:
                options = {"sample_weight": weight, "batch_size": self._statistics.batch_size}
            history = self.model.history  # Keras 2 gives the model another one in evaluate
            with self.averaged() as model:
                found = model.evaluate(x, y, verbose=0, return_dict=True, **options)
            self.model.history = history
            self._validated = count, {f"swa_val_{k}": float(v) for k, v in found.items()}
        return self._validated[1]

    def _say(self, message: str) -> None:
        if self.given.verbose and is_chief(strategy_of(self.model)):
            stream = sys.stdout
            print(f"\nEpoch {self._epoch + 1:05d}: {message}", file=stream, flush=True)


class _Carrier(keras.layers.Layer):
    """Brings the state into Keras 3's weight files, as the own variables of a layer of no model."""

    def __init__(self, state: State):
        super().__init__(name="swa_state", dtype="float32")
        self._variables_now = lambda: state.variables  # a function: not tracked

    def save_own_variables(self, store: Any) -> None:
        """Write them under their numbers."""
        for i, v in enumerate(self._variables_now()):
            store[str(i)] = v.numpy()

    def load_own_variables(self, store: Any) -> None:
        """Read them, if the file has any: it may be of a training without SWA."""
        variables = self._variables_now()
        if len(store.keys()) == len(variables):
            for i, v in enumerate(variables):
                v.assign(store[str(i)][()])
