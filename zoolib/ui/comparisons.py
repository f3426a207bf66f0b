"""Figures that compare methods: means with 95 % intervals, and where a method fails."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from zoolib.ui.style import NEUTRAL, SMALL, Picture, dress, legend, log_scale, looks

Curve = tuple  # (x, mean, half width of the 95 % interval), each a sequence of numbers


def names(labels: Any) -> str:
    """Labels as words for a figure's text form."""
    return ", ".join(str(label) for label in labels if str(label)) or "one run"


def level(axes: Axes, value: float, name: str) -> None:
    """A named horizontal line across the axes; the name sits on the line, at the left."""
    axes.axhline(value, color=NEUTRAL, linewidth=1.2, linestyle=(0, (1, 2)))
    axes.annotate(
        f"{name} {value:.3g}",
        (0.01, value),
        xycoords=("axes fraction", "data"),
        xytext=(0, 3),
        textcoords="offset points",
        color=NEUTRAL,
        fontsize=SMALL,
    )


def _curves(axes: Axes, curves: Mapping[str, Curve], zero: float | None) -> None:
    """Means with bands on a logarithmic scale; what diverges is cut off at the top and named."""
    means = np.concatenate([np.asarray(mean, float) for _, mean, _ in curves.values()])
    sane = means[np.isfinite(means) & (means > 0)]
    usual = zero if zero else (np.median(sane) if sane.size else 1.0)
    fine = sane[sane <= 10 * usual]
    top = max([usual, *fine.tolist()]) * 1.5
    bottom = min([usual, *fine.tolist()])
    lost = 0
    for label, style in looks(list(curves)):
        x, mean, half = (np.asarray(values, float) for values in curves[label])
        out = ~np.isfinite(mean) | (mean > 10 * usual)
        shown = np.where(out, np.nan, mean)
        axes.plot(x, shown, label=label, **style)
        low = np.maximum(shown - half, bottom * 0.5)
        axes.fill_between(x, low, shown + half, color=style["color"], alpha=0.18, linewidth=0)
        if out.any():
            _mark_divergence(axes, x[out], label, style["color"], top * 1.35**lost)
            lost += 1
    if zero is not None:
        level(axes, zero, "zero predictor")
    log_scale(axes.yaxis, bottom, top * 1.35 ** max(lost - 1, 0))


def _mark_divergence(axes: Axes, x: np.ndarray, label: str, color: str, at: float) -> None:
    """Crosses at height ``at`` where a curve has left the picture, and words beside the first."""
    axes.plot(x, np.full(len(x), at), "x", color=color, markersize=7, markeredgewidth=2)
    axes.annotate(
        f"{label} diverges",
        (x[0], at),
        xytext=(-7, 0),
        textcoords="offset points",
        ha="right",
        va="center",
        color=NEUTRAL,
        fontsize=SMALL,
    )


def error_by_step(
    results: Mapping[str, Curve],
    zero: float | None = None,
    trained: int | None = None,
    y: str = "query MSE",
) -> Picture:
    """Error after each number of gradient steps, with 95 % bands; crosses mark divergence.

    Args:
        results: label -> (steps, mean, half width of the interval), each [n].
        zero: error of predicting 0, drawn as a line; ten times as much counts as divergence.
        trained: the number of steps trained for, marked below the axis.
        y: what the error is.
    """
    figure = Picture(7.2, 3.8, f"{y} against gradient steps for {names(results)}")
    axes = dress(figure.add_subplot(), x="gradient steps at test time", y=f"{y}, 95 % interval")
    _curves(axes, results, zero)
    ticks = sorted({int(step) for steps, _, _ in results.values() for step in steps})
    axes.set_xticks(ticks if len(ticks) < 14 else ticks[:: math.ceil(len(ticks) / 12)])
    if trained is not None:
        axes.axvline(trained, color=NEUTRAL, linewidth=0.8, alpha=0.6)
        axes.annotate(
            f"trained for {trained} step{'s' if trained > 1 else ''}",
            (trained, 1.0),
            xycoords=("data", "axes fraction"),
            xytext=(3, 2),
            textcoords="offset points",
            color=NEUTRAL,
            fontsize=SMALL,
        )
    # Below: inside, it would stand on the bands, the crosses or the line of the trained number.
    legend(figure, loc="outside lower center", ncols=min(len(results), 4))
    return figure


