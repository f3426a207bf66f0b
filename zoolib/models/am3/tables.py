"""What a finished run tells in files: tab-separated tables beside its history (spec 5.2).

They hold no timings but `results.tsv`'s, so those of an interrupted and resumed run are the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

_LOG = (
    "step",
    "lr",
    "loss",
    "loss_ce",
    "loss_l2",
    "accuracy",
    "loss_aux",
    "aux_taken",
    "lambda_mean",
    "lambda_std",
    "alpha",
)
_EVAL = ("step", "split", "episodes", "shots", "acc", "ci95_episodes", "loss_ce", "lambda_mean")
_RESULTS = (
    "variant",
    "dataset",
    "ways",
    "shots",
    "seed",
    "best_step",
    "val_acc",
    "test_acc",
    "ci95_episodes",
    "params",
    "seconds",
)


def documents(task: Any, history: list[dict[str, Any]], summary: dict[str, Any]) -> dict[str, str]:
    """``train_log.tsv``, ``eval.tsv``, ``results.tsv`` and ``lambda_by_class.tsv``."""
    metrics, step = summary["metrics"], summary.get("best_step", summary["steps"])
    rows = [_evaluated(task, "val", row["step"], row) for row in history if "val_loss" in row]
    rows.append(_evaluated(task, "test", step, metrics))
    found = {
        "train_log.tsv": table(_LOG, ([row.get(name, "") for name in _LOG] for row in history)),
        "eval.tsv": table(_EVAL, rows),
        "results.tsv": table(_RESULTS, [_result(task, summary, step)]),
    }
    if task.source.words:
        names = ("class", "name", "mean", "sd", "n")
        found["lambda_by_class.tsv"] = table(names, lambda_by_class(task))
    return found


def table(names: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Tab-separated text, a line of names first; numbers with seven digits."""
    lines = ["\t".join(names)]
    for row in rows:
        lines.append("\t".join(f"{v:.7g}" if isinstance(v, float) else str(v) for v in row))
    return "\n".join(lines) + "\n"


def lambda_by_class(task: Any) -> list[tuple[int, str, float, float, int]]:
    """Class, name, mean and deviation of the picture's share, tasks, of the last test."""
    outcome, names = task.evaluations.last, task.source.sets["test"].names
    rows = []
    for number, name in enumerate(names):
        values = outcome.share[outcome.classes == number].astype(np.float64)
        if len(values):
            rows.append((number, name, float(values.mean()), float(values.std()), len(values)))
    return rows


def _evaluated(task: Any, split: str, step: int, values: dict[str, float]) -> list[Any]:
    config = task.config
    told = (f"{split}_{name}" for name in ("accuracy", "accuracy_ci95", "loss", "lambda"))
    return [step, split, config.eval_episodes, config.test_shots, *(values[n] for n in told)]


def _result(task: Any, summary: dict[str, Any], step: int) -> list[Any]:
    config, metrics = task.config, summary["metrics"]
    data = config.datasource if config.datasource != "npz" else config.data_dir
    return [
        config.variant,
        data,
        config.eval_ways,
        config.test_shots,
        config.seed,
        step,
        metrics["val_accuracy"],
        metrics["test_accuracy"],
        metrics["test_accuracy_ci95"],
        task.network.sizes()[0],
        round(summary["seconds"], 1),
    ]
