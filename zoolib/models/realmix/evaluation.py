"""Five ways to look at a trained network, on labelled, validation and test images (spec 1.10).

    row         weights   batch-norm statistics
    raw         trained   running ones
    ema         averaged  the same
    tuned_raw   trained   after a tuning pass: more steps that move statistics only
    tuned_ema   averaged  the same tuned ones, collected with the trained weights
    recal_ema   averaged  means over clean training images, collected with the averaged weights

The first four are the published report's; there the tuning pass changed the model it looked at,
here everything is as before afterwards. Every image counts exactly once.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, Callable

import numpy as np
import tensorflow as tf

from zoolib.core.shards import Shards
from zoolib.models.realmix.scores import accuracies, accuracy, macro_f1, spread
from zoolib.nn.refresh import Refresh

ROWS = ("raw", "ema", "tuned_raw", "tuned_ema", "recal_ema")
SETS = ("labelled", "valid", "test")


class Evaluator:
    """Evaluates a task. No `tf.Module`: what it keeps aside belongs in no checkpoint.

    Args:
        task: a `trainer.Trainer` with data, network and average.
    """

    def __init__(self, task: Any) -> None:
        self.task, data = task, task.data
        self.parts = dict(zip(SETS, (data.labelled, data.validation, data.test)))
        count = sum(map(len, self.parts.values()))
        self.shards = Shards(task.session, count, task.config.eval_batch_size)
        self._kept = [tf.Variable(tf.identity(v), trainable=False) for v in task.statistics()]
        self._refresh: Refresh | None = None

    # ---- the graphs

    def measure(self, images: tf.Tensor) -> tf.Tensor:
        """Probabilities [classes, N] of bytes [N, H, W, 3], in inference mode."""
        from zoolib.models.realmix.trainer import scaled

        return tf.transpose(tf.nn.softmax(self.task.network(scaled(images))))

    def exchange(self) -> None:
        """Weights and their averages change places."""
        for variable, shadow in zip(self.task.average.sources, self.task.average.shadows):
            value = tf.identity(variable)
            variable.assign(tf.identity(shadow))
            shadow.assign(value)

    def keep(self) -> None:
        """Put the running statistics aside."""
        for kept, moving in zip(self._kept, self.task.statistics()):
            kept.assign(moving)

    def give_back(self) -> None:
        """The running statistics as they were."""
        for kept, moving in zip(self._kept, self.task.statistics()):
            moving.assign(kept)

    def tune(self, batch: dict, draws: dict) -> None:
        """A training step that does nothing but move the running statistics."""
        images, draws = self.task.tuning_rows(batch, draws)
        self.task.logits(images, draws, at=2, update=True)
        self.task.share_statistics()

    def _clean(self, images: tf.Tensor) -> tf.Tensor:
        from zoolib.models.realmix.trainer import scaled

        return self.task.network(scaled(images), training=True)

    # ---- what is done with them

    def metrics(self, everything: bool = True) -> dict[str, float]:
        """Accuracies (shares) ``ROW_SET``, and details of the averaged weights.

        ``test_accuracy`` is ``ema_test``; beside it the macro F1 score, the worst class's accuracy
        and the cross-entropy on test images, and the number of classes in effect predicted.

        Args:
            everything: all five rows, else raw and ema only.
        """
        found: dict[str, float] = {}
        probabilities = self.rows(everything)
        for row, p in probabilities.items():
            for name, share in self.by_set(p).items():
                found[f"{row}_{name}"] = share
        p, labels = probabilities["ema"][self.slices["test"]], self.parts["test"].labels
        classes = accuracies(p, labels)
        return {
            "test_accuracy": found["ema_test"],
            **found,
            "test_macro_f1": macro_f1(p, labels),
            "test_worst_class": float(np.nanmin(classes)),
            "test_cross_entropy": float(np.mean(-np.log(p[np.arange(len(p)), labels] + 1e-30))),
            "predicted_classes": spread(p),
        }

    def rows(self, everything: bool = True) -> dict[str, np.ndarray]:
        """Probabilities [N, classes] of all sets' images by the rows of the table."""
        found = {"raw": self.probabilities()}
        with self.averaged():
            found["ema"] = self.probabilities()
        if not everything:
            return found
        if not self._kept:  # no batch norm: nothing to tune, nothing to recalibrate
            return {row: found["ema" if row.endswith("ema") else "raw"] for row in ROWS}
        with self.statistics_aside():
            self._tuning()
            found["tuned_raw"] = self.probabilities()
            with self.averaged():
                found["tuned_ema"] = self.probabilities()
                self.recalibrate()
                found["recal_ema"] = self.probabilities()
        return found

    def by_set(self, p: np.ndarray) -> dict[str, float]:
        """Accuracy on each set that has images."""
        return {
            name: accuracy(p[self.slices[name]], part.labels)
            for name, part in self.parts.items()
            if len(part)
        }

    @property
    def slices(self) -> dict[str, slice]:
        """Where the sets lie behind one another."""
        ends = np.cumsum([len(part) for part in self.parts.values()]).tolist()
        return {n: slice(a, b) for n, a, b in zip(self.parts, [0, *ends], ends)}

    def probabilities(self) -> np.ndarray:
        """Of the images of all sets, [N, classes], by the weights and statistics as they are."""
        measure = self.task.cached("measure", lambda: self.measure)
        parts = [measure(tf.constant(self._images(at))).numpy() for at in self.shards.calls()]
        return self.shards.gather(parts).T

    def of(self, images: np.ndarray) -> np.ndarray:
        """Probabilities [n, classes] of other images, bytes [n, H, W, 3]."""
        measure, size = self.task.cached("measure", lambda: self.measure), self.shards.per_call
        found = [np.zeros((0, self.task.classes), np.float32)]
        for start in range(0, len(images), size):
            part = images[start : start + size]
            full = np.zeros((size, *part.shape[1:]), np.uint8)
            full[: len(part)] = part
            found.append(measure(tf.constant(full)).numpy().T[: len(part)])
        return np.concatenate(found)

    def _images(self, places: np.ndarray) -> np.ndarray:
        images = np.empty((len(places), *self.task.image_shape), np.uint8)
        for name, there in self.slices.items():
            mine = (places >= there.start) & (places < there.stop)
            images[mine] = self.parts[name].images[places[mine] - there.start]
        return images

    def _tuning(self) -> None:
        tune = self.task.cached("tune", lambda: self.tune)
        for batch, draws in self._tuning_steps():
            tune(batch, draws)

    def _tuning_steps(self) -> Iterator[tuple[dict, dict]]:
        """Feeds of steps that no training has seen."""
        config = self.task.config
        count = config.tuning_images // (config.batch_size * self.task.session.size)
        for step in range(config.iterations, config.iterations + count):
            feeds = self.task.batch(range(step, step + 1)), self.task.draws(range(step, step + 1))
            yield tuple({k: tf.constant(v[0]) for k, v in feed.items()} for feed in feeds)

    @property
    def refresher(self) -> Refresh:
        """What recomputes the running statistics."""
        if self._refresh is None:
            norms, compiler = self.task.network.norms, self.task.session.compile
            self._refresh = Refresh(self._clean, norms, compiler=compiler)
        return self._refresh

    def recalibrate(self) -> None:
        """Running statistics become means over clean training images; weights as they are."""
        self.refresher(self._clean_batches())
        self.task.cached("share", lambda: self.task.share_statistics)()

    def _clean_batches(self) -> Iterator[np.ndarray]:
        """Bytes of unlabelled images without variation, in whole batches; each rank the same."""
        images, config = self.task.data.unlabelled.images, self.task.config
        size = min(config.batch_size, len(images))
        most = max(min(config.recalibration_images, len(images)) // size, 1)
        for batch in range(most):
            yield images[batch * size : (batch + 1) * size]

    @contextlib.contextmanager
    def averaged(self) -> Iterator[None]:
        """The network with the averaged weights in it, for a while."""
        exchange = self.task.cached("exchange", lambda: self.exchange)
        exchange()
        try:
            yield
        finally:
            exchange()

    @contextlib.contextmanager
    def statistics_aside(self) -> Iterator[None]:
        """Running statistics may change within; afterwards they are as before."""
        self.task.cached("keep", lambda: self.keep)()
        try:
            yield
        finally:
            self.task.cached("give back", lambda: self.give_back)()

    def functions(self) -> dict[str, tuple[Callable, tuple]]:
        """All graphs of an evaluation with example arguments."""
        shape = self.task.image_shape
        images = tf.TensorSpec([self.shards.per_call, *shape], tf.uint8)
        found: dict[str, tuple[Callable, tuple]] = {
            "test batch": (self.measure, (images,)),
            "exchange with the average": (self.exchange, ()),
        }
        if not self._kept:
            return found
        found["statistics aside"] = (self.keep, ())
        found["statistics back"] = (self.give_back, ())
        for feeds in self._tuning_steps():
            found["tuning step"] = (self.tune, feeds)
            break
        clean = next(self._clean_batches())
        found.update(self.refresher.functions(tf.TensorSpec(clean.shape, tf.uint8)))
        found["common statistics"] = (self.task.share_statistics, ())
        return found
