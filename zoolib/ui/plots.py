"""Figures of any method: pure functions from numbers to a figure, no pyplot, no global state.

Every function returns a :class:`~zoolib.ui.style.Picture`: as the last expression of a cell it
shows itself; ``to_png`` gives its bytes. Comparisons with intervals live in
`zoolib.ui.comparisons`, what only MT-net and its relatives have in `zoolib.ui.adaptation`; both are
offered here too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

from zoolib.ui.adaptation import computation_sketch, mask_probabilities, sine_fits
from zoolib.ui.comparisons import compare_bars, error_by_step, level, names, step_size_robustness
from zoolib.ui.style import Picture, dress, legend, log_scale, looks, to_png

__all__ = [
    "Picture",
    "column",
    "compare_bars",
    "computation_sketch",
    "downsample",
    "error_by_step",
    "learning_curve",
    "mask_probabilities",
    "running_mean",
    "sine_fits",
    "step_size_robustness",
    "to_png",
]

Rows = Sequence[Mapping[str, float]]


def column(rows: Rows, key: str) -> tuple[np.ndarray, np.ndarray]:
    """Steps and values of ``key`` in those rows that have it, both [n] float64."""
    pairs = [(row["step"], row[key]) for row in rows if key in row]
    table = np.array(pairs, dtype=np.float64).reshape(-1, 2)
    return table[:, 0], table[:, 1]


def downsample(x: np.ndarray, y: np.ndarray, points: int) -> tuple[np.ndarray, np.ndarray]:
    """At most ``points`` of the points, peaks kept: smallest and largest y of each stretch.

    Args:
        x, y: [n]; non-finite y count as neither smallest nor largest.
        points: even number, at least 4; twice the pixels of the plot is plenty.
    """
    if len(x) <= points:
        return x, y
    inner = points // 2 - 1  # stretches; the first and the last point always stay
    edges = np.linspace(1, len(x) - 1, inner + 1).astype(int)
    kept = [0]
    for start, stop in zip(edges[:-1], edges[1:]):
        part = y[start:stop]
        low = start + int(np.argmin(np.where(np.isnan(part), np.inf, part)))
        high = start + int(np.argmax(np.where(np.isnan(part), -np.inf, part)))
        kept += sorted({low, high})
    kept.append(len(x) - 1)
    return x[kept], y[kept]


def learning_curve(
    histories: Mapping[str, Rows],
    keys: Sequence[str] = ("loss",),
    log: bool = True,
    baseline: tuple[str, float] | float | None = None,
) -> Picture:
    """Terms of the history against training steps.

    Args:
        histories: label -> history rows (``{"step": 100, "loss": 0.2, ...}``).
        keys: which terms; rows without a term are left out of its line.
        log: logarithmic values, where all are positive.
        baseline: a value, or (name, value), drawn as a level line.
    """
    figure = Picture(7.2, 3.4, f"{', '.join(keys)} against training steps for {names(histories)}")
    axes = dress(figure.add_subplot(), x="training steps", y=", ".join(keys))
    lines = {
        (label if len(keys) == 1 else f"{label}, {key}".lstrip(", ")): column(rows, key)
        for label, rows in histories.items()
        for key in keys
    }
    for label, style in looks(list(lines)):
        _trace(axes, *lines[label], label, style)
    if baseline is not None:
        name, value = baseline if isinstance(baseline, tuple) else ("baseline", baseline)
        level(axes, value, name)
    values = np.concatenate([np.zeros(0), *(y for _, y in lines.values())])
    finite = values[np.isfinite(values)]
    if log and finite.size and (finite > 0).all():
        log_scale(axes.yaxis, finite.min(), max(finite.max(), _value(baseline) or 0))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda step, _: f"{step:,.0f}"))
    if any(lines):
        legend(figure, loc="outside upper right", ncols=4)
    return figure


def _trace(axes: Axes, x: np.ndarray, y: np.ndarray, label: str, style: dict) -> None:
    """A noisy curve: as reported, faint, and its running mean, bold; short ones just a line."""
    marker = style["marker"] if len(x) < 3 else ""
    means = running_mean(x, y)
    if len(means[0]) < len(x):
        axes.plot(*downsample(x, y, 1200), color=style["color"], alpha=0.28, linewidth=0.8)
    axes.plot(*downsample(*means, 1200), **{**style, "marker": marker, "label": label})


def running_mean(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Means over a fortieth of a curve, centred; fewer than 60 points are left as they are."""
    if len(x) < 60:
        return x, y
    width = max(3, len(x) // 40) | 1
    smooth = np.convolve(y, np.full(width, 1 / width), "valid")
    return x[width // 2 : len(x) - width // 2], smooth


def _value(baseline: Any) -> float | None:
    return baseline[1] if isinstance(baseline, tuple) else baseline
