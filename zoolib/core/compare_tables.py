"""A comparison as plain text, as HTML for notebooks, as plain values for JSON."""

from __future__ import annotations

import dataclasses
import html
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from zoolib.core.run_records import INTERVAL
from zoolib.core.statistics import Estimate

_ABSENT = "-"
_FEW = 5  # metrics shown of a pair
_PAIRS = 3  # with more pairs than this, only their headlines are shown


@dataclasses.dataclass(frozen=True)
class Table:
    """Cells as text.

    Attributes:
        title, note: a word above, a sentence below.
        head: names of the columns.
        rows: each as long as ``head``.
    """

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""


def with_interval(mean: float, half: float, sign: str = "+-") -> str:
    """``0.881 +- 0.052``: the half-width with two digits, the mean with as many decimals."""
    return (
        number(mean) if math.isnan(half) else f"{rounded(mean, half)} {sign} {rounded(half, half)}"
    )


def rounded(value: float, half: float) -> str:
    """A number with the decimals that a half-width of two digits has."""
    if not 1e-4 <= half < 1e6:
        return number(value)
    decimals = max(0, 1 - math.floor(math.log10(half)))
    return f"{round(value, decimals) + 0.0:.{decimals}f}"  # + 0.0: no minus before a zero


def number(value: float) -> str:
    """Four digits; a dash for what is not there."""
    return _ABSENT if math.isnan(value) else f"{value:.4g}"


def tables(comparison: Any, everything: bool = False, sign: str = "+-") -> list[Table]:
    """The tables that have rows, in reading order: runs, what differs, groups, pairs."""
    found = [
        _runs(comparison, sign),
        _differences(comparison),
        _groups(comparison, sign),
        _pairs(comparison, everything),
    ]
    return [table for table in found if table.rows]


def _runs(comparison: Any, sign: str) -> Table:
    labels: dict[Path, str] = {}
    for group in comparison.groups:
        for run in group.runs:
            labels.setdefault(run.folder, group.label)
    metrics = list(dict.fromkeys(group.headline for group in comparison.groups))
    head = "run state preset seed group device precision steps".split() + metrics + ["seconds"]
    names = short_names([run.folder for run in comparison.runs])
    rows = []
    for run, name in zip(comparison.runs, names):
        config = run.config
        known = (config.preset, config.seed) if config else (_ABSENT, _ABSENT)
        place = [run.env.get(key, _ABSENT) for key in ("device", "precision")]
        done = f"{run.step}/{config.iterations}" if config and not run.metrics else run.step
        label = labels.get(run.folder, _ABSENT)
        values = [_final(run, metric, sign) for metric in metrics]
        seconds = run.summary.get("seconds")
        spent = f"{seconds:.1f}" if isinstance(seconds, float) else _ABSENT
        rows.append([name, run.state, *known, label, *place, done, *values, spent])
    note = f"{sign} behind a run's metric: 95 % interval over what it was evaluated on"
    has = any(sign in str(cell) for row in rows for cell in row)
    return Table("Runs", head, _text(rows), note if has else "")


def _final(run: Any, metric: str, sign: str) -> str:
    if metric not in run.metrics:
        return _ABSENT
    return with_interval(run.metrics[metric], run.metrics.get(metric + INTERVAL, math.nan), sign)


def _differences(comparison: Any) -> Table:
    head = ["setting", *(group.label for group in comparison.groups)]
    rows = [[name, *values.values()] for name, values in comparison.differences.items()]
    return Table("What differs", head, _text(rows))


def _groups(comparison: Any, sign: str) -> Table:
    rows = []
    for group in comparison.groups:
        found = group.estimate(group.headline)
        mean = with_interval(found.mean, found.half, sign)
        spread = rounded(found.spread, found.spread)
        rows.append([group.label, found.n, _seeds(group.seeds), group.headline, mean, spread])
    note = f"{sign}: 95 % interval of the mean over seeds (Student's t); spread: standard deviation"
    head = ["group", "n", "seeds", "metric", "mean", "spread"]
    return Table("Means over seeds", head, _text(rows), note)


def _seeds(seeds: Sequence[int]) -> str:
    first, last = seeds[0], seeds[-1]
    gapless = len(seeds) > 3 and last - first + 1 == len(seeds)
    return f"{first} to {last}" if gapless else ", ".join(map(str, seeds))


