"""Few-shot tasks: what a task is, that it is a pure function of its number, and fairness."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from zoolib.data.arrayfile import array_checksum
from zoolib.data.episodes import (
    EpisodeSampler,
    choose,
    fixed_episodes,
    load_episodes,
    to_float,
)
from zoolib.data.fixtures import stroke_glyphs
from zoolib.data.image_classes import ImageClasses
from zoolib.errors import ConfigError, DataError


def numbered(counts: list[int]) -> ImageClasses:
    """Images of 2 x 2 pixels that carry their own number; classes of the given sizes."""
    total = sum(counts)
    images = np.zeros((total, 2, 2, 1), np.uint8)
    images[:, 0, 0, 0], images[:, 0, 1, 0] = np.arange(total) // 256, np.arange(total) % 256
    class_of = np.repeat(np.arange(len(counts)), counts)
    return ImageClasses.from_arrays(images, class_of, [f"c{i:03d}" for i in range(len(counts))])


def sampler(classes: ImageClasses, **changes: object) -> EpisodeSampler:
    settings = dict(ways=5, shots=2, queries=3, rotate=True, seed=7, split_name="train")
    return EpisodeSampler(classes, **{**settings, **changes})


GLYPHS = stroke_glyphs(classes=12, samples=8)
RAGGED = numbered([5, 9, 5, 20, 6, 7, 5, 30, 5])


def unevenness(counts: np.ndarray) -> float:
    """Chi-square against equal counts, as a standard normal number (Wilson & Hilferty 1931).

    The transform matters: with few cells chi-square is skewed, and a limit counted in its own
    standard deviations would refuse a fair draw too often.
    """
    expected, freedom = counts.sum() / counts.size, counts.size - 1
    ratio = ((counts - expected) ** 2 / expected).sum() / freedom
    return (np.cbrt(ratio) - (1 - 2 / (9 * freedom))) / np.sqrt(2 / (9 * freedom))


def test_shapes_and_types() -> None:
    batch = sampler(GLYPHS).batch(range(3), 4)
    assert {name: (array.shape, array.dtype.name) for name, array in batch.items()} == {
        "support_x": ((3, 4, 10, 28, 28, 1), "uint8"),
        "support_y": ((3, 4, 10), "int32"),
        "query_x": ((3, 4, 15, 28, 28, 1), "uint8"),
        "query_y": ((3, 4, 15), "int32"),
    }
    index = sampler(GLYPHS).indices(range(3), 4)
    assert {name: (array.shape, array.dtype.name) for name, array in index.items()} == {
        "classes": ((3, 4, 5), "int32"),
        "support": ((3, 4, 10), "int32"),
        "query": ((3, 4, 15), "int32"),
        "rotation": ((3, 4, 5), "int32"),
    }


def test_labels_are_class_major_positions() -> None:
    drawn = sampler(RAGGED)
    index, batch = drawn.indices(range(4), 6), drawn.batch(range(4), 6)
    assert (batch["support_y"] == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]).all()
    assert (batch["query_y"] == np.repeat(np.arange(5), 3)).all()
    for part in ("support", "query"):
        labelled = np.take_along_axis(index["classes"], batch[f"{part}_y"], axis=-1)
        np.testing.assert_array_equal(RAGGED.class_of[index[part]], labelled)


def test_nothing_comes_twice_in_a_task() -> None:
    index = sampler(RAGGED).indices(range(200), 10)
    assert (np.diff(np.sort(index["classes"], axis=-1), axis=-1) > 0).all()
    images = np.sort(np.concatenate([index["support"], index["query"]], axis=-1), axis=-1)
    assert (np.diff(images, axis=-1) > 0).all()


def test_whole_population_is_a_permutation() -> None:
    classes = numbered([5] * 5)
    index = sampler(classes).indices(range(20), 3)
    images = np.concatenate([index["support"], index["query"]], axis=-1)
    assert (np.sort(images, axis=-1) == np.arange(25)).all()


def test_choose_reads_a_lehmer_code() -> None:
    np.testing.assert_array_equal(choose(np.zeros((2, 4), np.float32), 4), [[0, 1, 2, 3]] * 2)
    almost = np.full((4,), 1 - 2.0**-24, np.float32)
    np.testing.assert_array_equal(choose(almost, 1100), [1099, 1098, 1097, 1096])
    np.testing.assert_array_equal(choose(np.float32([0.5, 0.5, 0.5]), 5), [2, 3, 1])
    # Every number just below a border belongs to the value below it, which float32 would miss.
    below = (np.ceil(np.arange(1, 1100) * 2.0**24 / 1100) - 1) * 2.0**-24
    np.testing.assert_array_equal(choose(np.float32(below)[:, None], 1100)[:, 0], range(1099))


def test_rotation_is_that_of_rot90() -> None:
    drawn = sampler(GLYPHS)
    index, batch = drawn.indices(range(3), 4), drawn.batch(range(3), 4)
    assert set(index["rotation"].ravel()) == {0, 1, 2, 3}
    for part in ("support", "query"):
        for place in np.ndindex(index[part].shape):
            turns = index["rotation"][place[:-1]][batch[f"{part}_y"][place]]
            expected = np.rot90(GLYPHS.images[index[part][place]], turns)
            np.testing.assert_array_equal(batch[f"{part}_x"][place], expected)


def test_without_rotation_images_come_as_they_are() -> None:
    drawn = sampler(GLYPHS, rotate=False)
    index, batch = drawn.indices(range(3), 4), drawn.batch(range(3), 4)
    assert not index["rotation"].any()
    np.testing.assert_array_equal(batch["query_x"], GLYPHS.images[index["query"]])
    turned = sampler(GLYPHS).indices(range(3), 4)
    np.testing.assert_array_equal(index["query"], turned["query"])  # same tasks, not turned


def test_batch_leaves_the_images_alone() -> None:
    before = GLYPHS.images.copy()
    sampler(GLYPHS).batch(range(5), 4)["support_x"][:] = 0
    np.testing.assert_array_equal(GLYPHS.images, before)


def test_a_step_is_the_same_alone_and_in_a_range() -> None:
    drawn = sampler(RAGGED)
    whole = drawn.batch(range(10, 30), 4)
    drawn.batch(range(0, 3), 9)  # no state is left behind
    for start, stop in ((10, 11), (17, 18), (22, 30)):
        part = sampler(RAGGED).batch(range(start, stop), 4)
        for name, array in part.items():
            np.testing.assert_array_equal(array, whole[name][start - 10 : stop - 10])


def test_tasks_are_the_same_with_every_numpy() -> None:
    index = sampler(numbered([20] * 1100)).indices(range(1000, 1050), 4)
    assert (
        array_checksum(index) == "c4c016d647aec591383bdfdad6e0396bb1a15d8ea23cdc4fbf04fcabc6df0522"
    )


def test_tasks_are_numbered_through() -> None:
    drawn = sampler(RAGGED)
    one, four = drawn.indices(range(12), 1), drawn.indices(range(3), 4)
    for name, array in four.items():
        np.testing.assert_array_equal(array.reshape(one[name].shape), one[name])
    assert all(array.shape[0] == 0 for array in drawn.indices(range(5, 5), 4).values())


def test_steps_seeds_and_splits_differ() -> None:
    first = sampler(RAGGED).indices(range(1), 50)["support"]
    others = [
        sampler(RAGGED).indices(range(1, 2), 50)["support"],
        sampler(RAGGED, seed=8).indices(range(1), 50)["support"],
        sampler(RAGGED, split_name="test").indices(range(1), 50)["support"],
    ]
    assert all((first != other).mean() > 0.5 for other in others)


def test_draws_are_fair() -> None:
    index = sampler(numbered([10] * 12), seed=3).indices(range(2000), 10)
    classes, rotation = index["classes"].reshape(-1, 5), index["rotation"].reshape(-1, 5)
    pairs = np.bincount(classes[:, :2] @ [12, 1], minlength=144).reshape(12, 12)
    assert not pairs.diagonal().any()
    tables = [pairs[~np.eye(12, dtype=bool)], np.bincount(rotation.ravel(), minlength=4)]
    tables += [np.bincount(classes[:, position], minlength=12) for position in range(5)]
    tables += [np.bincount(rotation[:, :2] @ [4, 1], minlength=16)]
    # Classes, images and turns must not come from the same numbers.
    image = index["support"].reshape(-1, 10)[:, 0] % 10
    tables += [np.bincount(classes[:, 0] * 4 + rotation[:, 0], minlength=48)]
    tables += [np.bincount(classes[:, 0] * 10 + image, minlength=120)]
    tables += [np.bincount(rotation[:, 0] * 10 + image, minlength=40)]
    for name in ("support", "query"):
        for column in (0, -1):
            tables += [np.bincount(index[name][..., column].ravel() % 10, minlength=10)]
    assert max(abs(unevenness(table)) for table in tables) < 4


def test_every_class_is_drawn_the_last_one_too() -> None:
    index = sampler(RAGGED).indices(range(60), 4)
    assert set(index["classes"].ravel()) == set(range(9))
    assert {*index["support"].ravel(), *index["query"].ravel()} == set(range(len(RAGGED.images)))


def test_to_float() -> None:
    images = np.uint8([0, 51, 255])
    np.testing.assert_array_equal(to_float(images), np.float32([0, 0.2, 1]))
    np.testing.assert_allclose(to_float(images, invert=True), [1, 0.8, 0], atol=1e-7)
    assert to_float(images, invert=True).dtype == np.float32


def test_errors_name_the_numbers() -> None:
    with pytest.raises(DataError, match="10-way.*found 9"):
        sampler(RAGGED, ways=10)
    with pytest.raises(DataError, match=r"at least 6.*c000 \(5\), c002 \(5\), c006 \(5\)"):
        sampler(RAGGED, queries=4)
    with pytest.raises(ConfigError, match="5, 0, 3"):
        sampler(RAGGED, shots=0)
    flat = ImageClasses.from_arrays(
        np.zeros((60, 4, 6, 1), np.uint8), np.arange(60) // 10, "abcdef"
    )
    sampler(flat, rotate=False)
    with pytest.raises(DataError, match="4 x 6"):
        sampler(flat)
    with pytest.raises(ValueError, match="stride 1"):
        sampler(RAGGED).indices(range(0, 10, 2), 4)


def test_fixed_episodes_are_the_same_for_all_runs() -> None:
    first = fixed_episodes(sampler(GLYPHS, seed=1), count=30)
    second = fixed_episodes(sampler(GLYPHS, seed=2), count=20)
    for name, array in second.index.items():
        np.testing.assert_array_equal(array, first.index[name][:20])
    assert len(first) == 30 and len(fixed_episodes(sampler(GLYPHS))) == 600
    other = fixed_episodes(sampler(GLYPHS), count=30, seed=2)
    assert (other.index["support"] != first.index["support"]).any()


def test_fixed_episodes_give_batches() -> None:
    fixed = fixed_episodes(sampler(GLYPHS), count=30)
    whole, part = fixed.batch(GLYPHS), fixed.batch(GLYPHS, 10, 14)
    assert whole["support_x"].shape == (30, 10, 28, 28, 1)
    assert part["query_y"].shape == (4, 15)
    np.testing.assert_array_equal(part["query_x"], whole["query_x"][10:14])
    with pytest.raises(DataError, match="checksum"):
        fixed.batch(RAGGED)


def test_fixed_episodes_survive_a_file(tmp_path: Path) -> None:
    path = tmp_path / "tasks.npz"
    fixed = fixed_episodes(sampler(GLYPHS), count=30)
    fixed.save(path)
    loaded = load_episodes(path, sampler(GLYPHS, seed=99))
    assert loaded.key == fixed.key and set(loaded.index) == set(fixed.index)
    for name, array in fixed.index.items():
        np.testing.assert_array_equal(loaded.index[name], array)
    assert [file.name for file in tmp_path.iterdir()] == ["tasks.npz"]


def test_foreign_or_damaged_episodes_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "tasks.npz"
    with pytest.raises(DataError, match="found none"):
        load_episodes(path, sampler(GLYPHS))
    fixed_episodes(sampler(GLYPHS), count=30).save(path)
    with pytest.raises(DataError, match="shots: expected 1, found 2"):
        load_episodes(path, sampler(GLYPHS, shots=1))
    with pytest.raises(DataError, match="data: expected"):
        load_episodes(path, sampler(RAGGED))
    with np.load(path) as stored:
        members = {name: stored[name] for name in stored.files}
    members["support"][0, 0] += 1
    np.savez(path, **members)
    with pytest.raises(DataError, match="checksum"):
        load_episodes(path, sampler(GLYPHS))
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(DataError, match="cannot be read"):
        load_episodes(path, sampler(GLYPHS))
