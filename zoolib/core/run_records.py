"""Runs as a comparison sees them: read without TensorFlow, whatever state they are in."""

from __future__ import annotations

import dataclasses
import glob
import json
import numbers
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from zoolib.core.config import Config
from zoolib.core.result import load
from zoolib.core.store import RunFolder
from zoolib.errors import StoreError

INTERVAL = "_ci95"  # a metric with this ending is the half-width of the one without
_WORDS = re.compile(r"[^a-z0-9]+")
_LOWER = set("loss mse mae rmse error errors nll perplexity entropy".split())
_HIGHER = set("accuracy acc auc precision recall f1 score top1 top5".split())


@dataclasses.dataclass(frozen=True)
class Run:
    """One run folder.

    Attributes:
        folder: where it is.
        state: ``"finished"``, ``"unfinished"`` or ``"damaged"``.
        reason: what is damaged.
        config: the settings; None if they cannot be read.
        env: what ``env.json`` tells.
        step: steps done, as far as reported.
        metrics: the final evaluation; empty unless finished.
        history: one row per report.
        summary: timings and the like; empty unless finished.
    """

    folder: Path
    state: str
    reason: str = ""
    config: Config | None = None
    env: dict[str, Any] = dataclasses.field(default_factory=dict)
    step: int = 0
    metrics: dict[str, float] = dataclasses.field(default_factory=dict)
    history: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    summary: dict[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def headline(self) -> str:
        """The metric by which runs of this method compare; runs of old do not say, see below.

        Without a word in ``summary.json`` it is the first metric whose direction its name tells.
        """
        told = self.summary.get("headline")
        if told in self.metrics:
            return told
        names = [name for name in self.metrics if not name.endswith(INTERVAL)]
        return next((n for n in names if lower_is_better(n) is not None), (names or [""])[0])

    def settings(self) -> dict[str, Any]:
        """Everything a run's numbers depend on, but its seed: settings, device, precision …"""
        values = {"model": self.config.model, **self.config.to_dict()}
        told = {name: self.env.get(name, "-") for name in ("device", "precision")}
        told["ranks"] = self.env.get("ranks", 1)
        told["npu_options"] = json.dumps(self.env.get("npu_options") or {}, sort_keys=True)
        return {k: v for k, v in {**values, **told}.items() if k not in ("seed", "preset")}


def lower_is_better(name: str) -> bool | None:
    """The direction a metric's name tells (``query_mse``, ``test_accuracy``); None if it does not.

    The headline of a run says its direction in ``summary.json``; other metrics have their names.
    """
    words = set(_WORDS.split(name.lower()))
    lower, higher = bool(words & _LOWER), bool(words & _HIGHER)
    return None if lower == higher else lower


def find(places: Iterable[Any]) -> list[Path]:
    """Run folders among and below ``places``, each once, in the order given.

    Args:
        places: run folders, folders that hold some at any depth, glob patterns, results of
            :func:`zoolib.train`, or lists of these.

    Raises:
        StoreError: for a place where there is no run.
    """
    found: dict[Path, None] = {}
    for place in places:
        if hasattr(place, "folder"):
            found[Path(place.folder).absolute()] = None
        elif isinstance(place, (list, tuple)):
            found.update(dict.fromkeys(find(place)))
        else:
            here = list(_below(str(place)))
            if not here:
                raise StoreError(
                    f"{place}: expected a run folder or a folder of runs, found no config.json"
                )
            found.update(dict.fromkeys(here))
    return list(found)


def _below(place: str) -> Iterator[Path]:
    roots = [place] if os.path.exists(place) else sorted(glob.glob(place, recursive=True))
    for root in roots:
        for folder, inside, files in os.walk(root):
            inside.sort()
            if "config.json" in files:
                inside.clear()  # no runs within a run
                yield Path(folder).absolute()


def read(folder: Path) -> Run:
    """The run in a folder; damage is told in the record, not raised."""
    try:
        run = RunFolder.open(folder)
        env, result = run.env, load(folder)
        summary, history = result.summary, result.history
        if not isinstance(env, dict):
            raise StoreError(f"{folder / 'env.json'}: expected an object")
        for name, value in result.metrics.items():
            if isinstance(value, bool) or not isinstance(value, numbers.Real):
                raise StoreError(f"{folder / 'summary.json'}: {name} is no number: {value!r}")
        if not all(isinstance(row, dict) and "step" in row for row in history):
            raise StoreError(f"{folder / 'metrics.jsonl'}: expected rows with a step")
    except (StoreError, OSError, UnicodeError) as error:
        return Run(folder, "damaged", reason=str(error).replace(f"{folder}{os.sep}", ""))
    step = history[-1]["step"] if history else 0
    state = "finished" if result.metrics else "unfinished"
    step = summary.get("steps", step)
    return Run(folder, state, "", run.config, env, step, result.metrics, history, summary)
