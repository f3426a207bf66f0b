"""Few-shot files: the common format to the byte, what is refused, the generated set."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest

from zoolib.data import fewshot
from zoolib.data.attrshapes import attrshapes, class_lists, name_vectors, word_table
from zoolib.data.fewshot import Split, check_sets, read_sets, read_split, write_split
from zoolib.data.fewshot_store import check_manifest
from zoolib.data.npz_files import Pieces, write_npz
from zoolib.errors import ConfigError, DataError


def split(
    classes: int = 3, each: int = 4, seed: int = 0, names: str = "name", words: int = 5
) -> Split:
    source = np.random.default_rng(seed)
    class_of = source.permutation(np.repeat(np.arange(classes, dtype=np.int32), each))
    return Split(
        source.integers(0, 256, (classes * each, 6, 5, 3), np.uint8),
        class_of,
        tuple(f"{names} {i}" for i in range(classes)) if names else fewshot.numbered(classes),
        source.normal(size=(classes, words)).astype(np.float32) if words else None,
    )


def same(one: Split, other: Split) -> None:
    np.testing.assert_array_equal(one.images, other.images)
    np.testing.assert_array_equal(one.class_of, other.class_of)
    np.testing.assert_array_equal(one.vectors, other.vectors)
    assert one.names == other.names and one.class_of.dtype == np.int32


# ---- files


def test_files_are_those_of_numpy(tmp_path: Path) -> None:
    """Others read these names, keys and types; ours are what `numpy.savez` writes, read back."""
    data = split()
    write_split(tmp_path, "val", data)
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "classes-val.txt",
        "few-shot-val.npz",
        "few-shot-wordemb-val.npz",
    ]
    with np.load(tmp_path / "few-shot-val.npz", allow_pickle=False) as stored:
        assert stored.files == ["features", "targets"]
        assert stored["features"].dtype == np.uint8 and stored["targets"].dtype == np.int64
        np.testing.assert_array_equal(stored["features"], data.images)
    with np.load(tmp_path / "few-shot-wordemb-val.npz", allow_pickle=False) as stored:
        assert stored.files == ["features"] and stored["features"].dtype == np.float64
    assert (tmp_path / "classes-val.txt").read_text() == "name 0\nname 1\nname 2\n"
    same(read_split(tmp_path, "val"), data)
    assert read_split(tmp_path, "val", words=False).vectors is None


def test_bytes_do_not_depend_on_the_machine(tmp_path: Path) -> None:
    array = np.arange(600, dtype=np.uint8).reshape(50, 2, 2, 3)
    told = write_npz(tmp_path / "a.npz", {"features": array, "targets": np.arange(50)})
    parts = Pieces(array.shape, array.dtype, (array[i : i + 7] for i in range(0, 50, 7)))
    assert told == write_npz(tmp_path / "b.npz", {"features": parts, "targets": np.arange(50)})
    assert told["sha256"] == hashlib.sha256((tmp_path / "a.npz").read_bytes()).hexdigest()
    with zipfile.ZipFile(tmp_path / "a.npz") as archive:  # its own fields differ between Pythons
        content = b"".join(archive.read(name) for name in archive.namelist())
    assert hashlib.sha256(content).hexdigest().startswith("dd5fedb2dd52b3f3")
    short = Pieces(array.shape, array.dtype, iter([array[:9]]))
    with pytest.raises(DataError, match="expected 50 rows to write, got 9"):
        write_npz(tmp_path / "c.npz", {"features": short})
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.npz", "b.npz"]


def test_writing_takes_no_memory(tmp_path: Path) -> None:
    """Of a set of 60 MB no more than a piece is held, and it is as large as it should be."""
    import tracemalloc

    parts = (np.full((100, 100, 100, 3), i, np.uint8) for i in range(20))
    tracemalloc.start()
    told = write_npz(tmp_path / "a.npz", {"x": Pieces((2000, 100, 100, 3), np.dtype("u1"), parts)})
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert told["bytes"] > 6e7 and peak < 2e7


def test_files_of_others_are_read(tmp_path: Path) -> None:
    """Compressed, other integers, no names: as `numpy.savez_compressed` leaves them."""
    data = split(names="", words=0)
    np.savez_compressed(
        tmp_path / "few-shot-train.npz",
        features=data.images,
        targets=data.class_of.astype(np.uint8),
    )
    np.savez(tmp_path / "few-shot-wordemb-train.npz", features=np.eye(3, dtype=np.float16))
    found = read_split(str(tmp_path), "train")
    assert found.names == ("0", "1", "2") and not found.named
    assert found.vectors.dtype == np.float32 and found.vectors.shape == (3, 3)
    (tmp_path / "few-shot-wordemb-train.npz").unlink()
    same(read_split(tmp_path, "train"), data)


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    data = split()
    write_split(tmp_path, "train", data)
    before = {p.name: p.stat().st_mtime_ns for p in tmp_path.iterdir()}
    write_split(tmp_path, "train", data)  # the same again: nothing happens
    for other in (split(seed=1), dataclasses.replace(data, names=("a", "b", "c"))):
        with pytest.raises(DataError, match="is there already and holds something else"):
            write_split(tmp_path, "train", other)
    assert before == {p.name: p.stat().st_mtime_ns for p in tmp_path.iterdir()}


def test_objects_are_refused(tmp_path: Path) -> None:
    class Attack:
        def __reduce__(self):
            return (tmp_path / "ran").write_text, ("x",)

    write_split(tmp_path, "train", split())
    images, words = tmp_path / "few-shot-train.npz", tmp_path / "few-shot-wordemb-train.npz"
    np.savez(words, features=np.array([Attack()], object))
    with pytest.raises(DataError, match="few-shot-wordemb-train.npz: holds Python objects"):
        read_split(tmp_path, "train")
    np.savez(images, features=split().images, targets=np.array([0, None], object))
    with pytest.raises(DataError, match="few-shot-train.npz: holds Python objects"):
        read_split(tmp_path, "train")
    images.write_bytes(pickle.dumps(Attack()))
    with pytest.raises(DataError, match="few-shot-train.npz"):
        read_split(tmp_path, "train")
    assert not (tmp_path / "ran").exists()


def test_files_that_do_not_fit(tmp_path: Path) -> None:
    data = split()

    def refused(message: str, **changes: np.ndarray) -> None:
        arrays = {"features": data.images, "targets": data.class_of, **changes}
        np.savez(tmp_path / "few-shot-test.npz", **arrays)
        with pytest.raises(DataError, match=message):
            read_split(tmp_path, "test")

    refused("expected features uint8", features=data.images / 2)
    refused("expected features uint8", targets=data.class_of / 2)
    refused("one class id int32 for each of 12 images", targets=data.class_of[:-1])
    refused("class ids 0 to 4", targets=np.where(data.class_of == 2, 4, data.class_of))
    refused("class ids from 0", targets=data.class_of - 1)
    refused("class ids from 0", targets=data.class_of + np.int64(2**40))
    refused(r"images uint8 \[n, height, width, 3\]", features=data.images[..., :2])
    np.savez(tmp_path / "few-shot-test.npz", images=data.images)
    with pytest.raises(DataError, match="expected the arrays features, targets, found images"):
        read_split(tmp_path, "test")
    with pytest.raises(DataError, match="expected this file .* found none"):
        read_split(tmp_path, "val")
    with pytest.raises(DataError, match="split: expected one of train, val, test"):
        read_split(tmp_path, "validation")
    write_split(tmp_path / "cut", "test", data)
    path = tmp_path / "cut/few-shot-test.npz"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DataError, match="cannot be read"):
        read_split(tmp_path / "cut", "test")


def test_words_and_names_that_do_not_match_the_classes(tmp_path: Path) -> None:
    write_split(tmp_path, "train", split())
    words, names = tmp_path / "few-shot-wordemb-train.npz", tmp_path / "classes-train.txt"
    np.savez(words, features=np.zeros((4, 5)))
    with pytest.raises(DataError, match="a row of numbers for each of the 3 classes"):
        read_split(tmp_path, "train")
    np.savez(words, features=np.full((3, 5), np.nan))
    with pytest.raises(DataError, match="finite word vectors"):
        read_split(tmp_path, "train")
    np.savez(words, features=np.zeros((3, 5)))
    for text, message in (
        ("a\nb\n", "2 lines"),
        ("a\n\nb\n", "1 of them empty"),
        ("a\nb\na\n", "more than once: a"),
    ):
        names.write_text(text)
        with pytest.raises(DataError, match=message):
            read_split(tmp_path, "train")
    with pytest.raises(DataError, match=r"word vectors float32 \[3, D\]"):
        dataclasses.replace(split(), vectors=np.zeros((2, 5), np.float32))


def test_large_files_stay_where_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = split()
    write_split(tmp_path, "train", data)
    np.savez(tmp_path / "few-shot-val.npz", features=data.images, targets=data.class_of)
    np.savez_compressed(tmp_path / "few-shot-test.npz", features=data.images, targets=data.class_of)
    monkeypatch.setattr(fewshot, "_LARGE", 0)
    for name, kept in (("train", True), ("val", True), ("test", False)):
        found = read_split(tmp_path, name, words=False)
        np.testing.assert_array_equal(found.images, data.images)
        assert found.images.flags.writeable != kept and type(found.images) is np.ndarray
    objects = np.array([None] * 12, object)
    np.savez(tmp_path / "few-shot-val.npz", features=objects, targets=data.class_of)
    with pytest.raises(DataError, match="stored uncompressed|Python objects"):
        read_split(tmp_path, "val")


# ---- three splits


def test_splits_that_share_a_class(tmp_path: Path) -> None:
    sets = {name: split(seed=i, names=name) for i, name in enumerate(("train", "val", "test"))}
    for name, data in sets.items():
        write_split(tmp_path, name, data)
    assert list(read_sets(tmp_path)) == ["train", "val", "test"]
    shared = dataclasses.replace(sets["test"], names=("test_0", "Train  1", "test 2"))
    with pytest.raises(DataError, match="train and test to have no class in common, .* train 1"):
        check_sets({**sets, "test": shared}, "here")


def test_splits_that_share_pictures() -> None:
    """Without names a class is known by its pictures."""
    sets = {name: split(seed=i, names="") for i, name in enumerate(("train", "val", "test"))}
    check_sets(sets, "here")
    images = sets["val"].images.copy()
    images[5] = sets["train"].images[2]
    number = sets["train"].class_of[2]
    with pytest.raises(DataError, match=rf"train and val .* {number} \(they hold the same pict"):
        check_sets({**sets, "val": dataclasses.replace(sets["val"], images=images)}, "here")


def test_splits_of_different_sizes() -> None:
    sets = {name: split(seed=i, names=name) for i, name in enumerate(("train", "val", "test"))}
    small = dataclasses.replace(sets["val"], images=sets["val"].images[:, :4])
    with pytest.raises(DataError, match=r"the same image size .* val: \(4, 5\)"):
        check_sets({**sets, "val": small}, "here")
    short = dataclasses.replace(sets["val"], vectors=None)
    with pytest.raises(DataError, match="the same length of word vectors .* val: None"):
        check_sets({**sets, "val": short}, "here")


# ---- attrshapes


def test_attrshapes_is_the_piloted_set() -> None:
    sets = attrshapes(size=12, per_class=3)
    assert {k: (len(s.names), len(s.images)) for k, s in sets.items()} == {
        "train": (64, 192),
        "val": (16, 48),
        "test": (20, 60),
    }
    check_sets(sets, "attrshapes")
    for name, kinds in class_lists().items():
        assert sets[name].names == tuple(kind.name for kind in kinds)
        assert [kind.wnid for kind in kinds] == sorted(kind.wnid for kind in kinds)
        assert sets[name].images.shape[1:] == (12, 12, 3) and (sets[name].counts == 3).all()
    assert attrshapes(size=12, per_class=3)["test"].images is sets["test"].images  # kept
    with pytest.raises(ValueError, match="read-only"):
        sets["train"].images[0] = 0
    with pytest.raises(ConfigError, match="attrshapes: expected at least 1 picture"):
        attrshapes(per_class=0)
    with pytest.raises(ConfigError, match="every one of 20 words"):
        attrshapes(size=8, per_class=1, classes=(4, 2, 2))


def test_attrshapes_vectors_are_means_of_their_words() -> None:
    table = {word: np.array(text.split(), float) for word, text in word_table().items()}
    every = np.stack(list(table.values()))
    assert every.shape == (20, 300) and abs(every.mean()) < 0.02 and abs(every.std() - 0.4) < 0.02
    for data in attrshapes(size=12, per_class=3).values():
        expected = [np.mean([table[w] for w in name.split()], axis=0) for name in data.names]
        np.testing.assert_array_equal(data.vectors, np.array(expected, np.float32))
    rows, coverage = name_vectors(["lime Dotted ring", "wug"])
    np.testing.assert_allclose(rows[0], (table["lime"] + table["dotted"] + table["ring"]) / 3)
    assert coverage.unknown == ("wug",) and not rows[1].any()
    assert (word_table(1)["red"] != word_table(0)["red"]) and word_table()["red"] == word_table()[
        "red"
    ]


def test_a_manifest_tells_what_changed(tmp_path: Path) -> None:
    from zoolib.data.fewshot_store import MANIFEST, Build

    work = Build(tmp_path, "own", {"size": 6})
    data = split()
    work.add("train", data.images, data.class_of, data.names, data.vectors)
    with pytest.raises(DataError, match="not finished"):
        check_manifest(tmp_path)
    work.finish()
    check_manifest(tmp_path)
    assert Build(tmp_path, "own", {"size": 6}).done("train")
    with pytest.raises(DataError, match="was built with settings size: 6, not 7"):
        Build(tmp_path, "own", {"size": 7})
    told = json.loads((tmp_path / MANIFEST).read_text())
    assert told["splits"]["train"]["classes"] == 3 and told["complete"] is True
    path = tmp_path / "few-shot-train.npz"
    content = bytearray(path.read_bytes())
    content[300] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"1 of 3 files differ .*: few-shot-train\.npz"):
        check_manifest(tmp_path)
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() == "features.npy"  # which the reader finds, too
    with pytest.raises(DataError, match="cannot be read"):
        read_split(tmp_path, "train")
