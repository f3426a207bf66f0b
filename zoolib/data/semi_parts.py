"""A semi-supervised task in memory: labelled, unlabelled, validation and test images.

RealMix (Nair et al. 2019, arXiv 1912.08766), section 4, after Oliver et al. 2018. Deviations from
the published code:
    * The validation set consists of images whose class is known and is one of the labelled
      classes. There it was the head of the unlabelled file, whatever that held (STL-10's invented
      labels, classes nobody is trained on).
    * Under a class mismatch labels are numbered anew from 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Optional

import numpy as np

from zoolib.data.arrayfile import array_checksum
from zoolib.data.image_classes import several
from zoolib.data.mismatch import Mismatch
from zoolib.errors import ConfigError, DataError


@dataclass(frozen=True, eq=False)
class Part:
    """Images of one part.

    Attributes:
        images: uint8 [n, H, W, 3].
        labels: int32 [n], class ids; -1 where the class is unknown or is not one of the task's.
    """

    images: np.ndarray
    labels: np.ndarray

    def __post_init__(self) -> None:
        shape = self.images.shape
        if self.images.dtype != np.uint8 or len(shape) != 4 or shape[3] != 3:
            raise DataError(
                "images: expected uint8 of shape [images, height, width, 3], "
                f"got {self.images.dtype} {list(shape)}."
            )
        if self.labels.shape != shape[:1] or self.labels.dtype != np.int32:
            raise DataError(
                f"labels: expected int32 of shape [{shape[0]}], one per image, "
                f"got {self.labels.dtype} {list(self.labels.shape)}."
            )

    def __len__(self) -> int:
        return len(self.images)

    def take(self, index: np.ndarray) -> Part:
        """The images at these places; a stretch without gaps is not copied."""
        if len(index) and np.array_equal(index, np.arange(index[0], index[0] + len(index))):
            stretch = slice(int(index[0]), int(index[0]) + len(index))
            return Part(self.images[stretch], self.labels[stretch])
        return Part(self.images[index], self.labels[index])


@dataclass(frozen=True, eq=False)
class SemiSupervised:
    """A task: few labelled images, many without label.

    Attributes:
        labelled: what is trained on with labels.
        unlabelled: what is trained on without; its labels are for reports only.
        validation: labelled images nothing is trained on.
        test: labelled images to report.
        names: of the classes, by id.
        foreign: bool [unlabelled], whether an image's class is known to be none of `names`.
        fingerprint: SHA-256 (hex) of all of it.
    """

    labelled: Part
    unlabelled: Part
    validation: Part
    test: Part
    names: tuple[str, ...]
    foreign: np.ndarray
    fingerprint: str

    @property
    def classes(self) -> int:
        """How many classes there are."""
        return len(self.names)


def assemble(
    labelled: Part,
    unlabelled: Part,
    test: Part,
    names: Sequence[str],
    validation: int,
    mismatch: Optional[Mismatch] = None,
) -> SemiSupervised:
    """Make the task from a split.

    Args:
        labelled: all labelled images, in the split's order.
        unlabelled: all others, in the split's order; -1 where the class is unknown.
        test: the test images.
        names: classes by id.
        validation: how many of the unlabelled images, the first whose class is known and among
            the labelled ones, to validate with instead.
        mismatch: which classes have labels, and which the unlabelled images are of.

    Raises:
        ConfigError: more validation images asked for than there are; classes that do not exist.
        DataError: a label outside the classes, images of different sizes.
    """
    _check(labelled, unlabelled, test, names)
    kept = tuple(range(len(names))) if mismatch is None else mismatch.known(len(names))
    number = np.full(len(names) + 1, -1, np.int32)  # of classes under the task; the last for -1
    number[list(kept)] = np.arange(len(kept), dtype=np.int32)
    inside = np.flatnonzero(number[unlabelled.labels] >= 0)
    if not 0 <= validation <= len(inside):
        raise ConfigError(
            f"validation: expected from 0 to {len(inside)} images, as many as are left with a "
            f"known class of the labelled ones, got {validation}. Ask for fewer, or label fewer."
        )
    held = inside[:validation]
    rest = np.setdiff1d(np.arange(len(unlabelled)), held, assume_unique=True)
    if mismatch is not None:
        rest = rest[mismatch.choose(unlabelled.labels[rest], len(names))]
    if not len(rest):
        raise ConfigError("labels: expected at least one image left without label, none is.")
    parts = {
        "labelled": labelled.take(np.flatnonzero(number[labelled.labels] >= 0)),
        "unlabelled": unlabelled.take(rest),
        "validation": unlabelled.take(held),
        "test": test.take(np.flatnonzero(number[test.labels] >= 0)),
    }
    if not len(parts["labelled"]):
        raise ConfigError("labels: expected at least one image of the labelled classes, got none.")
    foreign = (parts["unlabelled"].labels >= 0) & (number[parts["unlabelled"].labels] < 0)
    final = {name: Part(part.images, number[part.labels]) for name, part in parts.items()}
    named = tuple(names[c] for c in kept)
    return SemiSupervised(**final, names=named, foreign=foreign, fingerprint=_mark(final, named))


def _mark(parts: dict[str, Part], names: tuple[str, ...]) -> str:
    arrays = {f"{name}/images": part.images for name, part in parts.items()}
    arrays.update((f"{name}/labels", part.labels) for name, part in parts.items())
    return array_checksum(arrays, *names)


def _check(labelled: Part, unlabelled: Part, test: Part, names: Sequence[str]) -> None:
    parts = {"labelled": labelled, "unlabelled": unlabelled, "test": test}
    sizes = {name: part.images.shape[1:3] for name, part in parts.items() if len(part)}
    if len(set(sizes.values())) > 1:
        told = ", ".join(f"{name} {h} x {w}" for name, (h, w) in sizes.items())
        raise DataError(f"Expected images of one size, found {told}. Make them again in one size.")
    for name, part in parts.items():
        least = -1 if name == "unlabelled" else 0
        wrong = sorted({int(label) for label in part.labels if not least <= label < len(names)})
        if wrong:
            raise DataError(
                f"{name}: expected labels from 0 to {len(names) - 1}, found {several(wrong)}."
            )
