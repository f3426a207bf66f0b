"""Figures of pictures and what a classifier says of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from matplotlib.transforms import blended_transform_factory
from PIL import Image

from zoolib.ui.style import (
    BLUE,
    NEUTRAL,
    SCREEN_DPI,
    SMALL,
    VERMILLION,
    Picture,
    dress,
    to_png,
)

_TINY = 7.5  # points


class Photographs(Picture):
    """A figure of photographs: drawn no finer than the screen, since their noise fills files."""

    def _repr_png_(self) -> tuple[bytes, dict[str, int]]:
        width, height = (round(inches * SCREEN_DPI) for inches in self.get_size_inches())
        return to_png(self, SCREEN_DPI), {"width": int(width), "height": int(height)}


def contact_sheet(
    images: Sequence[np.ndarray],
    captions: Sequence[str],
    boxes: Sequence[np.ndarray] | None = None,
    columns: int = 8,
    pixels: int = 64,
) -> Picture:
    """Small pictures side by side, with boxes around what they show.

    Args:
        images: [H, W, 3] each, bytes or floats in [0, 1], of any sizes.
        captions: one each; the last word goes on a line of its own.
        boxes: of each picture, [n, 4]: xmin, ymin, xmax, ymax in [0, 1].
        columns: pictures in a row.
        pixels: larger pictures are reduced to this many on their longer side.
    """
    rows = -(-len(images) // columns)
    text = f"{len(images)} pictures with their classes" + (
        " and boxes" if boxes is not None else ""
    )
    figure = Photographs(8.4, (8.4 / columns + 0.28) * rows, text)
    largest = max(max(image.shape[:2]) for image in images)
    panels = figure.subplots(rows, columns, squeeze=False).flat
    for number, axes in enumerate(panels):
        axes.set_axis_off()
        if number >= len(images):
            continue
        height, width = images[number].shape[:2]
        thumbnail = _reduced(images[number], pixels)
        axes.imshow(thumbnail, interpolation="bilinear", extent=(0, width, height, 0))
        middle = ((width - largest) / 2, (height - largest) / 2)
        axes.set_xlim(middle[0], middle[0] + largest)
        axes.set_ylim(middle[1] + largest, middle[1])
        caption = "\n".join(captions[number].rsplit(" ", 1))
        axes.set_title(caption, color=NEUTRAL, fontsize=_TINY, pad=2)
        for box in () if boxes is None else boxes[number]:
            _outline(axes, *(box * [width, height, width, height]))
    return figure


def _reduced(image: np.ndarray, pixels: int) -> np.ndarray:
    """Bytes; noise averaged out with the size, since it makes stored notebooks large."""
    if image.dtype != np.uint8:
        image = np.clip(np.rint(255 * image), 0, 255).astype(np.uint8)
    scale = pixels / max(image.shape[:2])
    if scale >= 1:
        return image
    size = (max(round(image.shape[1] * scale), 1), max(round(image.shape[0] * scale), 1))
    return np.asarray(Image.fromarray(image).resize(size, Image.BOX))


def _outline(axes: Axes, left: float, top: float, right: float, bottom: float) -> None:
    """White dashes on a dark line, to be seen on any picture."""
    for colour, dash, line in (("#111111", "-", 2.6), ("#ffffff", (0, (4, 3)), 1.2)):
        axes.add_patch(
            Rectangle(
                (left, top),
                right - left,
                bottom - top,
                fill=False,
                edgecolor=colour,
                linestyle=dash,
                linewidth=line,
            )
        )


def predictions(
    images: np.ndarray,
    guesses: Sequence[tuple[Sequence[str], Sequence[float]]],
    truths: Sequence[str] | None = None,
    columns: int = 2,
    top: int = 3,
    pixels: int = 48,
) -> Picture:
    """Pictures with the most probable classes beside them; the right one is marked.

    Args:
        images: [N, H, W, 3], bytes or floats in [0, 1].
        guesses: names and probabilities of each picture, best first.
        truths: the right names.
        columns: pictures in a row.
        top: guesses shown.
        pixels: as for :func:`contact_sheet`.
    """
    rows = -(-len(images) // columns)
    figure = Photographs(
        8.4, 1.1 * rows, f"{len(images)} pictures and their {top} most probable classes"
    )
    grid = figure.subplots(rows, 2 * columns, squeeze=False, width_ratios=[1.0, 2.9] * columns)
    for number, (picture, bars) in enumerate(grid.reshape(-1, 2)):
        picture.set_axis_off()
        bars.set_axis_off()
        if number < len(images):
            picture.imshow(_reduced(images[number], pixels), interpolation="bilinear")
            truth = None if truths is None else truths[number]
            _bars(bars, *guesses[number], truth, top)
    return figure


def _bars(
    axes: Axes, names: Sequence[str], shares: Sequence[float], truth: str | None, top: int
) -> None:
    """Horizontal bars from 0 to 1, each with its name above; ✓ and colour mark the right one."""
    axes.patch.set_alpha(0.0)
    beside = blended_transform_factory(axes.transAxes, axes.transData)
    for place, (name, share) in enumerate(zip(names[:top], shares[:top])):
        right = truth is not None and name == truth
        colour = BLUE if right or truth is None else VERMILLION
        axes.barh(place + 0.24, share, height=0.3, color=colour, linewidth=0)
        axes.barh(place + 0.24, 1.0, height=0.3, color=NEUTRAL, alpha=0.14, linewidth=0)
        shown = f"{name}  ✓" if right else name
        axes.text(0.0, place - 0.12, shown, transform=beside, fontsize=SMALL, color=NEUTRAL)
        axes.text(
            *(1.0, place - 0.12, f"{share:.0%}"),
            transform=beside,
            ha="right",
            fontsize=SMALL,
            color=NEUTRAL,
        )
    if truth is not None and truth not in names[:top]:
        axes.text(
            0.0, top - 0.05, f"it is a {truth}", fontsize=SMALL, color=NEUTRAL, style="italic"
        )
    axes.set_xlim(0, 1)
    axes.set_ylim(top + 0.1, -0.55)


def confusion(table: np.ndarray, names: Sequence[str]) -> Picture:
    """How often each class was taken for which; what is wrong stands out in another colour.

    Args:
        table: int [label, guess].
        names: of the classes.
    """
    count = len(names)
    side = 0.2 * count
    figure = Picture(side + 2.6, side + 0.8, f"confusion of {count} classes")
    axes = dress(figure.add_subplot(), x="guess", y="")
    shares = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
    shades = np.zeros((count, count, 4))
    for colour, where in (
        (BLUE, np.eye(count, dtype=bool)),
        (VERMILLION, ~np.eye(count, dtype=bool)),
    ):
        shades[where, :3] = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    shades[..., 3] = np.sqrt(shares)  # few mistakes are to be seen, too
    axes.imshow(shades, interpolation="nearest")
    for label, guess in zip(*np.nonzero(table)):
        if label != guess:
            axes.text(guess, label, table[label, guess], ha="center", va="center", fontsize=_TINY,
                      color="#111111" if shares[label, guess] > 0.05 else NEUTRAL)  # fmt: skip
    axes.grid(False)
    axes.set_yticks(range(count), [f"{name} {number}" for number, name in enumerate(names, 1)])
    axes.set_xticks(range(count), range(1, count + 1))
    axes.tick_params(length=0)
    return figure
