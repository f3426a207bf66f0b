"""How zoolib's figures look: colours, the figure class, and PNG bytes.

Figures are transparent, so that they sit on JupyterLab's white and on its dark page (#111). Text is
one grey for both. No grey can reach a contrast of 4.5 on both: white against #111 is 18.9, and the
best a colour between can do is its square root, 4.35. That is the grey used here; whoever knows the
page gets more with ``to_png(figure, theme="light")`` or ``"dark"`` (7 and above).

Data colours are the four of the Okabe-Ito palette (Okabe and Ito 2008, colour universal design)
that keep a contrast of 3 on both pages. Colour never stands alone: each has its dash and marker.
"""

from __future__ import annotations

import io
import math
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.text import Text
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator
from PIL import Image

BLUE, VERMILLION, GREEN, PURPLE = "#0072b2", "#d55e00", "#009e73", "#cc79a7"
NEUTRAL = "#797979"
INK = {"neutral": NEUTRAL, "light": "#404040", "dark": "#d0d0d0"}
PAGES = {"white": "#ffffff", "dark": "#111111"}
COLOURS = (BLUE, VERMILLION, GREEN, PURPLE)
DASHES: tuple[Any, ...] = ("-", (0, (5, 1.6)), (0, (4, 1.4, 1, 1.4)), (0, (1.2, 1.2)))
MARKERS = ("o", "s", "^", "D")
TEXT, SMALL, TITLE = 10.0, 9.0, 11.5  # points; JupyterLab's own text is 13 px, about 10 points
SCREEN_DPI, LIVE_DPI, PNG_DPI = 96, 120, 128  # drawn finer than shown: crisp, still small
drawing = threading.RLock()  # matplotlib is not thread-safe, and panels draw from their own thread


class Picture(Figure):
    """A figure that shows itself as the last expression of a cell, once, in any kernel.

    A plain ``Figure`` shows only after some import has set up the inline backend. Where it has been
    set up, IPython prefers its own formatter to this class's, so there is never a second picture.

    Attributes:
        alt: one sentence in place of the picture; also its text form, free of numbers that vary.
    """

    def __init__(
        self, width: float, height: float, alt: str = "figure", layout: str = "constrained"
    ) -> None:
        super().__init__(figsize=(width, height), dpi=SCREEN_DPI, layout=layout)
        FigureCanvasAgg(self)
        self.alt = alt
        self.patch.set_alpha(0.0)

    def settle(self) -> None:
        """Fix the layout: laid out again and again it would wander by parts of a pixel."""
        if self.get_layout_engine() is not None:
            self.draw_without_rendering()
            self.set_layout_engine("none")

    def __repr__(self) -> str:
        return f"<figure: {self.alt}>"

    def __str__(self) -> str:
        return repr(self)

    def _repr_png_(self) -> tuple[bytes, dict[str, int]]:
        width, height = (round(inches * SCREEN_DPI) for inches in self.get_size_inches())
        return to_png(self), {"width": int(width), "height": int(height)}


def luminance(colour: str) -> float:
    """Relative luminance of ``#rrggbb`` (WCAG 2.2), 0 to 1."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    """Contrast ratio of two colours ``#rrggbb`` (WCAG 2.2), 1 to 21."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def look(number: int) -> dict[str, Any]:
    """Line properties of the ``number``-th series: colour, dash and marker, all different."""
    turn = number // len(COLOURS)
    kind = (number + turn) % len(DASHES)  # the second time round, colours meet other dashes
    return {
        "color": COLOURS[number % len(COLOURS)],
        "linestyle": DASHES[kind],
        "marker": MARKERS[kind],
        "linewidth": 1.8,
        "markersize": 5,
    }


