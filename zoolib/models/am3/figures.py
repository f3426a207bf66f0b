"""The arrays behind AM3's own figures."""

from __future__ import annotations

from typing import Any, Callable

import numpy as np
import tensorflow as tf

from zoolib.models.am3 import evaluation, rates


def figure_data(task: Any) -> dict[str, Any]:
    """Test classes in the space of prototypes, shares of the picture, strengths, step sizes.

    Returns:
        ``names``; ``visual`` [C, D], mean features of each test class; for variants with words
        ``vectors`` [C, E] before g, ``words`` [C, D] after it and ``share`` [C], the mean over the
        stored tasks; for TADAM variants ``ten_beta`` and ``ten_gamma``, the trained factors, one
        for each unit; ``learning_rate`` of every step.
    """
    split = task.source.sets["test"]
    with task.session.placement():
        found = evaluation.features(task, "test")
        data = {
            "names": split.names,
            "visual": class_means(found, split.class_of, len(split.names)),
            "learning_rate": rates.learning_rates(task.config, range(task.config.iterations)),
        }
        if task.source.words:
            rows = task.source.vectors("test", np.arange(len(split.names)))["words"]
            data["vectors"], data["words"] = rows, word_prototypes(task, rows)
            data["share"] = share_by_class(task)
        if task.network.ten is not None:
            call = task.cached("factors", lambda: lambda: tf.stack(task.network.ten.factors))
            data["ten_beta"], data["ten_gamma"] = np.split(call().numpy(), 2)
    return data


def class_means(values: np.ndarray, class_of: np.ndarray, count: int) -> np.ndarray:
    """Mean of each class's rows, [classes, D]."""
    return np.stack([values[class_of == c].mean(axis=0) for c in range(count)])


def word_prototypes(task: Any, rows: np.ndarray) -> np.ndarray:
    """g of word vectors [C, E] -> [C, D]."""
    call = task.cached(("words", len(rows)), lambda: _words(task))
    return call(tf.constant(rows)).numpy()


def share_by_class(task: Any) -> np.ndarray:
    """Mean share of the picture of each test class over the stored tasks, [classes]."""
    outcome = evaluation.run(task, evaluation.protocol(task.config, "test"))
    count = len(task.source.sets["test"].names)
    there = [outcome.share[outcome.classes == c] for c in range(count)]
    return np.array([values.mean() if len(values) else np.nan for values in there], np.float32)


def _words(task: Any) -> Callable:
    return lambda rows: task.network.g(rows, False)
