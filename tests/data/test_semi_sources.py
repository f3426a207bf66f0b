"""CIFAR, SVHN and STL-10 from every form they are handed out in, and one's own pictures."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from PIL import Image

from zoolib.data.matfile import read_arrays, write_arrays
from zoolib.data.semi_fixtures import (
    CIFAR_FORMS,
    coloured,
    write_cifar,
    write_stl10,
    write_svhn,
    write_tar,
)
from zoolib.data.semi_own import own_images
from zoolib.data.semi_sources import OFFICIAL, cifar, stl10, svhn
from zoolib.errors import ConfigError, DataError

TRAIN, TEST = np.arange(53) % 10, np.arange(23) % 10


def accepted(path):
    """The SHA-256 under which a file is accepted, out of the refusal of it."""
    with pytest.raises(DataError, match="expected the official MD5") as caught:
        cifar("cifar10", path) if path.suffix == ".gz" else svhn(path.parent)
    return str(caught.value).split("--sha256 ")[1]


@pytest.mark.parametrize("form", CIFAR_FORMS)
@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_cifar_in_every_form(form, name, tmp_path):
    path, hundred = tmp_path / f"{name}-{form}.tar.gz", name == "cifar100"
    images, others = write_cifar(path, form, TRAIN, TEST, hundred)
    origin = cifar(name, path, [accepted(path)])
    source = origin.load(tmp_path)
    assert np.array_equal(source.train["train"].images, images)
    assert np.array_equal(source.train["train"].labels, TRAIN)
    assert np.array_equal(source.test.images, others)
    assert np.array_equal(source.test.labels, TEST)
    assert source.classes == tuple(f"class_{c}" for c in range(10))
    assert [p.name for p in tmp_path.iterdir()] == [path.name], "nothing unpacked stays"


def test_cifar_from_a_folder_and_a_wrong_archive(tmp_path):
    folder = tmp_path / "unpacked"
    folder.mkdir()
    write_tar(tmp_path / "x.tar.gz", {"a/readme.txt": b"nothing"})
    origin = cifar("cifar10", tmp_path / "x.tar.gz", [accepted(tmp_path / "x.tar.gz")])
    with pytest.raises(DataError, match="expected test_batch, test_batch.bin or test_batch.mat"):
        origin.load(tmp_path)
    with pytest.raises(DataError, match="found an empty folder"):
        cifar("cifar10", folder)
    row = np.concatenate([[3], np.arange(3072) % 251]).astype(np.uint8)
    for i in range(1, 6):
        (folder / f"data_batch_{i}.bin").write_bytes(row.tobytes() * i)
    (folder / "test_batch.bin").write_bytes(row.tobytes())
    source = cifar("cifar10", folder).load(tmp_path)
    assert len(source.train["train"]) == 15 and source.classes[3] == "cat"
    assert source.test.images[0, 1, 2].tolist() == [row[1 + 34 + 1024 * c] for c in range(3)]
    with pytest.raises(ConfigError, match="expected an archive to compare with"):
        cifar("cifar10", folder, ["ab"])
    (folder / "data_batch_2.bin").write_bytes(b"too short")
    with pytest.raises(DataError, match="data_batch_2.bin: expected images of 3073 bytes"):
        cifar("cifar10", folder).load(tmp_path)
    (folder / "data_batch_2.bin").unlink()
    with pytest.raises(DataError, match="expected the file data_batch_2.bin, found"):
        cifar("cifar10", folder).load(tmp_path)


class Evil:
    def __reduce__(self):
        return (print, ("this must not run",))


def test_a_pickle_that_runs_something_is_refused(tmp_path, capsys):
    path = tmp_path / "cifar-10-python.tar.gz"
    write_tar(path, {f"b/{n}": pickle.dumps(Evil()) for n in ("data_batch_1", "test_batch")})
    with pytest.raises(DataError, match="print"):
        cifar("cifar10", path, [accepted(path)]).load(tmp_path)
    assert "must not run" not in capsys.readouterr().out
    write_tar(path, {f"b/{n}": pickle.dumps({"data": 1}) for n in ("data_batch_1", "test_batch")})
    with pytest.raises(DataError, match="expected data and labels, found data"):
        cifar("cifar10", path, [accepted(path)]).load(tmp_path)


def test_svhn_keeps_the_published_numbers(tmp_path):
    labels = {"train": TRAIN, "test": TEST, "extra": np.arange(31) % 10}
    images = write_svhn(tmp_path, **labels)
    sums = [accepted(tmp_path / "train_32x32.mat")]
    for part in ("test", "extra"):
        with pytest.raises(DataError, match=f"{part}_32x32") as caught:
            svhn(tmp_path, True, sums)
        sums.append(str(caught.value).split("found ")[1].split(".")[0])
    source = svhn(tmp_path, True, sums).load(tmp_path)
    assert source.name == "svhn" and source.classes == (*"123456789", "0")
    for part, found in (*source.train.items(), ("test", source.test)):
        assert np.array_equal(found.images, images[part])
        assert np.array_equal(found.labels, labels[part])
    assert svhn(tmp_path, False, sums).load(tmp_path).name == "svhn_noextra"
    raw = read_arrays((tmp_path / "train_32x32.mat").read_bytes(), "x")
    assert raw["X"].shape == (32, 32, 3, 53) and raw["y"][9, 0] == 10
    write_arrays(tmp_path / "test_32x32.mat", {"X": images["test"], "y": np.zeros((23, 1))})
    with pytest.raises(DataError, match="found .*SHA-256|expected the SHA-256"):
        svhn(tmp_path, False, sums)


def test_stl10_is_column_by_column(tmp_path):
    path = tmp_path / "stl10_binary.tar.gz"
    folds = "\n".join(" ".join(str((i + f) % 20) for i in range(10)) for f in range(10))
    images = write_stl10(path, np.arange(20) % 10, np.arange(10), 7, folds)
    with pytest.raises(DataError, match=OFFICIAL["stl10_binary.tar.gz"]) as caught:
        stl10(path)
    source = stl10(path, [str(caught.value).split("--sha256 ")[1]]).load(tmp_path)
    assert np.array_equal(source.train["train"].images, images["train"])
    assert np.array_equal(source.train["unlabeled"].images, images["unlabeled"])
    assert (source.train["unlabeled"].labels == -1).all()
    assert source.test.labels.tolist() == list(range(10))
    assert source.equal and source.folds == folds and source.classes[7] == "monkey"


def save(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def test_own_pictures_with_a_heap_without_labels(tmp_path):
    for name, count in (("cat", 6), ("dog", 5)):
        for i in range(count):
            pixels = coloured(np.array([i]), 20, seed=len(name) + i)[0]
            save(tmp_path / "labelled" / name / f"{i}.png", pixels)
    save(tmp_path / "heap" / "deep" / "x.bmp", np.full((9, 14), 60, np.uint8))
    save(tmp_path / "heap" / "y.png", np.full((20, 20, 3), 7, np.uint8))
    origin = own_images("pets", tmp_path / "labelled", tmp_path / "heap", test=0.4, seed=1, size=12)
    source = origin.load(tmp_path)
    assert source.classes == ("cat", "dog") and source.test.images.shape == (4, 12, 12, 3)
    assert np.bincount(source.train["train"].labels).tolist() == [4, 3]
    assert (source.train["unlabeled"].images[0] == 60).all(), "grey becomes colour"
    assert source.train["unlabeled"].labels.tolist() == [-1, -1]
    same = own_images("pets", tmp_path / "labelled", tmp_path / "heap", 0.4, 1, 12)
    assert same.files == origin.files
    save(tmp_path / "heap" / "y.png", np.full((20, 20, 3), 8, np.uint8))
    other = own_images("pets", tmp_path / "labelled", tmp_path / "heap", 0.4, 1, 12)
    assert other.files != origin.files
    with pytest.raises(DataError, match="one size, found .*20 x 20.*deep/x.bmp 9 x 14.*--size"):
        own_images("pets", tmp_path / "labelled", tmp_path / "heap").load(tmp_path)
    (tmp_path / "heap" / "z.jpg").write_bytes(b"no picture")
    with pytest.raises(DataError, match="can be read, but not: .*z.jpg"):
        own_images("pets", tmp_path / "labelled", tmp_path / "heap", size=8).load(tmp_path)


def test_own_pictures_bad_input(tmp_path):
    with pytest.raises(ConfigError, match="name: expected a word"):
        own_images("a/b", tmp_path)
    with pytest.raises(DataError, match="expected class folders"):
        own_images("a", tmp_path)
    save(tmp_path / "in" / "a" / "1.png", np.zeros((4, 4, 3), np.uint8))
    save(tmp_path / "in" / "a" / "2.png", np.zeros((4, 4, 3), np.uint8))
    with pytest.raises(DataError, match="pictures without label, found none"):
        own_images("a", tmp_path / "in", tmp_path / "nowhere")
