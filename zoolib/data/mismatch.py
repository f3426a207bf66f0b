"""Class mismatch: labelled images of some classes, unlabelled ones partly of others.

The construction of RealMix's README after Oliver et al. 2018 (arXiv 1804.09170, section 4.4): the
unlabelled images are of four classes, and from 0 to all four of them are classes without labels.
CIFAR-10: labels on the six animals (bird, cat, deer, dog, frog, horse); unlabelled

    0 %: deer, dog, frog, horse        25 %: airplane for deer     50 %: and automobile for dog
    75 %: and ship for frog            100 %: and truck for horse

Between these steps one class is replaced in part. Deviations: labels are numbered anew, and any
fraction will do. The variant "constant_in_class" answers the objection of arXiv 2503.00884 that
with a constant total it is also the useful images that become fewer: it keeps all of these and
adds foreign ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

import numpy as np

from zoolib.errors import ConfigError

VARIANTS = ("constant_total", "constant_in_class")


@dataclass(frozen=True)
class Mismatch:
    """Which classes have labels, and which ones the unlabelled images are of.

    Attributes:
        fraction: from 0 to 1. With "constant_total" the share of foreign images among the
            unlabelled; with "constant_in_class" their number relative to that of the in-class
            images (so 1 means as many, a share of one half).
        variant: "constant_total" or "constant_in_class".
        labelled: classes with labels; None: the first six of ten (rounded for other counts).
        inside: classes of the labelled ones of which there are unlabelled images.
        outside: classes without labels, as many as `inside`: the i-th replaces its i-th.
    """

    fraction: float
    variant: str = "constant_total"
    labelled: Optional[tuple[int, ...]] = None
    inside: Optional[tuple[int, ...]] = None
    outside: Optional[tuple[int, ...]] = None

    def __post_init__(self) -> None:
        if not 0 <= self.fraction <= 1:
            raise ConfigError(f"mismatch: expected a fraction from 0 to 1, got {self.fraction}.")
        if self.variant not in VARIANTS:
            raise ConfigError(
                f"mismatch: expected one of {', '.join(VARIANTS)}, got {self.variant!r}."
            )
        given = [field is not None for field in (self.labelled, self.inside, self.outside)]
        if any(given) and not all(given):
            raise ConfigError("mismatch: expected labelled, inside and outside, or none of them.")
        if all(given):
            self._check()

    def _check(self) -> None:
        known, inside, outside = set(self.labelled), set(self.inside), set(self.outside)
        single = all(len(set(c)) == len(c) for c in (self.labelled, self.inside, self.outside))
        if not single or not inside <= known or outside & known or len(inside) != len(outside):
            raise ConfigError(
                "mismatch: expected `inside` among the labelled classes and as many classes in "
                f"`outside` that are not, each once, got labelled {list(self.labelled)}, "
                f"inside {list(self.inside)}, outside {list(self.outside)}."
            )
        if not inside:
            raise ConfigError("mismatch: expected at least one class of unlabelled images.")

    def known(self, classes: int) -> tuple[int, ...]:
        """Classes with labels out of `classes`, in the order of their new numbers."""
        return self._resolved(classes).labelled

    def _resolved(self, classes: int) -> Mismatch:
        if self.labelled is None:
            if classes < 3:
                raise ConfigError(f"mismatch: expected at least 3 classes, the data has {classes}.")
            first = min(max(round(0.6 * classes), 1), classes - 1)
            width = min(first, classes - first)
            return Mismatch(
                self.fraction,
                self.variant,
                tuple(range(first)),
                tuple(range(first - width, first)),
                tuple(range(first, first + width)),
            )
        wrong = [c for c in (*self.labelled, *self.outside) if not 0 <= c < classes]
        if wrong:
            raise ConfigError(
                f"mismatch: expected classes from 0 to {classes - 1}, got {sorted(set(wrong))}."
            )
        return self

    def choose(self, labels: np.ndarray, classes: int) -> np.ndarray:
        """Which images to keep: places in rising order, int64.

        The first images of each class are taken; every slot of the construction has as many as
        the rarest of its classes, so the total does not depend on the fraction.

        Args:
            labels: of all images that may be used, int [n]; -1 for unknown ones, never used.
            classes: how many there are.
        """
        told = self._resolved(classes)
        slots = len(told.inside)
        every = {c: np.flatnonzero(labels == c) for c in (*told.inside, *told.outside)}
        size = min(map(len, every.values()))
        foreign = int(self.fraction * slots * size + 0.5)
        if self.variant == "constant_total":
            # The foreign images fill slot after slot, so quarters replace whole classes.
            counts = [min(max(foreign - i * size, 0), size) for i in range(slots)]
            inner = [size - count for count in counts]
        else:
            counts = [foreign // slots + (i < foreign % slots) for i in range(slots)]
            inner = [size] * slots
        taken = [every[c][:n] for c, n in zip(told.inside, inner)]
        taken += [every[c][:n] for c, n in zip(told.outside, counts)]
        return np.sort(np.concatenate(taken))


def animals(fraction: float, variant: str = "constant_total") -> Mismatch:
    """The classes of CIFAR-10 used in the literature: labels on the six animals."""
    return Mismatch(fraction, variant, (2, 3, 4, 5, 6, 7), (4, 5, 6, 7), (0, 1, 8, 9))
