"""Runs side by side: the settings in which they differ, and their final metrics."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from zoolib.core.result import Result, load
from zoolib.core.store import RunFolder

_ABSENT = "-"


def compare(folders: Sequence[str | Path]) -> str:
    """A plain-text table with one column per run.

    Rows are first the settings, device and precision that are not the same in all runs, then every
    final metric; a metric with a ``_ci95`` beside it is shown as mean +- half-width.

    Raises:
        StoreError: if a folder is not a run folder.
    """
    results = [load(folder) for folder in folders]
    head = ["run", *(result.folder.name for result in results)]
    rows = [head, *_settings(results), *_metrics(results)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)) for row in rows]
    return "\n".join(line.rstrip() for line in lines)


def _settings(results: Sequence[Result]) -> list[list[str]]:
    columns = []
    for result in results:
        env = RunFolder.open(result.folder).env
        told = {name: env.get(name, _ABSENT) for name in ("device", "precision")}
        state = {"state": "finished" if result.metrics else "unfinished"}
        columns.append({"model": result.config.model, **result.config.to_dict(), **told, **state})
    return [row for row in _rows(columns) if len(set(row[1:])) > 1]


def _metrics(results: Sequence[Result]) -> list[list[str]]:
    return _rows([_with_intervals(result.metrics) for result in results])


def _with_intervals(metrics: dict[str, float]) -> dict[str, str]:
    shown = {}
    for name, value in metrics.items():
        if name.endswith("_ci95") and name[: -len("_ci95")] in metrics:
            continue
        interval = metrics.get(f"{name}_ci95")
        shown[name] = f"{value:.4g}" if interval is None else f"{value:.4g} +- {interval:.2g}"
    return shown


def _rows(columns: Sequence[dict[str, Any]]) -> list[list[str]]:
    """One row per key that any column has, in order of first appearance."""
    keys = list(dict.fromkeys(key for column in columns for key in column))
    return [[key, *(str(column.get(key, _ABSENT)) for column in columns)] for key in keys]
