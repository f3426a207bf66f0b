"""Evaluation on fixed, stored test tasks: query error against the number of inner steps.

Step 0 is measured on the query set too, so the curve compares like with like. The interval is
1.96 standard deviations over tasks, divided by the root of their number.
"""

from __future__ import annotations

import functools
from typing import Any, Callable

import numpy as np
import tensorflow as tf

from zoolib.core.shards import Shards
from zoolib.nn.losses import accuracy

REPORTED = (0, 1, 2, 5, 10)
MODES = ("sampled", "expected", "thresholded")
TASKS_PER_CALL = {False: 100, True: 4}  # images? -> tasks in one compiled call


def evaluate(task: Any, shots: int | None = None) -> dict[str, float]:
    """Metrics of a trained task.

    With several ranks all of them call this together, and get the same numbers.

    Args:
        task: an :class:`~zoolib.models.mtnet.task.MTNet`.
        shots: support examples, those trained on unless told.

    Returns:
        ``query_mse_step_J`` (``query_accuracy_step_J`` for images) and ``…_ci95``; with masks also
        ``expected_…`` and ``thresholded_…``; ``zero_mse``, the error of predicting 0. A method that
        diverges on some task has an infinite mean there.
    """
    config, modes = task.config, _modes(task)
    metrics: dict[str, float] = {}
    for mode in sorted(modes, key=lambda m: m != config.mask_at_test):
        prefix = "" if mode == config.mask_at_test else f"{mode}_"
        errors = curve(task, mode, shots)
        for step in REPORTED:
            if step < len(errors):
                name = f"{prefix}{metric_name(config)}_step_{step}"
                metrics[name], metrics[f"{name}_ci95"] = mean_and_interval(errors[step])
    if not config.images:
        targets = task.source.test_tasks(shots)["query_y"]
        metrics["zero_mse"], metrics["zero_mse_ci95"] = mean_and_interval(
            np.mean(np.square(targets), axis=(1, 2))
        )
    return metrics


def _modes(task: Any) -> tuple[str, ...]:
    """Kinds of masks an evaluation goes through."""
    masked = task.config.use_M and task.updates
    return MODES if masked else (task.config.mask_at_test,)


def metric_name(config: Any) -> str:
    """What is measured on the query set."""
    return "query_accuracy" if config.images else "query_mse"


def mean_and_interval(values: np.ndarray) -> tuple[float, float]:
    """Mean over tasks and half its 95 % interval; infinite if any value is not finite."""
    if not np.isfinite(values).all():
        return float("inf"), float("inf")
    values = values.astype(np.float64)
    return float(values.mean()), float(1.96 * values.std() / np.sqrt(len(values)))


def curve(task: Any, mode: str = "sampled", shots: int | None = None) -> np.ndarray:
    """Query error of every stored test task after every inner step, [steps + 1, tasks].

    With several ranks each adapts to its share of the tasks; all of them call this together.
    """
    masks = test_masks(task, mode, task.config.test_tasks) if task.network.zeta else None
    call = task.cached("errors", lambda: functools.partial(_errors, task))
    parts = []
    for places in task.shards.calls():
        batch = _batch(task, places, masks, shots)
        parts.append(call({name: tf.constant(values) for name, values in batch.items()}).numpy())
    return task.shards.gather(parts)


def shards(task: Any) -> Shards:
    """How the stored test tasks are shared out over ranks and compiled calls."""
    return Shards(task.session, task.config.test_tasks, TASKS_PER_CALL[task.config.images])


def _batch(task: Any, places: np.ndarray, masks: Any, shots: int | None) -> dict[str, np.ndarray]:
    """Some of the stored test tasks, with their masks."""
    batch = task.source.test_part(places, shots)
    return batch if masks is None else {**batch, "masks": masks[places]}


def functions(task: Any) -> dict[str, tuple[Callable, tuple]]:
    """What :func:`evaluate` runs on the device, with example arguments; one for each shape."""
    size, found = task.shards.per_call, {}
    for mode in _modes(task):
        masks = test_masks(task, mode, size) if task.network.zeta else None
        batch = _batch(task, np.arange(size), masks, None)
        specs = {name: tf.TensorSpec(v.shape, v.dtype) for name, v in batch.items()}
        title = "evaluation" if masks is None else f"evaluation, {mode} masks"
        found.setdefault(str(specs), (title, specs))
    errors = functools.partial(_errors, task)
    return {title: (errors, (specs,)) for title, specs in found.values()}


def test_masks(task: Any, mode: str, count: int) -> np.ndarray:
    """Masks at evaluation, float32 [tasks, inner steps (1 if they stay), logits].

    Sampled as in training, with noise fixed by the seed; expected: the probability itself;
    thresholded: on where the probability exceeds a half.
    """
    zeta = task.logits()
    if mode == "sampled":
        noise = task.noise("mtnet/test masks", range(1), count, task.config.test_updates)[0]
        masks = np.swapaxes(zeta + noise > 0.0, 0, 1)
    else:
        one = 1.0 / (1.0 + np.exp(-zeta)) if mode == "expected" else zeta > 0.0
        masks = np.broadcast_to(one, (count, 1, len(zeta)))
    return np.asarray(masks, np.float32)


def _errors(task: Any, batch: dict) -> tf.Tensor:
    """Errors [steps + 1, B] of a batch of tasks."""
    thetas = adapted(task, batch, task.config.test_updates if task.updates else 0)
    if not task.config.images:
        return tf.stack([task.loss(theta, batch, "query") for theta in thetas])
    images = task.source.inputs_of(batch["query_x"])
    return tf.stack([accuracy(task.network(theta, images), batch["query_y"]) for theta in thetas])


def adapted(task: Any, batch: dict, steps: int) -> list[list[tf.Tensor]]:
    """Parameters of every task after 0, 1, …, ``steps`` inner steps."""
    thetas = [task.network.tasks_own(batch["support_x"].shape[0])]
    for j in range(steps):
        M = None
        if task.network.zeta:
            masks = batch["masks"]
            M = task.spread(task.by_layer(masks[:, j % masks.shape[1]]))
        thetas.append(task.inner_step(thetas[-1], M, batch))
    return thetas
