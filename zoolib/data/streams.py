"""The endless stream of training examples: epoch after epoch, each in its own order.

Step s of R ranks with batches of B takes the places s*R*B to (s+1)*R*B - 1 of the stream, and rank
r the r-th B of these. So nothing but the step needs to be saved to go on, and R ranks with batches
of B see what one device sees with batches of R*B.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np

from zoolib.data.draws import words
from zoolib.errors import ConfigError


class Stream:
    """Which example stands at a place of the stream; may be asked by several threads.

    Attributes:
        count: examples.
        order: epoch -> order of the examples in it, int64 [count].
    """

    def __init__(self, count: int, order: Callable[[int], np.ndarray]) -> None:
        self.count, self.order = count, order
        self._orders: dict[int, np.ndarray] = {}
        self._lock = threading.Lock()

    def indices(self, places: range) -> np.ndarray:
        """Which examples stand at consecutive places, int64 [n]."""
        epochs = range(places.start // self.count, (places.stop - 1) // self.count + 1)
        with self._lock:
            known = {e: self._orders[e] for e in epochs if e in self._orders}
            self._orders = {e: known[e] if e in known else self.order(e) for e in epochs}
            stretch = np.concatenate([self._orders[e] for e in epochs])
        start = places.start - epochs.start * self.count
        return stretch[start : start + len(places)]


def shuffled(count: int, seed: int, purpose: str) -> Stream:
    """A stream whose epochs are shuffled by (seed, purpose, epoch)."""

    def order(epoch: int) -> np.ndarray:
        lots = words(seed, purpose, range(epoch, epoch + 1), count)[0]
        return np.argsort(lots, kind="stable")

    return Stream(count, order)


def places_of(step: int, batch_size: int, rank: int, ranks: int) -> range:
    """A rank's places in the stream at a step."""
    start = (step * ranks + rank) * batch_size
    return range(start, start + batch_size)


def check_share(batch_size: int, rank: int, ranks: int) -> None:
    """Refuse a batch size or rank that makes no sense.

    Raises:
        ConfigError: a batch size below 1, or a rank that is not one of the ranks.
    """
    if batch_size < 1:
        raise ConfigError(f"batch size: expected at least 1, got {batch_size}.")
    if not 0 <= rank < ranks:
        raise ConfigError(f"Expected a rank from 0 to {ranks - 1}, got {rank}.")
