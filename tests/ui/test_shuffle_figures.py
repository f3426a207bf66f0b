"""Figures of ShuffleNetV2 show the right channels, numbers and words, and read on both pages."""

from __future__ import annotations

import io

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from zoolib.models.shufflenet_v2 import guidelines, provenance
from zoolib.models.shufflenet_v2.architecture import Architecture
from zoolib.models.shufflenet_v2.wirings import WIRING
from zoolib.ui import pictures, shuffle_figures
from zoolib.ui.style import Picture, to_png

UNITS = Architecture(channels=(8, 16, 32)).units()[0]
ROWS = provenance.trace(UNITS, WIRING["torchvision"])
STILL = provenance.trace(UNITS, WIRING["torchvision"], shuffle=False)
MEASURED = [
    guidelines.Measured(
        rule,
        blocks,
        tuple(np.linspace(1.0, 0.4, len(blocks))),
        (3.0,) * len(blocks),
        (1000,) * len(blocks),
        {"GPU": tuple(np.linspace(1.0, 0.2, len(blocks)))},
    )
    for rule, blocks in guidelines.BLOCKS.items()
]
NAMES = ("red plain disc", "blue dotted bar", "lime striped ring")
SHOTS = [np.full((20 + n, 30, 3), 60 * n, np.uint8) for n in range(3)]
BOXES = [np.array([[0.1, 0.2, 0.5, 0.9]]), np.zeros((0, 4)), np.array([[0.0, 0.0, 1.0, 1.0]] * 2)]
GUESSES = [(NAMES, (0.7, 0.2, 0.1)), (NAMES[::-1], (0.5, 0.3, 0.2))]
TABLE = np.array([[9, 1, 0], [0, 8, 2], [0, 0, 10]])
MAKERS = {
    "provenance": lambda: shuffle_figures.channel_provenance({"with": ROWS, "without": STILL}),
    "ages": lambda: shuffle_figures.channel_ages(
        {"with": (provenance.ages(ROWS), provenance.seen(ROWS).mean((1, 2)))}
    ),
    "guidelines": lambda: shuffle_figures.guideline_speeds(MEASURED, guidelines.RULES),
    "widths": lambda: shuffle_figures.width_tradeoff(
        {"paper": {"0.5": (57.0, 60.3), "1.0": (24.4, 69.4)}, "here": {"0.5": (500, 90.0)}},
        "images/s",
    ),
    "sheet": lambda: pictures.contact_sheet(SHOTS, NAMES, BOXES, columns=2),
    "predictions": lambda: pictures.predictions(
        np.zeros((2, 8, 8, 3), np.float32), GUESSES, (NAMES[0], "pink plain plus")
    ),
    "confusion": lambda: pictures.confusion(TABLE, NAMES),
}


@pytest.fixture(scope="module")
def figures() -> dict[str, Figure]:
    return {name: make() for name, make in MAKERS.items()}


def texts(figure: Figure) -> str:
    return " | ".join(text.get_text() for text in figure.findobj(matplotlib.text.Text))


@pytest.mark.parametrize("name", MAKERS)
def test_a_picture_with_words_in_its_place_and_nothing_behind_it(name, figures):
    figure = figures[name]
    assert isinstance(figure, Picture) and len(figure.alt) > 20
    one = to_png(figure)
    assert one == to_png(MAKERS[name]()), "equal figures give equal bytes"
    pixels = np.asarray(Image.open(io.BytesIO(one)).convert("RGBA"))
    assert pixels[0, 0, 3] == 0 and 0 < (pixels[..., 3] > 0).mean() < 1


def test_channels_are_drawn_with_their_makers(figures):
    with_shuffle, without = figures["provenance"].axes
    rows = [t.get_text() for t in with_shuffle.texts if t.get_text()]
    count = len(ROWS[0].makers)
    told = [rows[i : i + count] for i in range(0, len(rows), count)]
    drawn = [["S" if m == 0 else str(m) for m in row.makers] for row in ROWS]
    assert told == drawn
    assert told[0] == ["S"] * 4 + ["1"] * 4 and told[1] == ["S", "1"] * 4
    last = [t.get_text() for t in without.texts if t.get_text()][-count:]
    assert last == ["S"] * 4 + ["4"] * 4, "without the shuffle the shortcut's half is never touched"


