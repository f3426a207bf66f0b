"""Batches: order, augmentation, resumption, ranks, evaluation of every image once."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from zoolib.data.augmentation import Augmentation, apply, choose, crops, resize, shorter_side
from zoolib.data.image_batches import MemoryImages, short_sizes
from zoolib.data.image_classes import ImageClasses
from zoolib.data.image_records import ImageRecords, jpeg_size
from zoolib.data.imagenet import explore_imagenet
from zoolib.data.record_builder import build_records
from zoolib.data.record_format import Record, encode_example, frames
from zoolib.data.record_plan import RecordOptions
from zoolib.errors import ConfigError, DataError

PLAIN = Augmentation(area=(1, 1), aspect=(1, 1), flip=0, shift=0, grey=0)


@pytest.fixture(scope="module")
def records(drawn: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("records")
    found = explore_imagenet(drawn, boxes=drawn / "annotations")
    build_records(found, root, RecordOptions(shards={"train": 6, "val": 2}))
    return root


@pytest.fixture(scope="module")
def numbered() -> ImageClasses:
    """23 images; each one's number is its red level."""
    images = np.zeros((23, 16, 16, 3), np.uint8)
    images[..., 0] = 10 * np.arange(23)[:, None, None]
    images[..., 1] = np.arange(16)[None, None, :] * 8
    return ImageClasses.from_arrays(images, np.arange(23) // 8, ["a", "b", "c"])


def number(images: np.ndarray) -> list[int]:
    return np.rint(images[..., 0].mean(axis=(-1, -2)) * 25.5).astype(int).ravel().tolist()


# ---- the arithmetic


def test_crops_are_within_limits_and_hold_objects() -> None:
    kind = Augmentation()
    rng = np.random.RandomState(0)
    sizes = rng.randint(20, 300, (600, 2))
    boxes = np.array([[0.4, 0.4, 0.7, 0.8], [0, 0, 0.05, 0.05]], np.float32)
    choices = choose(kind, 1, range(600), sizes, [boxes] * 600)
    top, left, height, width = choices.crop.T
    assert (choices.crop[:, :2] >= 0).all()
    assert (top + height <= sizes[:, 0]).all() and (left + width <= sizes[:, 1]).all()
    area = height * width / sizes.prod(axis=1)
    assert area.min() >= 0.08 and area.max() <= 1 and area.mean() < 0.7
    partial = area < 1
    aspect = (width / height)[partial]
    assert aspect.min() > 0.65 and aspect.max() < 1.5
    for (t, x, h, w), (high, wide) in zip(choices.crop, sizes):
        shares = []
        for a, b, c, d in boxes.astype(np.float64):
            across = max(0, min(c * wide, x + w) - max(a * wide, x))
            down = max(0, min(d * high, t + h) - max(b * high, t))
            shares.append(across * down / ((c - a) * wide * (d - b) * high))
        assert max(shares) >= 0.25 - 1e-6


def test_crops_have_the_law_of_tensorflows_sampler() -> None:
    import tensorflow as tf

    ours = choose(Augmentation(), 0, range(3000), np.tile([48, 64], (3000, 1)), [None] * 3000)

    def sample(i: tf.Tensor) -> tf.Tensor:
        whole = tf.constant([[[0.0, 0.0, 1.0, 1.0]]])
        begin, size, _ = tf.image.stateless_sample_distorted_bounding_box(
            (48, 64, 3), whole, (i, 7), 0.25, (0.75, 1.33), (0.08, 1.0), 100
        )
        return tf.concat([begin[:2], size[:2]], 0)

    theirs = next(iter(tf.data.Dataset.range(3000).map(sample).batch(3000))).numpy()
    np.testing.assert_allclose(ours.crop.mean(axis=0), theirs.mean(axis=0), rtol=0.06, atol=0.25)
    np.testing.assert_allclose(ours.crop.std(axis=0), theirs.std(axis=0), rtol=0.06, atol=0.25)


def test_whole_image_when_nothing_fits() -> None:
    kind = Augmentation(area=(2, 3))
    crop = crops(kind, np.full((2, 100, 4), 0.5), np.array([[5, 9], [7, 3]]), np.zeros((2, 1, 4)))
    assert crop.tolist() == [[0, 0, 5, 9], [0, 0, 7, 3]]


def test_shares_of_flips_and_colours() -> None:
    choices = choose(Augmentation(), 0, range(4000), np.full((4000, 2), 9), [None] * 4000)
    assert abs(choices.flip.mean() - 0.5) < 0.03
    assert abs(choices.grey.mean() - 0.05) < 0.015
    moved = choices.shift.any(axis=1)
    assert abs(moved.mean() - 0.25) < 0.03
    most = [1.402 * 0.1, (0.344136 + 0.714136) * 0.1, 1.772 * 0.1] + np.full(3, 32 / 255)
    largest = np.abs(choices.shift).max(axis=0)
    assert (largest <= most + 1e-6).all() and (largest > 0.8 * most).all()


def test_resizing_is_that_of_tensorflow_1() -> None:
    import tensorflow as tf

    image = np.random.RandomState(1).randint(0, 256, (13, 29, 3)).astype(np.uint8)
    for size in ((13, 29), (26, 7), (5, 64), (1, 1)):
        expected = tf.compat.v1.image.resize_bilinear(image[None], size)[0].numpy()
        np.testing.assert_allclose(resize(image, size), expected, atol=2e-4)


def test_grey_and_shift() -> None:
    image = np.full((1, 4, 4, 3), (200, 100, 50), np.uint8)
    drawn = choose(PLAIN, 0, range(1), np.array([[4, 4]]), [None])
    grey = apply(image, drawn._replace(grey=np.array([True])), 4)
    luma = (200 * 0.2989 + 100 * 0.5870 + 50 * 0.1140) / 255
    np.testing.assert_allclose(grey, luma, atol=1e-6)
    shift = np.array([[0.5, -0.5, 0.1]], np.float32)
    np.testing.assert_allclose(
        apply(image, drawn._replace(shift=shift), 4)[0, 0, 0], [1, 0, 50 / 255 + 0.1], atol=1e-6
    )


# ---- the stream


def test_an_epoch_has_every_image_once_in_an_order_of_its_own(numbered: ImageClasses) -> None:
    batches = MemoryImages(numbered, 4, seed=1, augmentation=PLAIN)
    seen = number(batches.batch(range(23))["images"])  # 92 places: four epochs
    epochs = [seen[i * 23 : (i + 1) * 23] for i in range(4)]
    for epoch in epochs:
        assert sorted(epoch) == list(range(23))
    assert len({tuple(epoch) for epoch in epochs}) == 4
    assert batches.steps_per_epoch == 5
    other = MemoryImages(numbered, 4, seed=2, augmentation=PLAIN)
    assert number(other.batch(range(5))["images"]) != seen[:20]


def test_positions_resume_in_memory(numbered: ImageClasses) -> None:
    whole = MemoryImages(numbered, 5, seed=3).batch(range(12))
    for start in (0, 4, 9):
        part = MemoryImages(numbered, 5, seed=3).batch(range(start, 12))
        for key in whole:
            np.testing.assert_array_equal(part[key], whole[key][start:])
    assert whole["images"].shape == (12, 5, 16, 16, 3) and whole["images"].dtype == np.float32
    assert whole["labels"].shape == (12, 5) and whole["labels"].dtype == np.int32


def test_ranks_share_one_stream(numbered: ImageClasses) -> None:
    alone = MemoryImages(numbered, 6, seed=0).batch(range(5))
    ranks = [MemoryImages(numbered, 2, seed=0, rank=r, ranks=3).batch(range(5)) for r in range(3)]
    for key in alone:
        np.testing.assert_array_equal(
            np.concatenate([rank[key] for rank in ranks], axis=1), alone[key]
        )


def test_memory_crops_keep_to_boxes(numbered: ImageClasses) -> None:
    boxes = np.tile(np.array([[0.9, 0.0, 1.0, 1.0]], np.float32), (23, 1))
    kind = Augmentation(covered=0.9, flip=0, shift=0, grey=0)
    images = MemoryImages(numbered, 8, seed=0, augmentation=kind, boxes=boxes).batch(range(9))
    assert (images["images"][..., -1, 1] > 13 * 8 / 255).all()  # the right edge is always there


def test_positions_resume_in_records(records: Path) -> None:
    whole = ImageRecords(records, "train", 7, 24, seed=3).batch(range(10))
    again = ImageRecords(records, "train", 7, 24, seed=3)
    parts = [again.batch(r) for r in (range(0, 2), range(2, 5), range(8, 10), range(5, 8))]
    for key in whole:
        joined = np.concatenate([parts[i][key] for i in (0, 1, 3, 2)])
        np.testing.assert_array_equal(joined, whole[key])
    other = ImageRecords(records, "train", 7, 24, seed=4).batch(range(1))
    assert (other["images"][0] != whole["images"][0]).any()


def test_records_have_every_image_once_in_an_epoch(records: Path) -> None:
    for window in (0, 1, 2):
        batches = ImageRecords(records, "train", 8, 8, seed=0, window=window)
        epochs = [batches.indices(range(e * 48, (e + 1) * 48)).tolist() for e in range(3)]
        assert all(sorted(epoch) == list(range(48)) for epoch in epochs)
        assert epochs[0] != epochs[1]
        shards = batches.index.shard_of[epochs[0]]
        first = len(set(shards[:8]))
        assert first == 1 if window == 1 else first > 1


def test_records_are_augmented_as_numpy_says(drawn: Path, records: Path) -> None:
    """The compiled pipeline does the same arithmetic; flat pictures do not show JPEG's edges."""
    kind = Augmentation(area=(1, 1), aspect=(0.1, 10))
    batches = ImageRecords(records, "train", 16, 24, seed=5, augmentation=kind)
    got = batches.batch(range(2, 3))
    places = batches.places(2)
    read = [batches._record(i) for i in batches.indices(places)]
    pixels = [np.asarray(Image.open(io.BytesIO(r.jpeg)).convert("RGB")) for r in read]
    sizes = np.array([jpeg_size(r.jpeg) for r in read])
    assert [p.shape[:2] for p in pixels] == [tuple(s) for s in sizes]
    choices = choose(kind, 5, places, sizes, [r.boxes for r in read])
    assert (choices.crop[:, 2:] == sizes).all()  # the whole image, so that decoders agree
    expected = apply(pixels, choices, 24)
    assert np.abs(got["images"][0] - expected).mean() < 0.01
    np.testing.assert_array_equal(got["labels"][0], [r.label for r in read])


# ---- evaluation


@pytest.mark.parametrize("ranks", [1, 3])
@pytest.mark.parametrize("size", [4, 5, 30])
def test_every_image_is_evaluated_once_in_memory(
    numbered: ImageClasses, ranks: int, size: int
) -> None:
    seen, batches = [], set()
    for rank in range(ranks):
        mine = list(MemoryImages(numbered, size, rank=rank, ranks=ranks).evaluation())
        batches.add(len(mine))
        for batch in mine:
            assert batch["images"].shape == (size, 16, 16, 3)
            assert batch["weights"].dtype == np.float32
            there = batch["weights"] == 1
            seen += np.array(number(batch["images"]))[there].tolist()
            assert (batch["weights"][~there] == 0).all()
    assert sorted(seen) == list(range(23)) and len(batches) == 1


@pytest.mark.parametrize("ranks", [1, 3])
def test_every_record_is_evaluated_once(records: Path, ranks: int) -> None:
    every = []
    for rank in range(ranks):
        for batch in ImageRecords(records, "val", 5, 16, rank=rank, ranks=ranks).evaluation():
            assert batch["images"].shape == (5, 16, 16, 3)
            for image, label, weight in zip(*batch.values()):
                if weight:
                    every.append((int(label), image.tobytes()))
    alone = next(iter(ImageRecords(records, "val", 12, 16).evaluation()))
    expected = [(int(y), x.tobytes()) for x, y in zip(alone["images"], alone["labels"])]
    assert alone["weights"].all() and len(set(expected)) == 12
    assert sorted(every) == sorted(expected)


def test_more_ranks_than_images(numbered: ImageClasses) -> None:
    two = numbered.select(["a"])
    weights = [
        sum(b["weights"].sum() for b in MemoryImages(two, 1, rank=r, ranks=11).evaluation())
        for r in range(11)
    ]
    assert weights == [1] * 8 + [0] * 3


def test_middle_of_an_evaluated_record(tmp_path: Path) -> None:
    """Sides 256 / 224 of the wanted size, rounded half to even, then the middle."""
    import tensorflow as tf

    assert (shorter_side(224), shorter_side(64)) == (256, 73)
    assert short_sizes(60, 90, 73) == (73, 110)
    ramp = np.tile(np.arange(90, dtype=np.uint8)[None, :, None] * 2, (60, 1, 3))
    buffer = io.BytesIO()
    Image.fromarray(ramp).save(buffer, "JPEG", quality=100)
    (tmp_path / "val").mkdir()
    record = encode_example("reference", Record(buffer.getvalue(), 0, None))
    (tmp_path / "val/a.tfrecords").write_bytes(frames([record]))
    batch = next(iter(ImageRecords(tmp_path, "val", 1, 64).evaluation()))
    decoded = tf.io.decode_jpeg(buffer.getvalue(), channels=3)[None]
    resized = tf.compat.v1.image.resize_bilinear(decoded, (73, 110))[0].numpy() / 255
    np.testing.assert_allclose(batch["images"][0], resized[4:68, 23:87], atol=1e-6)


def test_records_in_memory(records: Path) -> None:
    held = ImageRecords(records, "val", 5, 24).in_memory()
    assert held.images.shape == (12, 24, 24, 3) and held.counts.tolist() == [3, 3, 3, 3]
    shown = sum(b["weights"].sum() for b in MemoryImages(held, 5, 16).evaluation())
    assert shown == 12


# ---- foreign and bad records


def write_foreign(root: Path, pattern: str, schema: str, labels: list[int]) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (20, 30), (200, 10, 10)).save(buffer, "JPEG")
    about = {"height": 30, "width": 20, "filename": "a", "synset": "n1", "text": "a"}
    for i, label in enumerate(labels):
        path = root / pattern.format(i)
        path.parent.mkdir(parents=True, exist_ok=True)
        record = Record(buffer.getvalue(), label, np.zeros((0, 4), np.float32))
        path.write_bytes(frames([encode_example(schema, record, about)]))


