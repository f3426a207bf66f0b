"""Figures of few-shot learning with words: one space, more pictures, whose word counts.

What a single task looks like is in `zoolib.ui.am3_pictures`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from zoolib.core.statistics import estimate
from zoolib.ui.comparisons import names as told
from zoolib.ui.style import BLUE, NEUTRAL, SMALL, VERMILLION, Picture, dress, legend, look, looks

# A point looks like what its class is called: paint and outline. Texture is not shown.
PAINTS = {
    "red": "#d62728",
    "orange": "#f0950c",
    "lime": "#9acd1a",
    "green": "#178a3c",
    "cyan": "#17b5c4",
    "blue": "#2f62d6",
    "violet": "#8a45c8",
    "pink": "#e8539f",
}
_BAR = ((-0.35, -1.0), (0.35, -1.0), (0.35, 1.0), (-0.35, 1.0), (-0.35, -1.0))
_OUTLINES: dict[str, tuple[Any, bool]] = {  # marker, and whether it is filled
    "disc": ("o", True),
    "square": ("s", True),
    "triangle": ("^", True),
    "diamond": ("D", True),
    "plus": ("P", True),
    "ring": ("o", False),
    "frame": ("s", False),
    "bar": (_BAR, True),
}
_CURVE = tuple  # (shots [n], values [seeds, n])


def plane(rows: np.ndarray) -> np.ndarray:
    """Rows [n, D] in the plane of their two largest principal components, [n, 2]."""
    centred = np.asarray(rows, float) - np.mean(rows, axis=0, dtype=float)
    axes = np.linalg.svd(centred, full_matrices=False)[2][:2]
    # The sign of a component is chance: its largest entry is made positive.
    largest = axes[np.arange(len(axes)), np.abs(axes).argmax(axis=1)]
    return centred @ (axes * np.sign(largest)[:, None]).T


def spaces(data: Mapping[str, Any]) -> Picture:
    """Classes before and after g: word vectors alone, then with pictures in one space.

    Args:
        data: ``names`` [C]; ``vectors`` [C, E], before g; ``words`` [C, D], after it; ``visual``
            [C, D], mean features of the pictures; ``share`` [C], the picture's share.
    """
    names = list(data["names"])
    figure = Picture(8.4, 4.3, f"{len(names)} classes before and after g, with pictures after it")
    left, right = figure.subplots(1, 2)
    _scatter(left, plane(data["vectors"]), names, 8.5, True)
    together = plane(np.concatenate([data["words"], data["visual"]]))
    word, seen = together[: len(names)], together[len(names) :]
    for one, other in zip(word, seen):
        right.plot(*zip(one, other), color=NEUTRAL, linewidth=0.8, alpha=0.7, zorder=1)
    _scatter(right, word, names, 8.5, True)
    _scatter(right, seen, names, 5.0, False)
    for axes, title in (
        (left, f"names before g: {np.shape(data['vectors'])[1]} numbers"),
        (right, f"names and pictures after it: {np.shape(data['words'])[1]}"),
    ):
        dress(axes, title, x="first principal component", y="second" if axes is left else "")
        axes.set_xticks([])
        axes.set_yticks([])
        axes.margins(0.08)
    _key(figure)
    return figure


def _scatter(axes: Axes, places: np.ndarray, names: Sequence[str], size: float, edge: bool) -> None:
    for place, name in zip(places, names):
        words = name.split()
        paint = next((PAINTS[w] for w in words if w in PAINTS), BLUE if edge else VERMILLION)
        marker, filled = next((_OUTLINES[w] for w in words if w in _OUTLINES), ("o", True))
        hollow = not filled
        axes.plot(
            *place,
            linestyle="none",
            marker=marker,
            markersize=size + (marker is _BAR),
            color=paint,
            markerfacecolor="none" if hollow else paint,
            markeredgecolor=paint if hollow or not edge else NEUTRAL,
            markeredgewidth=(2.2 if edge else 1.5) if hollow else (1.2 if edge else 0.0),
            zorder=3 if edge else 2,
        )


def _key(figure: Figure) -> None:
    grey = {"color": NEUTRAL, "linestyle": "none", "marker": "o"}
    entries = [
        Line2D([], [], markersize=8.5, label="a name, in its colour and outline", **grey),
        Line2D([], [], markersize=5, label="mean of the class's pictures", **grey),
        Line2D([], [], color=NEUTRAL, linewidth=0.8, label="of one class"),
    ]
    legend(figure, handles=entries, loc="outside lower center", ncols=3, handlelength=1.6)


def shot_curves(curves: Mapping[str, _CURVE], gains: Mapping[str, _CURVE]) -> Picture:
    """Accuracy against the shots, and what names add to it, seed by seed.

    Args:
        curves: learner -> (shots [n], percent [seeds, n]).
        gains: label -> (shots [n], differences of the same seed in points [seeds, n]).
    """
    figure = Picture(8.4, 3.7, f"accuracy against shots of {told(curves)}, and what names add")
    left, right = figure.subplots(1, 2, width_ratios=[1.15, 1.0])
    dress(left, "test classes, 5 ways", x="pictures of each class", y="right, %")
    styles = dict(looks(list(curves)))
    for label, (shots, rows) in curves.items():
        _band(left, shots, rows, {**styles[label], "label": label})
    dress(right, "gain by names", x="pictures of each class", y="points, 95 % interval")
    right.axhline(0.0, color=NEUTRAL, linewidth=1.2)
    for place, (label, (shots, rows)) in enumerate(gains.items()):
        style = styles.get(label, look(place))
        at = np.arange(len(shots)) + 0.3 * (place - (len(gains) - 1) / 2)
        _intervals(right, at, np.asarray(rows, float), {**style, "label": label})
    right.set_xticks(np.arange(len(shots)), [str(s) for s in shots])
    legend(right, loc="upper right")
    _shot_axis(left, shots)
    legend(left, loc="lower right")
    return figure


def _band(axes: Axes, x: np.ndarray, rows: np.ndarray, style: dict[str, Any]) -> None:
    """Mean over seeds, from the lowest to the highest of them shaded."""
    rows = np.atleast_2d(np.asarray(rows, float))
    axes.plot(x, rows.mean(axis=0), **style)
    if len(rows) > 1:
        low, high = rows.min(axis=0), rows.max(axis=0)
        axes.fill_between(x, low, high, color=style["color"], alpha=0.16, linewidth=0)


def _intervals(axes: Axes, x: np.ndarray, rows: np.ndarray, style: dict[str, Any]) -> None:
    """Mean over seeds with its 95 % interval by Student's t; small dots are the seeds.

    Fewer than three seeds give no interval worth drawing.
    """
    found = [estimate(column.tolist()) for column in rows.T]
    half = [e.half if e.n > 2 else 0.0 for e in found]
    axes.errorbar(
        x,
        [e.mean for e in found],
        half,
        capsize=3,
        **{**style, "linestyle": "none", "markersize": 6.5},
    )
    for at, column in zip(x, rows.T):
        axes.plot(np.full(len(column), at + 0.1), column, ".", color=style["color"], markersize=3.5)


def _shot_axis(axes: Axes, shots: Sequence[int]) -> None:
    """Shots 1 to 10 on a logarithmic axis, with just those numbers that were tested."""
    axes.set_xscale("log")
    axes.set_xticks(list(shots), [str(int(s)) for s in shots])
    axes.set_xticks([], minor=True)
    axes.set_xlim(min(shots) / 1.12, max(shots) * 1.12)


def picture_shares(
    history: Sequence[Mapping[str, float]], by_shots: Mapping[str, Mapping[int, Sequence[float]]]
) -> Picture:
    """How far names are believed: lambda during a training, and against the shots trained with.

    Args:
        history: rows of a run with ``step``, ``lambda_mean`` and ``lambda_std``, over classes.
        by_shots: label -> shots -> lambda of each seed.
    """
    figure = Picture(8.4, 3.4, f"share of the picture in training, and by shots: {told(by_shots)}")
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=[1.15, 1.0])
    dress(left, "your run", x="training steps", y="λ: share of the picture")
    found = [row for row in history if "lambda_mean" in row]
    steps, mean, spread = (
        np.array([row[key] for row in found], float)
        for key in ("step", "lambda_mean", "lambda_std")
    )
    left.plot(steps, mean, color=BLUE, linewidth=1.8, label="mean over classes")
    band = {"color": BLUE, "alpha": 0.2, "linewidth": 0, "label": "± standard deviation"}
    left.fill_between(steps, mean - spread, mean + spread, **band)
    legend(left, loc="upper right")
    dress(right, "by shots of training", x="pictures of each class")
    for (label, style), points in zip(looks(list(by_shots)), by_shots.values()):
        shots = sorted(points)
        means = [float(np.mean(points[s])) for s in shots]
        right.plot(shots, means, **{**style, "label": label, "markersize": 6.5})
        for s in shots:
            at = np.full(len(points[s]), s * 1.06)
            right.plot(at, points[s], ".", color=style["color"], markersize=4)
    _shot_axis(right, sorted({s for points in by_shots.values() for s in points}))
    right.set_ylim(0, 1)
    title = legend(right, loc="lower right", title="small dots: seeds").get_title()
    title.set(color=NEUTRAL, fontsize=SMALL)
    return figure


def conditioning(
    on: Mapping[str, _CURVE], off: Mapping[str, _CURVE], factors: Mapping[str, Sequence[float]]
) -> Picture:
    """What task conditioning is worth in testing, and how strong training made it.

    Args:
        on, off: learner -> (shots [n], percent [seeds, n]), with conditioning and without.
        factors: ``gamma`` and ``beta``: of every unit, the trained factor, mean size over seeds.
    """
    figure = Picture(8.4, 3.4, f"task conditioning on and off in testing, {told(on)}; its factors")
    left, right = figure.subplots(1, 2, width_ratios=[1.15, 1.0])
    dress(left, "conditioning on − off", x="pictures of each class", y="points, 95 % interval")
    left.axhline(0.0, color=NEUTRAL, linewidth=1.2)
    for place, label in enumerate(on):
        shots, rows = on[label]
        gap = np.asarray(rows, float) - np.asarray(off[label][1], float)
        at = np.arange(len(shots)) + 0.3 * (place - (len(on) - 1) / 2)
        _intervals(left, at, gap, {**look(place + 2), "label": label})
    left.set_xticks(np.arange(len(shots)), [str(s) for s in shots])
    legend(left, loc="best")
    dress(right, "trained factors", x="unit, from the picture on", y="size, mean over seeds")
    places = np.arange(1, len(factors["gamma"]) + 1)
    for (label, style), key in zip(looks(["γ, scales", "β, shifts"]), ("gamma", "beta")):
        right.plot(places, np.abs(factors[key]), label=label, **style)
    right.set_xticks(places)
    right.set_ylim(bottom=0)
    legend(right, loc="best")
    return figure
