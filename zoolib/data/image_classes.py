"""Images grouped by class in memory, and the split of the Omniglot classes.

The split follows the counts of the few-shot literature (Vinyals et al. 2016; Finn et al. 2017;
Lee & Choi 2018, arXiv 1801.05558, section 5): 1100 classes to train, 100 to validate, 423 to test.

Deviations from the earlier MT-net code:
    * It shuffled the classes in the order of a directory listing, which differs between file
      systems; here they are sorted first.
    * Its default cut the last training class off (1099 of 1100); here every class is in one part.
    * Naming trap: its flag ``test_set=True`` selects the *100* classes in the middle and
      ``test_set=False`` ("validation") the *last 423*. Here the 100 are `validation` and the 423
      are `test`. A number of that code labelled "validation" compares with our `test`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from zoolib.data.arrayfile import array_checksum
from zoolib.data.draws import uniforms
from zoolib.errors import DataError

OMNIGLOT_CLASSES = (1100, 100, 423)  # train, validation, test


@dataclass(frozen=True, eq=False)
class ImageClasses:
    """Images sorted by class.

    Attributes:
        images: uint8 [N, H, W, C].
        class_of: int32 [N], never falling: the class number of each image, 0 … len(names) - 1.
        names: the class names, by class number.
        checksum: identity of the data (SHA-256, hex). For image folders it covers the file names
            and file contents, so it is the same on machines whose decoders differ by a grey level.
    """

    images: np.ndarray
    class_of: np.ndarray
    names: tuple[str, ...]
    checksum: str

    def __post_init__(self) -> None:
        if self.images.ndim != 4 or self.images.dtype != np.uint8:
            raise DataError(
                "images: expected uint8 of shape [images, height, width, channels], "
                f"got {self.images.dtype} {list(self.images.shape)}."
            )
        numbers, total = self.class_of, len(self.names)
        rising = len(numbers) == len(self.images) and bool((np.diff(numbers) >= 0).all())
        if not rising or not np.array_equal(np.unique(numbers), np.arange(total)):
            raise DataError(
                f"class_of: expected {len(self.images)} class numbers in rising order, every one "
                f"from 0 to {total - 1} at least once. ImageClasses.from_arrays sorts for you."
            )
        if len(set(self.names)) != total:
            raise DataError(f"names: expected {total} different class names, some came twice.")

    @classmethod
    def from_arrays(
        cls, images: np.ndarray, class_of: Sequence[int] | np.ndarray, names: Iterable[str]
    ) -> ImageClasses:
        """Group images given in any order, uint8 [N, H, W, C], by their class numbers [N]."""
        numbers = np.asarray(class_of, dtype=np.int32)
        order = np.argsort(numbers, kind="stable")
        arrays = {"images": np.ascontiguousarray(images[order]), "class_of": numbers[order]}
        named = tuple(names)
        return cls(**arrays, names=named, checksum=array_checksum(arrays, *named))

    @property
    def counts(self) -> np.ndarray:
        """Images of each class, int64 [classes]."""
        return np.bincount(self.class_of, minlength=len(self.names))

    @property
    def starts(self) -> np.ndarray:
        """Place of each class's first image, int64 [classes]."""
        return np.cumsum(self.counts) - self.counts

    def select(self, names: Iterable[str]) -> ImageClasses:
        """The named classes, numbered in the given order.

        Raises:
            DataError: a name is unknown or given twice.
        """
        chosen = tuple(names)
        number = {name: i for i, name in enumerate(self.names)}
        unknown = [name for name in chosen if name not in number]
        if unknown or len(set(chosen)) != len(chosen):
            raise DataError(
                f"classes: expected names of this set's {len(self.names)} classes, each at most "
                f"once; {'unknown: ' + several(unknown) if unknown else 'a name came twice'}."
            )
        parts = [np.flatnonzero(self.class_of == number[name]) for name in chosen]
        places = np.concatenate(parts) if parts else np.zeros(0, np.int64)
        class_of = np.repeat(np.arange(len(chosen), dtype=np.int32), [len(p) for p in parts])
        identity = hashlib.sha256("\n".join((self.checksum, *chosen)).encode()).hexdigest()
        return ImageClasses(self.images[places], class_of, chosen, identity)


class ClassSplit(NamedTuple):
    """Three sets of classes that share none: to train, to choose settings, to report."""

    train: ImageClasses
    validation: ImageClasses
    test: ImageClasses


def split_omniglot(classes: ImageClasses, seed: int = 1) -> ClassSplit:
    """Split classes at random into train, validation and test (see the module's naming trap).

    The classes are sorted by alphabet and character (the last two parts of their names, so that
    it makes no difference whether ``images_background`` and ``images_evaluation`` were merged),
    shuffled by the seed, and cut at 1100 and 1200. A set with another number of classes than 1623
    is cut in the same proportions, rounded; each part gets at least one class and the remainder
    goes to test, so no class is lost.

    Raises:
        DataError: fewer than three classes.
    """
    total = len(classes.names)
    if total < 3:
        raise DataError(f"Omniglot: expected at least 3 classes to split, found {total}.")
    known = sum(OMNIGLOT_CLASSES)
    train = min(max(1, round(total * OMNIGLOT_CLASSES[0] / known)), total - 2)
    validation = min(max(1, round(total * OMNIGLOT_CLASSES[1] / known)), total - train - 1)
    ordered = sorted(classes.names, key=lambda name: (name.split("/")[-2:], name))
    places = np.argsort(uniforms(seed, "omniglot split", range(1), total)[0], kind="stable")
    shuffled = [ordered[i] for i in places]
    return ClassSplit(
        classes.select(shuffled[:train]),
        classes.select(shuffled[train : train + validation]),
        classes.select(shuffled[train + validation :]),
    )


def several(items: Sequence[object], limit: int = 10) -> str:
    """At most `limit` items as text, and how many more there are."""
    shown = ", ".join(str(item) for item in items[:limit])
    return shown if len(items) <= limit else f"{shown} and {len(items) - limit} more"
