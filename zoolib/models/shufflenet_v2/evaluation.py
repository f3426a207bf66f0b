"""Top-1, top-5 and loss over every test image exactly once, and batch norm for averaged weights.

Images come in batches of one size; the last one is filled up with images that count nothing. With
several ranks each looks at its share; what was found of each image is brought together before
anything is summed, so the metrics are those of a single process.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from typing import Any, Callable

import numpy as np
import tensorflow as tf

from zoolib.nn.losses import softmax_cross_entropy
from zoolib.nn.refresh import Refresh

_REFRESH = 50  # most training batches that a refresh of batch norm looks at


def hits(logits: tf.Tensor, labels: tf.Tensor, k: int) -> tf.Tensor:
    """1 where the label is among the k largest logits, else 0; float32 [N].

    Counted by comparison, which ranks exactly on every device; a tie at the border counts as a hit.
    """
    one_hot = tf.one_hot(labels, logits.shape[-1], dtype=logits.dtype)
    own = tf.reduce_sum(logits * one_hot, axis=-1, keepdims=True)
    better = tf.reduce_sum(tf.cast(logits > own, tf.float32), axis=-1)
    return tf.cast(better < float(k), tf.float32)


def half_squared_norm(variables: list[tf.Variable]) -> tf.Tensor:
    """Sum of |w|^2 / 2, the term that weight decay multiplies."""
    return tf.add_n([tf.nn.l2_loss(v) for v in variables])


def evaluate(task: Any) -> dict[str, float]:
    """Metrics of the averaged weights if the run keeps an average, else of the weights.

    Returns:
        ``top1``, ``top5`` (shares), ``cross_entropy`` and ``eval_loss``, which has the term of the
        weight decay in it, as the reference reports it.
    """
    test = task.source.test
    rows = np.zeros((test.count, 3), np.float32)
    with averaged(task):
        measure = task.cached("measure", lambda: _measure(task))
        for number, batch in enumerate(test.evaluation()):
            index, weights = test.share(number)
            images, labels = (tf.constant(batch[name]) for name in ("images", "labels"))
            found, penalty = measure(images, labels)
            there = weights > 0
            rows[index[there]] = found.numpy()[there]
    rows = task.cached("total", lambda: _total(task))(tf.constant(rows)).numpy()
    top1, top5, entropy = (math.fsum(column.tolist()) / test.count for column in rows.T)
    loss = entropy + float(penalty)
    return {"top1": top1, "top5": top5, "cross_entropy": entropy, "eval_loss": loss}


def functions(task: Any) -> dict[str, tuple[Callable, tuple]]:
    """Graphs of an evaluation with example arguments."""
    test = task.source.test
    images = tf.TensorSpec([test.batch_size, test.size, test.size, 3], tf.float32)
    labels = tf.TensorSpec([test.batch_size], tf.int32)
    found = {
        "test batch": (_measure(task), (images, labels)),
        "total": (_total(task), (tf.TensorSpec([test.count, 3], tf.float32),)),
    }
    if task.average is not None:
        found["exchange with the average"] = (_exchange(task), ())
    return found


@contextlib.contextmanager
def averaged(task: Any) -> Iterator[None]:
    """The network with the averaged weights in it, for a while."""
    if task.average is None:
        yield
        return
    exchange = task.cached("exchange", lambda: _exchange(task))
    exchange()
    try:
        yield
    finally:
        exchange()


def _measure(task: Any) -> Callable:
    def measure(images: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Hit, hit among five and cross-entropy of every image, [N, 3]; weight decay's term."""
        logits = task.network(images)
        entropy = softmax_cross_entropy(logits, labels)
        rows = tf.stack([hits(logits, labels, 1), hits(logits, labels, 5), entropy], axis=-1)
        return rows, task.config.weight_decay * half_squared_norm(task.decayed)

    return measure


def _total(task: Any) -> Callable:
    """Each row comes from one rank and is 0 on all others, so the sum is exact."""
    return lambda sums: task.session.all_reduce([sums], "sum")[0]


def _exchange(task: Any) -> Callable:
    def exchange() -> None:
        """Weights and their averages change places."""
        for variable, shadow in zip(task.average.sources, task.average.shadows):
            value = tf.identity(variable)
            variable.assign(tf.identity(shadow))
            shadow.assign(value)

    return exchange


def refresher(task: Any) -> Refresh:
    """What recomputes the statistics of batch norm, those of frozen blocks excepted."""

    def forward(images: tf.Tensor) -> tf.Tensor:
        return task.network(images, training=True)

    return Refresh(forward, task.network.trained_norms, compiler=task.session.compile)


def refresh(task: Any) -> None:
    """One pass over the training images, or over the first batches of many."""
    train = task.source.train
    steps = range(min(train.steps_per_epoch, _REFRESH))
    task.refresher(train.batch(range(at, at + 1))["images"][0] for at in steps)
    task.cached("share", lambda: task.share_statistics)()
