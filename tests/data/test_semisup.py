"""Semi-supervised tasks: the digits, class mismatch at any fraction."""

from __future__ import annotations

import numpy as np
import pytest

from zoolib.data.digits import digits as shades
from zoolib.data.semi_parts import Part, assemble
from zoolib.data.semisup import Mismatch, animals, digits, enlarge
from zoolib.data.semisup import _fixed_test as fixed_test
from zoolib.errors import ConfigError, DataError


def rows(part):
    return {image.tobytes() for image in part.images}


def test_digits_are_parted_as_specified():
    data = digits(1)
    assert data.classes == 10 and data.names == tuple("0123456789")
    sizes = [len(p) for p in (data.labelled, data.unlabelled, data.validation, data.test)]
    assert sizes == [30, 1217, 50, 500]
    assert data.labelled.images.shape[1:] == (16, 16, 3)
    for part, each in ((data.labelled, 3), (data.validation, 5), (data.test, 50)):
        assert np.bincount(part.labels).tolist() == [each] * 10
    assert not data.foreign.any() and data.unlabelled.labels.min() == 0
    parts = [rows(p) for p in (data.labelled, data.unlabelled, data.validation, data.test)]
    assert len(set.union(*parts)) == sum(map(len, parts)), "no picture in two parts"


def test_the_seed_moves_labels_but_not_the_test_images():
    first, again, other = digits(1), digits(1), digits(2)
    assert first.fingerprint == again.fingerprint != other.fingerprint
    assert np.array_equal(first.test.images, other.test.images)
    assert not np.array_equal(first.labelled.images, other.labelled.images)
    assert digits(1, labels=20).labelled.images.shape[0] == 20
    assert len(digits(1, validation=0).validation) == 0


def test_the_fixed_test_images_stay_what_they_are():
    classes = shades()[1]
    found = fixed_test(classes)
    assert digits(1).fingerprint.startswith("5c3c936e96ab587c"), "the same on any machine"
    assert found[:8].tolist() == [4, 6, 8, 13, 16, 18, 21, 23] and len(np.unique(found)) == 500


def test_enlarging_is_bilinear():
    small = np.random.RandomState(0).randint(0, 17, (5, 8, 8)).astype(np.uint8)
    place = np.clip((np.arange(16) + 0.5) / 2 - 0.5, 0, 7)
    low = np.minimum(np.floor(place).astype(int), 6)
    share = place - low
    tall = small[:, low] * (1 - share[:, None]) + small[:, low + 1] * share[:, None]
    wide = tall[:, :, low] * (1 - share) + tall[:, :, low + 1] * share
    found = enlarge(small)
    assert found.shape == (5, 16, 16, 3) and np.array_equal(found[..., 0], found[..., 2])
    assert np.abs(found[..., 1] - wide / 16 * 255).max() <= 0.5 + 1e-9


def test_bad_digits():
    with pytest.raises(ConfigError, match="labels: expected at most 1297.* got 1298"):
        digits(1, labels=1298)
    with pytest.raises(ConfigError, match="validation: expected from 0 to 1267.* got 1268"):
        digits(1, validation=1268)
    with pytest.raises(ConfigError, match="at least one image left without label"):
        digits(1, labels=1247)


# ---- class mismatch


def cifar_like(per_class=40):
    """Images that are their own number, in the interleaved order of a split."""
    labels = np.arange(10 * per_class, dtype=np.int32) % 10
    images = np.zeros((len(labels), 2, 2, 3), np.uint8)
    images[:, 0, 0, 0], images[:, 0, 0, 1] = np.arange(len(labels)) // 256, np.arange(len(labels))
    few = Part(images[:20] + 128, labels[:20])
    return few, Part(images, labels), Part(images[:30] + 64, labels[:30])


@pytest.mark.parametrize(
    ("fraction", "classes"),
    [
        (0.0, {4, 5, 6, 7}),
        (0.25, {0, 5, 6, 7}),
        (0.5, {0, 1, 6, 7}),
        (0.75, {0, 1, 8, 7}),
        (1.0, {0, 1, 8, 9}),
    ],
)
def test_the_published_recipe(fraction, classes):
    few, many, test = cifar_like()
    kept = animals(fraction).choose(many.labels, 10)
    assert {int(c) for c in many.labels[kept]} == classes and len(kept) == 160
    data = assemble(few, many, test, "abcdefghij", 12, animals(fraction))
    assert data.names == tuple("cdefgh") and data.foreign.mean() == fraction
    assert sorted(set(data.labelled.labels)) == list(range(6)) and len(data.labelled) == 12
    assert sorted(set(data.test.labels)) == list(range(6)) and len(data.test) == 18
    # Classes are numbered anew: class 2 is now 0.
    old = {image.tobytes(): label for image, label in zip(few.images, few.labels)}
    for image, label in zip(data.labelled.images, data.labelled.labels):
        assert old[image.tobytes()] == label + 2
    assert np.bincount(data.validation.labels).tolist() == [2] * 6
    assert (data.unlabelled.labels[data.foreign] == -1).all()
    assert not rows(data.validation) & rows(data.unlabelled)


