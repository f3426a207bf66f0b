"""Training of a ShuffleNetV2 as the TensorFlow 1 reference does it (spec 3), with options."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Callable

import numpy as np
import tensorflow as tf

from zoolib.core.averaging import step_sizes
from zoolib.core.task import Arrays, Task
from zoolib.data.draws import uniforms
from zoolib.models.shufflenet_v2 import evaluation, export, prediction, rates, sources, weights
from zoolib.models.shufflenet_v2.config import FREEZE
from zoolib.models.shufflenet_v2.evaluation import half_squared_norm, hits
from zoolib.models.shufflenet_v2.network import ShuffleNetV2
from zoolib.optim.averaging import ExponentialAverage
from zoolib.optim.loss_scale import LossScale
from zoolib.optim.sgd import SGD

Tensors = dict[str, tf.Tensor]


class Classification(Task):
    """SGD with momentum on softmax cross-entropy and the L2 norm of kernels."""

    terms = (
        "loss",
        "cross_entropy_loss",
        "regularization_loss",
        "learning_rate",
        "train_accuracy",
        "train_top5_accuracy",
    )
    headline = "top1"
    lower_is_better = False
    takes_pictures = True
    mixed_tolerance = 0.5  # a smoke run is too short for its top-1 to have settled

    def build(self) -> None:
        """Create network, optimizer and average; read initial weights if there are any.

        Raises:
            ConfigError, DataError: for data or weights that are missing or do not fit.
        """
        config, session = self.config, self.session
        self.source = sources.make(config, session.rank, session.size)
        self.network = ShuffleNetV2(
            config.architecture, session, config.seed, config.init, FREEZE.index(config.freeze)
        )
        if config.weights != "none":
            weights.start_from(self)
        self.decayed = self.network.decayed
        w = self.network.trained
        self.optimizer = SGD(w, config.momentum, config.nesterov)
        self.loss_scale = LossScale(config.loss_scale, config.loss_scale_value, session.overflowed)
        keeps = config.ema_decay and not config.swa_start
        self.average = ExponentialAverage(w, config.ema_decay) if keeps else None
        self.refresher = evaluation.refresher(self) if config.swa_start else None
        self._compiled: dict[Any, Callable] = {}

    def batch(self, steps: range) -> Arrays:
        """This rank's images of the given steps, their step sizes and the average's decay."""
        batch = {**self.source.train.batch(steps), "rate": self.rates(steps)}
        if self.average is not None:
            batch["keep_average"] = rates.average_decay(self.config.ema_decay, steps)
        return batch

    def rates(self, steps: range) -> np.ndarray:
        """Step sizes, float32 [len(steps)]: SWA's where it is on, else the config's own."""
        count, size = self.source.train.count, self.session.size
        start, usual = rates.step_sizes(self.config, steps, count, size)
        return step_sizes(self.config, start, usual, steps)

    def draws(self, steps: range) -> Arrays:
        """Dropout's factors: 0, or 1 / (1 - share), for each feature; none without dropout."""
        share = self.config.dropout
        if not share:
            return {}
        rank, size = self.session.rank, self.session.size
        shape = (size, self.config.batch_size, self.config.architecture.last)
        chance = uniforms(self.config.seed, "shufflenet_v2/dropout", steps, int(np.prod(shape)))
        kept = chance.reshape(len(steps), *shape)[:, rank] >= share
        return {"keep": kept.astype(np.float32) / np.float32(1.0 - share)}

    def train_step(self, batch: Tensors, draws: Tensors) -> dict:
        """w <- w - rate (g + 0.9 a) with a <- 0.9 a + g, g the gradient of cross-entropy + L2."""
        w, labels = self.optimizer.variables_trained, batch["labels"]
        with tf.GradientTape() as tape:
            logits = self.network(batch["images"], True, draws.get("keep"))
            cross_entropy = tf.reduce_mean(self.cross_entropy(logits, labels))
            l2 = self.config.weight_decay * half_squared_norm(self.decayed)
            loss = cross_entropy + l2
            objective = self.loss_scale.scale(loss)
        gradients, overflow = self.loss_scale.unscale(tape.gradient(objective, w))
        self.optimizer.apply(self.session.all_reduce(gradients), batch["rate"], overflow)
        self.share_statistics()
        if self.average is not None:
            self.average.update(batch["keep_average"])
        return {
            "loss": loss,
            "cross_entropy_loss": cross_entropy,
            "regularization_loss": l2,
            "learning_rate": tf.identity(batch["rate"]),
            "train_accuracy": tf.reduce_mean(hits(logits, labels, 1)),
            "train_top5_accuracy": tf.reduce_mean(hits(logits, labels, 5)),
        }

    def cross_entropy(self, logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        """Of every image, [N]; the target is (1 - e) one-hot + e / classes."""
        smoothing, classes = self.config.label_smoothing, self.config.num_classes
        target = tf.one_hot(labels, classes) * (1.0 - smoothing) + smoothing / classes
        return -tf.reduce_sum(target * tf.nn.log_softmax(logits), axis=-1)

    def averaged_variables(self) -> list[tf.Variable]:
        """What SWA averages: all that is trained."""
        return self.network.trained

    def statistics(self) -> list[tf.Variable]:
        """Moving statistics of batch norm, those of frozen blocks excepted."""
        norms = self.network.trained_norms
        return [v for n in norms for v in (n.moving_mean, n.moving_variance)]

    def refresh_statistics(self) -> None:
        """A pass over training images; forward only."""
        evaluation.refresh(self)

    def evaluate(self) -> dict[str, float]:
        """Top-1, top-5 and loss over every test image exactly once; see `evaluation`."""
        return evaluation.evaluate(self)

    def evaluation_functions(self) -> dict[str, tuple[Callable, tuple]]:
        """The graphs of an evaluation; for `npu-check`."""
        return evaluation.functions(self)

    def cached(self, key: Any, make: Callable[[], Callable]) -> Callable:
        """A compiled function, made once per key."""
        if key not in self._compiled:
            self._compiled[key] = self.session.compile(make())
        return self._compiled[key]

    def predict(self, images: str | Path | Sequence[str | Path] | np.ndarray) -> list:
        """What is on pictures; see :func:`zoolib.models.shufflenet_v2.prediction.predict`."""
        return prediction.predict(self, images)

    def export_module(self) -> tf.Module:
        """For :func:`zoolib.export`: the folded network with ``serve`` and ``classify``."""
        return export.Exported(self)

    def export_samples(self) -> Arrays:
        """For eight-bit formats: training images as ``serve`` takes them."""
        return export.samples(self)

    def keras_layers(self, layers: Any) -> tuple[Any, Any]:
        """For :func:`zoolib.to_keras`: the network with the weights that evaluations use."""
        with evaluation.averaged(self):
            return self.network.keras_layers(layers)

    def remarks(self) -> list[str]:
        """What a user should know before training: the effective step size, the epochs."""
        return rates.remarks(self.config, self.source.train.count, self.session.size)

    def figure_data(self) -> dict[str, Any]:
        """Confusion of the test classes [label, guess], class names, the run's step sizes."""
        return {
            "confusion": prediction.confusion(self),
            "names": self.source.names,
            "learning_rate": self.rates(range(self.config.iterations)),
        }
