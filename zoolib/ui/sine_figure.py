"""A figure of a sine wave and its fits that redraws in milliseconds: the frame is drawn once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from zoolib.ui.style import (
    DASHES,
    LIVE_DPI,
    NEUTRAL,
    PURPLE,
    Picture,
    canvas_png,
    drawing,
    dress,
    legend,
    look,
)


class SineFigure:
    """The wave, the points seen, and each model's curve before and after adaptation.

    Args:
        models: names of the models.
        amplitude: largest amplitude, which sets the height of the axes.
    """

    def __init__(self, models: Sequence[str], amplitude: float) -> None:
        self.models = list(models)
        self.picture, self.artists = self._frame(amplitude, animated=True)
        self._amplitude, self._shown = amplitude, None
        with drawing:
            self.picture.canvas.draw()  # everything but the animated artists
            self._empty = self.picture.canvas.copy_from_bbox(self.picture.bbox)

    def _frame(self, amplitude: float, animated: bool) -> tuple[Picture, dict[str, Any]]:
        picture = Picture(7.0, 3.3, f"a sine wave and its fit by {', '.join(self.models)}")
        picture.set_dpi(LIVE_DPI)
        axes = dress(picture.add_subplot(), x="x", y="y")
        axes.set(xlim=(-5.2, 5.2), ylim=(-1.25 * amplitude, 1.25 * amplitude))
        artists = {"truth": axes.plot([], [], color=NEUTRAL, linewidth=6, alpha=0.55)[0]}
        artists["truth"].set_label("true curve")
        for number, name in enumerate(self.models):
            style = {**look(number), "marker": "", "linewidth": 2.2}  # as in comparisons
            before = {"color": style["color"], "linestyle": DASHES[3], "alpha": 0.8}
            style["linestyle"] = DASHES[number % 3]
            whose = f"{name}, " if len(self.models) > 1 else ""
            artists[f"before {name}"] = axes.plot([], [], label=f"{whose}before", **before)[0]
            artists[f"after {name}"] = axes.plot([], [], label=f"{whose}after", **style)[0]
        (artists["points"],) = axes.plot(
            [], [], "o", color=PURPLE, markeredgecolor="white", markersize=6, label="points seen"
        )
        for artist in artists.values():
            artist.set_animated(animated)
        legend(picture, loc="outside upper center", ncols=min(4, len(artists)))
        return picture, artists

    def png(self, fit: Mapping[str, Any]) -> bytes:
        """PNG bytes of a fit (see ``SineExplorer``), drawn over the kept frame."""
        self._shown = fit
        _move(self.artists, fit)
        canvas = self.picture.canvas
        with drawing:
            canvas.restore_region(self._empty)
            for artist in self.artists.values():
                artist.axes.draw_artist(artist)
            return canvas_png(self.picture)

    def still(self) -> Picture:
        """A figure of its own that shows what was drawn last."""
        picture, artists = self._frame(self._amplitude, animated=False)
        _move(artists, self._shown)
        return picture

    def words(self, fit: Mapping[str, Any]) -> str:
        """Each model's mean squared error on the whole curve, before and after."""
        steps = f"{fit['steps']} step" + ("" if fit["steps"] == 1 else "s")
        parts = []
        for name, curves in fit["curves"].items():
            before, after = (_error(curve, fit["truth"]) for curve in curves)
            parts.append(f"{name}: {before} before, {after} after {steps}")
        return "mean squared error on the whole curve, " + "; ".join(parts)


def _move(artists: Mapping[str, Any], fit: Mapping[str, Any]) -> None:
    artists["truth"].set_data(fit["x"], fit["truth"])
    artists["points"].set_data(fit["support_x"], fit["support_y"])
    for name, (before, after) in fit["curves"].items():
        artists[f"before {name}"].set_data(fit["x"], before)
        artists[f"after {name}"].set_data(fit["x"], after)


def _error(curve: np.ndarray, truth: np.ndarray) -> str:
    value = float(np.mean(np.square(curve.astype(np.float64) - truth)))
    return f"{value:.3g}" if np.isfinite(value) and value < 1e4 else "diverged"
