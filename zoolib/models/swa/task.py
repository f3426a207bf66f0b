"""A classifier trained by SGD, whose weights are averaged along the way by the run itself.

Averaging is `zoolib.core.averaging`, the same for every method; what is told here is what it needs
to know of this one: which statistics its batch norm has, and how they are recomputed.
"""

from __future__ import annotations

from typing import Any, Callable

import numpy as np
import tensorflow as tf

from zoolib.core.averaging import step_sizes
from zoolib.core.task import Arrays, Task
from zoolib.models.swa import evaluation, sources
from zoolib.models.swa.export import Exported
from zoolib.models.swa.network import Network
from zoolib.nn.layers import kernels
from zoolib.nn.losses import softmax_cross_entropy
from zoolib.optim.loss_scale import LossScale
from zoolib.optim.schedules import swa_ramp
from zoolib.optim.sgd import SGD
from zoolib.runtime.distribute import shard

Tensors = dict[str, tf.Tensor]
_TO_1_PERCENT = 0.01  # where the paper's own decay for plain SGD ends, as a share of the start


class Classification(Task):
    """SGD on softmax cross-entropy; symbols as in the paper: w the weights, alpha the step size."""

    terms = ("loss", "accuracy")
    headline = "test_accuracy"
    lower_is_better = False

    def build(self) -> None:
        """Create network and optimizer.

        Raises:
            ConfigError: if the examples of a step do not divide over the ranks.
        """
        config, session = self.config, self.session
        part = shard(config.batch_size, session.rank, session.size, "batch_size")
        self.mine = slice(part.start, part.stop)  # this rank's examples of a step
        self.source = sources.make(config)
        self.network = Network(config, session, self.source.x.shape[1], self.source.classes)
        w = list(self.network.trainable_variables)
        decayed = {id(kernel) for kernel in kernels(self.network)}
        l2 = [config.weight_decay if id(v) in decayed else 0.0 for v in w]
        self.optimizer = SGD(w, config.momentum, l2=l2)
        self.loss_scale = LossScale(config.loss_scale, config.loss_scale_value, session.overflowed)
        self.refreshers = evaluation.refreshers(self)
        self._compiled: dict[Any, Callable] = {}

    def batch(self, steps: range) -> Arrays:
        """This rank's examples of the given steps, and the step sizes."""
        x, y = self.source.batches(self.config.seed, steps, self.config.batch_size)
        return {"x": x[:, self.mine], "y": y[:, self.mine], "alpha": self.rates(steps)}

    def rates(self, steps: range) -> np.ndarray:
        """Step sizes, float32 [len(steps)]: SWA's where it is on, else the config's own."""
        config = self.config
        end = _TO_1_PERCENT * config.lr if config.lr_decay == "to_1_percent" else config.lr
        usual = swa_ramp(config.lr, end, steps, config.iterations)
        return step_sizes(config, config.lr, usual, steps)

    def draws(self, steps: range) -> Arrays:
        """None: a step draws no random numbers, the order of examples is data."""
        return {}

    def train_step(self, batch: Tensors, draws: Tensors) -> dict:
        """w <- w - alpha times the momentum-averaged gradient of the mean cross-entropy."""
        w = self.optimizer.variables_trained
        with tf.GradientTape() as tape:
            logits = self.network(batch["x"], training=True)
            loss = tf.reduce_mean(softmax_cross_entropy(logits, batch["y"]))
            objective = self.loss_scale.scale(loss)
        gradients, overflow = self.loss_scale.unscale(tape.gradient(objective, w))
        self.optimizer.apply(self.session.all_reduce(gradients), batch["alpha"], overflow)
        self.share_statistics()
        return {"loss": loss, "accuracy": evaluation.accuracy(logits, batch["y"])}

    def statistics(self) -> list[tf.Variable]:
        """Moving statistics of batch norm."""
        return self.network.statistics

    def refresh_statistics(self) -> None:
        """One pass over the training data in the config's manner; forward only."""
        evaluation.refresh(self)

    def evaluate(self) -> dict[str, float]:
        """Loss and accuracy on test and training set; see `evaluation`."""
        return evaluation.evaluate(self)

    def evaluation_functions(self) -> dict[str, tuple[Callable, tuple]]:
        """The graphs of an evaluation; for `npu-check`."""
        return evaluation.functions(self)

    def cached(self, key: Any, make: Callable[[], Callable]) -> Callable:
        """A compiled function, made once per key."""
        if key not in self._compiled:
            self._compiled[key] = self.session.compile(make())
        return self._compiled[key]

    def predict(self, x: Any) -> np.ndarray:
        """Class probabilities [N, classes] of inputs [N, features]."""
        with self.session.placement():
            call = self.cached("predict", lambda: lambda x: tf.nn.softmax(self.network(x, False)))
            return call(tf.constant(x, tf.float32)).numpy()

    def keras_layers(self, layers: Any) -> tuple[Any, Any]:
        """For :func:`zoolib.to_keras`: the network as `evaluate` leaves it."""
        return self.network.keras_layers(layers)

    def export_samples(self) -> Arrays:
        """Training inputs as ``serve`` takes them; for eight-bit formats."""
        return {"x": self.source.x[:128, None].astype(np.float32)}

    def export_module(self) -> tf.Module:
        """For :func:`zoolib.export`: a module with ``predict`` and ``serve``."""
        return Exported(self)

    def figure_data(self) -> dict[str, Any]:
        """The run's step sizes and the steps after which snapshots were taken."""
        config, steps = self.config, range(self.config.iterations)
        taken = range(config.swa_start + config.swa_every, config.iterations + 1, config.swa_every)
        return {
            "rate": self.rates(steps),
            "snapshots": np.array(taken if config.swa_start else [], int),
        }
