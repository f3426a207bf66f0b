"""Sharded evaluation: each rank takes its share of the items and all get every result, exactly.

An average of averages would be wrong where shares differ, and an interval needs every item; so what
ranks exchange are the results of single items, of which there are few: one number per test task, or
a class score per image. Each stands in its own place of an array of zeros, and the arrays are added
up over ranks. That is exact: every place gets one number and zeros.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np


class Shards:
    """Which of a fixed number of items are this rank's, and how results come together.

    All ranks have shares of the same length, in the same number of calls, so that they run the same
    graphs; where the items do not divide, the last item is computed again to fill up.

    Args:
        session: the open device.
        count: items in all.
        most: items in one compiled call, at most.

    Attributes:
        per_call: items in each call.
    """

    def __init__(self, session: Any, count: int, most: int) -> None:
        self.count = count
        self._rank, self._size = session.rank, session.size
        self._share = -(-count // session.size)
        self.per_call = min(most, self._share)
        self._sum = session.compile(lambda values: session.all_reduce([values], "sum")[0])

    def calls(self) -> Iterator[np.ndarray]:
        """Places of the items of each compiled call, int [per_call]; padded at the end."""
        start = self._rank * self._share
        for first in range(start, start + self._share, self.per_call):
            places = np.arange(first, first + self.per_call)
            yield np.minimum(places, min(start + self._share, self.count) - 1)

    def gather(self, parts: list[np.ndarray]) -> np.ndarray:
        """Every item's results, from those of this rank's calls; all ranks call this together.

        Args:
            parts: for each of :meth:`calls` a float32 or int32 array [..., per_call].

        Returns:
            [..., count], the same on every rank.
        """
        mine = np.concatenate(parts, axis=-1)[..., : self._share]
        if self._size == 1:
            return mine
        whole = np.zeros((*mine.shape[:-1], self._share * self._size), mine.dtype)
        start = self._rank * self._share
        whole[..., start : start + self._share] = mine
        import tensorflow as tf

        return self._sum(tf.constant(whole)).numpy()[..., : self.count]
