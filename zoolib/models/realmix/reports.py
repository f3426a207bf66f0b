"""Reports in the published formats (spec 4), remarks before training, files of a finished run."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from typing import Any

import numpy as np

_LAST = (1, 10, 20, 50)
_COLUMNS = ("labelled", "valid", "test")
_STEEP = 0.1  # growth of lambda_u per step; the paper's is 0.005, one of 0.6 collapsed on digits


def kimg_line(images: int, train: float, valid: float, test: float) -> str:
    """The line of an evaluation: kibi-images seen, accuracies of the averaged weights in percent.

    Args:
        images: labelled images seen so far.
        train, valid, test: percent.
    """
    return (
        f"kimg {images >> 10:<5d}  accuracy train/valid/test  {train:.2f}  {valid:.2f}  {test:.2f}"
    )


def ood_line(confidences: Sequence[float]) -> str:
    """The largest probabilities of the first test images, four decimals each."""
    return " ".join(["ood", *(f"{p:.4f}" for p in confidences)])


def table(metrics: dict[str, float]) -> str:
    """The report of raw, averaged, tuned and recalibrated weights, percent.

    Args:
        metrics: of `evaluation.Evaluator.metrics`, shares.
    """
    head = f"{'':16}{'labeled':>8}{'valid':>8}{'test':>8}"
    lines = [head]
    for row in ("raw", "ema", "tuned_raw", "tuned_ema", "recal_ema"):
        if f"{row}_test" in metrics:
            cells = "".join(
                f"{100 * metrics.get(f'{row}_{name}', float('nan')):8.2f}" for name in _COLUMNS
            )
            lines.append(f"{row:>16}{cells}")
    return "\n".join(lines)


def medians(accuracies: Sequence[float]) -> dict[str, float]:
    """Medians of the last 1, 10, 20 and 50 evaluations, percent: what accuracy.json holds.

    Args:
        accuracies: of the averaged weights on test images, percent, in order.
    """
    values = list(accuracies)
    return {f"last{n:02d}": statistics.median(values[-n:]) for n in _LAST} if values else {}


def documents(task: Any, history: list[dict], summary: dict[str, Any]) -> dict[str, str]:
    """Files for the folder of a finished run.

    Args:
        task: a trained task.
        history: rows; those with ``test_accuracy`` are evaluations.
        summary: its last metrics, and step.

    Returns:
        ``accuracy.json`` and ``report.txt``.
    """
    final = {"step": summary["steps"], **summary["metrics"]}
    rows = [row for row in history if "test_accuracy" in row and row["step"] != final["step"]]
    rows.append(final)
    accuracy = medians([round(100 * row["test_accuracy"], 6) for row in rows])
    lines = [variables(task.network), ""]
    lines += [line_of(task, row) for row in rows]
    lines += [ood_line(confidences(task, 10)), "", table(final), ""]
    return {
        "accuracy.json": json.dumps(accuracy, indent=2, sort_keys=True) + "\n",
        "report.txt": "\n".join(lines),
    }


def line_of(task: Any, row: dict[str, float]) -> str:
    """`kimg_line` of an evaluation's row of the history."""
    images = int(row["step"]) * task.config.batch_size * task.session.size
    shares = [100 * row.get(f"ema_{name}", float("nan")) for name in _COLUMNS]
    return kimg_line(images, *shares)


def confidences(task: Any, count: int) -> np.ndarray:
    """Largest probability of each of the first test images, by the averaged weights."""
    with task.session.placement(), task.evaluator.averaged():
        return task.evaluator.of(task.data.test.images[:count]).max(axis=1)


def variables(network: Any) -> str:
    """Trained variables: name, number of entries, shape; and the total."""
    rows = [(v.name.split(":")[0], tuple(v.shape)) for v in network.trainable_variables]
    wide = max(len(name) for name, _ in rows)
    sizes = [int(np.prod(shape)) for _, shape in rows]
    lines = [f"{name:<{wide}} {n:>10d}  {list(s)}" for (name, s), n in zip(rows, sizes)]
    return "\n".join([*lines, f"{'total':<{wide}} {sum(sizes):>10d}"])


def remarks(task: Any) -> list[str]:
    """What a user should know before training: sizes, classes without labels, steep ramps."""
    config, data = task.config, task.data
    names = np.array(data.names)
    found = [
        f"{len(data.labelled)} labelled, {len(data.unlabelled)} unlabelled, "
        f"{len(data.validation)} validation and {len(data.test)} test images of {len(names)} "
        f"classes, {task.image_shape[0]} x {task.image_shape[1]}; split {data.fingerprint[:12]}"
    ]
    there = np.unique(data.labelled.labels)
    missing = [str(n) for i, n in enumerate(names) if i not in there]
    if missing:
        found.append(
            f"labels: {len(data.labelled)} for {len(names)} classes; no labelled image of "
            f"{', '.join(missing[:10])}, which will never be predicted. Give more labels"
        )
    if task.unlabelled:
        length = (config.ramp_images or config.images) / config.batch_size / task.session.size
        steps = max(min(length, config.iterations), 1.0)
        if config.unlabelled_weight / max(length, 1.0) > _STEEP:
            found.append(
                f"ramp: the unlabelled loss's weight grows to {config.unlabelled_weight:g} within "
                f"{steps:.0f} steps; guesses may collapse to one class. Raise ramp_images or lower "
                "unlabelled_weight"
            )
    for name in ("ema_decay", "bn_momentum"):
        left = getattr(config, name) ** config.iterations
        if left > 0.1:
            found.append(
                f"{name}: after {config.iterations} steps {100 * left:.0f} % of the initial state "
                "is left in it. Lower it for a run this short"
            )
    return found
