"""Figures of RealMix: what it starts with, what it makes of it, and how it compares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from zoolib.data.draws import generator
from zoolib.ui.comparisons import names as listed
from zoolib.ui.pictures import Photographs
from zoolib.ui.style import BLUE, NEUTRAL, SMALL, Picture, dress, legend, looks

_TINY = 7.5  # points
_GAP = 2  # pixels between two pictures of a mosaic


def mosaic(images: Sequence[Sequence[np.ndarray | None]], gap: int = _GAP) -> np.ndarray:
    """Rows of small pictures as one, with transparent gaps, uint8 [height, width, 4].

    Args:
        images: rows of [H, W, 3] bytes of one size; None leaves a place empty.
        gap: pixels between two of them.
    """
    size = next(image.shape for row in images for image in row if image is not None)
    high, wide = size[0] + gap, size[1] + gap
    columns = max(map(len, images))
    whole = np.zeros((len(images) * high - gap, columns * wide - gap, 4), np.uint8)
    for y, row in enumerate(images):
        for x, image in enumerate(row):
            if image is not None:
                place = whole[y * high : y * high + size[0], x * wide : x * wide + size[1]]
                place[..., :3], place[..., 3] = image, 255
    return whole


def _show(axes: Axes, images: Sequence[Sequence[np.ndarray | None]], title: str = "") -> None:
    """A mosaic whose places have the coordinates 0, 1, 2, …; no frame, no ticks."""
    whole = mosaic(images)
    rows, columns = len(images), max(map(len, images))
    dress(axes, title)
    axes.imshow(
        whole,
        interpolation="nearest",
        extent=(-0.5, columns - 0.5, rows - 0.5, -0.5),
        aspect=whole.shape[0] * columns / (whole.shape[1] * rows),
    )
    axes.grid(False)
    axes.tick_params(length=0, labelsize=SMALL)
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)


def start(
    labelled: np.ndarray, labels: np.ndarray, names: Sequence[str], unlabelled: np.ndarray
) -> Picture:
    """All labelled images, a column for each class, beside some of those without labels.

    Args:
        labelled: uint8 [n, H, W, 3].
        labels: int [n].
        names: of the classes.
        unlabelled: uint8 [N, H, W, 3], drawn at half the size.
    """
    columns = [labelled[labels == c] for c in range(len(names))]
    tall = max(max(map(len, columns)), 1)
    rows = [[c[r] if r < len(c) else None for c in columns] for r in range(tall)]
    across, down = 2 * len(names), 2 * tall
    shown = unlabelled[generator(0, "ui/start").permutation(len(unlabelled))[: across * down]]
    cells: list[Any] = [*shown, *[None] * (across * down - len(shown))]
    figure = Photographs(
        8.4,
        0.55 + 4.1 * tall / len(names),
        f"{len(labelled)} labelled images, and {len(shown)} of those without labels",
    )
    left, right = figure.subplots(1, 2)
    _show(left, rows, f"{len(labelled)} images with labels …")
    left.set_xticks(range(len(names)), names)
    cells = [cells[i * across : (i + 1) * across] for i in range(down)]
    _show(right, cells, f"… and {len(unlabelled):,} without, here {len(shown)}")
    return figure


def augmentations(kinds: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> Picture:
    """Random views of images, a row for each kind.

    Args:
        kinds: name -> (the image uint8 [H, W, 3], its views uint8 [n, H, W, 3]).
    """
    count = max(len(views) for _, views in kinds.values())
    figure = Photographs(8.4, 0.3 + 0.53 * len(kinds), f"random views of images: {listed(kinds)}")
    axes = figure.add_subplot()
    _show(axes, [[image, None, *views] for image, views in kinds.values()])
    axes.set_yticks(range(len(kinds)), list(kinds))
    axes.xaxis.tick_top()
    axes.set_xticks([0, 2 + (count - 1) / 2], ["image", "views, drawn anew at every step"])
    return figure


def guesses(found: Mapping[str, np.ndarray], names: Sequence[str]) -> Picture:
    """From two views to a guessed label: both predictions, their mean, the mean sharpened.

    Args:
        found: what :func:`zoolib.models.realmix.figures.guesses` returns; a row for each image.
        names: of the classes.
    """
    count = found["views"].shape[1]
    figure = Photographs(8.4, 0.35 + 0.8 * count, f"guesses for {count} images, before and after")
    grid = figure.subplots(
        count, 6, squeeze=False, width_ratios=[0.42, 1, 0.42, 1, 1, 1], sharey="col"
    )
    heads = ("", "p of view 1", "", "p of view 2", "their mean", "sharpened: q")
    for row, panels in enumerate(grid):
        truth = int(found["truth"][row])
        bars = (None, found["p"][0, row], None, found["p"][1, row])
        bars += (found["mean"][row], found["sharpened"][row])
        for column, (axes, p) in enumerate(zip(panels, bars)):
            if p is None:
                _picture(axes, found["views"][column // 2, row])
            else:
                _distribution(axes, p, names, truth, row == count - 1)
            if row == 0:
                axes.set_title(heads[column], color=NEUTRAL, fontsize=SMALL, fontweight="bold")
    return figure


def _picture(axes: Axes, image: np.ndarray) -> None:
    axes.imshow(image, interpolation="nearest")
    axes.set_axis_off()


def _distribution(axes: Axes, p: np.ndarray, names: Sequence[str], truth: int, named: bool) -> None:
    """Bars of probabilities; the true class, if known, is blue and has a tick mark above."""
    dress(axes)
    colours = [BLUE if c == truth else NEUTRAL for c in range(len(p))]
    axes.bar(range(len(p)), p, color=colours, width=0.78, linewidth=0)
    if truth >= 0:
        axes.text(
            *(truth, p[truth] + 0.03), "✓", ha="center", va="bottom", fontsize=SMALL, color=BLUE
        )
    axes.set_ylim(0, 1.22)
    axes.set_yticks([0, 0.5, 1], [])
    axes.set_xticks(range(len(p)), names if named else [""] * len(p))
    axes.tick_params(axis="both", length=0, labelsize=_TINY)
    axes.grid(False, axis="x")
    axes.spines["left"].set_visible(False)


def mixing(found: Mapping[str, Any], names: Sequence[str]) -> Picture:
    """Rows that MixUp made of two: the pictures, their coefficients, the target in words.

    Args:
        found: what :func:`zoolib.models.realmix.illustrations.mixed_rows` returns.
        names: of the classes.
    """
    count = len(found["weight"])
    figure = Photographs(8.4, 3.3, f"{count} pairs of images, and what MixUp makes of them")
    axes = figure.add_subplot()
    _show(axes, [list(found["first"]), list(found["second"]), list(found["mixed"])])
    axes.set_yticks(range(3), ["image", "partner", "mixed"])
    axes.xaxis.tick_top()
    axes.set_xticks(
        range(count),
        [
            f"{kind}\nλ' = {weight:.2f}"  # ranges from a half to one
            for kind, weight in zip(found["kind"], found["weight"])
        ],
    )
    for place, target in enumerate(found["targets"]):
        best = [c for c in np.argsort(-target, kind="stable")[:2] if target[c] >= 0.005]
        told = "\n".join(f"{names[c]}: {target[c]:.0%}" for c in best)
        axes.text(place, 2.56, told, ha="center", va="top", fontsize=SMALL, color=NEUTRAL)
    return figure


def annealing(thresholds: Mapping[str, np.ndarray], kept: Mapping[str, np.ndarray]) -> Picture:
    """Training signal annealing: the thresholds over a run, and how many rows they leave.

    Args:
        thresholds: schedule -> eta at equal distances over the run, [n].
        kept: rule -> share of labelled rows kept, with ``eta`` beside them, each [k].
    """
    figure = Picture(8.4, 2.9, f"annealing thresholds: {listed(thresholds)}; rows they keep")
    left, right = figure.subplots(1, 2)
    dress(left, "threshold η", x="share of the run")
    for (label, style), eta in zip(looks(list(thresholds)), thresholds.values()):
        left.plot(np.linspace(0, 1, len(eta)), eta, label=label, **{**style, "marker": ""})
    left.set_ylim(0, 1.05)
    legend(left, loc="lower right")
    dress(right, "labelled rows kept, %", x="threshold η")
    shares = {name: values for name, values in kept.items() if name != "eta"}
    for (label, style), share in zip(looks(list(shares)), shares.values()):
        right.plot(kept["eta"], 100 * np.asarray(share), label=label, **{**style, "marker": ""})
    right.set_ylim(0, 105)
    legend(right, loc="lower right")
    return figure
