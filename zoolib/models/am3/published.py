"""What the benchmarks measured on AttrShapes, as stored with the library."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

_FILES = ("attrshapes", "shots")
Row = dict[str, Any]


def measured(name: str = "attrshapes") -> dict[str, Any]:
    """One of the stored documents: ``attrshapes`` of `benchmarks/am3_quality.py`, ``shots`` of
    `benchmarks/am3_shots.py`."""
    path = Path(__file__).parent / "results" / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8"))


def runs() -> list[Row]:
    """Every run of both documents; of the same kind and seed the first counts."""
    found: dict[tuple[str, int], Row] = {}
    for name in _FILES:
        for row in measured(name)["runs"]:
            found.setdefault((row["run"], row["seed"]), row)
    return list(found.values())


def seeds(rows: list[Row], *kinds: str) -> list[int]:
    """Seeds that all of these kinds of runs have in common, in order."""
    each = [{row["seed"] for row in rows if row["run"] == kind} for kind in kinds]
    return sorted(set.intersection(*each))


def curve(
    rows: list[Row], kind: str, of: list[int], what: str = "accuracy", key: str = "shots"
) -> tuple[np.ndarray, np.ndarray]:
    """A kind of run against the shots at test time.

    Args:
        rows: from :func:`runs`.
        kind: such as ``AM3-ProtoNet++``.
        of: seeds.
        what: ``accuracy`` (percent), or ``lambda``.
        key: ``shots``, or ``shots_ten_off`` for runs with task conditioning left out in testing.

    Returns:
        Shots [n] and values [seeds, n].
    """
    by_seed = {row["seed"]: row[key] for row in rows if row["run"] == kind}
    shots = [point["shots"] for point in by_seed[of[0]]]
    return np.array(shots), np.array([[p[what] for p in by_seed[seed]] for seed in of])


def values(rows: list[Row], kind: str, what: str = "lambda") -> np.ndarray:
    """One number of every run of a kind, in the order of its seeds, [seeds]."""
    found = {row["seed"]: row[what] for row in rows if row["run"] == kind}
    return np.array([found[seed] for seed in sorted(found)], float)


def lambdas(rows: list[Row], kind: str) -> dict[int, np.ndarray]:
    """Lambda on the test classes for each number of shots a kind was trained with, {K: [seeds]}."""
    ends = {1: "", 5: ", 5 shots", 10: ", 10 shots"}
    found = {shots: values(rows, kind + end) for shots, end in ends.items()}
    return {shots: each for shots, each in found.items() if len(each)}
