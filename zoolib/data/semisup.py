"""Semi-supervised tasks: the embedded digits, or splits kept as records.

    data = digits(seed=1, labels=30)
    data = from_records("data/cifar10", "cifar10", seed=1, labels=250, validation=500)

The digits are those of the RealMix specification, 5.8: 8 x 8 shades enlarged to 16 x 16, 500 fixed
test images, and of the remaining 1,297 a split by the seed as for any other set.
"""

from __future__ import annotations

from typing import Optional

import numpy as np

from zoolib.data.digits import CLASSES
from zoolib.data.digits import digits as shades
from zoolib.data.draws import words
from zoolib.data.mismatch import Mismatch, animals
from zoolib.data.semi_load import from_records
from zoolib.data.semi_parts import Part, SemiSupervised, assemble
from zoolib.data.semi_split import SplitOptions, split_records

__all__ = ["Mismatch", "Part", "SemiSupervised", "animals", "digits", "from_records"]

_TEST_SEED = 1797  # of the test images, which are the same for every seed
_TEST_PER_CLASS = 50


def digits(
    seed: int, labels: int = 30, validation: int = 50, mismatch: Optional[Mismatch] = None
) -> SemiSupervised:
    """The digits that come with the package, 16 x 16, grey in three channels.

    Args:
        seed: which images have labels; 0 takes them in file order.
        labels: how many, as equally over the ten classes as it goes. Under a mismatch those of
            classes without labels are dropped, as in the published recipe.
        validation: images to validate with.
        mismatch: labels on the digits 0 to 5 only, unlabelled images of 2 to 5, replaced by or
            mixed with 6 to 9.

    Raises:
        ConfigError: more labels or validation images than there are.
    """
    small, classes = shades()
    images = enlarge(small)
    test = _fixed_test(classes)
    train = np.setdiff1d(np.arange(len(images)), test)
    whole = Part(images[train], classes[train])
    split = split_records(whole.labels, SplitOptions(labels, seed))
    return assemble(
        whole.take(split.label),
        whole.take(split.unlabel),
        Part(images[test], classes[test]),
        [str(digit) for digit in range(CLASSES)],
        validation,
        mismatch,
    )


def enlarge(small: np.ndarray) -> np.ndarray:
    """Shades 0 to 16, [n, H, W], as uint8 [n, 2H, 2W, 3]: bilinear, in integers, so exact.

    Every new pixel lies a quarter of the way between two old ones; beyond the edge, the edge.
    """
    grey = small.astype(np.int64)
    for axis in (1, 2):
        size = small.shape[axis]
        own = np.repeat(np.arange(size), 2)
        near = np.clip(own + np.tile([-1, 1], size), 0, size - 1)
        grey = 3 * grey.take(own, axis) + grey.take(near, axis)
    # Now in 256ths of the full scale; to 255ths, rounded.
    grey = (grey * 255 + 128) // 256
    return np.repeat(grey.astype(np.uint8)[..., None], 3, axis=-1)


def _fixed_test(classes: np.ndarray) -> np.ndarray:
    """Numbers of the test images, rising: 50 of each class."""
    lots = words(_TEST_SEED, "digits/test", range(1), len(classes))[0]
    chosen = []
    for digit in range(CLASSES):
        own = np.flatnonzero(classes == digit)
        chosen.append(own[np.argsort(lots[own], kind="stable")[:_TEST_PER_CLASS]])
    return np.sort(np.concatenate(chosen))
