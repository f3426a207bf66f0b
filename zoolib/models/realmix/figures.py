"""Arrays behind the figures of RealMix; the notebook draws them."""

from __future__ import annotations

from typing import Any

import numpy as np

from zoolib.models.realmix import scores
from zoolib.models.realmix.evaluation import ROWS, SETS

_MOST = 10_000  # unlabelled images that are looked at


def figure_data(task: Any) -> dict[str, Any]:
    """What a trained task has to show.

    Returns:
        ``names`` of the classes; ``labelled``, uint8 images, and ``labels``; ``confusion`` of test
        images [label, guess] and ``class_accuracy`` by the averaged weights; ``rows`` and ``sets``
        with ``accuracies`` [row, set] in percent; ``lambda_u`` and ``eta`` of every step;
        ``ood``: see :func:`ood_scores`; ``guesses``: see :func:`guesses`.
    """
    with task.session.placement():
        found = task.evaluator.rows()
        parts = task.evaluator.slices
        labels = task.data.test.labels
        shares = [task.evaluator.by_set(found[row]) for row in ROWS]
        steps = range(task.config.iterations)
        return {
            "names": list(task.data.names),
            "labelled": task.data.labelled.images,
            "labels": task.data.labelled.labels,
            "confusion": scores.confusion(found["ema"][parts["test"]], labels),
            "class_accuracy": scores.accuracies(found["ema"][parts["test"]], labels),
            "rows": list(ROWS),
            "sets": list(SETS),
            "accuracies": np.array(
                [[100 * row.get(name, np.nan) for name in SETS] for row in shares]
            ),
            "lambda_u": task.ramp(steps),
            "eta": task.thresholds(steps),
            "ood": ood_scores(task),
            "guesses": guesses(task, 8),
        }


def ood_scores(task: Any) -> dict[str, Any]:
    """How sure the averaged weights are of unlabelled images, and whether that tells foreign ones.

    Returns:
        ``confidence`` [N], the largest probability of each image; ``foreign`` bool [N], whether
        its class is none of the labelled ones; ``auroc`` of low confidence as a sign of foreign
        images, not a number where there are none; ``index``, which images.
    """
    data, count = task.data, len(task.data.unlabelled)
    index = np.unique(np.linspace(0, count - 1, min(count, _MOST)).astype(int))
    with task.session.placement(), task.evaluator.averaged():
        confidence = task.evaluator.of(data.unlabelled.images[index]).max(axis=1)
    foreign = np.asarray(data.foreign)[index]
    return {
        "confidence": confidence,
        "foreign": foreign,
        "auroc": scores.auroc(-confidence, foreign),
        "index": index,
    }


def guesses(task: Any, count: int) -> dict[str, np.ndarray]:
    """Guessing and sharpening on some unlabelled images, by the trained weights as they are.

    Returns:
        ``views`` uint8 [2, count, H, W, 3]; ``p`` [2, count, classes] of each; ``mean``;
        ``sharpened``; ``truth``, the classes nobody told (-1 where none is known).
    """
    step = range(task.config.iterations, task.config.iterations + 1)
    batch = task.batches.batch(step)
    count = min(count, batch["u"].shape[2])
    views, index = batch["u"][0, :, :count], batch["u_index"][0, :count]
    with task.session.placement():
        p = np.stack([task.evaluator.of(view) for view in views])
    mean = p.mean(axis=0)
    powers = mean ** (1.0 / task.config.temperature)
    return {
        "views": views,
        "p": p,
        "mean": mean,
        "sharpened": powers / powers.sum(axis=1, keepdims=True),
        "truth": task.data.unlabelled.labels[index],
    }
