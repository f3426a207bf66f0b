"""Figures of weight averaging: step sizes and snapshots, the loss around trained weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from zoolib.ui.comparisons import names
from zoolib.ui.style import NEUTRAL, SMALL, Picture, dress, legend, log_scale, looks

_LEVELS = 9
_RIVALS = {"sgd": "SGD, decayed", "last": "the last iterate"}
_AVERAGE = {"marker": "*", "markersize": 15, "color": "#d55e00", "linestyle": "none"}


def learning_rates(schedules: Mapping[str, tuple[np.ndarray, np.ndarray]], epoch: int) -> Picture:
    """Step sizes over a run, with a dot wherever a snapshot is taken.

    Args:
        schedules: label -> (step size of every step [T], steps after which snapshots are taken).
        epoch: steps in an epoch, the unit of the axis.
    """
    figure = Picture(7.2, 3.0, f"step sizes and snapshots of {names(schedules)}")
    axes = dress(figure.add_subplot(), x="epoch", y="step size")
    for label, style in looks(list(schedules)):
        rates, taken = (np.asarray(values) for values in schedules[label])
        line = {k: v for k, v in style.items() if k not in ("marker", "markersize")}
        axes.plot(np.arange(1, len(rates) + 1) / epoch, rates, label=label, **line)
        if len(taken):
            axes.plot(taken / epoch, rates[taken - 1], "o", color=style["color"], markersize=4.5)
    axes.set_ylim(bottom=0.0)
    legend(axes, title="dots: snapshots").get_title().set(color=NEUTRAL, fontsize=SMALL)
    return figure


def loss_plane(plane: Mapping[str, Any]) -> Picture:
    """Train loss and test error in the plane of three snapshots, the average marked.

    Args:
        plane: what :func:`zoolib.models.swa.figures.plane` returns.
    """
    figure = Picture(8.4, 3.8, "train loss and test error around three snapshots and their average")
    panels = figure.subplots(1, 2, sharex=True, sharey=True)
    for axes, key, title in (
        (panels[0], "train_loss", "train loss"),
        (panels[1], "test_error", "test error, %"),
    ):
        values = np.asarray(plane[key]) * (100 if key == "test_error" else 1)
        _heights(figure, axes, plane, values)
        points = np.asarray(plane["snapshots"])
        axes.plot(*points.T, "o", color="#0072b2", markersize=7, markeredgecolor="white")
        for number, point in enumerate(points, 1):
            axes.annotate(
                f"w{number}", point, xytext=(7, 5), textcoords="offset points", color=NEUTRAL
            )
        axes.plot(*np.asarray(plane["average"])[:, None], markeredgecolor="white", **_AVERAGE)
        dress(axes, title, x="distance in the plane")
        axes.grid(False)
        axes.set_aspect("equal")
    panels[1].annotate(
        "star: the average",
        (1.0, 1.02),
        xycoords="axes fraction",
        ha="right",
        color=NEUTRAL,
        fontsize=SMALL,
    )
    return figure


def _heights(figure: Picture, axes: Axes, plane: Mapping[str, Any], values: np.ndarray) -> None:
    """Filled contours: steps fine near the bottom, wide on the slopes, as in the paper's figure."""
    low, high = values.min(), np.quantile(values, 0.98)
    levels = low + (high - low) * np.linspace(0.0, 1.0, _LEVELS) ** 2
    levels = np.unique(levels)
    shades = axes.contourf(
        plane["across"], plane["up"], values, levels, cmap="Greys", alpha=0.55, extend="max"
    )
    axes.contour(plane["across"], plane["up"], values, levels, colors=NEUTRAL, linewidths=0.6)
    bar = figure.colorbar(shades, ax=axes, shrink=0.85, ticks=levels[::2])
    bar.ax.set_yticklabels([f"{level:.3g}" for level in levels[::2]])
    bar.ax.tick_params(colors=NEUTRAL, labelsize=SMALL)
    bar.outline.set_edgecolor(NEUTRAL)


