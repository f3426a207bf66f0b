"""Records: their bytes, odd files, kills, a full disk, checks."""

from __future__ import annotations

import csv
import errno
import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from zoolib.data import record_builder
from zoolib.data.crc32c import crc32c
from zoolib.data.imagenet import explore_imagenet
from zoolib.data.pictures import Picture
from zoolib.data.record_builder import build_records
from zoolib.data.record_check import check_records
from zoolib.data.record_format import Record, decode_example, encode_example, frames, record_lengths
from zoolib.data.record_images import inspect
from zoolib.data.record_index import open_index
from zoolib.data.record_plan import LabelledImages, RecordOptions
from zoolib.data.shapes_files import write_shapes
from zoolib.errors import ConfigError, DataError, StoreError

BOXES = [None, np.zeros((0, 4), np.float32), np.array([[0, 0.25, 0.5, 1], [0.1, 0, 1, 1]], "f4")]
ABOUT = {"height": 3, "width": 300, "filename": "a.JPEG", "synset": "n1", "text": "kit fox"}


def files(root: Path) -> dict[str, bytes]:
    return {
        p.relative_to(root).as_posix(): p.read_bytes()
        for p in sorted(root.rglob("*"))
        if p.is_file() and p.name != ".lock"
    }


# ---- bytes


def test_checksums_of_known_strings() -> None:
    assert crc32c([b"123456789", b"", b"\0" * 32, b"\xff" * 32]).tolist() == [
        0xE3069283,
        0,
        0x8A9136AA,
        0x62A8AB43,
    ]


def test_checksums_do_not_depend_on_what_is_divided_with_them() -> None:
    rng = np.random.RandomState(0)
    contents = [rng.bytes(n) for n in (1, 2, 3, 4, 31, 32, 33, 64, 1000, 70_000, 90_000, 5)]
    assert crc32c(contents).tolist() == [int(crc32c([c])[0]) for c in contents]


@pytest.mark.parametrize("boxes", BOXES, ids=["none", "empty", "two"])
@pytest.mark.parametrize("schema", ["reference", "inception"])
@pytest.mark.parametrize("label", [0, 1, 127, 448, 999])
def test_examples_round_trip(schema: str, boxes: np.ndarray | None, label: int) -> None:
    content = encode_example(schema, Record(b"jpeg" * 100, label, boxes), ABOUT)
    read = decode_example(content)
    assert (read.jpeg, read.label) == (b"jpeg" * 100, label)
    if boxes is None:
        assert read.boxes is None
    else:
        np.testing.assert_array_equal(read.boxes, boxes)


def test_tensorflow_reads_what_is_written_and_writes_what_is_read(tmp_path: Path) -> None:
    import tensorflow as tf

    path = tmp_path / "a.tfrecords"
    records = [Record(os.urandom(50 + i), i, BOXES[i % 2 + 1]) for i in range(5)]
    path.write_bytes(frames([encode_example("reference", r) for r in records]))
    corner = tf.io.VarLenFeature(tf.float32)
    keys = {
        "image": tf.io.FixedLenFeature([], tf.string),
        "label": tf.io.FixedLenFeature([], tf.int64),
        **{name: corner for name in ("xmin", "ymin", "xmax", "ymax")},
    }
    for record, content in zip(records, tf.data.TFRecordDataset(str(path))):
        read = tf.io.parse_single_example(content, keys)
        assert read["image"].numpy() == record.jpeg and read["label"].numpy() == record.label
        np.testing.assert_array_equal(read["ymax"].values, record.boxes[:, 3])
    slim = encode_example("inception", records[1], ABOUT)
    features = tf.train.Example.FromString(slim).features.feature
    assert features["image/class/label"].int64_list.value == [2]
    assert features["image/class/text"].bytes_list.value == [b"kit fox"]
    assert features["image/width"].int64_list.value == [300]
    again = tf.train.Example.FromString(encode_example("reference", records[1]))
    np.testing.assert_array_equal(decode_example(again.SerializeToString()).boxes, records[1].boxes)


def test_what_is_no_example_is_refused() -> None:
    wrong = encode_example("reference", Record(b"x", 1, None)).replace(b"label", b"lapel")
    for content in (b"", b"\x0a\xff", b"nonsense", wrong):
        with pytest.raises(DataError, match="Expected a record"):
            decode_example(content)


