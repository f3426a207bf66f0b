"""Mirrored and shifted training pictures (off in the recipes)."""

from __future__ import annotations

import numpy as np
import pytest

import zoolib
from zoolib.models.am3.augment import augmented, shifted


def pictures(count=6, side=16):
    return np.random.default_rng(0).integers(1, 256, (count, side, side, 3)).astype(np.uint8)


def places(view, original, pad):
    """(mirrored, row, column) of every shift of ``original`` that gives ``view``."""
    found = []
    for mirrored in (False, True):
        image = original[:, ::-1] if mirrored else original
        margin = np.pad(image, [(pad, pad), (pad, pad), (0, 0)])
        for row in range(2 * pad + 1):
            for column in range(2 * pad + 1):
                window = margin[row : row + len(original), column : column + len(original)]
                found += [(mirrored, row, column)] if np.array_equal(window, view) else []
    return found


@pytest.mark.parametrize("diagonal", [False, True])
def test_views_are_mirrored_and_shifted_over_a_black_margin(diagonal):
    images = np.repeat(pictures(1), 400, axis=0)
    chance = np.random.default_rng(1).random((400, 3))
    views = shifted(images, chance, diagonal)
    found = [places(view, images[0], 2) for view in views]
    assert all(len(f) == 1 for f in found)
    mirrored, rows, columns = np.array([f[0] for f in found]).T
    assert 150 < mirrored.sum() < 250
    if diagonal:
        assert (rows == columns).all() and set(rows) == set(range(4)), "never all the way"
    else:
        assert set(zip(rows, columns)) == {(r, c) for r in range(5) for c in range(5)}


def test_middle_numbers_leave_a_picture_as_it_is():
    images = pictures()
    chance = np.tile([0.9, 0.5, 0.5], (len(images), 1))
    for diagonal in (False, True):
        assert np.array_equal(shifted(images, chance, diagonal), images)


def test_a_view_depends_on_seed_step_and_row_not_on_ranks_or_calls():
    images = np.stack([pictures(8).reshape(4, 2, 16, 16, 3)] * 3)  # three steps of four rows
    whole = augmented(images, "shift", 3, "query", range(5, 8), 4, slice(0, 4))
    assert not np.array_equal(whole[0], whole[1])
    half = augmented(images[:, 2:], "shift", 3, "query", range(5, 8), 4, slice(2, 4))
    assert np.array_equal(half, whole[:, 2:])
    later = augmented(images[1:2], "shift", 3, "query", range(6, 7), 4, slice(0, 4))
    assert np.array_equal(later, whole[1:2])
    for other in (("shift", 4, "query"), ("shift", 3, "support")):
        assert not np.array_equal(augmented(images, *other, range(5, 8), 4, slice(0, 4)), whole)
    assert augmented(images, "none", 3, "query", range(3), 4, slice(0, 4)) is images


def test_training_pictures_are_augmented_and_test_pictures_are_not(built):
    plain, shift = (built(augment=kind, variant="tadam", aux=True) for kind in ("none", "shift"))
    one, other = plain.batch(range(2)), shift.batch(range(2))
    for name in ("support", "query", "aux_images"):
        assert one[name].shape == other[name].shape and not np.array_equal(one[name], other[name])
    assert np.array_equal(one["labels"], other["labels"])
    same = zip(plain.source.sets.values(), shift.source.sets.values())
    assert all(np.array_equal(a.images, b.images) for a, b in same)


@pytest.mark.parametrize(
    "given,kind", [("True", "diagonal"), ("False", "none"), ("shift", "shift")]
)
def test_the_earlier_flag(given, kind):
    assert zoolib.get_model("am3").preset("smoke", augment=given).augment == kind