@pytest.mark.parametrize(
    ("pattern", "split", "schema"),
    [
        ("train_shards/shard-{:04d}.tfrecords", "train", "reference"),
        ("eval_shards/shard-{:04d}.tfrecords", "val", "reference"),
        ("train-{:05d}-of-00003", "train", "inception"),
        ("validation-{:05d}-of-00003", "val", "inception"),
    ],
)
def test_foreign_shards_of_both_schemas(
    tmp_path: Path, pattern: str, split: str, schema: str
) -> None:
    write_foreign(tmp_path, pattern, schema, [0, 4, 2])
    batches = ImageRecords(tmp_path, split, 3, 8)
    assert batches.classes == () and batches.count == 3
    assert sorted(batches.batch(range(1))["labels"][0].tolist()) == [0, 2, 4]


def test_labels_of_other_classes_are_refused(tmp_path: Path) -> None:
    write_foreign(tmp_path, "train/{}.tfrecords", "reference", [0, 4])
    batches = ImageRecords(tmp_path, "train", 2, 8, num_classes=3)
    with pytest.raises(DataError, match="labels from 0 to 2, found 4"):
        batches.batch(range(1))


def test_damaged_pictures_are_told(tmp_path: Path) -> None:
    (tmp_path / "val").mkdir()
    record = encode_example("reference", Record(b"\xff\xd8 no picture", 0, None))
    (tmp_path / "val/a.tfrecords").write_bytes(frames([record]))
    with pytest.raises(DataError, match="a record cannot be used"):
        list(ImageRecords(tmp_path, "val", 1, 8).evaluation())
    with pytest.raises(DataError, match="Expected a JPEG"):
        jpeg_size(b"\x89PNG")


def test_places_without_records_and_unfinished_ones(records: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="expected a folder of records"):
        ImageRecords(tmp_path / "x", "train", 1)
    with pytest.raises(DataError, match="zoolib data build"):
        ImageRecords(tmp_path, "train", 1)
    with pytest.raises(DataError, match="Expected a part"):
        ImageRecords(records, "test", 1)
    (tmp_path / "plan.json").write_text("{}")
    with pytest.raises(DataError, match="run the same build again"):
        ImageRecords(tmp_path, "train", 1)


def test_bad_arguments(numbered: ImageClasses) -> None:
    for wrong in ({"rank": 3, "ranks": 3}, {"batch_size": 0}, {"size": 0}):
        with pytest.raises(ConfigError):
            MemoryImages(numbered, **{"batch_size": 1, **wrong})
    grey = ImageClasses.from_arrays(np.zeros((1, 2, 2, 1), np.uint8), [0], ["a"])
    with pytest.raises(DataError, match="3 channels"):
        MemoryImages(grey, 1)
