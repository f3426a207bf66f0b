"""Scores of predictions: accuracy, per class, macro F1, area under the ROC curve (NumPy only)."""

from __future__ import annotations

import numpy as np


def accuracy(p: np.ndarray, labels: np.ndarray) -> float:
    """Share of rows whose most probable class is the label; p [N, classes], labels [N]."""
    return float(np.mean(p.argmax(axis=1) == labels))


def confusion(p: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """How many images of each class are taken for which, int [classes, classes]."""
    table = np.zeros((p.shape[1], p.shape[1]), int)
    np.add.at(table, (labels, p.argmax(axis=1)), 1)
    return table


def accuracies(p: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Accuracy of each class, [classes]; not a number for a class without images."""
    table = confusion(p, labels)
    with np.errstate(invalid="ignore"):
        return np.diagonal(table) / table.sum(axis=1)


def macro_f1(p: np.ndarray, labels: np.ndarray) -> float:
    """Mean over the classes that are there of 2 right / (predicted + there)."""
    table = confusion(p, labels)
    there = table.sum(axis=1)
    f1 = 2.0 * np.diagonal(table) / np.maximum(table.sum(axis=0) + there, 1)
    return float(f1[there > 0].mean())


def spread(p: np.ndarray) -> float:
    """Classes in effect predicted: exp of the entropy of the mean prediction, 1 to classes."""
    mean = p.mean(axis=0, dtype=np.float64)
    return float(np.exp(-np.sum(mean * np.log(np.maximum(mean, 1e-30)))))


def auroc(scores: np.ndarray, positive: np.ndarray) -> float:
    """Chance that a positive row's score is above a negative one's; ties count half.

    Not a number where either kind is missing.
    """
    positive = np.asarray(positive, bool)
    count, rest = int(positive.sum()), int((~positive).sum())
    if not count or not rest:
        return float("nan")
    _, place, size = np.unique(scores, return_inverse=True, return_counts=True)
    ends = np.cumsum(size)
    ranks = (ends - (size - 1) / 2.0)[place.reshape(-1)]
    return float((ranks[positive].sum() - count * (count + 1) / 2.0) / (count * rest))
