"""Few-shot sets in the files that have become their common format (AM3 specification, 4.1).

For each split (train, val, test):

* ``few-shot-SPLIT.npz``: ``features`` uint8 [n, H, W, 3] and ``targets``, class ids numbered within
  the split, in any order;
* ``few-shot-wordemb-SPLIT.npz``: ``features`` float64 [classes, D], row r for class id r;
* ``classes-SPLIT.txt``, ours and optional: one name per row.

Files are read without unpickling anything. Pictures of more than a gigabyte stay in their file and
are read from it as they are needed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

import numpy as np

from zoolib.data.fewshot_store import SPLITS, files_of, write_files
from zoolib.data.image_classes import several
from zoolib.data.npz_files import is_stored, mapped
from zoolib.errors import DataError

_LARGE = 1 << 30  # bytes of a file whose pictures are not held in memory


@dataclass(frozen=True, eq=False)
class Split:
    """Images of classes, and what the classes are called.

    Attributes:
        images: uint8 [n, H, W, 3], values 0 to 255.
        class_of: int32 [n], the class id of each image, 0 to len(names) - 1, in any order.
        names: one per class; the id as text where it is unknown.
        vectors: float32 [classes, D], one word vector per class; None if there are none.
    """

    images: np.ndarray
    class_of: np.ndarray
    names: tuple[str, ...]
    vectors: Optional[np.ndarray] = None

    def __post_init__(self) -> None:
        check_split(self, "split")

    @property
    def named(self) -> bool:
        """Whether the classes have names, not just numbers."""
        return self.names != numbered(len(self.names))

    @property
    def counts(self) -> np.ndarray:
        """Images of each class, int64 [classes]."""
        return np.bincount(self.class_of, minlength=len(self.names))


def numbered(count: int) -> tuple[str, ...]:
    """What classes without names are called."""
    return tuple(str(number) for number in range(count))


def check_split(split: Split, place: str) -> None:
    """Raise what is wrong with a split.

    Raises:
        DataError: types, shapes, ids, names or word rows do not fit each other.
    """
    images, class_of, vectors = split.images, split.class_of, split.vectors
    if images.ndim != 4 or images.shape[-1] != 3 or images.dtype != np.uint8:
        raise DataError(
            f"{place}: expected images uint8 [n, height, width, 3], "
            f"got {images.dtype} {list(images.shape)}."
        )
    if class_of.shape != images.shape[:1] or class_of.dtype != np.int32:
        raise DataError(
            f"{place}: expected one class id int32 for each of {len(images)} images, "
            f"got {class_of.dtype} {list(class_of.shape)}."
        )
    total = len(split.names)
    if not np.array_equal(np.unique(class_of), np.arange(total)) or not total:
        raise DataError(
            f"{place}: expected class ids 0 to {total - 1} ({total} names), each with an image; "
            f"got ids {several(np.unique(class_of).tolist())}."
        )
    twice = sorted({name for name in split.names if split.names.count(name) > 1})
    if twice:
        raise DataError(
            f"{place}: expected different class names; more than once: {several(twice)}."
        )
    if vectors is None:
        return
    if vectors.ndim != 2 or vectors.dtype != np.float32 or len(vectors) != total:
        raise DataError(
            f"{place}: expected word vectors float32 [{total}, D], a row for each of the "
            f"{total} classes, got {vectors.dtype} {list(vectors.shape)}."
        )
    if not np.isfinite(vectors).all():
        raise DataError(f"{place}: expected finite word vectors, found NaN or infinite numbers.")


def read_split(folder: Path | str, split: str, words: bool = True) -> Split:
    """Read one split.

    Args:
        folder: where its files are.
        split: train, val or test.
        words: read the word vectors, if their file is there; False: leave them.

    Raises:
        DataError: a file is missing, damaged, holds objects, or the files do not fit each other.
    """
    images, vectors, names = (Path(folder) / name for name in files_of(split))
    arrays = _read_npz(images, ("features", "targets"))
    features, targets = arrays["features"], arrays["targets"]
    if features.dtype != np.uint8 or targets.ndim != 1 or targets.dtype.kind not in "iu":
        raise DataError(
            f"{images}: expected features uint8 [n, height, width, 3] and targets, whole numbers "
            f"[n], got {features.dtype} {list(features.shape)} and {targets.dtype} "
            f"{list(targets.shape)}."
        )
    if not len(targets) or targets.min() < 0 or targets.max() >= len(targets):
        raise DataError(f"{images}: expected class ids from 0 and at least one image of each.")
    total = int(targets.max()) + 1
    labels = _read_names(names, total) if names.is_file() else numbered(total)
    rows = None
    if words and vectors.is_file():
        rows = _read_vectors(vectors, total, images.name)
    try:
        return Split(features, targets.astype(np.int32), labels, rows)
    except DataError as error:
        raise DataError(f"{images}: {error}") from None


def read_sets(folder: Path | str, words: bool = True) -> dict[str, Split]:
    """Read the three splits.

    Raises:
        DataError: as `read_split`; image or vector sizes differ; two splits share a class.
    """
    sets = {split: read_split(folder, split, words) for split in SPLITS}
    check_sets(sets, str(folder))
    return sets


def check_sets(sets: Mapping[str, Split], place: str) -> None:
    """Raise if splits do not go together.

    They may share no class: no name where the classes have names, else no image.

    Raises:
        DataError: they share a class, or differ in image size or vector size.
    """
    sizes = {split: s.images.shape[1:3] for split, s in sets.items()}
    widths = {split: None if s.vectors is None else s.vectors.shape[1] for split, s in sets.items()}
    for what, found in (("image size", sizes), ("length of word vectors", widths)):
        if len(set(found.values())) > 1:
            told = ", ".join(f"{split}: {value}" for split, value in found.items())
            raise DataError(f"{place}: expected the same {what} in every split, got {told}.")
    named = all(split.named for split in sets.values())
    marks = {name: _marks(split, named) for name, split in sets.items()}
    parts = list(sets)
    for i, first in enumerate(parts):
        for second in parts[i + 1 :]:
            shared = sorted({marks[first][m] for m in marks[first].keys() & marks[second].keys()})
            if shared:
                how = "" if named else " (they hold the same pictures)"
                raise DataError(
                    f"{place}: expected {first} and {second} to have no class in common, but both "
                    f"have {several(shared)}{how}: results would be too good. Remove these classes "
                    "from one of them."
                )


def _marks(split: Split, named: bool) -> dict[object, str]:
    """What two splits must not share -> the class it belongs to."""
    if named:
        return {" ".join(name.replace("_", " ").lower().split()): name for name in split.names}
    digests = (hashlib.blake2b(image.tobytes(), digest_size=16).digest() for image in split.images)
    return {mark: split.names[number] for mark, number in zip(digests, split.class_of)}


def write_split(folder: Path | str, split: str, data: Split) -> None:
    """Write one split's files, each whole or not at all; files with the same content are left.

    Ids are stored as int64 and vectors as float64, as the original's builders do. Without word
    vectors, or without names, their file is not written.

    Raises:
        DataError: a file is there and holds something else.
        StoreError: the folder cannot be written.
    """
    names = data.names if data.named else None
    write_files(Path(folder), split, data.images, data.class_of, names, data.vectors)


def _read_npz(path: Path, keys: Iterable[str]) -> dict[str, np.ndarray]:
    if not path.is_file():
        raise DataError(
            f"{path}: expected this file (few-shot sets are few-shot-train.npz, few-shot-val.npz "
            "and few-shot-test.npz), found none. Build it with `zoolib data build`."
        )
    try:
        with np.load(path, allow_pickle=False) as opened:
            missing = [key for key in keys if key not in opened.files]
            if missing:
                raise DataError(
                    f"{path}: expected the arrays {', '.join(keys)}, found "
                    f"{', '.join(opened.files) or 'none'}."
                )
            return {key: _member(path, opened, key) for key in keys}
    except DataError:
        raise
    except Exception as error:  # a damaged zip can raise nearly anything
        if "allow_pickle" in str(error) or "Object arrays" in str(error):
            raise DataError(
                f"{path}: holds Python objects (a pickle), which are refused because reading them "
                "could run anything; expected arrays of numbers. Store it again as such."
            ) from None
        raise DataError(
            f"{path}: expected an .npz file, but it cannot be read ({error})."
        ) from error


def _member(path: Path, opened: Mapping[str, np.ndarray], key: str) -> np.ndarray:
    large = path.stat().st_size > _LARGE and key == "features" and is_stored(path, key)
    return mapped(path, key) if large else opened[key]


def _read_vectors(path: Path, classes: int, beside: str) -> np.ndarray:
    rows = _read_npz(path, ("features",))["features"]
    if rows.ndim != 2 or rows.dtype.kind not in "fiu" or len(rows) != classes:
        raise DataError(
            f"{path}: expected a row of numbers for each of the {classes} classes in {beside}, "
            f"got {rows.dtype} {list(rows.shape)}."
        )
    return rows.astype(np.float32)


def _read_names(path: Path, classes: int) -> tuple[str, ...]:
    try:
        names = tuple(line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines())
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: expected class names in UTF-8 ({error}).") from error
    if len(names) != classes or not all(names):
        raise DataError(
            f"{path}: expected a name in each of {classes} lines, one per class, found "
            f"{len(names)} lines, {sum(not name for name in names)} of them empty."
        )
    return names
