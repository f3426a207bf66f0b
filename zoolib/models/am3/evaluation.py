"""Evaluation on stored tasks, the same for every variant and seed of a run (spec 3.3 to 3.5).

The interval is 1.96 standard deviations over tasks divided by the root of their number: what one
trained network's accuracy is uncertain by. Intervals over seeds are another matter (`compare`).

Where features do not depend on the task, a split is embedded once and tasks are drawn from its
features. Batch norm works image by image in evaluation, so the numbers are the same.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Callable

import numpy as np
import tensorflow as tf

from zoolib.core.shards import Shards
from zoolib.data.fewshot_episodes import Episodes
from zoolib.errors import ConfigError
from zoolib.models.am3.backbone import Parts
from zoolib.nn.losses import softmax_cross_entropy

_IMAGES_PER_CALL = 256  # of one embedding call, at most
_TASKS_PER_CALL = {True: 50, False: 4}  # from features, from pictures

Tensors = dict[str, tf.Tensor]


@dataclasses.dataclass(frozen=True)
class Protocol:
    """What tasks a network is tested on.

    Attributes:
        split: train, val or test.
        ways, shots, queries: of a task; 0 shots leave names only.
        episodes: how many tasks.
        balanced: as many queries of each class.
        conditioned: whether task conditioning takes part, where a variant has it.
    """

    split: str
    ways: int
    shots: int
    queries: int
    episodes: int
    balanced: bool = False
    conditioned: bool = True


@dataclasses.dataclass(frozen=True)
class Outcome:
    """Results of every task.

    Attributes:
        correct: share of right queries, [tasks].
        loss: mean cross-entropy of its queries, [tasks].
        share: of the picture, for each class of the task, [tasks, ways]; mean over queries.
        classes: int [tasks, ways].
    """

    correct: np.ndarray
    loss: np.ndarray
    share: np.ndarray
    classes: np.ndarray

    @property
    def accuracy(self) -> float:
        """Mean over tasks."""
        return float(self.correct.astype(np.float64).mean())

    @property
    def interval(self) -> float:
        """Half the 95 % interval of the mean over tasks."""
        values = self.correct.astype(np.float64)
        return float(1.96 * values.std(ddof=1) / np.sqrt(len(values)))

    def metrics(self, prefix: str) -> dict[str, float]:
        """``…_accuracy``, ``…_accuracy_ci95``, ``…_loss``, ``…_lambda``."""
        return {
            f"{prefix}_accuracy": self.accuracy,
            f"{prefix}_accuracy_ci95": self.interval,
            f"{prefix}_loss": float(self.loss.astype(np.float64).mean()),
            f"{prefix}_lambda": float(self.share.astype(np.float64).mean()),
        }


class Evaluations:
    """What evaluations of one task share: stored tasks, and the last outcome on the test set."""

    def __init__(self, task: Any) -> None:
        self.task = task
        self.last: Outcome | None = None
        self._stored: dict[Protocol, dict[str, np.ndarray]] = {}
        for split in ("val", "test"):
            self.tasks(protocol(task.config, split))  # data that is too small is told at once

    def tasks(self, plan: Protocol) -> dict[str, np.ndarray]:
        """The stored tasks of a protocol; they depend on the data and ``eval_seed`` only."""
        plan = dataclasses.replace(plan, conditioned=True)  # which changes nothing in the tasks
        if plan not in self._stored:
            split = self.task.source.sets[plan.split]
            seed = self.task.config.eval_seed
            drawn = Episodes(split, plan.ways, plan.shots, plan.queries, seed, plan.balanced)
            self._stored[plan] = drawn.tasks(f"evaluation/{plan.split}", range(plan.episodes))
        return self._stored[plan]


def protocol(config: Any, split: str, **changes: Any) -> Protocol:
    """The protocol a config asks for, with changes."""
    plan = Protocol(
        split,
        config.eval_ways,
        config.test_shots,
        config.eval_queries,
        config.eval_episodes,
        config.eval_balanced,
        config.ten_at_eval,
    )
    return dataclasses.replace(plan, **changes)


def validate(task: Any) -> dict[str, float]:
    """Metrics on the validation tasks."""
    return run(task, protocol(task.config, "val")).metrics("val")


def evaluate(task: Any) -> dict[str, float]:
    """Metrics on validation and test tasks.

    Returns:
        For each split ``…_accuracy`` (a share), ``…_accuracy_ci95`` (over tasks), ``…_loss``
        (cross-entropy), ``…_lambda`` (mean share of the picture). For TADAM variants also the
        accuracy with task conditioning the other way, ``test_accuracy_ten_off`` or ``…_on``.
    """
    config = task.config
    found = validate(task)
    task.evaluations.last = outcome = run(task, protocol(config, "test"))
    found.update(outcome.metrics("test"))
    if config.conditioned:
        other = run(task, protocol(config, "test", conditioned=not config.ten_at_eval))
        name = f"test_accuracy_ten_{'off' if config.ten_at_eval else 'on'}"
        found[name], found[f"{name}_ci95"] = other.accuracy, other.interval
    return found


def evaluate_split(
    task: Any,
    split: str = "test",
    ways: int | None = None,
    shots: int | None = None,
    queries: int | None = None,
    episodes: int | None = None,
    balanced: bool | None = None,
    conditioned: bool | None = None,
    cache: bool = True,
) -> Outcome:
    """Results on stored tasks of any kind; what is not told is as the run has it.

    Args:
        task: a trained :class:`~zoolib.models.am3.task.FewShot`.
        split: train, val or test.
        shots: 0 for names only.
        cache: False embeds every task's pictures anew, to check or to time.

    Raises:
        ConfigError, DataError: for tasks that the split has too few images or no names for.
    """
    told = dict(
        ways=ways,
        shots=shots,
        queries=queries,
        episodes=episodes,
        balanced=balanced,
        conditioned=conditioned,
    )
    changes = {name: value for name, value in told.items() if value is not None}
    with task.session.placement():
        return run(task, protocol(task.config, split, **changes), cache)


def shots_curve(task: Any, shots: tuple[int, ...] = (1, 2, 3, 5, 10), **options: Any) -> list[dict]:
    """Accuracy and lambda against the shots at test time, a row for each.

    Args:
        options: as of :func:`evaluate_split`.

    Returns:
        Rows with ``shots``, ``accuracy``, ``ci95``, ``lambda_mean``, ``lambda_std`` (over classes).
    """
    rows = []
    for count in shots:
        found = evaluate_split(task, shots=count, **options)
        row = {"shots": count, "accuracy": found.accuracy, "ci95": found.interval}
        row["lambda_mean"] = float(found.share.mean())
        row["lambda_std"] = float(found.share.std())
        rows.append(row)
    return rows


def run(task: Any, plan: Protocol, cache: bool = True) -> Outcome:
    """Results of every task of a protocol.

    With several ranks each computes its share of the tasks; all of them call this together.
    """
    if plan.shots == 0 and task.network.g is None:
        raise ConfigError(
            f"shots: expected at least 1, {task.config.variant} knows classes from pictures only"
        )
    stored = task.evaluations.tasks(plan)
    conditioned = task.config.conditioned and plan.conditioned and plan.shots > 0
    cached = cache and not conditioned
    shards = Shards(task.session, plan.episodes, _TASKS_PER_CALL[cached])
    images = task.source.sets[plan.split].images
    pool = features(task, plan.split) if cached else images
    kind = ("tasks", cached, conditioned, plan.ways)
    call = task.cached(kind, lambda: judging(task, plan.ways, cached, conditioned))
    parts = []
    for places in shards.calls():
        batch = {
            "support": pool[stored["support"][places]],
            "query": pool[stored["query"][places]],
            "labels": stored["query_labels"][places],
            **task.source.vectors(plan.split, stored["classes"][places]),
        }
        parts.append(call({k: tf.constant(v) for k, v in batch.items()}).numpy())
    found = shards.gather(parts)
    return Outcome(found[0], found[1], found[2:].T, stored["classes"])


def judging(task: Any, ways: int, from_features: bool, conditioned: bool) -> Callable:
    """Function of a batch of tasks giving accuracy, loss and shares, [2 + ways, tasks]."""
    net = task.network

    def judge(batch: Tensors) -> tf.Tensor:
        support, query = batch["support"], batch["query"]
        if not from_features:
            support, query = net.embedded(support, query, ways, False, conditioned)
        judged = net.judge(support, query, ways, task.words(batch), False)
        labels, logits = batch["labels"], judged.logits
        guess = tf.argmax(logits, axis=-1, output_type=tf.int32)
        right = tf.reduce_mean(tf.cast(tf.equal(guess, labels), tf.float32), axis=-1)
        rows = tf.reshape(logits, [-1, ways])
        loss = softmax_cross_entropy(rows, tf.reshape(labels, [-1]))
        loss = tf.reduce_mean(tf.reshape(loss, labels.shape), axis=-1)
        share = judged.share
        share = tf.reduce_mean(share, axis=1) if len(share.shape) == 3 else share
        return tf.concat([right[None], loss[None], tf.transpose(share)], axis=0)

    return judge


def features(task: Any, split: str) -> np.ndarray:
    """Unconditioned features of every image of a split, float32 [n, D]."""
    return embed(task, task.source.sets[split].images)


def embed(task: Any, images: np.ndarray, size: int = _IMAGES_PER_CALL) -> np.ndarray:
    """Unconditioned features of images [n, H, W, 3], in calls of one size."""
    call = task.cached(("embed", size), lambda: embedding(task, size))
    found = []
    for start in range(0, len(images), size):
        part = images[start : start + size]
        filled = np.zeros((size, *images.shape[1:]), images.dtype)
        filled[: len(part)] = part
        found.append(call(tf.constant(filled)).numpy()[: len(part)])
    return np.concatenate(found)


def embedding(task: Any, size: int) -> Callable:
    """Function of ``size`` images giving their features."""
    return lambda images: task.network.features(images, Parts(1, (size,)), False)


def functions(task: Any) -> dict[str, tuple[Callable, tuple]]:
    """What :func:`evaluate` runs on the device, with example arguments; one for each shape."""
    config, net = task.config, task.network
    plan = protocol(config, "test")
    picture = [config.image_size, config.image_size, 3]
    found: dict[str, tuple[Callable, tuple]] = {}
    kinds = (True, False) if config.conditioned else (False,)
    for conditioned in kinds:
        count = Shards(task.session, plan.episodes, _TASKS_PER_CALL[not conditioned]).per_call
        shape = picture if conditioned else [net.encoder.width]
        dtype = tf.uint8 if conditioned else tf.float32
        specs = {
            "support": tf.TensorSpec([count, plan.ways * plan.shots, *shape], dtype),
            "query": tf.TensorSpec([count, plan.queries, *shape], dtype),
            "labels": tf.TensorSpec([count, plan.queries], tf.int32),
        }
        if task.source.words:
            specs["words"] = tf.TensorSpec([count, plan.ways, task.source.words], tf.float32)
            specs["known"] = tf.TensorSpec([count, plan.ways], tf.float32)
        title = "conditioned tasks" if conditioned else "tasks from features"
        found[title] = (judging(task, plan.ways, not conditioned, conditioned), (specs,))
    images = tf.TensorSpec([_IMAGES_PER_CALL, *picture], tf.uint8)
    found["embedding"] = (embedding(task, _IMAGES_PER_CALL), (images,))
    return found
