"""Class folders: order, resizing, cache, split of the classes, and what is refused."""

from __future__ import annotations

import logging
import os
import random
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from zoolib.data import image_folders
from zoolib.data.fixtures import stroke_glyphs, write_image_folders
from zoolib.data.image_folders import (
    ImageClasses,
    load_image_folders,
    load_miniimagenet,
    load_omniglot,
    split_omniglot,
)
from zoolib.errors import DataError


@pytest.fixture
def glyphs() -> ImageClasses:
    return stroke_glyphs(classes=6, samples=4)


@pytest.fixture
def omniglot(tmp_path: Path, glyphs: ImageClasses) -> Path:
    root = tmp_path / "omniglot"
    write_image_folders(glyphs, root, invert=True)
    return root


def tiny_classes(count: int) -> ImageClasses:
    images = np.zeros((count, 1, 1, 1), np.uint8)
    names = [f"alphabet_{i // 30:02d}/character_{i % 30:02d}" for i in range(count)]
    return ImageClasses.from_arrays(images, np.arange(count), names)


def decoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A list that grows by one with every image decoded."""
    calls: list[int] = []
    original = image_folders._pixels

    def counted(*args: object) -> np.ndarray:
        calls.append(1)
        return original(*args)

    monkeypatch.setattr(image_folders, "_pixels", counted)
    return calls


def test_glyphs_are_the_same_everywhere() -> None:
    glyphs = stroke_glyphs(classes=3, samples=2)
    larger = stroke_glyphs(classes=4, samples=5)
    assert glyphs.checksum == "35b032493cb06d2d0253d73a4f1590a11e643ae14fecf37d08994d676486c186"
    np.testing.assert_array_equal(glyphs.images[2:4], larger.images[5:7])
    assert stroke_glyphs(classes=3, samples=2, seed=1).checksum != glyphs.checksum


def test_glyphs_have_ink_and_samples_differ() -> None:
    glyphs = stroke_glyphs(classes=20, samples=5)
    ink = (glyphs.images > 127).mean(axis=(1, 2, 3))
    assert 0.01 < ink.min() and ink.max() < 0.5
    assert len({image.tobytes() for image in glyphs.images}) == len(glyphs.images)
    colour = stroke_glyphs(classes=2, samples=2, size=12, channels=3)
    assert colour.images.shape == (4, 12, 12, 3)


def test_written_folders_load_as_they_were(omniglot: Path, glyphs: ImageClasses) -> None:
    loaded = load_omniglot(omniglot)
    np.testing.assert_array_equal(loaded.images, glyphs.images)
    np.testing.assert_array_equal(loaded.class_of, glyphs.class_of)
    assert loaded.names == glyphs.names
    assert loaded.images.dtype == np.uint8 and loaded.class_of.dtype == np.int32


def test_invert_is_exact(omniglot: Path) -> None:
    plain = load_image_folders(omniglot, 28, 1)
    inverted = load_image_folders(omniglot, 28, 1, invert=True)
    np.testing.assert_array_equal(plain.images, 255 - inverted.images)
    assert plain.checksum != inverted.checksum


def test_directory_order_makes_no_difference(
    omniglot: Path, tmp_path: Path, glyphs: ImageClasses, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = load_omniglot(omniglot)
    backwards = tmp_path / "backwards"
    write_image_folders(glyphs.select(glyphs.names[::-1]), backwards, invert=True)
    listing = Path.iterdir

    def shuffled(self: Path) -> list[Path]:
        entries = list(listing(self))
        random.Random(len(entries)).shuffle(entries)
        return sorted(entries, reverse=True) if len(entries) % 2 else entries

    monkeypatch.setattr(Path, "iterdir", shuffled)
    loaded = load_omniglot(backwards)
    np.testing.assert_array_equal(loaded.images, expected.images)
    assert (loaded.names, loaded.checksum) == (expected.names, expected.checksum)


def test_shrinking_averages(tmp_path: Path) -> None:
    # One-pixel stripes: picking every n-th pixel would give all black or all white somewhere.
    folder = tmp_path / "set" / "stripes"
    folder.mkdir(parents=True)
    stripes = np.zeros((105, 105), bool)
    stripes[:, ::2] = True
    Image.fromarray(stripes).save(folder / "0.PNG")
    (folder / "._0.png").write_bytes(b"litter of another file system")
    (folder / "notes.txt").write_text("not an image")
    (inner,) = load_image_folders(tmp_path / "set", 28, 1).images[:, 2:-2, 2:-2, 0]
    assert 100 < inner.min() and inner.max() < 155


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGB", "RGBA"])
@pytest.mark.parametrize("channels", [1, 3])
def test_every_picture_mode_is_read(tmp_path: Path, mode: str, channels: int) -> None:
    (tmp_path / "a").mkdir()
    Image.new("RGB", (9, 7), (255, 255, 255)).convert(mode).save(tmp_path / "a" / "0.png")
    loaded = load_image_folders(tmp_path, 5, channels)
    np.testing.assert_array_equal(loaded.images, np.full((1, 5, 5, channels), 255))


def test_classes_can_be_chosen(omniglot: Path, glyphs: ImageClasses) -> None:
    wanted = [glyphs.names[4], glyphs.names[1]]
    loaded = load_image_folders(omniglot, 28, 1, invert=True, classes=wanted)
    assert loaded.names == tuple(sorted(wanted))
    np.testing.assert_array_equal(loaded.images, glyphs.select(sorted(wanted)).images)
    assert len(load_omniglot(omniglot).names) == 6  # the cache of two classes is not taken for six


def test_cache_spares_decoding(omniglot: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = load_omniglot(omniglot)
    calls = decoded(monkeypatch)
    again = load_omniglot(omniglot)
    assert not calls
    np.testing.assert_array_equal(again.images, first.images)
    assert (again.names, again.checksum) == (first.names, first.checksum)
    assert not list(omniglot.glob("*.tmp"))


@pytest.mark.parametrize("change", ["touch", "content", "add", "remove", "rename"])
def test_cache_follows_the_files(
    omniglot: Path, change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = load_omniglot(omniglot)
    file = sorted(omniglot.rglob("*.png"))[0]
    if change == "touch":
        os.utime(file, ns=(1, 1))
    elif change == "content":
        Image.new("L", (28, 28), 7).save(file)
    elif change == "add":
        Image.new("L", (28, 28), 7).save(file.with_name("9.png"))
    elif change == "remove":
        file.unlink()
    else:
        file.rename(file.with_name("9.png"))
    calls = decoded(monkeypatch)
    after = load_omniglot(omniglot)
    assert len(calls) == len(after.images) == 24 + {"add": 1, "remove": -1}.get(change, 0)
    assert (after.checksum == before.checksum) == (change == "touch")


@pytest.mark.parametrize("damage", ["cut", "flip", "rubbish", "empty", "foreign"])
def test_damaged_cache_is_ignored(
    omniglot: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    expected = load_omniglot(omniglot)
    (cache,) = omniglot.glob(".zoolib-*.npz")
    content = bytearray(cache.read_bytes())
    if damage == "foreign":
        np.savez(cache, images=np.zeros((1, 28, 28, 1), np.uint8))
    elif damage == "flip":
        content[len(content) // 2] ^= 255
        cache.write_bytes(content)
    else:
        kept = {"cut": bytes(content[:-99]), "rubbish": b"rubbish" * 99, "empty": b""}
        cache.write_bytes(kept[damage])
    with caplog.at_level(logging.WARNING):
        loaded = load_omniglot(omniglot)
    assert str(cache) in caplog.text
    np.testing.assert_array_equal(loaded.images, expected.images)
    caplog.clear()
    load_omniglot(omniglot)
    assert not caplog.text  # it was written anew


def test_no_cache_where_none_can_be_written(
    omniglot: Path, glyphs: ImageClasses, caplog: pytest.LogCaptureFixture
) -> None:
    (omniglot / ".zoolib-28x28x1-inverted.npz").mkdir()  # holds for the superuser as well
    with caplog.at_level(logging.WARNING):
        loaded = load_omniglot(omniglot)
    np.testing.assert_array_equal(loaded.images, glyphs.images)
    assert "is not kept" in caplog.text and not list(omniglot.glob("*.tmp"))


def test_missing_root(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere"):
        load_image_folders(tmp_path / "nowhere", 28, 1)
    with pytest.raises(DataError, match=r"nowhere(.|\n)*alphabet/character.*1623"):
        load_omniglot(tmp_path / "nowhere")


def test_folder_without_classes(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="found none"):
        load_image_folders(tmp_path, 28, 1)


def test_images_beside_class_folders(omniglot: Path) -> None:
    Image.new("L", (28, 28)).save(omniglot / "alphabet_00" / "stray.png")
    with pytest.raises(DataError, match="stray.png"):
        load_omniglot(omniglot)


def test_images_straight_in_the_root(tmp_path: Path) -> None:
    Image.new("L", (28, 28)).save(tmp_path / "0.png")
    with pytest.raises(DataError, match="folder per class"):
        load_image_folders(tmp_path, 28, 1)


def test_folders_too_deep_or_in_a_circle(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "again").symlink_to(tmp_path, target_is_directory=True)
    with pytest.raises(DataError, match="levels"):
        load_image_folders(tmp_path, 28, 1)


def test_empty_classes_are_named(omniglot: Path) -> None:
    for number in range(12):
        (omniglot / "alphabet_00" / f"hollow_{number:02d}").mkdir()
    with pytest.raises(DataError, match="hollow_00.*hollow_09 and 2 more"):
        load_omniglot(omniglot)


def test_classes_with_too_few_images_are_named(omniglot: Path, glyphs: ImageClasses) -> None:
    (omniglot / glyphs.names[2] / "3.png").unlink()
    load_omniglot(omniglot, minimum=3)
    with pytest.raises(DataError, match=rf"at least 4.*{glyphs.names[2]} \(3\)\."):
        load_omniglot(omniglot, minimum=4)


def test_unreadable_images_are_all_named(omniglot: Path) -> None:
    files = sorted(omniglot.rglob("*.png"))
    files[0].write_bytes(b"")
    files[1].write_bytes(b"not a picture")
    files[2].write_bytes(files[3].read_bytes()[:60])
    with pytest.raises(DataError) as caught:
        load_omniglot(omniglot)
    text = str(caught.value)
    assert "3 of 24" in text and "0 bytes" in text
    assert all(str(file) in text for file in files[:3]) and str(files[3]) not in text
    for file in files:
        file.write_bytes(b"not a picture")
    with pytest.raises(DataError, match="24 of 24.*and 14 more"):
        load_omniglot(omniglot)
    assert not list(omniglot.glob(".zoolib*"))  # no cache of half a set


def test_unknown_or_no_class_names(omniglot: Path) -> None:
    with pytest.raises(DataError, match="unknown: runes"):
        load_image_folders(omniglot, 28, 1, classes=["runes"])
    with pytest.raises(DataError, match="empty"):
        load_image_folders(omniglot, 28, 1, classes=[])


def mini(root: Path) -> Path:
    glyphs = stroke_glyphs(classes=6, samples=3, size=20, channels=3)
    flat = [name.replace("/", "-") for name in glyphs.names]
    glyphs = ImageClasses.from_arrays(glyphs.images, glyphs.class_of, flat)
    for number, folder in enumerate(("train", "val", "test")):
        part = glyphs.select(flat[2 * number : 2 * number + 2])
        write_image_folders(part, root / folder, suffix=".jpg")
    return root


def test_miniimagenet_splits(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = mini(tmp_path)
    with caplog.at_level(logging.WARNING):
        parts = [load_miniimagenet(root, split) for split in ("train", "validation", "test")]
    assert "2 classes, not 64" in caplog.text
    assert [part.images.shape for part in parts] == [(6, 84, 84, 3)] * 3
    assert len({name for part in parts for name in part.names}) == 6


def test_miniimagenet_says_what_it_expects(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="train.*no folders.*64 classes.*16.*20"):
        load_miniimagenet(tmp_path / "nowhere", "train")
    root = mini(tmp_path)
    (root / "val").rename(root / "valid")
    with pytest.raises(DataError, match="found the folders test, train, valid"):
        load_miniimagenet(root, "validation")
    with pytest.raises(DataError, match="'valid'"):
        load_miniimagenet(root, "valid")


def test_miniimagenet_refuses_a_class_in_two_splits(tmp_path: Path) -> None:
    root = mini(tmp_path)
    (shared,) = list((root / "train").iterdir())[:1]
    (root / "test" / shared.name).mkdir()
    with pytest.raises(DataError, match=shared.name):
        load_miniimagenet(root, "train")


def test_omniglot_split_counts() -> None:
    parts = split_omniglot(tiny_classes(1623))
    assert [len(part.names) for part in parts] == [1100, 100, 423]
    assert len({name for part in parts for name in part.names}) == 1623
    assert parts.train.names[:50] != tuple(sorted(parts.train.names))[:50]


@pytest.mark.parametrize("total", [3, 4, 5, 9, 17, 60, 100, 964])
def test_omniglot_split_loses_no_class(total: int) -> None:
    classes = tiny_classes(total)
    parts = split_omniglot(classes)
    assert sorted(name for part in parts for name in part.names) == sorted(classes.names)
    assert all(len(part.names) for part in parts)
    assert abs(len(parts.train.names) - total * 1100 / 1623) <= 1.1


def test_omniglot_split_depends_on_nothing_but_names_and_seed() -> None:
    classes = tiny_classes(60)
    expected = split_omniglot(classes).test.names
    assert split_omniglot(classes.select(classes.names[::-1])).test.names == expected
    nested = [
        f"images_{'evaluation' if i % 3 else 'background'}/{n}" for i, n in enumerate(classes.names)
    ]
    moved = ImageClasses.from_arrays(classes.images, classes.class_of, nested)
    names = split_omniglot(moved).test.names
    assert tuple(name.split("/", 1)[1] for name in names) == expected
    assert split_omniglot(classes, seed=2).test.names != expected


def test_omniglot_split_needs_three_classes() -> None:
    with pytest.raises(DataError, match="at least 3"):
        split_omniglot(tiny_classes(2))


def test_image_classes_sort_select_and_refuse(glyphs: ImageClasses) -> None:
    order = np.random.default_rng(0).permutation(24)
    mixed = ImageClasses.from_arrays(glyphs.images[order], glyphs.class_of[order], glyphs.names)
    np.testing.assert_array_equal(mixed.class_of, glyphs.class_of)
    np.testing.assert_array_equal(mixed.counts, [4] * 6)
    np.testing.assert_array_equal(mixed.starts, range(0, 24, 4))
    part = glyphs.select([glyphs.names[5], glyphs.names[0]])
    np.testing.assert_array_equal(part.images[:4], glyphs.images[20:])
    np.testing.assert_array_equal(part.class_of, [0] * 4 + [1] * 4)
    assert part.checksum != glyphs.checksum
    for class_of in (np.arange(24)[::-1] // 4, np.zeros(24, int), np.arange(24) // 4 - 1):
        with pytest.raises(DataError, match="rising order"):
            ImageClasses(glyphs.images, class_of.astype(np.int32), glyphs.names, "")
    with pytest.raises(DataError, match="uint8"):
        ImageClasses(glyphs.images / 255, glyphs.class_of, glyphs.names, "")
    with pytest.raises(DataError, match="twice"):
        glyphs.select([glyphs.names[0]] * 2)
