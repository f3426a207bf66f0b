"""Views: each image by itself, in range, the right operations at the right rates; batches."""

from __future__ import annotations

import colorsys

import numpy as np
import pytest

from zoolib.data.colours import Shift, recolour
from zoolib.data.draws import uniforms
from zoolib.data.semi_batches import SemiBatches
from zoolib.data.semisup import digits
from zoolib.data.views import AREA, KINDS, Views, rectangles, reflected
from zoolib.errors import ConfigError

RANDOM = np.random.RandomState(0)
IMAGES = RANDOM.randint(0, 256, (40, 32, 32, 3)).astype(np.uint8)


@pytest.mark.parametrize("kind", [*KINDS, "cutout+color"])
def test_an_image_depends_on_its_place_only(kind):
    before = IMAGES.copy()
    whole = Views(kind).apply(IMAGES, 3, "views", range(1000, 1040))
    assert whole.dtype == np.uint8 and whole.shape == IMAGES.shape
    assert np.array_equal(IMAGES, before) and not np.shares_memory(whole, IMAGES)
    alone = Views(kind).apply(IMAGES[7:8], 3, "views", range(1007, 1008))
    assert np.array_equal(whole[7:8], alone)
    changed = IMAGES.copy()
    changed[5] = 0
    rest = np.arange(40) != 5
    others = Views(kind).apply(changed, 3, "views", range(1000, 1040))
    assert np.array_equal(whole[rest], others[rest])
    if kind != "none":
        for seed, purpose, start in ((4, "views", 1000), (3, "other", 1000), (3, "views", 2000)):
            views = Views(kind).apply(IMAGES, seed, purpose, range(start, start + 40))
            assert not np.array_equal(whole, views)
    else:
        assert np.array_equal(whole, IMAGES)


def test_operations_of_kinds_and_their_combinations():
    assert Views("cifar10").operations == ("flip", "crop") and Views("cifar10").padding == 4
    assert Views("svhn").operations == ("crop",) and Views("stl10").padding == 12
    assert Views("digits").operations == ("crop",) and Views("digits").padding == 2
    assert Views("cutout+color").operations == ("cutout", "flip", "color", "crop")
    assert Views("cutout+cifar10").operations == ("cutout", "flip", "crop")
    assert Views("strong").operations == ("flip", "color", "crop", "cutout")
    assert Views("cutout+digits", pad=3).padding == 3 and Views("cutout").padding == 0


def test_padding_mirrors_without_the_edge():
    row = np.arange(5, dtype=np.uint8)
    image = np.repeat((row[:, None] * 10 + row)[None, ..., None], 3, axis=-1)
    wide = np.pad(image, ((0, 0), (3, 3), (3, 3), (0, 0)), mode="reflect")
    assert np.array_equal(reflected(image, 3), wide)
    assert reflected(image, 3)[0, 3, :, 0].tolist() == [3, 2, 1, 0, 1, 2, 3, 4, 3, 2, 1]


def test_crops_are_windows_and_every_one_occurs():
    images = np.arange(8 * 8 * 3, dtype=np.uint8).reshape(1, 8, 8, 3).repeat(500, axis=0)
    views = Views("svhn", pad=1).apply(images, 0, "x", range(500))
    padded = reflected(images[:1], 1)[0]
    windows = [padded[y : y + 8, x : x + 8].tobytes() for y in range(3) for x in range(3)]
    counts = [sum(v.tobytes() == w for v in views) for w in windows]
    assert sum(counts) == 500 and min(counts) > 25


def test_half_of_the_images_are_mirrored():
    images = IMAGES[:1].repeat(2000, axis=0)
    views = Views("cifar10", pad=0).apply(images, 0, "x", range(2000))
    mirrored = np.array([np.array_equal(v, IMAGES[0, :, ::-1]) for v in views])
    straight = np.array([np.array_equal(v, IMAGES[0]) for v in views])
    assert (mirrored ^ straight).all() and 0.46 < mirrored.mean() < 0.54