@pytest.mark.parametrize("fraction", [0.1, 1 / 3, 0.4, 0.6, 0.9])
def test_any_fraction_with_a_constant_total(fraction):
    few, many, test = cifar_like()
    data = assemble(few, many, test, "abcdefghij", 12, animals(fraction))
    whole = assemble(few, many, test, "abcdefghij", 12, animals(0.0))
    assert len(data.unlabelled) == len(whole.unlabelled)
    assert abs(data.foreign.sum() - fraction * len(data.unlabelled)) <= 0.5


def test_controlled_variant_keeps_every_useful_image():
    few, many, test = cifar_like()

    def inside(fraction):
        told = animals(fraction, "constant_in_class")
        data = assemble(few, many, test, "abcdefghij", 12, told)
        own = Part(data.unlabelled.images[~data.foreign], data.unlabelled.labels[~data.foreign])
        return own.images, int(data.foreign.sum())

    first, none = inside(0.0)
    assert none == 0
    for fraction in (0.25, 0.5, 1.0):
        images, foreign = inside(fraction)
        assert np.array_equal(images, first) and foreign == round(fraction * len(first))


def test_digits_under_mismatch():
    data = digits(1, mismatch=Mismatch(0.5))
    assert data.names == tuple("012345") and len(data.labelled) == 18 and len(data.test) == 300
    assert data.foreign.mean() == 0.5 and set(data.unlabelled.labels) == {-1, 4, 5}
    assert set(data.validation.labels) == set(range(6))
    small = Mismatch(1.0, labelled=(7, 3), inside=(3,), outside=(0,))
    own = digits(1, mismatch=small)
    assert own.names == ("7", "3") and own.foreign.all()
    assert sorted(set(own.test.labels)) == [0, 1]


def test_unknown_classes_are_never_used_under_mismatch_nor_to_validate():
    few, many, test = cifar_like()
    hidden = np.where(np.arange(len(many)) % 3 == 0, -1, many.labels).astype(np.int32)
    data = assemble(few, Part(many.images, hidden), test, "abcdefghij", 12)
    assert data.validation.labels.min() == 0 and not data.foreign.any()
    assert (data.unlabelled.labels == -1).sum() == (hidden == -1).sum()
    mixed = assemble(few, Part(many.images, hidden), test, "abcdefghij", 12, animals(0.5))
    assert np.array_equal(mixed.foreign, mixed.unlabelled.labels == -1)


def test_bad_mismatch():
    for words, message in (
        ((1.2,), "fraction from 0 to 1, got 1.2"),
        ((0.5, "constant"), "expected one of constant_total, constant_in_class, got 'constant'"),
        ((0.5, "constant_total", (1, 2)), "labelled, inside and outside, or none"),
        ((0.5, "constant_total", (1, 2), (3,), (4,)), "`inside` among the labelled classes"),
        ((0.5, "constant_total", (1, 2), (1,), (2,)), "`outside` that are not"),
        ((0.5, "constant_total", (1, 2), (1, 2), (3,)), "as many classes"),
        ((0.5, "constant_total", (1, 2), (), ()), "at least one class"),
    ):
        with pytest.raises(ConfigError, match=message):
            Mismatch(*words)
    with pytest.raises(ConfigError, match="classes from 0 to 9, got"):
        digits(1, mismatch=Mismatch(0.5, labelled=(1, 2), inside=(1,), outside=(12,)))


def test_bad_parts():
    few, many, test = cifar_like()
    with pytest.raises(DataError, match="labelled: expected labels from 0 to 4, found 5, 6"):
        assemble(few, many, test, "abcde", 2)
    small = Part(np.zeros((3, 4, 2, 3), np.uint8), np.zeros(3, np.int32))
    with pytest.raises(DataError, match="one size, found labelled 2 x 2.*test 4 x 2"):
        assemble(few, many, small, "abcdefghij", 2)
    with pytest.raises(DataError, match="uint8 of shape"):
        Part(np.zeros((3, 4, 2, 1), np.uint8), np.zeros(3, np.int32))
    with pytest.raises(DataError, match="one per image"):
        Part(np.zeros((3, 4, 2, 3), np.uint8), np.zeros(2, np.int32))