def test_lengths_of_records_and_files_cut_short(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(frames([b"abc", b"", b"x" * 70]))
    assert record_lengths(path) == [3, 0, 70]
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DataError, match="ends within number 3"):
        record_lengths(path)


# ---- odd files


def picture(mode: str, kind: str = "JPEG", size: tuple[int, int] = (40, 24)) -> bytes:
    colours = {"RGB": (10, 200, 30), "L": 77, "CMYK": (0, 250, 250, 0), "RGBA": (255, 0, 0, 0)}
    buffer = io.BytesIO()
    Image.new(mode, size, colours[mode]).save(buffer, kind)
    return buffer.getvalue()


def noisy() -> bytes:
    buffer = io.BytesIO()
    pixels = np.random.RandomState(0).randint(0, 256, (64, 64, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(buffer, "JPEG")
    return buffer.getvalue()


ODD_FILES = {
    "cmyk": (picture("CMYK"), "JPEG in mode CMYK", "left out", "converted to an RGB JPEG"),
    "png": (picture("RGB", "PNG"), "PNG in place of JPEG", "left out", "converted to an RGB JPEG"),
    "clear": (picture("RGBA", "PNG"), "PNG in place", "left out", "converted to an RGB JPEG"),
    "grey": (picture("L"), "greyscale", "kept as it is", "kept as it is"),
    "empty": (b"", "empty file, 0 bytes", "left out", "left out"),
    "short": (noisy()[:2000], "cannot be decoded: image file is truncated", "left out", "left out"),
    "text": (b"this is no picture", "cannot be decoded", "left out", "left out"),
    "pixel": (picture("RGB", size=(1, 1)), "one pixel only", "left out", "left out"),
    "line": (picture("RGB", size=(1, 2)), None, None, None),
}


@pytest.mark.parametrize("name", ODD_FILES)
def test_verdict_on_odd_files(name: str) -> None:
    content, found, skipped, converted = ODD_FILES[name]
    for odd, done in (("skip", skipped), ("convert", converted)):
        seen = inspect(content, odd)
        if found is None:
            assert seen.note is None and seen.jpeg == content
            continue
        assert seen.note[0].startswith(found) and seen.note[1] == done
        if done == "left out":
            assert seen.jpeg is None
        elif done == "kept as it is":
            assert seen.jpeg == content
        else:
            with Image.open(io.BytesIO(seen.jpeg)) as image:
                assert (image.format, image.mode) == ("JPEG", "RGB")
                assert image.size == (seen.width, seen.height) == (40, 24)
                expected = {"cmyk": (255, 5, 5), "png": (10, 200, 30), "clear": (255, 255, 255)}
                np.testing.assert_allclose(image.getpixel((20, 12)), expected[name], atol=8)


def test_pictures_are_stored_upright() -> None:
    image = Image.new("RGB", (30, 20), "white")
    exif = image.getexif()
    exif[0x0112] = 6  # turned by a quarter
    buffer = io.BytesIO()
    image.save(buffer, "PNG", exif=exif)
    seen = inspect(buffer.getvalue(), "convert")
    assert (seen.width, seen.height) == (20, 30)


def spoil(raw: Path) -> dict[str, str]:
    """Put every odd file in place of a good one; file name -> kind."""
    places = [p for folder in sorted((raw / "train").iterdir()) for p in sorted(folder.iterdir())]
    told = {}
    for place, (name, (content, found, *_)) in zip(places[1::5], ODD_FILES.items()):
        place.write_bytes(content)
        if found:
            told[place.name] = name
    return told


def test_every_odd_file_is_in_the_report(raw: Path, tmp_path: Path) -> None:
    told = spoil(raw)
    found = explore_imagenet(raw, boxes=raw / "annotations")
    for odd, left_out in (("skip", 7), ("convert", 4)):
        to = tmp_path / odd
        manifest = build_records(found, to, RecordOptions(odd=odd, shards={"train": 3}))
        assert manifest["splits"]["train"]["left_out"] == left_out
        assert manifest["splits"]["train"]["records"] == 48 - left_out
        with (to / "report.csv").open() as file:
            rows = list(csv.DictReader(file))
        assert {row["file"].split("/")[1] for row in rows} == set(told)
        for row in rows:
            content, reason, *done = ODD_FILES[told[row["file"].split("/")[1]]]
            assert row["found"].startswith(reason)
            assert row["done"] == done[odd == "convert"]
        assert check_records("imagenet", to) == {"train": 48 - left_out, "val": 12}
        index = open_index(to, "train")
        assert all(decode_example(index.read(i)).boxes is not None for i in range(48 - left_out))


def test_a_set_of_odd_files_only_is_refused_and_a_shard_of_them_leaves_no_file(
    tmp_path: Path,
) -> None:
    good, bad = tmp_path / "good.JPEG", tmp_path / "bad.JPEG"
    good.write_bytes(picture("RGB"))
    bad.write_bytes(b"")
    gone = Picture("gone.JPEG", str(tmp_path / "gone.JPEG"), -1, -1, 0)
    rows = [Picture(p.name, str(p), -1, -1, 0) for p in (good, bad)] + [gone]
    found = LabelledImages("images", (("a", "a"),), {"train": rows, "val": rows[:1]})
    manifest = build_records(found, tmp_path / "a", RecordOptions(shards={"train": 3}))
    shards = [p.name for p in (tmp_path / "a/train_shards").glob("*.tfrecords")]
    assert len(shards) == 1 and manifest["splits"]["train"]["left_out"] == 2
    assert len(open_index(tmp_path / "a", "train").lengths) == 1
    found = LabelledImages("images", (("a", "a"),), {"train": rows[:1], "val": rows[1:]})
    with pytest.raises(DataError, match=r"every one of 2 was left out.*0 bytes"):
        build_records(found, tmp_path / "b", RecordOptions())


# ---- building


def test_records_hold_labels_boxes_and_the_files_themselves(drawn: Path, tmp_path: Path) -> None:
    found = explore_imagenet(drawn, boxes=drawn / "annotations")
    build_records(found, tmp_path, RecordOptions(shards={"train": 5, "val": 2}))
    for split in ("train", "val"):
        index = open_index(tmp_path, split)
        assert len(index.files) == {"train": 5, "val": 2}[split]
        read = [decode_example(index.read(i)) for i in range(len(index.lengths))]
        raw = {row.read(): row for row in found.splits[split]}
        assert {record.jpeg for record in read} == set(raw)
        for record in read:
            row = raw[record.jpeg]
            assert record.label == row.label
            if split == "val":
                assert record.boxes is None
            else:
                name = Path(row.name).stem
                np.testing.assert_array_equal(record.boxes, found.boxes[name])
    order = [decode_example(open_index(tmp_path, "train").read(i)).label for i in range(48)]
    assert order != sorted(order)


def test_processes_schemas_and_seeds(drawn: Path, tmp_path: Path) -> None:
    found = explore_imagenet(drawn)
    shards = {"train": 4, "val": 2}
    for name, options, workers in (
        ("one", RecordOptions(shards=shards), 1),
        ("two", RecordOptions(shards=shards), 2),
        ("seed", RecordOptions(shards=shards, seed=1), 1),
        ("slim", RecordOptions(shards=shards, schema="inception"), 1),
    ):
        build_records(found, tmp_path / name, options, workers)
    assert files(tmp_path / "one") == files(tmp_path / "two")
    read = {}
    for name in ("one", "seed", "slim"):
        index = open_index(tmp_path / name, "train")
        read[name] = [decode_example(index.read(i))[:2] for i in range(48)]
    assert read["one"] == read["slim"] != read["seed"]
    assert sorted(read["one"]) == sorted(read["seed"])


def test_what_cannot_be_built(drawn: Path, tmp_path: Path) -> None:
    found = explore_imagenet(drawn)
    build_records(found, tmp_path / "a", RecordOptions())
    with pytest.raises(DataError, match="made otherwise .seed 0 there, 1 now"):
        build_records(found, tmp_path / "a", RecordOptions(seed=1))
    (tmp_path / "b/val_shards").mkdir(parents=True)
    (tmp_path / "b/val_shards/x").touch()
    with pytest.raises(DataError, match="unknown origin"):
        build_records(found, tmp_path / "b", RecordOptions())
    (tmp_path / "c").touch()
    with pytest.raises(StoreError, match="cannot be written"):
        build_records(found, tmp_path / "c", RecordOptions())
    for wrong in ({"schema": "x"}, {"odd": "x"}, {"seed": -1}, {"shards": {"train": 0}}):
        with pytest.raises(ConfigError):
            RecordOptions(**wrong)


def test_two_builds_at_a_time_are_refused(drawn: Path, tmp_path: Path) -> None:
    found = explore_imagenet(drawn)
    with record_builder.locked(tmp_path), pytest.raises(StoreError, match="another process"):
        build_records(found, tmp_path, RecordOptions())


def test_a_full_disk_leaves_nothing_half_written(
    drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = explore_imagenet(drawn)
    options = RecordOptions(shards={"train": 6, "val": 2})
    build_records(found, tmp_path / "whole", options)
    full = OSError(errno.ENOSPC, "No space left on device")
    left = [3]

    def fsync(_: int) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise full

    with monkeypatch.context() as patch:
        patch.setattr("zoolib.data.whole_files.os.fsync", fsync)
        with pytest.raises(StoreError, match="No space left on device. Make room"):
            build_records(found, tmp_path / "full", options)
    with pytest.raises(DataError, match="found none. Build them"):
        open_index(tmp_path / "full", "train")
    assert not [p for p in files(tmp_path / "full") if "partial" in p]
    build_records(found, tmp_path / "full", options)
    assert files(tmp_path / "full") == files(tmp_path / "whole")


def test_killed_and_run_again_gives_the_same_bytes(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    raw = tmp_path / "raw"
    write_shapes(raw, classes=3, train=80, validation=2, size=16)
    words = ["data", "build", "imagenet", "--images", str(raw), "--boxes", str(raw / "annotations")]
    words += ["--shards", "60", "--workers", "2", "--json"]
    command = [sys.executable, "-m", "zoolib", *words, "--to"]
    killed = tmp_path / "killed"
    running = subprocess.Popen([*command, str(killed)], env=environment)
    deadline = time.monotonic() + 60
    while len(list(killed.glob("train_shards/*.json"))) < 5 and time.monotonic() < deadline:
        time.sleep(0.002)
    running.send_signal(signal.SIGKILL)
    running.wait()
    before = {p.name: p.stat().st_mtime_ns for p in killed.glob("train_shards/shard-*.json")}
    assert 5 <= len(before) < 60 and not (killed / "manifest.json").exists()
    (killed / "train_shards/.shard-0059.tfrecords.partial").write_bytes(b"left behind")

    done = subprocess.run(
        [*command, str(killed)], env=environment, capture_output=True, text=True, check=True
    )
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["train"] == 240 and told["val"] == 6 and told["classes"] == 3
    kept = [n for n, t in before.items() if (killed / "train_shards" / n).stat().st_mtime_ns == t]
    assert len(kept) >= len(before) - 2  # a worker may have been between two renames
    whole = tmp_path / "whole"
    found = explore_imagenet(raw, boxes=raw / "annotations")
    build_records(found, whole, RecordOptions(shards={"train": 60}))
    there = {k: v for k, v in files(killed).items() if not k.startswith("explore/")}
    assert there == files(whole)


# ---- checking


def test_check_finds_what_was_changed(drawn: Path, tmp_path: Path) -> None:
    found = explore_imagenet(drawn)
    options = RecordOptions(shards={"train": 3, "val": 1})
    build_records(found, tmp_path, options)
    before = files(tmp_path)
    assert check_records("imagenet", tmp_path) == {"train": 48, "val": 12}
    with pytest.raises(DataError, match="records of shapes, found those of imagenet"):
        check_records("shapes", tmp_path)
    shard = tmp_path / "train_shards/shard-0001.tfrecords"
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)
    with pytest.raises(DataError, match=r"1 of 4 shards.*shard-0001.tfrecords \(checksum\)"):
        check_records("imagenet", tmp_path)
    shard.write_bytes(content[:-5])
    with pytest.raises(DataError, match="another length"):
        open_index(tmp_path, "train")
    shard.unlink()
    with pytest.raises(DataError, match="missing"):
        check_records("imagenet", tmp_path)
    build_records(found, tmp_path, options)
    assert files(tmp_path) == before
