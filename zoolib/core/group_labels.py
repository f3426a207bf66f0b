"""In which settings groups of runs differ, and the short names that follow from it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

_ABSENT = "-"
# They say how often something is told or kept; they name a group only if nothing else does.
_BOOKKEEPING = ("report_every", "eval_every", "checkpoint_every", "data_dir")
_ANYWHERE = ("device", "precision", "ranks", "npu_options")  # settings of a run of any method
_PLAIN = ("variant", "device", "precision")  # their values speak for themselves
_WEIGHTS = {"raw": "raw weights", "averaged": "SWA average"}
_MOST = 3  # settings in a label; with fewer than that, a telling preset is not preferred


def differences(groups: Sequence[Any]) -> dict[str, dict[str, Any]]:
    """Setting -> label -> value, for what sets groups apart.

    Groups of different methods differ in the method; their other settings are looked at within
    each method only.
    """
    names = _differing(groups)
    return {n: {g.label: g.settings.get(n, _ABSENT) for g in groups} for n in names}


def _differing(groups: Sequence[Any]) -> list[str]:
    models = list(dict.fromkeys(group.settings["model"] for group in groups))
    found = dict.fromkeys(["model"] if len(models) > 1 else [])
    for model in models:
        of_model = [g.settings for g in groups if g.settings["model"] == model]
        names = dict.fromkeys(name for settings in of_model for name in settings)
        found.update(dict.fromkeys(n for n in names if _values(of_model, n) > 1))
    every = [group.settings for group in groups]
    found.update(dict.fromkeys(n for n in _ANYWHERE if _values(every, n) > 1))
    return list(found)


def _values(settings: Sequence[dict[str, Any]], name: str) -> int:
    return len({str(values.get(name, _ABSENT)) for values in settings})


def label_groups(groups: Sequence[Any]) -> list[Any]:
    """The groups, each with a label of its own: what differs, or the preset where that is much."""
    every = _differing(groups)
    names = [n for n in every if n not in _BOOKKEEPING] or every
    texts = [_label(group, names, groups) for group in groups]
    labels = [
        text if text not in texts[:i] else f"{text} ({texts[:i].count(text) + 1})"
        for i, text in enumerate(texts)
    ]
    return [dataclasses.replace(g, label=label) for g, label in zip(groups, labels)]


def _label(group: Any, names: Sequence[str], groups: Sequence[Any]) -> str:
    settings, model = group.settings, group.settings["model"]
    own = [g.settings for g in groups if g.settings["model"] == model]
    parts = [n for n in names if n in settings and (n in _ANYWHERE or _telling(own, n))]
    words = [word for name in parts if (word := _word(name, settings[name]))]
    if len(words) >= _MOST and _presets_tell(groups):
        words = [group.runs[0].config.preset]
    elif len(words) > _MOST:
        words = [*words[:_MOST], "…"]
    head = [model] if "model" in names else []
    weights = [_WEIGHTS[settings["weights"]]] if settings.get("swa_start") else []
    return ", ".join([*head, *words, *weights]) or model


def _telling(settings: Sequence[dict[str, Any]], name: str) -> bool:
    """Whether a setting belongs in labels; how SWA is done only where it is done."""
    if name.startswith("swa_") and name != "swa_start":
        settings = [values for values in settings if values.get("swa_start")]
    return name != "weights" and _values(settings, name) > 1


def _presets_tell(groups: Sequence[Any]) -> bool:
    """Whether every group has a preset, and each its own."""
    presets = [{run.config.preset for run in group.runs} for group in groups]
    single = [name for names in presets if len(names) == 1 for name in names]
    return len(set(single)) == len(groups)


def _word(name: str, value: Any) -> str:
    if name == "swa_start" and not value:
        return ""
    return str(value) if name in _PLAIN else f"{name}={value}"
