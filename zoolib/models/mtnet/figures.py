"""Arrays behind MT-net's figures; `zoolib.ui.plots` draws them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from zoolib.data import regression
from zoolib.models.mtnet import evaluation
from zoolib.models.mtnet.learner import prediction_curve


def example_tasks(count: int = 3, shots: int = 10, points: int = 201) -> dict[str, np.ndarray]:
    """The first stored test tasks of a decent amplitude: the curves, and the points seen.

    Returns:
        ``x`` [points]; ``truth`` [count, points]; ``support_x``, ``support_y`` [count, shots].
    """
    tasks = regression.stored_sinusoids(50, shots + 10)
    chosen = np.flatnonzero(tasks.knowledge[:, 0] > 1.5)[:count]
    grid = np.linspace(-5.0, 5.0, points)
    return {
        "x": grid,
        "truth": regression.sinusoid(tasks.knowledge[chosen], grid[:, None])[..., 0],
        "support_x": tasks.x[chosen, :shots, 0],
        "support_y": tasks.y[chosen, :shots, 0],
    }


def fits(
    learners: Mapping[str, Any], steps: Sequence[int] = (0, 1, 5, 10), count: int = 3
) -> dict[str, Any]:
    """How meta-learners fit the example tasks, before and after gradient steps.

    Args:
        learners: label -> trained :class:`~zoolib.models.mtnet.task.MTNet`.
        steps: numbers of inner steps to show.
        count: tasks.

    Returns:
        :func:`example_tasks`, ``steps``, and ``predictions``: label -> [count, len(steps), points].
    """
    data = example_tasks(count)
    predictions = {
        label: np.stack(
            [
                prediction_curve(task, x, y, data["x"], max(steps))[list(steps)]
                for x, y in zip(data["support_x"], data["support_y"])
            ]
        )
        for label, task in learners.items()
    }
    return {**data, "steps": list(steps), "predictions": predictions}


def error_curves(learners: Mapping[str, Any], shots: int | None = None) -> dict[str, tuple]:
    """Query error on the stored test tasks after each inner step.

    Returns:
        label -> (steps, mean, half the 95 % interval over tasks), each [steps + 1].
    """
    curves = {}
    for label, task in learners.items():
        errors = evaluation.curve(task, task.config.mask_at_test, shots)
        means = np.array([evaluation.mean_and_interval(e) for e in errors])
        curves[label] = (np.arange(len(errors)), means[:, 0], means[:, 1])
    return curves


def paired_gain(better: Any, worse: Any, step: int = 1) -> tuple[float, float]:
    """Mean and half the 95 % interval of the difference of errors, task by task.

    Positive: ``better`` has the smaller error on the same stored test tasks.
    """
    errors = [evaluation.curve(t, t.config.mask_at_test)[step] for t in (better, worse)]
    return evaluation.mean_and_interval(errors[1] - errors[0])


def published(preset: str = "paper") -> dict[str, Any]:
    """What `benchmarks/mtnet_quality.py` measured at a preset, with its command and commit."""
    path = Path(__file__).parent / "results" / f"{preset}.json"
    return json.loads(path.read_text(encoding="utf-8"))
