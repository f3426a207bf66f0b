"""Figures of ShuffleNetV2: where channels go, the four guidelines, what width buys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import FancyBboxPatch, Rectangle

from zoolib.ui.comparisons import names
from zoolib.ui.style import (
    BLUE,
    COLOURS,
    NEUTRAL,
    SMALL,
    Picture,
    contrast,
    dress,
    legend,
    log_scale,
    looks,
)

_STEP = 1.0  # between two rows of channels
_CELL = 0.46  # height of a channel
_TINY = 7.5  # points; a channel's number


def channel_provenance(stages: Mapping[str, Sequence[Any]]) -> Picture:
    """Channels of a stage from unit to unit; each tells who made it, lines tell where it goes.

    Args:
        stages: title -> rows of :func:`zoolib.models.shufflenet_v2.provenance.trace`.
    """
    tall = max(len(rows) for rows in stages.values())
    text = f"who made each channel, unit by unit: {names(stages)}"
    figure = Picture(8.4, 0.9 + 0.55 * tall, text)
    panels = np.atleast_1d(figure.subplots(1, len(stages)))
    for number, (axes, (title, rows)) in enumerate(zip(panels, stages.items())):
        _stage(axes, rows, bool(number == 0))
        axes.set_title(title, color=NEUTRAL, fontsize=10.5, fontweight="bold", loc="left")
        axes.set_ylim((tall - 0.35) * _STEP, -0.6 * _STEP)
    figure.text(
        *(0.5, 0.0),
        "S: shortcut of unit 1; 1, 2, …: made by that unit; frame: the half the next unit works on",
        ha="center",
        va="bottom",
        color=NEUTRAL,
        fontsize=SMALL,
    )
    figure.get_layout_engine().set(rect=(0, 0.06, 1, 0.94))
    return figure


def _stage(axes: Axes, rows: Sequence[Any], named: bool) -> None:
    count = len(rows[0].makers)
    for place, row in enumerate(rows):
        y = place * _STEP
        for x, maker in enumerate(row.makers):
            colour = _colour(int(maker))
            axes.add_patch(
                Rectangle((x + 0.08, y - _CELL / 2), 0.84, _CELL, facecolor=colour, linewidth=0)
            )
            axes.text(
                *(x + 0.5, y),
                "S" if maker == 0 else str(maker),
                ha="center",
                va="center_baseline",
                fontsize=_TINY,
                color=_ink(colour),
            )
            if row.places[x] >= 0:
                _thread(axes, row.places[x] + 0.5, x + 0.5, y, colour)
        if row.processed:
            _work(axes, row.processed, y)
    axes.set_xlim(-0.2, count + 0.2)
    dress(axes)
    axes.grid(False)
    axes.set_xticks([])
    axes.tick_params(length=0)
    axes.set_yticks([i * _STEP for i in range(len(rows))] if named else [])
    if named:
        axes.set_yticklabels([row.name for row in rows])
    for spine in axes.spines.values():
        spine.set_visible(False)


def _colour(maker: int) -> str:
    return NEUTRAL if maker == 0 else COLOURS[(maker - 1) % len(COLOURS)]


def _ink(colour: str) -> str:
    return max(("#ffffff", "#111111"), key=lambda ink: contrast(ink, colour))


def _thread(axes: Axes, above: float, x: float, y: float, colour: str) -> None:
    """The way of one channel from the row above."""
    t = np.linspace(0.0, 1.0, 24 if above != x else 2)
    ease = t * t * (3.0 - 2.0 * t)
    top, bottom = y - _STEP + _CELL / 2, y - _CELL / 2
    axes.plot(
        above + (x - above) * ease,
        top + (bottom - top) * t,
        color=colour,
        linewidth=1.1,
        solid_capstyle="butt",
        zorder=0.5,
    )


def _work(axes: Axes, span: tuple[int, int], y: float) -> None:
    """A frame around what a unit processes, and an arrow to what it makes of it."""
    low, high = span
    axes.add_patch(
        FancyBboxPatch(
            (low + 0.06, y - _CELL / 2 - 0.04),
            high - low - 0.12,
            _CELL + 0.08,
            boxstyle="round,pad=0.02,rounding_size=0.12",
            facecolor="none",
            edgecolor=NEUTRAL,
            linewidth=1.3,
        )
    )
    centre = (low + high) / 2
    axes.annotate(
        "",
        (centre, y + _STEP - _CELL / 2 - 0.02),
        xytext=(centre, y + _CELL / 2 + 0.08),
        arrowprops=dict(arrowstyle="-|>", color=NEUTRAL, linewidth=1.2, shrinkA=0, shrinkB=0),
    )


def channel_ages(stages: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> Picture:
    """How long ago each channel of a stage was made, and how much of the stage it has seen.

    Args:
        stages: title -> (ages int [units, C], share of the first channels seen, mean over the
            channels, [units]).
    """
    figure = Picture(8.4, 2.9, f"age of channels, and what they have seen: {names(stages)}")
    panels = figure.subplots(1, len(stages) + 1, width_ratios=[1.15] * len(stages) + [1.0])
    oldest = max(int(found.max()) for found, _ in stages.values())
    for axes, (title, (found, _)) in zip(panels, stages.items()):
        units, count = found.shape
        shades = np.zeros((units, count, 4))
        shades[..., :3] = [int(BLUE[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        shades[..., 3] = 0.06 + 0.94 * found / max(oldest, 1)
        extent = (0, count, units + 0.5, 0.5)
        axes.imshow(shades, aspect="auto", interpolation="nearest", extent=extent)
        dress(axes, x=f"channel, 1 to {count}", y="after unit" if axes is panels[0] else "")
        axes.set_title(title, color=NEUTRAL, fontsize=10.5, fontweight="bold", loc="left")
        axes.grid(False)
        axes.set_xticks([])
        axes.set_yticks(range(1, units + 1))
    _shares(panels[-1], {title: share for title, (_, share) in stages.items()})
    return figure


def _shares(axes: Axes, shares: Mapping[str, np.ndarray]) -> None:
    dress(axes, x="after unit")
    axes.set_title("seen, mean %", color=NEUTRAL, fontsize=10.5, fontweight="bold", loc="left")
    for (title, style), share in zip(looks(list(shares)), shares.values()):
        axes.plot(np.arange(1, len(share) + 1), 100 * np.asarray(share), label=title, **style)
    axes.set_ylim(0, 104)
    axes.set_xticks(range(1, max(map(len, shares.values())) + 1))
    legend(axes, loc="center right", bbox_to_anchor=(1.04, 0.42), handlelength=2.2)


def guideline_speeds(measured: Sequence[Any], rules: Mapping[str, str]) -> Picture:
    """Blocks of equal multiply-adds: how fast each is here and was in the paper.

    Args:
        measured: of :func:`zoolib.models.shufflenet_v2.guidelines.measure`.
        rules: what each rule says, in a few words.
    """
    figure = Picture(8.4, 4.9, f"speed of blocks of equal multiply-adds: {names(rules)}")
    panels = figure.subplots(2, 2).flat
    for axes, one in zip(panels, measured):
        dress(axes, f"{one.rule}: {rules[one.rule]}", x="relative speed")
        rows = np.arange(len(one.blocks))
        series = {"this device": one.speed}
        series.update({f"paper, {name}": speeds for name, speeds in one.paper.items()})
        for (label, style), speeds in zip(looks(list(series)), series.values()):
            here = label == "this device"
            axes.plot(
                speeds,
                rows,
                label=label,
                **{**style, "markersize": 8 if here else 5.5, "linewidth": 2.0 if here else 1.0},
            )
        axes.set_yticks(rows, one.blocks)
        axes.set_ylim(len(rows) - 0.5, -0.5)
        top = max(max(speeds) for speeds in series.values())
        axes.set_xlim(0, 1.08 * top)
        handles = axes.get_legend_handles_labels()
    legend(figure, *handles, loc="outside lower center", ncols=3)
    return figure


def width_tradeoff(panels: Mapping[str, Mapping[str, tuple[float, float]]], x: str) -> Picture:
    """Accuracy against speed for several widths of the network, a panel for each setting.

    Args:
        panels: title -> width -> (speed, accuracy in percent).
        x: what speed is.
    """
    figure = Picture(8.4, 3.0, f"accuracy against speed by width: {names(panels)}")
    every = np.atleast_1d(figure.subplots(1, len(panels)))
    for axes, (title, points), (_, style) in zip(every, panels.items(), looks(list(panels))):
        dress(axes, title, x=x, y="top-1, %" if axes is every[0] else "")
        places = np.array(list(points.values()))
        axes.plot(*places.T, **{**style, "markersize": 8})
        for name, place in points.items():
            axes.annotate(
                name,
                place,
                xytext=(7, 4),
                textcoords="offset points",
                color=NEUTRAL,
                fontsize=SMALL,
            )
        log_scale(axes.xaxis, places[:, 0].min(), 1.15 * places[:, 0].max())
        span = max(float(np.ptp(places[:, 1])), 1.0)
        axes.set_ylim(places[:, 1].min() - 0.12 * span, places[:, 1].max() + 0.18 * span)
    return figure