def _pairs(comparison: Any, everything: bool) -> Table:
    most = None if everything else _FEW if len(comparison.pairs) <= _PAIRS else 1
    rows, left = [], 0
    for pair in comparison.pairs:
        shown = list(pair.differences.values())[:most]
        left += len(pair.differences) - len(shown)
        for i, difference in enumerate(shown):
            rows.append([pair.label if i == 0 else "", *_difference(difference)])
    note = "b - a seed by seed, with the mean's 95 % interval; tie: the interval holds 0"
    if left:
        note += f". {left} more rows: text(everything=True), or --all"
    head = ["b - a", "metric", "n", "difference", "95 % interval", "better"]
    return Table("Paired differences", head, _text(rows), note)


def _difference(difference: Any) -> list[Any]:
    found: Estimate = difference.estimate
    mean, low, high = (rounded(v, found.half) for v in (found.mean, found.low, found.high))
    interval = _ABSENT if math.isnan(found.half) else f"{low} to {high}"
    return [difference.metric, found.n, mean, interval, difference.verdict]


def _text(rows: Sequence[Sequence[Any]]) -> list[list[str]]:
    return [[str(cell) for cell in row] for row in rows]


def short_names(folders: Sequence[Path]) -> list[str]:
    """Folder names; with as much of the path before them as tells them apart."""
    names = [folder.name for folder in folders]
    if len(set(names)) == len(names):
        return names
    common = os.path.commonpath([str(folder) for folder in folders])
    return [os.path.relpath(folder, common) for folder in folders]


def as_text(comparison: Any, everything: bool) -> str:
    """Tables below one another, columns aligned, notes at the end."""
    parts = []
    for table in tables(comparison, everything):
        rows = [table.head, *table.rows]
        widths = [max(len(row[column]) for row in rows) for column in range(len(table.head))]
        lines = ["  ".join(c.ljust(w) for c, w in zip(row, widths)).rstrip() for row in rows]
        parts.append("\n".join([table.title.upper(), *lines, *filter(None, [table.note])]))
    notes = "\n".join(f"note: {note}" for note in comparison.notes)
    return "\n\n".join([*parts, *filter(None, [notes])])


def as_html(comparison: Any) -> str:
    """The same tables for a notebook, in the page's own style."""
    parts = []
    for table in tables(comparison, sign="±"):
        head = "".join(_cell("th", name) for name in table.head)
        rows = "".join(f"<tr>{''.join(_cell('td', c) for c in row)}</tr>" for row in table.rows)
        parts.append(
            f"<p><b>{table.title}</b></p><table><thead><tr>{head}</tr></thead>"
            f"<tbody>{rows}</tbody></table><p><small>{html.escape(table.note)}</small></p>"
        )
    parts += [f"<p>{html.escape(note)}</p>" for note in comparison.notes]
    return "".join(parts)


def _cell(kind: str, text: str) -> str:
    return f'<{kind} style="text-align:left">{html.escape(text)}</{kind}>'


def as_dict(comparison: Any) -> dict[str, Any]:
    """Everything as plain values; numbers that are not finite are left as they are."""
    return {
        "runs": [_run_dict(run) for run in comparison.runs],
        "groups": [_group_dict(group) for group in comparison.groups],
        "differences": comparison.differences,
        "pairs": [_pair_dict(pair) for pair in comparison.pairs],
        "notes": list(comparison.notes),
    }


def _run_dict(run: Any) -> dict[str, Any]:
    config = run.config
    return {
        "folder": str(run.folder),
        "state": run.state,
        "reason": run.reason,
        "model": config.model if config else None,
        "preset": config.preset if config else None,
        "seed": config.seed if config else None,
        "device": run.env.get("device"),
        "precision": run.env.get("precision"),
        "steps": run.step,
        "iterations": config.iterations if config else None,
        "seconds": run.summary.get("seconds"),
        "metrics": dict(run.metrics),
    }


def _group_dict(group: Any) -> dict[str, Any]:
    return {
        "label": group.label,
        "settings": group.settings,
        "seeds": list(group.seeds),
        "folders": [str(run.folder) for run in group.runs],
        "headline": group.headline,
        "lower_is_better": group.lower_is_better,
        "metrics": {n: dataclasses.asdict(group.estimate(n)) for n in group.metrics},
    }


def _pair_dict(pair: Any) -> dict[str, Any]:
    return {
        "a": pair.a.label,
        "b": pair.b.label,
        "settings": {name: list(values) for name, values in pair.settings.items()},
        "headline": pair.headline.metric,
        "differences": [
            {
                "metric": d.metric,
                "seeds": list(d.values),
                "values": list(d.values.values()),
                **dataclasses.asdict(d.estimate),
                "low": d.estimate.low,
                "high": d.estimate.high,
                "verdict": d.verdict,
            }
            for d in pair.differences.values()
        ],
    }
