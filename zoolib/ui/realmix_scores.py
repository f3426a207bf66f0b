"""Figures of RealMix's results: accuracies over a run and over seeds, mismatch, confidence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from zoolib.core.statistics import estimate
from zoolib.ui.comparisons import names as listed
from zoolib.ui.plots import column
from zoolib.ui.style import BLUE, NEUTRAL, SMALL, VERMILLION, Picture, dress, legend, looks

Rows = Sequence[Mapping[str, float]]


def accuracy_curves(histories: Mapping[str, Rows], part: str = "test") -> Picture:
    """Accuracy over training, in percent: averaged weights bold with marks, raw ones faint.

    Args:
        histories: label -> rows of a history, those with ``raw_PART`` and ``ema_PART`` count.
        part: test, valid or labelled.
    """
    figure = Picture(7.2, 3.4, f"accuracy over training, raw and averaged: {listed(histories)}")
    axes = dress(figure.add_subplot(), x="training steps", y=f"{part} accuracy, %")
    for label, style in looks(list(histories)):
        for key, look in (("raw", {"alpha": 0.45, "linewidth": 1.0, "marker": ""}), ("ema", {})):
            steps, shares = column(histories[label], f"{key}_{part}")
            named = {"label": label, "markevery": max(len(steps) // 12, 1)} if key == "ema" else {}
            axes.plot(steps, 100 * shares, **{**style, "markersize": 4.5, **look, **named})
    axes.set_ylim(0, 102)
    axes.set_xlim(left=0)
    handles, labels = axes.get_legend_handles_labels()
    handles.append(Line2D([], [], color=NEUTRAL, alpha=0.6, linewidth=1.0))
    legend(
        figure,
        handles,
        [*labels, "faint: raw weights, bold: EMA"],
        loc="outside lower center",
        ncols=2 if len(labels) > 2 else 4,
    )
    return figure


def methods(
    table: Mapping[str, Mapping[str, Sequence[float]]], x: str, most: float = 101.0
) -> Picture:
    """Scores of several methods over seeds: each seed a dot, mean and 95 % interval beside it.

    Args:
        table: method -> weights ("raw", "ema") -> one score per seed.
        x: what the scores are.
        most: where the axis ends at the latest.
    """
    kinds = list(dict.fromkeys(kind for row in table.values() for kind in row))
    figure = Picture(7.6, 0.85 + 0.3 * len(kinds) * len(table), f"{x} of {listed(table)}")
    axes = dress(figure.add_subplot(), x=f"{x}; mean and 95 % interval, small dots: seeds")
    gap = len(kinds) + 0.6
    for number, row in enumerate(table.values()):
        for (kind, style), place in zip(looks(kinds), range(len(kinds))):
            if kind in row:
                _seeds(axes, number * gap + place, list(row[kind]), style, kind)
    middle = (len(kinds) - 1) / 2
    axes.set_yticks([n * gap + middle for n in range(len(table))], list(table))
    axes.tick_params(axis="y", length=0)
    axes.grid(False, axis="y")
    axes.set_ylim(len(table) * gap - 0.9, -0.7)
    axes.set_xlim(right=min(axes.get_xlim()[1], most))  # where intervals of few seeds go beyond it
    return figure


def _seeds(axes: Axes, at: float, values: list[float], style: dict, kind: str) -> None:
    found = estimate(values)
    axes.plot(values, [at + 0.28] * len(values), ".", color=style["color"], alpha=0.6, markersize=5)
    axes.errorbar(
        found.mean,
        at,
        xerr=None if np.isnan(found.half) else found.half,
        color=style["color"],
        marker=style["marker"],
        markersize=6.5,
        linewidth=2.0,
    )
    interval = "" if np.isnan(found.half) else f" ± {found.half:.1f}"
    axes.text(
        1.02,
        at,
        f"{kind}  {found.mean:.1f}{interval}",
        transform=axes.get_yaxis_transform(),
        va="center",
        color=NEUTRAL,
        fontsize=SMALL,
    )


def mismatch(
    fractions: Sequence[float],
    panels: Mapping[str, Mapping[str, Sequence[Sequence[float]]]],
    level: tuple[str, Mapping[str, Sequence[float]]] | None = None,
    y: str = "test accuracy, %",
) -> Picture:
    """A score against the share of foreign images: a line through means, a dot for each seed.

    Args:
        fractions: shares, [n].
        panels: title -> label -> scores [n][seeds].
        level: name, and title -> scores over seeds, of what does not depend on the share; drawn
            as a band from the lowest to the highest seed.
        y: what the scores are.
    """
    curves = list(dict.fromkeys(label for panel in panels.values() for label in panel))
    text = f"{y} against the share of foreign images: {listed(curves)}; {listed(panels)}"
    figure = Picture(8.4, 3.5, text)
    every = np.atleast_1d(figure.subplots(1, len(panels), sharey=True))
    shares = 100 * np.asarray(fractions)
    for axes, (title, panel) in zip(every, panels.items()):
        dress(axes, title, x="foreign images, %", y=y if axes is every[0] else "")
        if level is not None:
            _level(axes, level[0], level[1][title])
        for place, (label, style) in enumerate(looks(curves)):
            if label in panel:
                # Shifted a little: seeds of different lines would lie upon one another.
                x = shares + 2.4 * (place - (len(curves) - 1) / 2)
                _sweep(axes, x, np.asarray(panel[label], float), label, style)
        axes.set_xticks(shares)
    handles = every[0].get_legend_handles_labels()
    legend(figure, *handles, loc="outside lower center", ncols=4)
    return figure


def _level(axes: Axes, name: str, values: Sequence[float]) -> None:
    axes.axhspan(min(values), max(values), color=NEUTRAL, alpha=0.15, linewidth=0)
    style = {"color": NEUTRAL, "linewidth": 1.4, "linestyle": (0, (1, 2))}
    axes.axhline(float(np.mean(values)), label=name, **style)


def _sweep(axes: Axes, x: np.ndarray, scores: np.ndarray, label: str, style: dict) -> None:
    axes.plot(x, scores.mean(axis=1), label=label, **{**style, "markersize": 6.5})
    dots = np.repeat(x, scores.shape[1])
    axes.plot(dots, scores.ravel(), ".", color=style["color"], alpha=0.55, markersize=4.5)


def confidence(found: Mapping[str, Any], mask: float | None = None, bins: int = 24) -> Picture:
    """How sure a network is of unlabelled images, and how well that tells foreign ones.

    Args:
        found: what :func:`zoolib.models.realmix.figures.ood_scores` returns.
        mask: a share; where a mask of it would cut is drawn.
        bins: of the histogram.
    """
    sure, foreign = np.asarray(found["confidence"]), np.asarray(found["foreign"], bool)
    figure = Picture(8.4, 3.3, "confidence of images of labelled and of foreign classes")
    left, right = figure.subplots(1, 2, width_ratios=[1.6, 1.0])
    dress(left, "how sure of which images", x="largest probability", y="images")
    edges = np.linspace(min(float(sure.min()), 0.2), 1.0, bins + 1)
    drawn = {"labelled classes": (~foreign, BLUE, ""), "foreign": (foreign, VERMILLION, "//")}
    for name, (where, colour, hatch) in drawn.items():
        left.hist(
            sure[where],
            edges,
            histtype="stepfilled",
            facecolor=(colour if not hatch else "none"),
            alpha=0.35 if not hatch else 1.0,
            edgecolor=colour,
            hatch=hatch,
            linewidth=1.4,
            label=f"{name} ({int(where.sum()):,})",
        )
    if mask is not None:
        left.axvline(float(np.quantile(sure, mask)), color=NEUTRAL, linewidth=1.4,
                     linestyle=(0, (1, 2)), label=f"a mask of {mask:.0%} cuts here")  # fmt: skip
    legend(figure, *left.get_legend_handles_labels(), loc="outside lower left", ncols=3)
    _roc(right, sure, foreign, float(found["auroc"]))
    return figure


def _roc(axes: Axes, sure: np.ndarray, foreign: np.ndarray, area: float) -> None:
    """Shares below every threshold; ties are taken together."""
    dress(axes, f"AUROC {area:.2f}", x="labelled classes below, %", y="foreign below, %")
    levels = np.unique(sure)
    below = [
        np.concatenate([[0.0], np.searchsorted(np.sort(part), levels, side="right") / len(part)])
        for part in (sure[~foreign], sure[foreign])
        if len(part)
    ]
    if len(below) == 2:
        axes.plot(100 * below[0], 100 * below[1], color=BLUE, linewidth=1.8)
    axes.plot([0, 100], [0, 100], color=NEUTRAL, linewidth=1.2, linestyle=(0, (1, 2)))
    axes.text(58, 50, "guessing", color=NEUTRAL, fontsize=SMALL, rotation=45, va="top")
    axes.set_aspect("equal")
    axes.set_xlim(0, 100)
    axes.set_ylim(0, 100)
