"""Figures of MT-net and its relatives: fits before and after adaptation, masks, the idea itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from zoolib.ui.style import (
    BLUE,
    GREEN,
    NEUTRAL,
    PURPLE,
    SMALL,
    TEXT,
    VERMILLION,
    Picture,
    dress,
    legend,
    look,
)

# After more steps: later in this list. No colour without its dash.
_STEP_LOOKS = (
    {"color": NEUTRAL, "linestyle": (0, (1, 1.5)), "linewidth": 1.6},
    {"color": PURPLE, "linestyle": (0, (4, 1.4, 1, 1.4)), "linewidth": 1.6},
    {"color": BLUE, "linestyle": (0, (5, 1.6)), "linewidth": 1.7},
    {"color": VERMILLION, "linestyle": "-", "linewidth": 1.9},
)


def sine_fits(data: Mapping[str, Any]) -> Picture:
    """A grid of fits, one row per task, one column per method, before and after gradient steps.

    Args:
        data: ``x`` [N] the grid; ``truth`` [P, N] the curves to find; ``support_x``, ``support_y``
            [P, K] the points each method sees; ``steps`` up to four numbers of gradient steps, 0
            first; ``predictions``: method -> [P, S, N].
    """
    methods, truth = list(data["predictions"]), np.asarray(data["truth"], float)
    steps = [int(step) for step in data["steps"]]
    rows, columns = len(truth), len(methods)
    told = ", ".join(str(step) for step in steps)
    figure = Picture(
        1.2 + 2.9 * columns, 0.9 + 1.9 * rows, f"fits of {', '.join(methods)} after {told} steps"
    )
    grid = figure.subplots(rows, columns, sharex=True, sharey="row", squeeze=False)
    handles: dict[str, Any] = {}
    for row in range(rows):
        for number, method in enumerate(methods):
            axes = dress(
                grid[row, number],
                title=method if row == 0 else "",
                x="x" if row == rows - 1 else "",
                y=f"task {row + 1}: y" if number == 0 else "",
            )
            handles.update(_fit(axes, data, np.asarray(data["predictions"][method]), row, steps))
    legend(
        figure,
        handles.values(),
        handles.keys(),
        loc="outside lower center",
        ncols=min(len(handles), 2 * columns),
    )
    return figure


def _fit(axes: Axes, data: Mapping, predictions: np.ndarray, row: int, steps: list) -> dict:
    """One cell of the grid; returns label -> artist for the legend."""
    x, truth = np.asarray(data["x"], float), np.asarray(data["truth"], float)[row]
    reach = max(float(np.abs(truth).max()), 0.3)
    handles = {
        "true curve": axes.plot(x, truth, color=NEUTRAL, linewidth=5, alpha=0.55)[0],
    }
    for number, step in enumerate(steps):
        curve = np.asarray(predictions[row, number], float)
        label = "before" if step == 0 else f"after {step} step{'s' if step > 1 else ''}"
        handles[label] = axes.plot(x, curve, label=label, **_STEP_LOOKS[number])[0]
    points = data["support_x"][row], data["support_y"][row]
    handles["points seen"] = axes.plot(
        *points, "o", color=GREEN, markersize=5, markeredgecolor="white", markeredgewidth=0.8
    )[0]
    axes.set_ylim(-1.45 * reach, 1.45 * reach)
    last = np.asarray(predictions[row, len(steps) - 1], float)
    if not np.isfinite(last).all() or np.abs(last).max() > 10 * reach:
        axes.text(
            0.5,
            0.06,
            f"diverges by step {steps[-1]}",
            color=NEUTRAL,
            fontsize=SMALL,
            fontweight="bold",
            ha="center",
            transform=axes.transAxes,
        )
    return handles


def mask_probabilities(by_order: Mapping[str, Sequence[np.ndarray]]) -> Picture:
    """Probability of each unit to be adapted, per layer; one colour per kind of task.

    Args:
        by_order: label ("order 0") -> per layer the probabilities of its units, any shape.
    """
    labels = list(by_order)
    layers = max(len(parts) for parts in by_order.values())
    figure = Picture(
        7.2, 3.6, f"probability that a unit adapts, per layer, for {', '.join(labels)}"
    )
    axes = dress(figure.add_subplot(), y="P(unit adapts)")
    width = 0.8 / len(labels)
    for number, label in enumerate(labels):
        style = look(number)
        for layer, values in enumerate(by_order[label]):
            values = np.sort(np.asarray(values, float).ravel())
            middle = layer + (number - (len(labels) - 1) / 2) * width
            # Sorted from left to right: each group reads as a distribution, with no random jitter.
            spread = np.linspace(-0.36, 0.36, len(values)) if len(values) > 1 else np.zeros(1)
            axes.plot(
                middle + spread * width,
                values,
                linestyle="none",
                marker=style["marker"],
                color=style["color"],
                markersize=3.5,
                alpha=0.75,
                markeredgewidth=0,
                label=label if layer == 0 else None,
            )
            mean = float(values.mean())
            edge = 0.42 * width
            axes.plot(
                [middle - edge, middle + edge], [mean, mean], color=NEUTRAL, linewidth=2, zorder=1
            )
            axes.annotate(
                f"{mean:.2f}",
                (middle, 1.02),
                xycoords=("data", "axes fraction"),
                color=NEUTRAL,
                fontsize=SMALL,
                ha="center",
            )
    axes.set_xticks(range(layers), [f"layer {layer + 1}" for layer in range(layers)])
    axes.axhline(0.5, color=NEUTRAL, linewidth=0.8, linestyle=(0, (1, 2)))
    axes.set(ylim=(-0.03, 1.03), xlim=(-0.5, layers - 0.5))
    axes.tick_params(axis="x", length=0)
    axes.grid(False, axis="x")
    names = legend(figure, loc="outside lower center", ncols=len(labels), markerscale=1.6)
    names.set_title("lines and numbers: mean of the layer", {"size": SMALL})
    names.get_title().set_color(NEUTRAL)
    return figure


def computation_sketch() -> Picture:
    """The idea of MT-net: y = T(Wx + b), what adapts within a task, what only between tasks."""
    alt = "in each layer y = T(Wx + b): W and b adapt where the mask M is 1, T and M stay fixed"
    figure = Picture(8.0, 3.7, alt, layout="none")
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set(xlim=(0, 80), ylim=(0, 37))
    axes.axis("off")
    adapted, learned = (VERMILLION, "-"), (BLUE, (0, (4, 2)))
    _box(axes, 10, 19, 20, 11.5, r"$W\,x + b$", "adapts in every task", *adapted)
    _box(axes, 36, 19, 20, 11.5, r"$T\,(\cdot)$", "metric: where is downhill", *learned)
    _box(axes, 36, 3, 20, 11.5, r"$M\,\odot$", "subspace: who may change", *learned)
    for x, y, symbol in ((4, 24.75, "$x$"), (63, 24.75, "$y$"), (75, 24.75, r"$\mathcal{L}$")):
        axes.text(x, y, symbol, color=NEUTRAL, fontsize=18, ha="center", va="center")
    for start, end in ((6, 10), (30, 36), (56, 61), (65, 73)):
        _arrow(axes, (start, 24.75), (end, 24.75), NEUTRAL)
    corner = "angle,angleA=-90,angleB=0,rad=8"
    _arrow(axes, (75, 22.5), (56, 8.75), NEUTRAL, corner)
    _arrow(axes, (36, 8.75), (20, 19), VERMILLION, "angle,angleA=180,angleB=90,rad=8")
    notes = (
        (66, 10.4, r"gradient $\nabla_{W,b}\,\mathcal{L}$"),
        (20, 5.2, r"$W,b\;\leftarrow\;W,b - \alpha\,M\odot\nabla_{W,b}\,\mathcal{L}$"),
    )
    for x, y, text in notes:
        axes.text(x, y, text, color=NEUTRAL, fontsize=TEXT, ha="center", va="center")
    for x, (color, dash), text in (
        (10, adapted, "changed by the inner loop"),
        (36, learned, "meta-learned, fixed within a task"),
    ):
        axes.plot([x, x + 4.5], [34.3, 34.3], color=color, linestyle=dash, linewidth=2)
        axes.text(x + 5.5, 34.3, text, color=NEUTRAL, fontsize=SMALL, va="center")
    return figure


def _box(
    axes: Axes, x: float, y: float, w: float, h: float, text: str, note: str, color: str, dash: Any
) -> None:
    shape = "round,pad=0,rounding_size=1.6"
    style = {"facecolor": color + "14", "edgecolor": color, "linewidth": 1.8, "linestyle": dash}
    axes.add_patch(FancyBboxPatch((x, y), w, h, boxstyle=shape, **style))
    words = {"color": NEUTRAL, "ha": "center", "va": "center"}
    axes.text(x + w / 2, y + h / 2 + 1.5, text, fontsize=16, **words)
    axes.text(x + w / 2, y + 2.0, note, fontsize=SMALL, **words)


def _arrow(axes: Axes, start: tuple, end: tuple, color: str, path: str = "arc3") -> None:
    style = {"color": color, "linewidth": 1.6, "mutation_scale": 13, "shrinkA": 2, "shrinkB": 2}
    axes.add_patch(FancyArrowPatch(start, end, arrowstyle="-|>", connectionstyle=path, **style))