def test_cutout_happens_to_three_images_in_ten():
    images = RANDOM.randint(1, 255, (3000, 16, 20, 3)).astype(np.uint8)
    views = Views("cutout").apply(images, 0, "x", range(3000))
    moved = (views != images).any(axis=-1)
    share = (moved.any(axis=(1, 2))).mean()
    assert 0.27 < share < 0.33
    for number in np.flatnonzero(moved.any(axis=(1, 2)))[:200]:
        rows, columns = (np.flatnonzero(moved[number].any(axis=a)) for a in (1, 0))
        box = views[number, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        assert (box == box[0, 0, 0]).all(), "one grey, in one rectangle"
        assert box[..., 0].size <= AREA[1] * 16 * 20


def test_rectangles_are_the_first_that_fit():
    tries = uniforms(1, "tries", range(300), 24 * 4).reshape(300, 24, 4)
    found = rectangles(tries, 24, 32)
    for row, (top, left, high, wide) in zip(tries.astype(np.float64), found):
        for a, r, x, y in row:
            area, aspect = (0.02 + 0.38 * a) * 24 * 32, 0.3 + (1 / 0.3 - 0.3) * r
            w, h = int((area / aspect) ** 0.5), int((area * aspect) ** 0.5)
            if int(x * 32) + w <= 32 and int(y * 24) + h <= 24:
                assert (top, left, high, wide) == (int(y * 24), int(x * 32), h, w)
                break
    nothing = np.full((1, 24, 4), 0.999, np.float32)
    assert rectangles(nothing, 24, 32)[0, 2:].tolist() == [0, 0]


def one(**changes):
    """A shift of a single image."""
    usual = {"brightness": 0.0, "hue": 0.0, "saturation": 1.0, "contrast": 1.0, **changes}
    return Shift(*(np.array([value], np.float32) for value in usual.values()))


def test_colours_agree_with_hue_and_saturation_as_such():
    image = RANDOM.randint(0, 256, (1, 6, 6, 3)).astype(np.uint8)
    assert np.array_equal(recolour(image, one()), image)
    found = recolour(image, one(hue=0.3, saturation=0.6))
    for pixel, new in zip(image.reshape(-1, 3) / 255.0, found.reshape(-1, 3)):
        h, s, v = colorsys.rgb_to_hsv(*pixel)
        wanted = colorsys.hsv_to_rgb((h + 0.3) % 1, min(1, 0.6 * s), v)
        assert np.abs(np.array(wanted) * 255 - new).max() < 0.6
    grey = np.full((1, 4, 4, 3), 90, np.uint8)
    assert np.array_equal(recolour(grey, one(hue=0.4, saturation=3.0)), grey)


def test_colours_agree_with_tensorflow():
    tf = pytest.importorskip("tensorflow")
    image = RANDOM.randint(0, 256, (1, 9, 7, 3)).astype(np.uint8)
    for brightness, hue, saturation, contrast in ((0.08, -0.4, 2.5, 0.6), (-0.05, 0.2, 0.3, 1.4)):
        wanted = tf.clip_by_value(tf.constant(image / np.float32(255)) + brightness, 0, 1)
        wanted = tf.image.adjust_saturation(tf.image.adjust_hue(wanted, hue), saturation)
        wanted = tf.clip_by_value(tf.image.adjust_contrast(wanted, contrast), 0, 1)
        shift = one(brightness=brightness, hue=hue, saturation=saturation, contrast=contrast)
        assert np.abs(recolour(image, shift) - wanted.numpy() * 255).max() < 0.51


def test_colours_are_clipped_not_wrapped():
    image = np.full((1, 8, 8, 3), 250, np.uint8)
    image[:, :4] = 5
    assert recolour(image, one(brightness=0.1))[0, 7, 0].tolist() == [255] * 3
    darker = recolour(image, one(brightness=-0.1))
    assert darker[0, 0, 0].tolist() == [0] * 3 and darker[0, 7, 0, 0] in (224, 225)
    strong = recolour(image, one(contrast=1.5))
    assert strong[0, 0, 0, 0] == 0 and strong[0, 7, 0, 0] == 255
    assert len(np.unique(Views("color").apply(IMAGES, 1, "x", range(40)))) > 200


def test_bad_kinds():
    with pytest.raises(ConfigError, match="augment: expected one of .*got 'cifar.blur'") as caught:
        Views("cifar+blur")
    assert "cutout" in str(caught.value)
    with pytest.raises(ConfigError, match="pad: expected 0 or more"):
        Views("cifar10", pad=-1)
    with pytest.raises(ConfigError, match="less than the image size, 8, got 12"):
        Views("stl10").apply(IMAGES[:, :8, :8], 0, "x", range(40))


# ---- batches


@pytest.fixture(scope="module")
def data():
    return digits(1)


def test_batches_are_a_function_of_seed_and_step(data):
    batches = SemiBatches(data, 16, seed=5)
    four = batches.batch(range(3, 7))
    shapes = {name: (array.shape, array.dtype.name) for name, array in four.items()}
    assert shapes == {
        "x": ((4, 16, 16, 16, 3), "uint8"),
        "labels": ((4, 16), "int32"),
        "u": ((4, 2, 16, 16, 16, 3), "uint8"),
        "u_index": ((4, 16), "int32"),
    }
    again = SemiBatches(data, 16, seed=5)
    again.batch(range(500, 501))  # what was asked for before does not matter
    for name, array in again.batch(range(5, 6)).items():
        assert np.array_equal(array[0], four[name][2]), name
    other = SemiBatches(data, 16, seed=6).batch(range(3, 7))
    assert not np.array_equal(other["u_index"], four["u_index"])


def test_views_are_of_the_images_named_and_independent(data):
    plain = SemiBatches(data, 8, augment="none").batch(range(2))
    for view in range(2):
        assert np.array_equal(plain["u"][:, view], data.unlabelled.images[plain["u_index"]])
    batch = SemiBatches(data, 8).batch(range(20))
    first, second = batch["u"][:, 0], batch["u"][:, 1]
    assert not np.array_equal(first, second)
    same = (first == second).all(axis=(2, 3, 4)).mean()
    assert same < 0.2, "two crops out of 25 windows coincide seldom"


def test_every_image_comes_once_per_epoch(data):
    batches = SemiBatches(data, 30)
    labels = batches.batch(range(3))
    for step in range(3):  # 30 labelled images: one step is an epoch
        assert np.bincount(labels["labels"][step]).tolist() == [3] * 10
    index = batches.batch(range(0, 41))["u_index"].reshape(-1)[:1217]
    assert sorted(index) == list(range(1217))


def test_ranks_share_the_global_batch(data):
    whole = SemiBatches(data, 12, views=3, augment="strong").batch(range(4))
    parts = [SemiBatches(data, 4, 3, "strong", 0, rank, 3).batch(range(4)) for rank in range(3)]
    for name, axis in (("x", 1), ("labels", 1), ("u", 2), ("u_index", 1)):
        joined = np.concatenate([part[name] for part in parts], axis=axis)
        assert np.array_equal(joined, whole[name]), name


def test_bad_batches(data):
    for words, message in (
        ({"batch_size": 0}, "batch size: expected at least 1"),
        ({"batch_size": 4, "views": 0}, "views: expected at least 1"),
        ({"batch_size": 4, "rank": 2, "ranks": 2}, "rank from 0 to 1, got 2"),
        ({"batch_size": 4, "augment": "blur"}, "augment: expected one of"),
    ):
        with pytest.raises(ConfigError, match=message):
            SemiBatches(data, **words)
