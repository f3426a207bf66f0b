"""What the demonstrations measure, and the pass that refreshes batch norm for averaged weights."""

from __future__ import annotations

from typing import Any, Callable

import numpy as np
import tensorflow as tf

from zoolib.nn.batch_norm import batch_norms
from zoolib.nn.losses import softmax_cross_entropy
from zoolib.nn.refresh import Refresh


def accuracy(logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """Share of examples whose largest logit is the label's."""
    guess = tf.argmax(logits, axis=-1, output_type=tf.int32)
    return tf.reduce_mean(tf.cast(tf.equal(guess, labels), tf.float32))


def evaluate(task: Any) -> dict[str, float]:
    """Metrics of the weights as they are.

    Returns:
        ``test_accuracy``, ``test_loss``, ``train_accuracy``, ``train_loss`` in inference mode. With
        batch norm also ``train_accuracy_batch_statistics`` (in training mode: what a fit shows),
        ``moving_mean_ratio`` (running mean against the mean over all training data, by least
        squares; 1 is right) and ``moving_mean_error`` (largest difference of the two).
    """
    arguments = _arguments(task)
    measure = task.cached("measure", lambda: _measure(task))
    metrics = {}
    for part in ("test", "train"):
        loss, share = measure(*arguments[part])
        metrics[f"{part}_accuracy"], metrics[f"{part}_loss"] = float(share), float(loss)
    if task.network.norm is None:
        return metrics
    share, true, moving = task.cached("statistics", lambda: _statistics(task))(*arguments["train"])
    true, moving = true.numpy(), moving.numpy()
    metrics["train_accuracy_batch_statistics"] = float(share)
    metrics["moving_mean_ratio"] = float(np.sum(moving * true) / np.sum(true * true))
    metrics["moving_mean_error"] = float(np.abs(moving - true).max())
    return metrics


def functions(task: Any) -> dict[str, tuple[Callable, tuple]]:
    """Graphs of an evaluation with example arguments."""
    arguments = _arguments(task)
    found = {f"{part} set": (_measure(task), arguments[part]) for part in ("test", "train")}
    if task.network.norm is not None:
        found["statistics"] = (_statistics(task), arguments["train"])
    return found


def _arguments(task: Any) -> dict[str, tuple]:
    source = task.source
    sets = {"test": (source.test_x, source.test_y), "train": (source.x, source.y)}
    return {name: (tf.constant(x), tf.constant(y)) for name, (x, y) in sets.items()}


def _measure(task: Any) -> Callable:
    def measure(x: tf.Tensor, y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        logits = task.network(x, training=False)
        return tf.reduce_mean(softmax_cross_entropy(logits, y)), accuracy(logits, y)

    return measure


def _statistics(task: Any) -> Callable:
    def statistics(x: tf.Tensor, y: tf.Tensor) -> tuple[tf.Tensor, ...]:
        network = task.network
        share = accuracy(network(x, training=True, update=False), y)
        true = tf.reduce_mean(tf.nn.relu(network.hidden(x)), axis=0)
        return share, true, tf.identity(network.norm.moving_mean)

    return statistics


def refreshers(task: Any) -> dict[str, Refresh]:
    """What recomputes the network's batch-norm statistics; made once, before training."""

    def forward(x: tf.Tensor) -> tf.Tensor:
        return task.network(x, training=True)

    norms, compiler = batch_norms(task.network), task.session.compile
    return {
        "mean": Refresh(forward, norms, False, compiler),
        "pooled": Refresh(forward, norms, True, compiler),
    }


def compare_rules(task: Any) -> dict[str, dict[str, float]]:
    """Metrics under keras-swa's rule for batch norm, under the paper's, and with exact variances.

    The task's statistics are the config's own again afterwards.
    """
    found = {}
    with task.session.placement():
        for rule in ("keras_swa", "mean", "pooled"):
            refresh(task, rule)
            found[rule] = evaluate(task)
        refresh(task)
    return found


def refresh(task: Any, rule: str | None = None) -> None:
    """Recompute batch-norm statistics for the weights as they are.

    Args:
        task: a built task; without batch norm nothing is done.
        rule: one of the setting ``bn_refresh``'s choices, the config's unless told.
    """
    if task.network.norm is None:
        return
    rule = rule or task.config.bn_refresh
    size, x = task.config.batch_size, task.source.x
    batches = [tf.constant(x[i : i + size]) for i in range(0, len(x), size)]
    if rule == "keras_swa":
        _as_keras_swa_does(task, batches)
    else:
        task.refreshers[rule](batches)


def _as_keras_swa_does(task: Any, batches: list[tf.Tensor]) -> None:
    """Start from 0 and 1 and train on for one epoch: too few steps for a momentum of 0.99.

    keras-swa means to change the momentum meanwhile, but a compiled step read it when it was built
    (spec 1.6), so the ordinary momentum acts.
    """
    norm = task.network.norm
    norm.moving_mean.assign(tf.zeros_like(norm.moving_mean))
    norm.moving_variance.assign(tf.ones_like(norm.moving_variance))
    forward = task.cached("one epoch", lambda: lambda x: task.network(x, training=True))
    for x in batches:
        forward(x)
