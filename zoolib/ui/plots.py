"""Figures of any method: pure functions from numbers to a figure, no pyplot, no global state.

Every function returns a :class:`~zoolib.ui.style.Picture`: as the last expression of a cell it
shows itself; ``to_png`` gives its bytes. Comparisons with intervals live in
`zoolib.ui.comparisons`, those of whole runs in `zoolib.ui.run_plots`, what only MT-net and its
relatives have in `zoolib.ui.adaptation`; all are offered here too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

from zoolib.ui.adaptation import computation_sketch, mask_probabilities, sine_fits
from zoolib.ui.comparisons import compare_bars, error_by_step, level, names, step_size_robustness
from zoolib.ui.run_plots import compare_curves, paired
from zoolib.ui.smoothing import downsample, running_mean
from zoolib.ui.style import Picture, dress, legend, log_scale, looks, to_png

__all__ = [
    "Picture",
    "column",
    "compare_bars",
    "compare_curves",
    "computation_sketch",
    "downsample",
    "error_by_step",
    "learning_curve",
    "mask_probabilities",
    "paired",
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


def _value(baseline: Any) -> float | None:
    return baseline[1] if isinstance(baseline, tuple) else baseline