def profiles(
    places: Sequence[float],
    values: Mapping[str, tuple[np.ndarray, np.ndarray]],
    x: str,
    marks: Mapping[str, float] | None = None,
) -> Picture:
    """Train loss and test error along lines; of many lines the mean and the middle 80 %.

    Args:
        places: where on the line, [n].
        values: label -> (train loss, test error as a share), each [n] or [lines, n].
        x: what the places are.
        marks: names of places to point out.
    """
    figure = Picture(8.4, 3.2, f"train loss and test error along lines: {names(values)}")
    panels = figure.subplots(1, 2)
    for part, (axes, title) in enumerate(zip(panels, ("train loss", "test error, %"))):
        dress(axes, title, x=x)
        for label, style in looks(list(values)):
            lines = np.atleast_2d(values[label][part]) * (100 if part else 1)
            axes.plot(places, lines.mean(0), label=label, **{**style, "marker": ""})
            if len(lines) > 1:
                low, high = np.quantile(lines, [0.1, 0.9], axis=0)
                axes.fill_between(places, low, high, color=style["color"], alpha=0.15, linewidth=0)
        for name, place in (marks or {}).items():
            axes.axvline(place, color=NEUTRAL, linewidth=1.0, linestyle=(0, (1, 2)))
            axes.annotate(
                name,
                (place, 0.97),
                xycoords=("data", "axes fraction"),
                xytext=(3, 0),
                textcoords="offset points",
                va="top",
                color=NEUTRAL,
                fontsize=SMALL,
            )
        if len(values) > 1:
            legend(axes)
    return figure


def gains(differences: Sequence[Mapping[str, Any]], unit: str = "points of accuracy") -> Picture:
    """Paired gains of SWA with 95 % intervals; an interval that holds 0 is a tie.

    Args:
        differences: rows with ``labels`` (a panel each), ``swa_lr``, ``against``, ``gain``,
            ``ci95``, ``wins``, ``ties`` and ``seeds``.
        unit: of gain.
    """
    kinds = list(dict.fromkeys(row["labels"] for row in differences))
    rivals = list(dict.fromkeys(row["against"] for row in differences))
    figure = Picture(8.4, 3.2, f"gain of SWA with {names(kinds)} labels")
    panels = np.atleast_1d(figure.subplots(1, len(kinds)))
    for axes, kind in zip(panels, kinds):
        dress(axes, f"{kind} labels", x="step size while averaging", y=f"gain, {unit}")
        axes.axhline(0.0, color=NEUTRAL, linewidth=1.2)
        for place, (rival, style) in enumerate(looks(rivals)):
            rows = [r for r in differences if (r["labels"], r["against"]) == (kind, rival)]
            x = np.arange(len(rows)) + 0.16 * (place - (len(rivals) - 1) / 2)
            axes.errorbar(
                x,
                [r["gain"] for r in rows],
                [r["ci95"] for r in rows],
                label=f"over {_RIVALS.get(rival, rival)}",
                capsize=3,
                **{**style, "linestyle": "none", "markersize": 7},
            )
            axes.set_xticks(range(len(rows)), [f"{r['swa_lr']:g}" for r in rows])
        axes.set_xlim(-0.5, len(rows) - 0.5)
    legend(panels[-1])
    return figure


def variance_of_means(
    counts: np.ndarray, found: Mapping[str, np.ndarray], theory: Mapping[str, np.ndarray]
) -> Picture:
    """Variance of the mean of n iterates: simulated dots on the closed form's lines.

    Args:
        counts: n, [k].
        found, theory: label -> variances [k].
    """
    figure = Picture(7.2, 3.2, f"variance of averaged iterates: {names(theory)}")
    axes = dress(figure.add_subplot(), x="iterates averaged, n", y="variance")
    for label, style in looks(list(theory)):
        line = {k: v for k, v in style.items() if k not in ("marker", "markersize")}
        axes.plot(counts, theory[label], label=label, **line)
        axes.plot(counts, found[label], style["marker"], color=style["color"], markersize=5)
    values = np.concatenate([np.asarray(v) for v in theory.values()])
    log_scale(axes.xaxis, float(np.min(counts)), float(np.max(counts)))
    log_scale(axes.yaxis, float(values.min()), float(values.max()))
    legend(axes, title="lines: closed form; dots: simulated").get_title().set(
        color=NEUTRAL, fontsize=SMALL
    )
    return figure
