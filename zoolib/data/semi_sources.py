"""Image sets for semi-supervised learning, read from the files their makers hand out.

A source has labelled training images, perhaps further training files, and test images. Arrays are
views of the files' bytes where that is possible, so a large set costs little until it is written.

    CIFAR-10, CIFAR-100   Python, binary and MATLAB archives, which hold the same pixels in the
                          same order; or a folder with their content
    SVHN                  a folder with train_32x32.mat, test_32x32.mat, perhaps extra_32x32.mat;
                          the digit 0 is class 9, digit d otherwise class d - 1, as published
    STL-10                the binary archive, or a folder with its content
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

import numpy as np

from zoolib.data import safe_pickle
from zoolib.data.archives import digests, unpacked, verify
from zoolib.data.matfile import read_arrays
from zoolib.data.semi_parts import Part
from zoolib.errors import ConfigError, DataError

# The checksums on the sets' own pages, and of torchvision, which downloads from there.
OFFICIAL = {
    "cifar-10-python.tar.gz": "c58f30108f718f92721af3b95e74349a",
    "cifar-10-binary.tar.gz": "c32a1d4ab5d03f1284b67883e8d87530",
    "cifar-10-matlab.tar.gz": "70270af85842c9e89bb428ec9976c926",
    "cifar-100-python.tar.gz": "eb9058c3a382ffc7106e4002c42a8d85",
    "cifar-100-binary.tar.gz": "03b5dce01913d631647c71ecec9e9cb8",
    "cifar-100-matlab.tar.gz": "6a4bfa1dcd5c9453dda6bb54194911f4",
    "train_32x32.mat": "e26dedcc434d2e4c54c9b2d4a06d8373",
    "test_32x32.mat": "eb5a983be6a315427106f1b164d9cef3",
    "extra_32x32.mat": "a93ce644f1a588dc4d68dda5feec44a7",
    "stl10_binary.tar.gz": "91f7769df0f17e558f3565bffb0c7dfb",
}
CIFAR10 = "airplane automobile bird cat deer dog frog horse ship truck".split()
STL10 = "airplane bird car cat deer dog horse monkey ship truck".split()
_STL_FOLDS = "fold_indices.txt"


@dataclass(frozen=True, eq=False)
class Source:
    """An image set before it is written as records.

    Attributes:
        name: of the set; file names begin with it.
        classes: names by id.
        train: training files by their name's ending: "train" first, then e.g. "unlabeled".
        test: the test images.
        equal: whether a split shall treat the classes as equally frequent.
        folds: text of STL-10's predefined splits, if any.
    """

    name: str
    classes: tuple[str, ...]
    train: Mapping[str, Part]
    test: Part
    equal: bool = False
    folds: Optional[str] = None


@dataclass(frozen=True)
class Origin:
    """Where a source is from, known before it is opened.

    Attributes:
        name: of the set.
        files: checksums (SHA-256) of the files it is made from, by their names.
        load: gives the source; called with a folder for temporary files.
    """

    name: str
    files: Mapping[str, str]
    load: Callable[[Path], Source]


def cifar(name: str, place: Path, sha256: Collection[str] = ()) -> Origin:
    """CIFAR: `name` is cifar10 or cifar100, `place` an archive or a folder.

    Raises:
        DataError: nothing there, or another checksum than the official one or those given.
    """
    hundred = name == "cifar100"
    stem = "cifar-100-" if hundred else "cifar-10-"
    known = [mark for file, mark in OFFICIAL.items() if file.startswith(stem)]

    def load(near: Path) -> Source:
        with _content(place, near) as folder:
            return _read_cifar(name, folder, hundred)

    return Origin(name, _checked(place, sha256, known), load)


def stl10(place: Path, sha256: Collection[str] = ()) -> Origin:
    """STL-10 from its binary archive or a folder. Raises: as `cifar`."""

    def load(near: Path) -> Source:
        with _content(place, near) as folder:
            return _read_stl10(folder)

    return Origin("stl10", _checked(place, sha256, [OFFICIAL["stl10_binary.tar.gz"]]), load)


def svhn(place: Path, extra: bool = False, sha256: Collection[str] = ()) -> Origin:
    """SVHN from a folder; named `svhn` with the extra images, `svhn_noextra` without, as published.

    Raises:
        DataError: a file is missing or has another checksum.
    """
    names = ["train_32x32.mat", "test_32x32.mat"] + ["extra_32x32.mat"] * extra
    if not place.is_dir():
        raise DataError(f"{place}: expected a folder with {', '.join(names)}, found none.")
    files = {name: verify(place / name, sha256, [OFFICIAL[name]]) for name in names}

    def load(_near: Path) -> Source:
        parts = [_read_svhn(place / name) for name in names]
        train = {"train": parts[0]} if not extra else {"train": parts[0], "extra": parts[2]}
        digits = tuple(str(digit) for digit in (*range(1, 10), 0))
        return Source("svhn" if extra else "svhn_noextra", digits, train, parts[1])

    return Origin("svhn" if extra else "svhn_noextra", files, load)


def _checked(place: Path, sha256: Collection[str], md5: Sequence[str]) -> dict[str, str]:
    if not place.is_dir():
        return {place.name: verify(place, sha256, md5)}
    if sha256:
        raise ConfigError(f"sha256: expected an archive to compare with, got a folder, {place}.")
    files = [p for p in sorted(place.rglob("*")) if p.is_file() and not p.name.startswith(".")]
    whole = hashlib.sha256()
    for path in files:
        name = path.relative_to(place).as_posix()
        whole.update(f"{name}|{digests(path, 'sha256')[0]}\n".encode())
    if not files:
        raise DataError(f"{place}: expected the content of an archive, found an empty folder.")
    return {"folder": whole.hexdigest()}


@contextlib.contextmanager
def _content(place: Path, near: Path) -> Iterator[Path]:
    if place.is_dir():
        yield place
        return
    with unpacked(place, near) as folder:
        yield folder


def _find(folder: Path, name: str) -> Optional[Path]:
    return next((p for p in sorted(folder.rglob(name)) if p.is_file()), None)


def _need(folder: Path, name: str) -> Path:
    found = _find(folder, name)
    if found is None:
        here = sorted(p.name for p in folder.rglob("*") if p.is_file())
        raise DataError(f"{folder.name}: expected the file {name}, found {', '.join(here[:12])}.")
    return found


def _read_cifar(name: str, folder: Path, hundred: bool) -> Source:
    stems = ["train"] if hundred else [f"data_batch_{i}" for i in range(1, 6)]
    test = "test" if hundred else "test_batch"
    endings = [e for e in ("", ".bin", ".mat") if _find(folder, test + e)]
    if not endings:
        raise DataError(
            f"{name}: expected {test}, {test}.bin or {test}.mat in {folder.name}, found none: "
            "is this the archive of another set?"
        )
    parts = [_cifar_part(_need(folder, stem + endings[0]), hundred) for stem in [*stems, test]]
    train = Part(
        np.concatenate([part.images for part in parts[:-1]]),
        np.concatenate([part.labels for part in parts[:-1]]),
    )
    return Source(name, _cifar_names(folder, hundred), {"train": train}, parts[-1])


def _cifar_part(path: Path, hundred: bool) -> Part:
    content = path.read_bytes()
    if path.suffix == ".bin":
        ahead = 2 if hundred else 1  # CIFAR-100 has the coarse label first
        if not content or len(content) % (3072 + ahead):
            raise DataError(f"{path.name}: expected images of {3072 + ahead} bytes, found a rest.")
        rows = np.frombuffer(content, np.uint8).reshape(-1, 3072 + ahead)
        data, labels = rows[:, ahead:], rows[:, ahead - 1]
    else:
        read = read_arrays if path.suffix == ".mat" else _read_pickle
        found, key = read(content, path.name), "fine_labels" if hundred else "labels"
        if "data" not in found or key not in found:
            keys = ", ".join(map(str, found)) or "none"
            raise DataError(f"{path.name}: expected data and {key}, found {keys}.")
        data, labels = np.asarray(found["data"]), np.asarray(found[key]).reshape(-1)
    if data.dtype != np.uint8 or data.ndim != 2 or data.shape[1] != 3072:
        raise DataError(
            f"{path.name}: expected uint8 [images, 3072], found {data.dtype} {list(data.shape)}."
        )
    images = data.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return Part(images, labels.astype(np.int32))


def _read_pickle(content: bytes, name: str) -> dict:
    table = safe_pickle.load(content, name=name)
    return table if isinstance(table, dict) else {}


def _cifar_names(folder: Path, hundred: bool) -> tuple[str, ...]:
    stem, key = ("meta", "fine_label_names") if hundred else ("batches.meta", "label_names")
    text = _find(folder, "fine_label_names.txt" if hundred else "batches.meta.txt")
    if text is not None:
        return tuple(text.read_text(encoding="utf-8").split())
    found: object = None
    if (path := _find(folder, f"{stem}.mat")) is not None:
        found = read_arrays(path.read_bytes(), path.name).get(key)
    elif (path := _find(folder, stem)) is not None:
        found = _read_pickle(path.read_bytes(), path.name).get(key)
    if isinstance(found, (list, tuple)) and found:
        return tuple(str(word) for word in found)
    return tuple(str(c) for c in range(100)) if hundred else tuple(CIFAR10)


def _read_svhn(path: Path) -> Part:
    arrays = read_arrays(path.read_bytes(), path.name)
    if not {"X", "y"} <= set(arrays):
        raise DataError(f"{path.name}: expected X and y, found {', '.join(sorted(arrays))}.")
    images, labels = np.asarray(arrays["X"]), np.asarray(arrays["y"]).reshape(-1)
    if images.ndim != 4 or images.dtype != np.uint8 or images.shape[2:] != (3, len(labels)):
        raise DataError(
            f"{path.name}: expected X uint8 [height, width, 3, images] and y [images], found "
            f"{images.dtype} {list(images.shape)} and {len(labels)} labels."
        )
    return Part(images.transpose(3, 0, 1, 2), _from_one(path.name, labels, 10))


def _from_one(name: str, labels: np.ndarray, classes: int) -> np.ndarray:
    if not len(labels) or labels.min() < 1 or labels.max() > classes:
        raise DataError(
            f"{name}: expected labels from 1 to {classes}, found {labels.min()} to {labels.max()}."
            if len(labels)
            else f"{name}: expected labels, found none."
        )
    return labels.astype(np.int32) - 1


def _read_stl10(folder: Path) -> Source:
    parts = {}
    for part in ("train", "test", "unlabeled"):
        path = _need(folder, f"{part}_X.bin")
        size = path.stat().st_size
        if not size or size % (3 * 96 * 96):
            raise DataError(f"{path.name}: expected images of 27648 bytes each, found {size}.")
        # Mapped, not read; column by column: [images, channel, column, row].
        images = np.memmap(path, np.uint8, "r").reshape(-1, 3, 96, 96).transpose(0, 3, 2, 1)
        labels = np.full(len(images), -1, np.int32)
        if part != "unlabeled":
            path = _need(folder, f"{part}_y.bin")
            labels = _from_one(path.name, np.fromfile(path, np.uint8), len(STL10))
        parts[part] = Part(images, labels)
    names = _find(folder, "class_names.txt")
    folds = _find(folder, _STL_FOLDS)
    return Source(
        "stl10",
        tuple(STL10 if names is None else names.read_text(encoding="utf-8").split()),
        {"train": parts["train"], "unlabeled": parts["unlabeled"]},
        parts["test"],
        equal=True,
        folds=None if folds is None else folds.read_text(encoding="utf-8"),
    )
