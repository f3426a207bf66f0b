"""From an archive to a task: records, splits, copies, checks, and what is refused."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from zoolib.cli import main
from zoolib.data import semi_builder
from zoolib.data.archives import digests
from zoolib.data.record_format import Record, encode_example, frames
from zoolib.data.semi_builder import BuildOptions, build_semisup
from zoolib.data.semi_fixtures import coloured, write_cifar, write_stl10, write_svhn
from zoolib.data.semi_load import from_records
from zoolib.data.semi_manifest import check_semisup, split_files
from zoolib.data.semi_records import encode, read_labels, read_part
from zoolib.data.semi_sources import cifar
from zoolib.data.semi_split import SplitOptions, split_records
from zoolib.data.semisup import Mismatch
from zoolib.data.semisup import from_records as public
from zoolib.errors import ConfigError, DataError

TRAIN, TEST = np.arange(200) % 10, np.arange(40) % 10


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    path = tmp_path_factory.mktemp("archive") / "cifar-10-binary.tar.gz"
    images, others = write_cifar(path, "binary", TRAIN, TEST)
    return path, images, others


def origin(archive):
    return cifar("cifar10", archive[0], digests(archive[0], "sha256"))


@pytest.fixture(scope="module")
def made(archive, tmp_path_factory):
    """Records with splits of 40 labels, seeds 1 and 2; not to be written to."""
    to = tmp_path_factory.mktemp("records")
    told = build_semisup(origin(archive), to, BuildOptions((40,), (1, 2), validation=20))
    return to, told


@pytest.fixture
def copy(made, tmp_path):
    """A copy to be spoilt."""
    return shutil.copytree(made[0], tmp_path / "copy")


def content(folder):
    return {
        p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()
    }


def test_records_and_splits_hold_what_the_archive_holds(archive, made):
    to, told = made
    assert (told["train"], told["test"], told["classes"]) == (200, 40, 10)
    assert (told["cifar10.1@40 labelled"], told["cifar10.2@40 unlabelled"]) == (40, 160)
    train = read_part(to / "cifar10-train.tfrecord")
    assert np.array_equal(train.images, archive[1]) and np.array_equal(train.labels, TRAIN)
    split = split_records(TRAIN, SplitOptions(40, 1))
    files = split_files("cifar10", 1, 40)
    assert files.label == "SSL/cifar10.1@40-label.tfrecord"
    document = json.loads((to / files.map).read_text())
    assert document == {"label": split.label.tolist(), "unlabel": split.unlabel.tolist()}
    unlabelled = read_part(to / files.unlabel)
    assert np.array_equal(unlabelled.images, archive[1][split.unlabel])
    names = json.loads((to / "cifar10_class_mappings.json").read_text())
    assert names == {str(c): f"class_{c}" for c in range(10)}


def test_the_task_is_the_split(archive, made):
    data = from_records(made[0], "cifar10", 1, 40, 20)
    split = split_records(TRAIN, SplitOptions(40, 1))
    assert np.array_equal(data.labelled.images, archive[1][split.label])
    assert np.array_equal(data.labelled.labels, TRAIN[split.label])
    assert np.array_equal(data.validation.images, archive[1][split.unlabel[:20]])
    assert np.array_equal(data.unlabelled.images, archive[1][split.unlabel[20:]])
    assert np.array_equal(data.test.images, archive[2])
    assert data.classes == 10 and not data.foreign.any()
    assert data.fingerprint == public(made[0], "cifar10", 1, 40, 20).fingerprint
    assert data.fingerprint != from_records(made[0], "cifar10", 2, 40, 20).fingerprint
    mixed = from_records(made[0], "cifar10", 1, 40, 12, Mismatch(0.5))
    assert mixed.names == tuple(f"class_{c}" for c in range(2, 8)), "the animals, on CIFAR-10"
    assert len(mixed.labelled) == 24 and mixed.foreign.mean() == 0.5


def test_a_second_run_changes_nothing_and_reads_no_archive(archive, made, monkeypatch):
    before = content(made[0])
    monkeypatch.setattr(semi_builder, "encoded", None)  # so that writing would fail
    again = build_semisup(origin(archive), made[0], BuildOptions((40,), (1, 2), validation=20))
    assert content(made[0]) == before and again == made[1]


def test_what_is_missing_is_made_again_to_the_byte(archive, made, copy):
    whole = content(copy)
    for name in ("cifar10-test.tfrecord", "SSL/cifar10.1@40-unlabel.tfrecord"):
        (copy / name).unlink()
    build_semisup(origin(archive), copy, BuildOptions((40,), (1, 2), validation=20))
    assert content(copy) == whole


@pytest.mark.parametrize("stop", [1, 2, 3, 4])
def test_a_build_that_was_stopped_goes_on(archive, made, tmp_path, stop, monkeypatch):
    from zoolib.data import semi_splitting

    calls = []

    def dies(path, *others):
        calls.append(path)
        if len(calls) == stop:
            raise KeyboardInterrupt
        return write(path, *others)

    write = semi_builder.write_blocks
    options = BuildOptions((40,), (1, 2), validation=20)
    for module in (semi_builder, semi_splitting):
        monkeypatch.setattr(module, "write_blocks", dies)
    with pytest.raises(KeyboardInterrupt):
        build_semisup(origin(archive), tmp_path / "to", options)
    for module in (semi_builder, semi_splitting):
        monkeypatch.setattr(module, "write_blocks", write)
    with pytest.raises(DataError, match="not finished|not written|expected this split"):
        check_semisup(tmp_path / "to")
        from_records(tmp_path / "to", "cifar10", 1, 40, 20)
    build_semisup(origin(archive), tmp_path / "to", options)
    assert content(tmp_path / "to") == content(made[0])


def test_other_data_is_never_overwritten(archive, made, copy, tmp_path):
    path = tmp_path / "other.tar.gz"
    write_cifar(path, "python", TRAIN[:100], TEST)
    other = cifar("cifar10", path, digests(path, "sha256"))
    before = content(copy)
    with pytest.raises(DataError, match="holds cifar10 made from other files"):
        build_semisup(other, copy, BuildOptions())
    with pytest.raises(DataError, match="made otherwise.*class_balance False there, True now"):
        build_semisup(origin(archive), copy, BuildOptions((40,), class_balance=True))
    assert content(copy) == before
    strange = tmp_path / "strange"
    strange.mkdir()
    (strange / "cifar10-train.tfrecord").write_bytes(b"somebody's")
    with pytest.raises(DataError, match="cifar10-train.tfrecord of unknown origin"):
        build_semisup(other, strange, BuildOptions())
    (copy / split_files("cifar10", 1, 40).manifest).unlink()
    with pytest.raises(DataError, match="found this file of unknown origin"):
        build_semisup(origin(archive), copy, BuildOptions((40,)))


def test_bad_options(archive, tmp_path):
    with pytest.raises(ConfigError, match="labels: expected at most 200.* got 201"):
        build_semisup(origin(archive), tmp_path, BuildOptions((20, 201)))
    assert not list(tmp_path.glob("*.*record*"))
    with pytest.raises(ConfigError, match="augment: expected one of"):
        BuildOptions(augment="blur")
    with pytest.raises(ConfigError, match="0 or more"):
        BuildOptions(copies=-1)


def test_copies_leave_the_validation_images_alone(archive, tmp_path):
    options = BuildOptions((40,), (1,), validation=20, copies=3, augment="cutout+cifar10")
    told = build_semisup(origin(archive), tmp_path, options)
    assert told["cifar10_aug3.1@40 unlabelled"] == 20 + 140 * 3
    data = from_records(tmp_path, "cifar10_aug3", 1, 40, 20)
    plain = from_records(tmp_path, "cifar10", 1, 40, 20)
    for part in ("labelled", "validation", "test"):
        assert np.array_equal(getattr(data, part).images, getattr(plain, part).images), part
    document = json.loads((tmp_path / "SSL/cifar10_aug3.1@40-map.json").read_text())
    held, copied = document["unlabel"][:20], document["unlabel"][20:]
    assert not set(held) & set(copied)
    assert sorted(copied) == sorted(3 * sorted(set(copied))) and copied != sorted(copied)
    assert np.array_equal(TRAIN[copied], data.unlabelled.labels)
    originals = archive[1][copied]
    changed = (data.unlabelled.images != originals).any(axis=(1, 2, 3))
    assert changed.mean() > 0.9
    distance = np.abs(data.unlabelled.images.astype(int) - originals).mean()
    assert distance < np.abs(np.roll(originals, 1, axis=0).astype(int) - originals).mean()
    with pytest.raises(ConfigError, match="validation: expected 20, as the copies.* got 30"):
        from_records(tmp_path, "cifar10_aug3", 1, 40, 30)
    assert check_semisup(tmp_path, ["cifar10"])["cifar10_aug3.1@40 unlabelled"] == 440
    before = content(tmp_path)
    assert build_semisup(origin(archive), tmp_path, options) == told
    assert content(tmp_path) == before
    with pytest.raises(DataError, match="made otherwise"):
        build_semisup(origin(archive), tmp_path, BuildOptions((40,), (1,), copies=3))


def test_pictures_in_two_parts_are_counted(tmp_path):
    path = tmp_path / "cifar-10-python.tar.gz"
    labels = np.arange(60) % 10
    write_cifar(path, "python", labels, labels[:20])
    source = cifar("cifar10", path, digests(path, "sha256"))

    def doubled(near):
        real = source.load(near)
        real.train["train"].images[30:32] = real.test.images[:2]
        real.train["train"].images[33] = real.train["train"].images[34]
        return real

    twice = type(source)(source.name, source.files, doubled)
    told = build_semisup(twice, tmp_path / "to", BuildOptions((20,), (0,), validation=10))
    # With seed 0 the first 20 have labels, the next 10 validate.
    assert told["cifar10.0@20 in two parts"] == {"unlabelled/test": 2}
    told = build_semisup(twice, tmp_path / "to", BuildOptions((34,), (0,), validation=1))
    assert told["cifar10.0@34 in two parts"]["labelled/test"] == 2


def test_unknown_labels_stay_unknown(tmp_path):
    from zoolib.data.semi_sources import stl10

    path = tmp_path / "stl10_binary.tar.gz"
    fold = " ".join(str(i) for i in range(20))
    write_stl10(path, np.arange(30) % 10, np.arange(10), 12, folds="\n".join([fold] * 10))
    source = stl10(path, digests(path, "sha256"))
    to = tmp_path / "to"
    build_semisup(source, to, BuildOptions((10,), (3,), validation=5))
    assert read_labels(to / "stl10-unlabeled.tfrecord").tolist() == [0] * 12
    data = from_records(to, "stl10", 3, 10, 15)
    assert (data.unlabelled.labels == -1).sum() == 12 and len(data.unlabelled) == 17
    assert data.validation.labels.min() >= 0 and np.bincount(data.labelled.labels).max() == 1
    with pytest.raises(ConfigError, match="validation: expected from 0 to 20 images"):
        from_records(to, "stl10", 3, 10, 21)
    assert (to / "stl10_fold_indices.txt").read_text().split("\n")[3] == fold
    assert check_semisup(to)["unlabeled"] == 12


# ---- reading


def test_a_stale_split_is_refused_by_checksum(archive, made, copy, tmp_path):
    other = tmp_path / "other"
    path = tmp_path / "x.tar.gz"
    write_cifar(path, "python", np.roll(TRAIN, 3), TEST)
    build_semisup(cifar("cifar10", path, digests(path, "sha256")), other, BuildOptions((40,)))
    for ending in ("label.tfrecord", "unlabel.tfrecord", "map.json", "manifest.json"):
        name = f"SSL/cifar10.1@40-{ending}"
        shutil.copy(other / name, copy / name)
    with pytest.raises(DataError, match="made from another cifar10-train.tfrecord .checksum"):
        from_records(copy, "cifar10", 1, 40, 20)
    with pytest.raises(DataError, match="made from another cifar10-train.tfrecord"):
        check_semisup(copy)
    with pytest.raises(DataError, match="made from another cifar10-train.tfrecord"):
        build_semisup(origin(archive), copy, BuildOptions((40,)))


def test_published_splits_without_checksums_are_compared_by_content(archive, made, copy, tmp_path):
    for name in ("SSL/cifar10.1@40-manifest.json", "cifar10-manifest.json"):
        (copy / name).unlink()
    data = from_records(copy, "cifar10", 1, 40, 20)
    assert data.fingerprint == from_records(made[0], "cifar10", 1, 40, 20).fingerprint
    (copy / "cifar10_class_mappings.json").unlink()
    assert from_records(copy, "cifar10", 1, 40, 20).names == tuple("0123456789")
    whole = (copy / "cifar10-train.tfrecord").read_bytes()
    write_cifar(tmp_path / "x.tar.gz", "python", np.roll(TRAIN, 3), TEST)
    again = cifar("cifar10", tmp_path / "x.tar.gz", digests(tmp_path / "x.tar.gz", "sha256"))
    build_semisup(again, tmp_path / "other", BuildOptions())
    shutil.copy(tmp_path / "other/cifar10-train.tfrecord", copy)
    with pytest.raises(DataError, match="made from other training records"):
        from_records(copy, "cifar10", 1, 40, 20)
    (copy / "cifar10-train.tfrecord").write_bytes(whole)
    (copy / "SSL/cifar10.1@40-map.json").unlink()
    with pytest.raises(DataError, match="to see whether the split belongs to the data"):
        from_records(copy, "cifar10", 1, 40, 20)


def test_bad_records_are_named_with_what_was_found(made, copy, tmp_path):
    path = tmp_path / "a.tfrecord"
    path.write_bytes(frames([encode(np.zeros((4, 4, 3), np.uint8), 1), b"\n\x00"]))
    with pytest.raises(DataError, match="a.tfrecord: record 1: .*keys image and label.* found"):
        read_part(path)
    image = encode_example("reference", Record(b"no picture", 1, None))
    path.write_bytes(frames([image]))
    with pytest.raises(DataError, match="record 0: expected an image"):
        read_part(path)
    path.write_bytes(frames([encode(np.zeros((4, 4, 3), np.uint8), 7)]))
    with pytest.raises(DataError, match="record 0: expected a label from 0 to 4, found 7"):
        read_part(path, classes=5)
    sizes = [encode(np.zeros((s, 4, 3), np.uint8), 0) for s in (4, 5)]
    path.write_bytes(frames(sizes))
    with pytest.raises(DataError, match=r"record 1: expected images of one size, found \(5, 4\)"):
        read_part(path)
    path.write_bytes(frames(sizes)[:-3])
    with pytest.raises(DataError, match="ends within number 2"):
        read_part(path)
    path.write_bytes(b"")
    with pytest.raises(DataError, match="at least one record, found none"):
        read_part(path)
    with pytest.raises(DataError, match=r"found cifar10.1@40, cifar10.2@40 of cifar10"):
        from_records(copy, "cifar10", 1, 50, 20)
    file = copy / "SSL/cifar10.1@40-label.tfrecord"
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    with pytest.raises(DataError, match=r"they differ: SSL/cifar10.1@40-label.tfrecord .checksum"):
        from_records(copy, "cifar10", 1, 40, 20)


def test_keys_of_a_foreign_record_file_are_told(tmp_path):
    tf = pytest.importorskip("tensorflow")
    value = tf.train.Feature(bytes_list=tf.train.BytesList(value=[b"x"]))
    features = tf.train.Features(feature={"picture": value, "klass": value})
    path = tmp_path / "foreign.tfrecord"
    with tf.io.TFRecordWriter(str(path)) as writer:
        writer.write(tf.train.Example(features=features).SerializeToString())
    with pytest.raises(
        DataError, match=r"foreign.tfrecord: record 0.*found \['klass', 'picture'\]"
    ):
        read_part(path)


def test_tensorflow_reads_the_records(made):
    tf = pytest.importorskip("tensorflow")
    path = made[0] / "SSL/cifar10.1@40-label.tfrecord"
    own = read_part(path)
    keys = {
        "image": tf.io.FixedLenFeature([], tf.string),
        "label": tf.io.FixedLenFeature([], tf.int64),
    }
    for number, raw in enumerate(tf.data.TFRecordDataset(str(path))):
        example = tf.io.parse_single_example(raw, keys)
        assert np.array_equal(tf.io.decode_image(example["image"]).numpy(), own.images[number])
        assert int(example["label"]) == own.labels[number]
    assert number == 39


# ---- the command line


def told(capsys):
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def test_cifar_from_the_command_line(archive, tmp_path, capsys):
    sums = digests(archive[0], "sha256")[0]
    words = ["data", "build", "cifar10", "--archive", str(archive[0]), "--to", str(tmp_path / "r")]
    assert main(words) == 2
    error = capsys.readouterr().err
    assert f"--sha256 {sums}" in error and error.count("\n") == 1
    assert not (tmp_path / "r").exists()
    words += ["--sha256", sums, "--labels", "20", "40", "--seeds", "1", "2", "--json"]
    assert main([*words, "--validation", "10"]) == 0
    assert told(capsys)["cifar10.2@20 unlabelled"] == 180
    check = ["data", "check", "cifar10", "--at", str(tmp_path / "r")]
    assert main([*check, "--json"]) == 0
    counts = told(capsys)
    assert counts["whole"] and counts["cifar10.1@40 labelled"] == 40 and counts["test"] == 40
    assert main(["data", "check", "svhn", "--at", str(tmp_path / "r")]) == 2
    assert "expected records of svhn or svhn_noextra, found cifar10" in capsys.readouterr().err
    (tmp_path / "r" / "SSL" / "cifar10.1@20-unlabel.tfrecord").unlink()
    assert main(check) == 2
    assert "SSL/cifar10.1@20-unlabel.tfrecord (missing)" in capsys.readouterr().err


def test_svhn_and_own_images_from_the_command_line(tmp_path, capsys):
    raw = tmp_path / "raw"
    raw.mkdir()
    write_svhn(raw, train=TRAIN, test=TEST)
    sums = [digests(path, "sha256")[0] for path in sorted(raw.iterdir())]
    words = ["data", "build", "svhn", "--archive", str(raw), "--to", str(tmp_path / "s"), "--json"]
    assert main([*words, "--sha256", *sums, "--labels", "20"]) == 0
    assert told(capsys)["svhn_noextra.1@20 labelled"] == 20
    assert main(["data", "check", "svhn", "--at", str(tmp_path / "s"), "--json"]) == 0
    from PIL import Image

    for c, name in enumerate(("a", "b")):
        (tmp_path / "own" / name).mkdir(parents=True)
        for i, pixels in enumerate(coloured(np.full(10, c), 8)):
            Image.fromarray(pixels).save(tmp_path / "own" / name / f"{i}.png")
    words = ["data", "build", "semisup", "--folders", str(tmp_path / "own"), "--name", "mine"]
    words += ["--to", str(tmp_path / "o"), "--labels", "4", "--validation", "2", "--json"]
    capsys.readouterr()
    assert main(words) == 0
    assert told(capsys)["mine.1@4 unlabelled"] == 12
    assert main(["data", "check", "semisup", "--at", str(tmp_path / "o")]) == 0
    data = from_records(tmp_path / "o", "mine", 1, 4, 2)
    assert data.names == ("a", "b") and len(data.unlabelled) == 10 and len(data.test) == 4