def step_size_robustness(
    alphas: Sequence[float],
    results: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    zero: float | None = None,
    y: str = "query MSE after one step",
) -> Picture:
    """Error against the step size a model was trained with, with 95 % bands.

    Args:
        alphas: inner step sizes, [n].
        results: label -> (mean, half width of the interval), each [n].
        zero: error of predicting 0: a model above this line is worse than none.
        y: what the error is.
    """
    figure = Picture(7.2, 3.8, f"{y} against the step size for {names(results)}")
    axes = dress(figure.add_subplot(), x="inner step size α", y=f"{y}, 95 % interval")
    _curves(axes, {label: (alphas, *pair) for label, pair in results.items()}, zero)
    log_scale(axes.xaxis, min(alphas), max(alphas))
    axes.set_xticks(list(alphas))
    legend(axes, loc="best")
    return figure


def compare_bars(
    table: Mapping[str, Mapping[str, tuple[float, float]]],
    unit: str = "query MSE",
    reference: tuple[str, float] | None = None,
) -> Picture:
    """Numbers with 95 % intervals side by side, each written out next to its bar.

    Args:
        table: group ("after 1 step") -> label ("MT-net") -> (mean, half width of the interval).
        unit: what the numbers are.
        reference: (name, value) of a line to compare with.
    """
    labels = list(dict.fromkeys(label for group in table.values() for label in group))
    rows, gap = sum(len(group) for group in table.values()), 0.7
    figure = Picture(7.2, 1.0 + 0.27 * rows + 0.2 * len(table), f"{unit} of {names(labels)}")
    axes = dress(figure.add_subplot(), x=f"{unit}, 95 % interval")
    styles, place, centres = dict(looks(labels)), 0.0, {}
    for name, group in table.items():
        places = []
        for label, (mean, half) in group.items():
            _bar(axes, place, mean, half, styles[label], label)
            places.append(place)
            place += 1
        centres[name], place = float(np.mean(places)), place + gap
    axes.set_yticks(list(centres.values()), list(centres))
    axes.tick_params(axis="y", length=0)
    axes.grid(False, axis="y")
    axes.invert_yaxis()
    longest = max(mean + half for group in table.values() for mean, half in group.values())
    axes.set_xlim(0, 1.06 * longest)
    if reference is not None:
        _reference(axes, *reference, 1.5 * longest)
    return figure


def _reference(axes: Axes, name: str, value: float, reach: float) -> None:
    """A named vertical line; one beyond ``reach`` would squeeze the bars and is only told."""
    inside = value <= reach
    if inside:
        axes.set_xlim(0, max(axes.get_xlim()[1], 1.06 * value))
        axes.axvline(value, color=NEUTRAL, linestyle=(0, (1, 2)), linewidth=1.2)
    axes.annotate(
        f"{name}: {value:.3g}" + ("" if inside else " →"),
        (value / axes.get_xlim()[1] if inside else 1.0, 1.0),
        xycoords="axes fraction",
        xytext=(0, 3),
        textcoords="offset points",
        color=NEUTRAL,
        fontsize=SMALL,
        ha="center" if inside else "right",
    )


def _bar(axes: Axes, at: float, mean: float, half: float, style: dict, label: str) -> None:
    axes.barh(at, mean, height=0.62, color=style["color"], alpha=0.22, linewidth=0)
    axes.errorbar(
        mean,
        at,
        xerr=half,
        color=style["color"],
        marker=style["marker"],
        markersize=6,
        linewidth=2.2,
    )
    axes.text(
        1.02,
        at,
        f"{label}  {mean:.3g} ± {half:.2g}",
        transform=axes.get_yaxis_transform(),
        va="center",
        color=NEUTRAL,
        fontsize=SMALL,
    )
