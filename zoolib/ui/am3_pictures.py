"""Figures of a few-shot task: what is shown of each class, what is asked, what is answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from zoolib.ui.comparisons import names as told
from zoolib.ui.pictures import Photographs
from zoolib.ui.style import BLUE, NEUTRAL, SMALL, Picture, looks

_TINY = 7.5  # points


def episode(drawn: Mapping[str, Any], rows: int = 3) -> Picture:
    """A task: above what is shown of each class and its name, below pictures to tell apart.

    Args:
        drawn: ``names`` [C]; ``support`` [C, K, H, W, 3]; ``query`` [Q, H, W, 3] and ``labels``
            [Q]; see :func:`zoolib.models.am3.examples.stored_task`.
        rows: queries shown of each class, at most.
    """
    names, support = list(drawn["names"]), np.asarray(drawn["support"])
    shots = support.shape[1]
    text = f"a task: {shots} picture{'s' * (shots > 1)} each of {told(names)}, and queries"
    figure = Photographs(7.6, 1.3 * (shots + rows) + 0.6, text)
    grid = figure.subplots(shots + rows, len(names), squeeze=False)
    for column, name in enumerate(names):
        mine = np.asarray(drawn["query"])[np.asarray(drawn["labels"]) == column][:rows]
        for row, axes in enumerate(grid[:, column]):
            images = [*support[column], *mine]
            _show(axes, images[row] if row < len(images) else None)
        grid[0, column].set_title(_stacked(name), color=NEUTRAL, fontsize=SMALL, pad=4)
    for row, words in ((0, "shown,\nwith its name"), (shots, "to be told\napart")):
        grid[row, 0].set_ylabel(words, color=NEUTRAL, fontsize=SMALL, rotation=0, ha="right")
        grid[row, 0].yaxis.set_label_coords(-0.12, 0.4)
    for axes in grid[shots, :]:
        axes.set_title(" ", fontsize=4, pad=3)  # a gap between what is known and what is asked
    return figure


def _stacked(name: str) -> str:
    """The last word on a line of its own."""
    return "\n".join(name.rsplit(" ", 1))


def _show(axes: Axes, image: np.ndarray | None) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    axes.patch.set_alpha(0.0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    if image is not None:
        axes.imshow(image, interpolation="nearest")


def verdicts(
    drawn: Mapping[str, Any], answers: Mapping[str, np.ndarray], asked: Sequence[int]
) -> Picture:
    """What learners say of some queries of a task, class by class; the right class is marked.

    Args:
        drawn: as for :func:`episode`.
        answers: learner -> probabilities [Q, C].
        asked: which queries.
    """
    names, labels = list(drawn["names"]), np.asarray(drawn["labels"])
    figure = Photographs(
        8.4, 0.86 * len(asked) + 0.75, f"{len(asked)} queries and what {told(answers)} say of them"
    )
    widths = [0.62, *[1.0] * len(names)]
    grid = figure.subplots(len(asked), len(widths), squeeze=False, width_ratios=widths)
    styles = dict(looks(list(answers)))
    for row, number in zip(grid, asked):
        _show(row[0], drawn["query"][number])
        for column, axes in enumerate(row[1:]):
            chances = {k: float(p[number, column]) for k, p in answers.items()}
            best = {k: p[number].argmax() == column for k, p in answers.items()}
            _chances(axes, chances, best, styles, bool(labels[number] == column))
    for column, axes in enumerate(grid[0, 1:]):
        axes.set_title(_stacked(names[column]), color=NEUTRAL, fontsize=_TINY + 0.5, pad=4)
    key = "   ".join(f"{'upper' if i == 0 else 'lower'} bar: {k}" for i, k in enumerate(answers))
    figure.text(
        *(0.5, 0.0),
        f"{key}   frame: the right class   bold: the learner's answer",
        ha="center",
        va="bottom",
        color=NEUTRAL,
        fontsize=SMALL,
    )
    figure.get_layout_engine().set(rect=(0, 0.3 / figure.get_figheight(), 1, 1))
    return figure


def _chances(
    axes: Axes, chances: Mapping[str, float], best: Mapping[str, bool], styles: Any, right: bool
) -> None:
    """A bar for each learner, with its percentage; in a frame if this is the right class."""
    axes.patch.set_alpha(0.0)
    axes.set_xticks([])
    axes.set_yticks([])
    for place, (label, share) in enumerate(chances.items()):
        axes.barh(place, 1.0, height=0.62, color=NEUTRAL, alpha=0.12, linewidth=0)
        axes.barh(place, share, height=0.62, color=styles[label]["color"], linewidth=0)
        axes.text(
            *(1.04, place),
            f"{share:.0%}",
            va="center",
            fontsize=_TINY + 0.5,
            color=NEUTRAL,
            fontweight="bold" if best[label] else "normal",
        )
    axes.set_xlim(-0.06, 1.5)
    axes.set_ylim(len(chances) - 0.3, -0.7)
    for spine in axes.spines.values():
        spine.set_visible(right)
        spine.set_color(NEUTRAL)
        spine.set_linewidth(1.4)


def board(
    query: np.ndarray,
    support: Sequence[np.ndarray],
    names: Sequence[str],
    chances: Sequence[float],
    share: Sequence[float],
    truth: str = "",
) -> Picture:
    """A query, and for each class its pictures, its name, lambda and its probability.

    Args:
        query: [H, W, 3].
        support: of each class [K, H, W, 3], K at most 5, also 0.
        names: as typed; an empty one is told as such.
        chances: probabilities [C]; share: of the picture in the prototype [C].
        truth: what the query is called.
    """
    count = len(names)
    figure = Photographs(
        8.4, 0.62 * count + 0.45, f"a query and its probabilities for {told(names)}"
    )
    asked, rows = figure.subfigures(1, 2, width_ratios=[1.0, 2.9])
    for part in (asked, rows):
        part.patch.set_alpha(0.0)
    axes = asked.subplots()
    _show(axes, query)
    axes.set_title(truth, color=NEUTRAL, fontsize=SMALL, pad=4)
    grid = rows.subplots(count, 6, squeeze=False, width_ratios=[3.6, *[0.42] * 5])
    best = int(np.argmax(chances))
    for row, line in enumerate(grid):
        _line(line[0], names[row] or "(no name)", float(chances[row]), row == best)
        for place, axes in enumerate(line[1:]):
            _show(axes, support[row][place] if place < len(support[row]) else None)
        line[0].text(
            *(1.0, 0.17),
            f"λ {float(share[row]):.2f}",
            ha="right",
            va="center",
            fontsize=SMALL,
            color=NEUTRAL,
        )
    return figure


def _line(axes: Axes, name: str, chance: float, best: bool) -> None:
    """A class's name over a bar of its probability."""
    axes.set_axis_off()
    colour = BLUE if best else NEUTRAL
    axes.barh(0.72, 1.0, height=0.3, color=NEUTRAL, alpha=0.14, linewidth=0)
    axes.barh(0.72, chance, height=0.3, color=colour, linewidth=0)
    shown = f"{name}  {chance:.0%}"
    axes.text(
        *(0.0, 0.17),
        f"▸ {shown}" if best else shown,
        va="center",
        fontsize=SMALL,
        color=NEUTRAL,
        fontweight="bold" if best else "normal",
    )
    axes.set_xlim(0, 1)
    axes.set_ylim(1.0, -0.15)
