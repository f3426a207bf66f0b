"""What RealMix and its baselines share: data, network, Adam, averaged weights, evaluations."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Callable

import numpy as np
import tensorflow as tf

from zoolib.core.task import Arrays, Task
from zoolib.data.draws import uniforms
from zoolib.data.semi_batches import SemiBatches
from zoolib.models.realmix import mixing, reports, schedules, sources, starting
from zoolib.models.realmix.evaluation import Evaluator
from zoolib.models.realmix.guessing import entropy
from zoolib.models.realmix.network import make_network
from zoolib.nn.layers import kernels
from zoolib.optim.adamw import AdamW
from zoolib.optim.averaging import ExponentialAverage
from zoolib.optim.loss_scale import LossScale

Tensors = dict[str, tf.Tensor]
_COLLAPSED = 0.25  # of the classes in effect predicted; fewer is a collapse


def scaled(images: tf.Tensor) -> tf.Tensor:
    """Bytes to float32 in [-1, 1]."""
    return tf.cast(images, tf.float32) * (2.0 / 255.0) - 1.0


class Trainer(Task):
    """Base of all methods; each has its own ``train_step``.

    Attributes:
        data: the images.
        network: the classifier.
        average: the averaged weights (EMA).
        classes: outputs of the network.
        unlabelled: whether a step looks at unlabelled images.
    """

    headline = "test_accuracy"
    lower_is_better = False
    takes_pictures = True
    mixed_tolerance = 0.5  # a smoke run is too short for its accuracy to have settled
    unlabelled = True

    def build(self) -> None:
        """Create network, optimizer and average; read initial weights if there are any.

        Raises:
            ConfigError, DataError: for data or weights that are missing or do not fit.
        """
        config, session = self.config, self.session
        self.data = sources.make(config)
        self.image_shape = tuple(self.data.labelled.images.shape[1:])
        self.classes = config.num_classes or len(self.data.names)
        self.batches = SemiBatches(
            self.data,
            config.batch_size,
            views=2,
            augment=sources.augmentation(config),
            seed=config.seed,
            rank=session.rank,
            ranks=session.size,
        )
        self.network = make_network(
            session,
            self.classes,
            config.filters,
            config.repeat,
            config.scales,
            self.image_shape[0],
            config.arch,
            config.seed,
            config.bn_momentum,
            sources.whitening(self.data) if config.whiten else None,
        )
        if config.start_from != "none" and not self.restoring:
            starting.load(self.network, config.start_from)
        w = list(self.network.trainable_variables)
        self.optimizer = AdamW(w, config.weight_decay, kernels(self.network))
        self.loss_scale = LossScale(config.loss_scale, config.loss_scale_value, session.overflowed)
        self.average = ExponentialAverage(w, config.ema_decay)
        self.evaluator = Evaluator(self)
        self._compiled: dict[Any, Callable] = {}

    # ---- what a step is given

    def batch(self, steps: range) -> Arrays:
        """This rank's images; the unlabelled loss's weight and annealing's threshold."""
        config = self.config
        batch = self.batches.batch(steps)
        batch.pop("u_index")
        if not self.unlabelled:
            batch.pop("u")
        batch["rate"] = np.full(len(steps), config.lr, np.float32)
        return {**batch, "lambda_u": self.ramp(steps), "eta": self.thresholds(steps)}

    def seen(self, steps: range) -> np.ndarray:
        """Labelled images, of all ranks, before each of the steps: what schedules count."""
        return np.arange(steps.start, steps.stop) * self.config.batch_size * self.session.size

    def ramp(self, steps: range) -> np.ndarray:
        """Weight of the unlabelled loss at each step, float32 (lambda_u)."""
        config = self.config
        length = config.ramp_images or config.images * self.session.size
        return schedules.ramp(config.unlabelled_weight, self.seen(steps), length)

    def thresholds(self, steps: range) -> np.ndarray:
        """Annealing's threshold at each step, float32 (eta)."""
        config = self.config
        length = config.tsa_images or config.images * self.session.size
        tsa = config.tsa if config.method == "realmix" else "none"
        return schedules.annealing(tsa, self.seen(steps) / length, self.classes)

    def draws(self, steps: range) -> Arrays:
        """MixUp's coefficients and partners for [x; u1; u2], and the network's own numbers."""
        config, rank, size = self.config, self.session.rank, self.session.size
        rows, seed = 3 * config.batch_size, config.seed

        def drawn(purpose: str, count: int) -> np.ndarray:
            found = uniforms(seed, f"realmix/{purpose}", steps, size * count)
            return found.reshape(len(steps), size, count)[:, rank]

        partner, mixes = mixing.partners(
            drawn("partners", 2 * rows).reshape(len(steps), 2, rows), config.mixmode
        )
        weight = mixing.coefficients(drawn("coefficients", rows), config.mixup_beta)
        weight = np.where(mixes > 0, weight, np.float32(1.0))
        found = {"weight": weight, "partner": partner}
        if self.network.shakes:
            shape = (len(steps), 5 * config.batch_size, self.network.shakes)
            found["shake"] = drawn("shake", int(np.prod(shape[1:]))).reshape(shape)
        return found

    # ---- pieces of a step

    def inputs(self, batch: Tensors) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """x [B, H, W, 3], its one-hot labels [B, classes], u [2 B, H, W, 3]: first views first."""
        x, labels = scaled(batch["x"]), tf.one_hot(batch["labels"], self.classes)
        if not self.unlabelled:
            return x, labels, x[:0]
        return x, labels, scaled(tf.reshape(batch["u"], [-1, *self.image_shape]))

    def logits(
        self, images: tf.Tensor, draws: Tensors, at: int = 0, update: bool = False
    ) -> tf.Tensor:
        """Logits in training of one or more batches of B that lie behind one another.

        Args:
            at: the network's own random numbers are those of the pass from this batch on.
            update: whether batch norm's running statistics move, by the first batch.
        """
        size, rows = self.config.batch_size, images.shape[0]
        shake = draws["shake"][at * size : at * size + rows] if "shake" in draws else None
        return self.network(images, True, update, rows // size, shake)

    def improve(self, gradients: Sequence[tf.Tensor | None], rate: tf.Tensor) -> None:
        """Decay kernels, then Adam's update, then the average (spec 1.8, in this order)."""
        w = self.optimizer.variables_trained
        known = [tf.zeros(v.shape) if g is None else g for v, g in zip(w, gradients)]
        gradients, overflow = self.loss_scale.unscale(known)
        self.optimizer.apply(self.session.all_reduce(gradients), rate, overflow)
        self.share_statistics()
        self.average.update()

    def watched(self, p: tf.Tensor) -> Tensors:
        """Entropies that show a collapse, of predictions p [N, classes]."""
        return {
            "prediction_entropy": tf.reduce_mean(entropy(p)),
            "mean_prediction_entropy": entropy(tf.reduce_mean(p, axis=0)),
        }

    # ---- what others ask

    def statistics(self) -> list[tf.Variable]:
        """Moving statistics of batch norm."""
        return [v for n in self.network.norms for v in (n.moving_mean, n.moving_variance)]

    def averaged_variables(self) -> list[tf.Variable]:
        """What SWA averages: all that is trained."""
        return self.optimizer.variables_trained

    def refresh_statistics(self) -> None:
        """A pass over training images; forward only."""
        self.evaluator.recalibrate()

    def cached(self, key: Any, make: Callable[[], Callable]) -> Callable:
        """A compiled function, made once per key."""
        if key not in self._compiled:
            self._compiled[key] = self.session.compile(make())
        return self._compiled[key]

    def evaluate(self) -> dict[str, float]:
        """Accuracies of raw, averaged, tuned and recalibrated weights; see `evaluation`."""
        return self.evaluator.metrics()

    def validate(self) -> dict[str, float]:
        """During training: of raw and averaged weights only."""
        return self.evaluator.metrics(everything=False)

    def evaluation_functions(self) -> dict[str, tuple[Callable, tuple]]:
        """The graphs of an evaluation; for `npu-check`."""
        return self.evaluator.functions()

    def tuning_rows(self, batch: Tensors, draws: Tensors) -> tuple[tf.Tensor, Tensors]:
        """The batch whose statistics move the running ones in a step, [B, H, W, 3], unscaled."""
        return self.inputs(batch)[0], draws

    def concerns(self, row: dict[str, float]) -> list[str]:
        """A warning where all images are taken for few classes."""
        spread = row.get("mean_prediction_entropy")
        if spread is None or self.classes < 3:
            return []
        if np.exp(spread) < max(_COLLAPSED * self.classes, 1.1):
            return [
                "predictions collapse: nearly all unlabelled images are taken for few of the "
                f"{self.classes} classes (mean_prediction_entropy). Lower unlabelled_weight, let "
                "it grow over more images (ramp_images), or give more labels"
            ]
        return []

    def remarks(self) -> list[str]:
        """What a user should know before training."""
        return reports.remarks(self)

    def documents(self, history: list[dict[str, Any]], summary: dict[str, Any]) -> dict[str, str]:
        """Files for the run folder: accuracy.json and report.txt."""
        return reports.documents(self, history, summary)

    def predict(self, images: str | Path | Sequence[str | Path] | np.ndarray) -> list:
        """What is on pictures; see :func:`zoolib.models.realmix.prediction.predict`."""
        from zoolib.models.realmix import prediction

        return prediction.predict(self, images)

    def export_module(self) -> tf.Module:
        """For :func:`zoolib.export`: the averaged weights with ``serve`` and ``predict``."""
        from zoolib.models.realmix.export import Exported

        return Exported(self)

    def export_samples(self) -> Arrays:
        """Training images as ``serve`` takes them; for eight-bit formats."""
        images = self.data.unlabelled.images[:128]
        return {"images": images[:, None].astype(np.float32) / 255.0}

    def figure_data(self) -> dict[str, Any]:
        """Arrays behind the method's figures; see `figures`."""
        from zoolib.models.realmix import figures

        return figures.figure_data(self)