def looks(labels: Sequence[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Pairs of label and line properties."""
    return ((label, look(i)) for i, label in enumerate(labels))


def dress(axes: Axes, title: str = "", x: str = "", y: str = "") -> Axes:
    """Give axes zoolib's quiet frame, grid, font sizes and labels."""
    axes.patch.set_alpha(0.0)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(NEUTRAL)
        spine.set_linewidth(0.8)
    axes.tick_params(which="both", colors=NEUTRAL, labelsize=SMALL, width=0.8, direction="out")
    axes.grid(True, which="major", color=NEUTRAL, alpha=0.22, linewidth=0.6)
    axes.set_axisbelow(True)
    if title:
        axes.set_title(title, color=NEUTRAL, fontsize=TITLE, fontweight="bold", loc="left")
    axes.set_xlabel(x, color=NEUTRAL, fontsize=TEXT)
    axes.set_ylabel(y, color=NEUTRAL, fontsize=TEXT)
    return axes


def log_scale(axis: Axis, low: float, high: float) -> None:
    """Make an axis logarithmic, with plain numbers (0.05, 1, 20) at as many ticks as fit.

    Args:
        axis: ``axes.xaxis`` or ``axes.yaxis``.
        low, high: the positive range it will show; enlarged a little.
    """
    decades = math.log10(high / low)
    if decades < 0.9:  # less than a decade: 1, 2 and 5 could leave a single number
        subs: tuple[float, ...] = (1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0)
    else:
        subs = (1.0, 2.0, 5.0) if decades < 2.2 else (1.0, 3.0) if decades < 3.2 else (1.0,)
    margin = 10 ** (0.06 * max(decades, 0.3))
    axes, name = axis.axes, axis.axis_name
    getattr(axes, f"set_{name}scale")("log")
    getattr(axes, f"set_{name}lim")(low / margin, high * margin)
    axis.set_major_locator(LogLocator(subs=subs, numticks=12))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_locator(NullLocator())


def legend(owner: Axes | Figure, *entries: Any, **options: Any) -> Any:
    """A frameless legend, in the text's grey, of axes or of a whole figure."""
    usual = {"frameon": False, "labelcolor": NEUTRAL, "fontsize": SMALL, "handlelength": 3.0}
    return owner.legend(*entries, **{**usual, **options})


def to_png(
    figure: Figure,
    dpi: float | None = None,
    theme: str = "neutral",
    palette: int | None = 128,
) -> bytes:
    """PNG bytes of a figure: equal figures give equal bytes (no date, no program version).

    Args:
        figure: any figure; its background stays transparent.
        dpi: pixels per inch; by default one and a half times the screen's.
        theme: ``"neutral"`` reads on every page; ``"light"`` and ``"dark"`` read better on theirs.
        palette: number of colours, for files of a quarter of the size; ``None`` keeps all, and is
            several times faster.

    Raises:
        ValueError: for an unknown theme.
    """
    if theme not in INK:
        raise ValueError(f"theme: expected one of {', '.join(INK)}, got {theme!r}")
    with drawing:
        if theme == "neutral":
            return _encode(figure, dpi or PNG_DPI, palette)
        repaint(figure, NEUTRAL, INK[theme])
        try:
            return _encode(figure, dpi or PNG_DPI, palette)
        finally:
            repaint(figure, INK[theme], NEUTRAL)


def _encode(figure: Figure, dpi: float, palette: int | None) -> bytes:
    if isinstance(figure, Picture):
        figure.settle()
    buffer = io.BytesIO()
    canvas = figure.canvas if isinstance(figure.canvas, FigureCanvasAgg) else None
    (canvas or FigureCanvasAgg(figure)).print_figure(
        buffer,
        format="png",
        dpi=dpi,
        facecolor=figure.get_facecolor(),
        metadata={"Software": None},
        pil_kwargs={"compress_level": 1},
    )
    if palette is None:
        return buffer.getvalue()
    picture = Image.open(buffer).quantize(palette, method=Image.Quantize.FASTOCTREE, dither=0)
    smaller = io.BytesIO()
    picture.save(smaller, "png", optimize=True)
    return smaller.getvalue()


def canvas_png(figure: Figure) -> bytes:
    """What is on a figure's canvas now, as PNG bytes; the fastest way, for pictures that move."""
    buffer = io.BytesIO()
    pixels = np.asarray(figure.canvas.buffer_rgba())
    Image.fromarray(pixels).save(buffer, "png", compress_level=1)
    return buffer.getvalue()


def repaint(figure: Figure, old: str, new: str) -> None:
    """Change every artist drawn in the colour ``old`` to ``new``; axes and tick marks included."""
    for artist in figure.findobj(lambda a: isinstance(a, (Line2D, Text))):
        if _is(artist.get_color(), old):
            artist.set_color(new)
    for patch in figure.findobj(Patch):
        if _is(patch.get_edgecolor(), old):
            patch.set_edgecolor(new)
    for axes in figure.axes:
        axes.tick_params(which="both", colors=new)
        axes.xaxis.offsetText.set_color(new)
        axes.yaxis.offsetText.set_color(new)
        for spine in axes.spines.values():
            spine.set_color(new)


def _is(colour: Any, other: str) -> bool:
    # A legend keeps its texts' colour as an array; a collection's many colours are nobody's ink.
    return (isinstance(colour, str) or np.shape(colour) == (4,)) and to_hex(colour) == other
