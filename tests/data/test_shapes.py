"""The drawn shapes: the same everywhere, classes as specified, boxes around the things."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from zoolib.data.shapes import (
    ATTRSHAPES,
    WORDS,
    ShapeClass,
    Style,
    attrshapes,
    attrshapes_classes,
    catalogue,
    draw,
    draw_classes,
)
from zoolib.data.shapes_drawing import bell, colours
from zoolib.data.shapes_files import shapes_arrays
from zoolib.errors import ConfigError


def digest(*arrays: np.ndarray) -> str:
    return hashlib.sha256(b"".join(a.tobytes() for a in arrays)).hexdigest()[:16]


def test_pixels_are_the_same_on_every_machine() -> None:
    kinds = catalogue(8)
    images, boxes = zip(*(draw(kind, range(3), 40, Style(), 5, "train") for kind in kinds))
    assert digest(*images, *boxes) == "582322ab800d3217"
    few = attrshapes(size=16, each=2)
    assert digest(few.train.images, few.validation.images, few.test.images) == "4c3712ab72e83ab2"


def test_a_picture_does_not_depend_on_what_is_drawn_with_it() -> None:
    kind = catalogue(3)[2]
    images, boxes = draw(kind, range(20), 24, Style(), 1, "train")
    alone, box = draw(kind, range(13, 15), 24, Style(), 1, "train")
    np.testing.assert_array_equal(images[13:15], alone)
    np.testing.assert_array_equal(boxes[13:15], box)
    other, _ = draw(kind, range(20), 24, Style(), 1, "val")
    assert (images != other).mean() > 0.5


def test_catalogue_holds_every_combination_once_and_grows_by_its_end() -> None:
    every = catalogue()
    assert len({kind.code for kind in every}) == len({kind.wnid for kind in every}) == 256
    assert catalogue(10) == every[:10]
    assert catalogue(10, seed=1) != every[:10]
    assert [kind.wnid for kind in every] != sorted(kind.wnid for kind in every)
    with pytest.raises(ConfigError, match="1 to 256"):
        catalogue(257)


def test_names_say_what_is_there() -> None:
    kind = ShapeClass(shape=1, colour=0, texture=2)
    assert kind.name == "red dotted square"
    assert kind.wnid == "n99000102"
    assert kind.description == "a square in red paint with a dotted surface"
    assert len(set(WORDS)) == 20


def test_attrshapes_splits_classes_as_specified() -> None:
    train, validation, test = attrshapes_classes()
    assert (len(train), len(validation), len(test)) == (64, 16, 20)
    codes = [{kind.code for kind in part} for part in (train, validation, test)]
    assert not (codes[0] & codes[1] or codes[0] & codes[2] or codes[1] & codes[2])
    assert {word for kind in train for word in kind.words} == set(WORDS)
    with pytest.raises(ConfigError, match="every one of 20 words"):
        attrshapes_classes((4, 2, 2))


def test_attrshapes_in_memory() -> None:
    parts = attrshapes(size=12, each=3, counts=(64, 2, 3))
    assert parts.train.images.shape == (192, 12, 12, 3)
    assert parts.test.names == tuple(kind.name for kind in attrshapes_classes((64, 2, 3))[2])


def test_boxes_hold_the_thing_and_no_more() -> None:
    bare = Style(cover=(0, 0), noise=0, busy=False, light=(1, 1))
    kind = catalogue(1)[0]
    images, boxes = draw(kind, range(12), 64, bare, 3, "train")
    for image, box in zip(images, boxes):
        left, top, right, bottom = np.rint(box * 64).astype(int)
        ground = image[0, 0].astype(int)
        there = np.abs(image.astype(int) - ground).max(axis=-1) > 30
        outside = there.copy()
        outside[max(0, top - 1) : bottom + 1, max(0, left - 1) : right + 1] = False
        assert not outside.any()
        inside = there[top:bottom, left:right]
        assert inside.any(axis=0).mean() > 0.8 and inside.any(axis=1).mean() > 0.8


def test_untypical_pictures_differ_in_one_attribute() -> None:
    """Colour is measured: of 40 % untypical, a third swap it for one of eight, so 1/8 do not."""
    style = Style(untypical=0.4, hue_noise=0, cover=(0, 0), noise=0, busy=False)
    plain = ShapeClass(shape=0, colour=0, texture=0)
    share = []
    for kind in (style, Style(hue_noise=0, cover=(0, 0), noise=0, busy=False)):
        images, boxes = draw(plain, range(400), 20, kind, 0, "train")
        centre = np.rint((boxes[:, :2] + boxes[:, 2:]) * 10).astype(int)
        pixel = images[np.arange(400), centre[:, 1], centre[:, 0]].astype(int)
        red = (pixel[:, 0] >= pixel[:, 1:].max(axis=1)) & (pixel[:, 1] == pixel[:, 2])
        share.append(red.mean())
    assert share[1] == 1.0
    assert 0.78 < share[0] < 0.95


def test_colours_and_noise() -> None:
    one = np.ones(4, np.float32)
    hue = np.array([0, 1 / 3, 2 / 3, 1], np.float32)
    primary = [[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 0, 0]]
    np.testing.assert_allclose(colours(hue, one, one), primary, atol=1e-6)
    noise = bell(np.random.RandomState(0).randint(0, 2**32, 100_000, dtype=np.uint32))
    assert abs(noise.mean()) < 0.02 and abs(noise.std() - 1) < 0.02


def test_shapes_in_memory_and_their_difficulty() -> None:
    """Nearest neighbours on raw pixels are above chance and far from enough."""
    parts = shapes_arrays(size=24, classes=8, train=40, validation=10)
    assert parts.train.images.shape == (320, 24, 24, 3) and parts.boxes.shape == (320, 4)
    train = parts.train.images.reshape(320, -1).astype(np.float32)
    val = parts.validation.images.reshape(80, -1).astype(np.float32)
    distance = (val**2).sum(1)[:, None] - 2 * val @ train.T + (train**2).sum(1)
    right = parts.train.class_of[distance.argmin(1)] == parts.validation.class_of
    assert 1 / 8 < right.mean() < 0.6


def test_samples_out_of_range_are_refused() -> None:
    kind = catalogue(1)[0]
    with pytest.raises(ConfigError, match="samples"):
        draw(kind, range(2**20, 2**20 + 1), 8, ATTRSHAPES, 0, "train")
    images, boxes = draw(kind, range(0), 8, ATTRSHAPES, 0, "train")
    assert images.shape == (0, 8, 8, 3) and boxes.shape == (0, 4)
    assert draw_classes([kind], 2, 8, ATTRSHAPES, 0, "a")[0].names == (kind.name,)
