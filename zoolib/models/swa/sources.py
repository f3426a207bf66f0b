"""Training and test sets of the SWA demonstrations, and their order."""

from __future__ import annotations

import dataclasses

import numpy as np

from zoolib.data import blobs as gaussian
from zoolib.data import digits as handwritten
from zoolib.data.draws import generator
from zoolib.models.swa.config import TRAIN_DIGITS, SWAConfig

_TEST_BLOBS = 20_000


@dataclasses.dataclass(frozen=True)
class Source:
    """Arrays of one task; inputs float32 [N, features], labels int32 [N].

    Attributes:
        x, y: what is trained on, label noise included.
        test_x, test_y: held out, labels as they are.
        classes: how many classes there are.
    """

    x: np.ndarray
    y: np.ndarray
    test_x: np.ndarray
    test_y: np.ndarray
    classes: int

    def batches(self, seed: int, steps: range, size: int) -> tuple[np.ndarray, np.ndarray]:
        """Inputs [len(steps), size, features] and labels; each epoch in an order of its own."""
        per_epoch = len(self.x) // size
        orders: dict[int, np.ndarray] = {}
        rows = []
        for step in steps:
            epoch, place = divmod(step, per_epoch)
            if epoch not in orders:
                orders[epoch] = generator(seed, f"swa/order/{epoch}").permutation(len(self.x))
            rows.append(orders[epoch][place * size : (place + 1) * size])
        index = np.stack(rows)
        return self.x[index], self.y[index]


def make(config: SWAConfig) -> Source:
    """The data a config names."""
    return _blobs(config) if config.datasource == "blobs" else _digits(config)


def _blobs(config: SWAConfig) -> Source:
    """The seed's points, and as many again from the same blobs to test on."""
    x, y = gaussian.blobs(config.samples)
    middle = np.random.RandomState(2).uniform(-10.0, 10.0, (3, 2))
    source = generator(0, "swa/test blobs")
    test_y = source.integers(0, 3, _TEST_BLOBS).astype(np.int32)
    test_x = (middle[test_y] + 2.0 * source.standard_normal((_TEST_BLOBS, 2))).astype(np.float32)
    return Source(x, y, test_x, test_y, 3)


def _digits(config: SWAConfig) -> Source:
    """1,000 digits to train on and 797 to test on, the same split for every seed."""
    images, labels = handwritten.digits()
    x = images.reshape(len(images), -1).astype(np.float32) / 16.0
    order = generator(0, "swa/digits split").permutation(len(x))
    train, test = order[:TRAIN_DIGITS], order[TRAIN_DIGITS:]
    y = labels[train].copy()
    source = generator(config.seed, "swa/label noise")
    wrong = source.permutation(TRAIN_DIGITS)[: round(config.label_noise * TRAIN_DIGITS)]
    y[wrong] = source.integers(0, handwritten.CLASSES, len(wrong))
    return Source(x[train], y, x[test], labels[test], handwritten.CLASSES)
