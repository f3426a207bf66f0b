"""The curve that grows while a run goes on: one figure, redrawn into PNG bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.ticker import FuncFormatter

from zoolib.ui.plots import column, downsample, running_mean
from zoolib.ui.style import LIVE_DPI, Picture, canvas_png, drawing, dress, legend, log_scale, looks

WIDTH, HEIGHT = 7.0, 2.7  # inches
_PIXELS = 1200


class LiveCurve:
    """Terms of a history against steps, in a figure whose artists are kept.

    Args:
        keys: the terms shown.
    """

    def __init__(self, keys: Sequence[str] = ("loss",)) -> None:
        self.keys = tuple(keys)
        # Fixed margins: finding a layout would take half of the time of a redraw.
        self.figure = Picture(WIDTH, HEIGHT, f"{', '.join(keys)} so far", layout="none")
        self.figure.set_dpi(LIVE_DPI)
        height = 0.78 if len(self.keys) == 1 else 0.69  # a legend stands above the axes
        self.axes = self.figure.add_axes((0.09, 0.18, 0.865, height))
        dress(self.axes, x="training steps", y=", ".join(keys))
        self.axes.xaxis.set_major_formatter(FuncFormatter(lambda step, _: f"{step:,.0f}"))
        self.lines: dict[str, tuple[Any, Any]] = {}
        for key, style in looks(self.keys):
            (raw,) = self.axes.plot([], [], color=style["color"], alpha=0.35, linewidth=0.9)
            (mean,) = self.axes.plot([], [], **{**style, "marker": "", "label": key})
            self.lines[key] = (raw, mean)
        if len(self.keys) > 1:
            legend(
                self.axes,
                loc="lower right",
                bbox_to_anchor=(1.0, 1.0),
                borderaxespad=0.2,
                ncols=len(self.keys),
            )

    def update(self, history: Sequence[Mapping[str, float]], total: int) -> None:
        """Move the artists to a new history; ``total`` steps span the axis."""
        everything = []
        for key, (raw, mean) in self.lines.items():
            x, y = column(history, key)
            raw.set_data(*downsample(x, y, _PIXELS))
            mean.set_data(*downsample(*running_mean(x, y), _PIXELS))
            everything.append(y[np.isfinite(y)])
        self.axes.set_xlim(0, max(total, 1))
        values = np.concatenate(everything)
        if values.size:
            self._limits(values)

    def _limits(self, values: np.ndarray) -> None:
        low, high = float(values.min()), float(values.max())
        if low > 0:
            log_scale(self.axes.yaxis, low, max(high, low * 1.01))
        else:
            margin = 0.05 * (high - low) or 1.0
            self.axes.set_yscale("linear")
            self.axes.set_ylim(low - margin, high + margin)

    def png(self) -> bytes:
        """The picture as it stands."""
        with drawing:
            self.figure.canvas.draw()
            return canvas_png(self.figure)
