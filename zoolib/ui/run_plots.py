"""Figures of a comparison of runs: curves with bands over seeds, paired differences.

Both take what :func:`zoolib.compare` returns. A group has the same colour, dash and marker in both.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter

from zoolib.core.compare import Comparison, Difference, Group
from zoolib.core.compare_tables import rounded
from zoolib.core.run_records import lower_is_better
from zoolib.core.statistics import estimate
from zoolib.errors import ConfigError
from zoolib.ui.comparisons import names
from zoolib.ui.smoothing import running_mean
from zoolib.ui.style import NEUTRAL, SMALL, Picture, dress, legend, log_scale, looks

BANDS = {"range": "lowest to highest seed", "interval": "95 % interval of the mean"}


def compare_curves(
    comparison: Comparison, metric: str | None = None, band: str = "range"
) -> Picture:
    """What the runs reported along the way: mean over seeds, with a band; a panel per method.

    Args:
        comparison: from :func:`zoolib.compare`.
        metric: a term of the history; by default the headline where every group of a method
            evaluated it during training (``eval_every``), else the loss.
        band: ``"range"``, lowest to highest seed, or ``"interval"``, the mean's 95 % interval by
            Student's t, which for three seeds is twice as wide.

    Raises:
        ConfigError: for another band, or if no finished run has the metric in its history.
    """
    if band not in BANDS:
        raise ConfigError(f"band: expected one of {', '.join(BANDS)}, got {band!r}")
    panels = _panels(comparison, metric)
    styles = _styles(comparison)
    shown = names(dict.fromkeys(name for _, name, _ in panels))
    figure = Picture(7.2, 0.5 + 3.2 * len(panels), f"{shown} over training, mean over seeds")
    every = figure.subplots(len(panels), 1, squeeze=False)[:, 0]
    for axes, (model, name, groups) in zip(every, panels):
        dress(axes, title=model if len(panels) > 1 else "", x="training steps", y=name)
        spans = [_curve(axes, group, name, band, styles[group.label]) for group in groups]
        axes.set_xlim(left=0)
        axes.xaxis.set_major_formatter(FuncFormatter(lambda step, _: f"{step:,.0f}"))
        _scale(axes, name, np.concatenate(spans))
    _explain(figure, every, any(len(g.runs) > 1 for _, _, gs in panels for g in gs), band)
    return figure


def _panels(comparison: Comparison, metric: str | None) -> list[tuple[str, str, list[Group]]]:
    """(method, metric, groups that have it), without empty ones."""
    methods: dict[str, list[Group]] = {}
    for group in comparison.groups:
        methods.setdefault(group.settings["model"], []).append(group)
    panels = []
    for model, groups in methods.items():
        evaluated = all(group.curves(group.headline)[0] for group in groups)
        name = metric or (groups[0].headline if evaluated else "loss")
        having = [group for group in groups if group.curves(name)[0]]
        if having:
            panels.append((model, name, having))
    if not panels:
        known = {key for g in comparison.groups for row in g.runs[0].history for key in row}
        told = ", ".join(sorted(known - {"step"})) or "none (no finished run)"
        raise ConfigError(f"metric: expected one of {told}, got {metric!r}")
    return panels


def _styles(comparison: Comparison) -> dict[str, dict[str, Any]]:
    return dict(looks([group.label for group in comparison.groups]))


def _curve(axes: Axes, group: Group, name: str, band: str, style: dict) -> np.ndarray:
    """Draw one group; returns what its curves span."""
    steps, values = (np.asarray(part, float) for part in group.curves(name))  # [n], [seeds, n]
    smooth = [running_mean(steps, row) for row in values]
    x, y = smooth[0][0], np.stack([row for _, row in smooth])
    many = len(y) > 1
    label = f"{group.label}, {len(y)} seeds" if many else f"{group.label}, seed {group.seeds[0]}"
    mean = np.array([estimate(column.tolist()).mean for column in y.T])
    dots = len(x) < 25
    axes.plot(x, mean, **{**style, "marker": style["marker"] if dots else "", "label": label})
    low, high = mean, mean
    if many:
        low, high = _band(y, band)
        axes.fill_between(x, low, high, color=style["color"], alpha=0.18, linewidth=0)
    span = np.concatenate([low, high])
    return span[np.isfinite(span)]


def _band(y: np.ndarray, band: str) -> tuple[np.ndarray, np.ndarray]:
    if band == "range":
        return y.min(axis=0), y.max(axis=0)
    found = [estimate(column.tolist()) for column in y.T]
    return np.array([e.low for e in found]), np.array([e.high for e in found])


def _scale(axes: Axes, name: str, span: np.ndarray) -> None:
    """Logarithmic for errors that fall by more than a factor of three; else as they are."""
    if span.size and span.min() > 0 and span.max() > 3 * span.min() and lower_is_better(name):
        log_scale(axes.yaxis, span.min(), span.max())


def _explain(figure: Picture, every: Sequence[Axes], banded: bool, band: str) -> None:
    entries: dict[str, Any] = {}
    for axes in every:
        for handle, label in zip(*axes.get_legend_handles_labels()):
            entries.setdefault(label, handle)
    if banded:
        entries[f"band: {BANDS[band]}"] = Patch(color=NEUTRAL, alpha=0.3, linewidth=0)
    columns = 2 if max(map(len, entries)) > 24 else 4
    legend(figure, list(entries.values()), list(entries), loc="outside lower center", ncols=columns)


def paired(comparison: Comparison) -> Picture:
    """Paired differences of the headline with their 95 % intervals; a panel per metric.

    Small dots are single seeds. A row whose interval holds 0 is a tie and stays grey, with an open
    mark; another has colour and mark of the group that is better.

    Raises:
        ConfigError: if no two groups have seeds and metrics in common.
    """
    panels: dict[str, list[Any]] = {}
    for pair in comparison.pairs:
        panels.setdefault(pair.headline.metric, []).append(pair)
    if not panels:
        raise ConfigError("paired: expected two groups with seeds and metrics in common, got none")
    heights = [len(pairs) + 1.3 for pairs in panels.values()]
    figure = Picture(7.2, 0.45 + 0.42 * sum(heights), f"paired differences of {names(panels)}")
    every = figure.subplots(len(panels), 1, squeeze=False, height_ratios=heights)[:, 0]
    styles = _styles(comparison)
    for axes, (metric, pairs) in zip(every, panels.items()):
        dress(axes, x=f"{metric}: difference, 95 % interval{_direction(pairs[0].a, metric)}")
        axes.axvline(0, color=NEUTRAL, linewidth=1.2, linestyle=(0, (1, 2)))
        for place, pair in enumerate(pairs):
            _difference(axes, place, pair.headline, styles)
        axes.set_yticks(range(len(pairs)), [f"{p.b.label}\n− {p.a.label}" for p in pairs])
        axes.tick_params(axis="y", length=0)
        axes.grid(False, axis="y")
        axes.set_ylim(len(pairs) - 0.5, -0.5)
    return figure


def _direction(group: Group, metric: str) -> str:
    less = group.direction(metric)
    return "" if less is None else f" ({'below' if less else 'above'} 0: the first is better)"


def _difference(axes: Axes, place: int, found: Difference, styles: dict[str, dict]) -> None:
    style = styles.get(found.verdict)
    colour = style["color"] if style else NEUTRAL
    marker = style["marker"] if style else "o"
    seeds = list(found.values.values())
    axes.plot(seeds, [place + 0.2] * len(seeds), ".", color=colour, alpha=0.55, markersize=5)
    mean, half = found.estimate.mean, found.estimate.half
    axes.errorbar(
        mean,
        place,
        xerr=None if np.isnan(half) else half,
        color=colour,
        marker=marker,
        markersize=7,
        markerfacecolor=colour if style else "none",
        markeredgewidth=1.6,
        linewidth=2.2,
    )
    interval = "" if np.isnan(half) else f" ± {rounded(half, half)}"
    told = f"{rounded(mean, half)}{interval}".replace("-", "−")
    axes.text(
        1.02,
        place,
        f"{told}\n{found.verdict}{' better' if style else ''}",
        transform=axes.get_yaxis_transform(),
        va="center",
        color=NEUTRAL,
        fontsize=SMALL,
    )