def test_threads_lead_from_a_channels_old_place_to_its_new_one(figures):
    axes = figures["provenance"].axes[0]
    ends = [(line.get_xdata()[0] - 0.5, line.get_xdata()[-1] - 0.5) for line in axes.lines[:8]]
    np.testing.assert_allclose(ends, [(p, x) for x, p in enumerate(ROWS[1].places)])


def test_speeds_stand_next_to_the_papers(figures):
    figure = figures["guidelines"]
    assert [axes.get_title(loc="left")[:2] for axes in figure.axes] == list(guidelines.RULES)
    here, paper = figure.axes[1].lines
    np.testing.assert_allclose(here.get_xdata(), MEASURED[1].speed)
    np.testing.assert_allclose(paper.get_xdata(), MEASURED[1].paper["GPU"])
    assert "this device" in texts(figure) and "paper, GPU" in texts(figure)
    assert here.get_linestyle() != paper.get_linestyle() and here.get_marker() != paper.get_marker()


def test_boxes_are_in_pixels_of_their_picture(figures):
    first, second, third, empty = figures["sheet"].axes
    boxes = [p.get_bbox().bounds for p in first.patches]
    np.testing.assert_allclose(boxes, [(3.0, 4.0, 12.0, 14.0)] * 2)  # dark below, dashes above
    assert not second.patches and len(third.patches) == 4 and not empty.images
    assert first.get_title() == "red plain\ndisc"


def test_photographs_are_stored_as_large_as_they_are_shown(figures):
    for name in ("sheet", "predictions"):
        content, shown = figures[name]._repr_png_()
        width, height = Image.open(io.BytesIO(content)).size
        assert abs(width - shown["width"]) <= 1 and abs(height - shown["height"]) <= 1


def test_large_pictures_are_reduced_and_floats_are_bytes():
    figure = pictures.contact_sheet([np.ones((200, 100, 3), np.float32)], ["a thing"], pixels=50)
    (shown,) = figure.axes[0].images
    assert shown.get_array().shape == (50, 25, 3) and shown.get_array().max() == 255


def test_the_right_class_is_marked_or_told(figures):
    figure = figures["predictions"]
    assert "red plain disc  ✓" in texts(figure) and "it is a pink plain plus" in texts(figure)
    assert texts(figure).count("✓") == 1 and "70%" in texts(figure)


def test_mistakes_are_written_out(figures):
    axes = figures["confusion"].axes[0]
    assert {(t.get_position(), t.get_text()) for t in axes.texts} == {((1, 0), "1"), ((2, 1), "2")}
    assert [t.get_text() for t in axes.get_yticklabels()] == [
        f"{n} {i}" for i, n in enumerate(NAMES, 1)
    ]


# ---- what the figures are drawn from


@pytest.mark.parametrize("wiring", WIRING)
def test_every_channel_has_one_maker_and_half_are_new_after_each_unit(wiring):
    units = Architecture("1.0", wiring).units()[2]
    rows = provenance.trace(units, WIRING[wiring])
    for row in rows:
        moved = row.places[row.places >= 0]
        assert len(set(moved.tolist())) == len(moved), "no channel goes to two places"
    ages = provenance.ages(rows)
    assert ages.shape == (4, 464) and (ages[0] == 0).all()
    assert ((ages[1:] == 0).sum(axis=1) == 232).all()


def test_the_trace_is_the_networks():
    import tensorflow as tf

    from zoolib.models.shufflenet_v2.units import channel_shuffle, deinterleave

    for wiring, mix in (("torchvision", channel_shuffle), ("megvii", deinterleave)):
        units = Architecture("1.0", wiring).units()[1]
        moved = mix(tf.reshape(tf.range(232.0), [1, 1, 1, 232])).numpy().ravel()
        np.testing.assert_array_equal(provenance.trace(units, WIRING[wiring])[1].places, moved)


def test_what_channels_have_seen():
    found = provenance.seen(ROWS)
    assert (found[0] == np.eye(8, dtype=bool)).all()
    assert (found[:, 0] == np.eye(8, dtype=bool)[0]).all(), "the first channel stays where it is"
    assert found[-1].mean() > 0.6
    without = provenance.seen(STILL)
    assert without[-1][:4].sum() == 4 and without[-1][4:, :4].sum() == 0
