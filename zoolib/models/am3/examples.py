"""Single tasks to look at, and what false or missing names do to a trained learner."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from zoolib.errors import ConfigError
from zoolib.models.am3 import evaluation, prediction

NAMINGS = ("true", "exchanged", "none")


def stored_task(
    task: Any, number: int = 0, shots: int = 1, split: str = "test"
) -> dict[str, np.ndarray | tuple[str, ...]]:
    """One of the tasks every variant is tested on, as pictures.

    Args:
        task: a :class:`~zoolib.models.am3.task.FewShot`.
        number: which of the stored tasks.
        shots: support images of each class; the first are those of the task with fewer.

    Returns:
        ``names`` of the C classes; ``support`` [C, shots, H, W, 3]; ``query`` [Q, H, W, 3] and
        ``labels`` [Q], places among the names.
    """
    plan = evaluation.protocol(task.config, split, shots=shots)
    drawn = {k: v[number] for k, v in task.evaluations.tasks(plan).items()}
    held = task.source.sets[split]
    support = held.images[drawn["support"]]
    return {
        "names": tuple(held.names[c] for c in drawn["classes"]),
        "support": support.reshape(plan.ways, shots, *support.shape[1:]),
        "query": held.images[drawn["query"]],
        "labels": drawn["query_labels"],
    }


def answers(task: Any, drawn: dict[str, Any]) -> prediction.Prediction:
    """What a learner says of the queries of a :func:`stored_task`."""
    names = drawn["names"] if task.source.words else None
    return prediction.predict(task, list(drawn["support"]), names, drawn["query"])


def renamed(task: Any, naming: str, shots: int = 1) -> np.ndarray:
    """Share of right queries of each stored test task [tasks], if the names are not as they were.

    The network is not trained anew: it believes what it is told. Task conditioning takes no part.

    Args:
        task: a trained :class:`~zoolib.models.am3.task.FewShot` whose variant reads names.
        naming: ``true``; ``exchanged``, each class of a task gets the name of the next one;
            ``none``, as if no name were known, so that only pictures count.
        shots: support images of each class.

    Raises:
        ConfigError: for another naming, or a variant that reads no names.
    """
    if naming not in NAMINGS:
        raise ConfigError(f"naming: expected one of {', '.join(NAMINGS)}, got {naming!r}")
    if not task.source.words:
        raise ConfigError(
            f"renamed: expected a learner that reads names, {task.config.variant} reads none"
        )
    plan = evaluation.protocol(task.config, "test", shots=shots)
    stored = task.evaluations.tasks(plan)
    told = task.source.vectors("test", stored["classes"])
    if naming == "exchanged":
        told = {name: np.roll(values, 1, axis=1) for name, values in told.items()}
    elif naming == "none":
        told["known"] = np.zeros_like(told["known"])
    with task.session.placement():
        pool = evaluation.features(task, "test")
        kind = ("tasks", True, False, plan.ways)
        call = task.cached(kind, lambda: evaluation.judging(task, plan.ways, True, False))
        batch = {
            "support": pool[stored["support"]],
            "query": pool[stored["query"]],
            "labels": stored["query_labels"],
            **told,
        }
        return call({k: tf.constant(v) for k, v in batch.items()}).numpy()[0]
