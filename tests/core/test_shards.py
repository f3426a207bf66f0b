"""Every item once, whoever computes it; what comes together is what one process would have."""

from __future__ import annotations

import types

import numpy as np
import pytest

from zoolib.core.shards import Shards


class Peers:
    """Ranks that take turns: the first turn hears what each adds, the second gets the sum."""

    def __init__(self, size):
        self.size, self.added, self.sum = size, {}, None

    def session(self, rank):
        return types.SimpleNamespace(
            rank=rank, size=self.size, compile=lambda function: function,
            all_reduce=lambda values, how: self._reduce(rank, values, how),
        )  # fmt: skip

    def _reduce(self, rank, values, how):
        assert how == "sum" and len(values) == 1
        self.added[rank] = values[0]
        if self.sum is None:
            return values
        return [self.sum]

    def gather(self, count, most, compute):
        """Everyone's result, and the places each asked for."""
        found = []
        for turn in range(2):
            if turn:
                assert len(self.added) == self.size
                self.sum = sum(self.added.values())
            found.clear()
            for rank in range(self.size):
                shards = Shards(self.session(rank), count, most)
                calls = list(shards.calls())
                assert {len(places) for places in calls} == {shards.per_call}
                found.append((shards.gather([compute(places) for places in calls]), calls))
        return found


CASES = [(1, 1, 4), (7, 2, 100), (7, 2, 3), (600, 4, 100), (3, 4, 2), (10, 3, 4), (8, 8, 1)]


@pytest.mark.parametrize(("count", "size", "most"), CASES)
def test_all_ranks_get_every_items_result_in_order(count, size, most):
    results = np.random.default_rng(0).normal(size=(3, count)).astype(np.float32)
    if size == 1:
        shards = Shards(Peers(1).session(0), count, most)
        np.testing.assert_array_equal(
            shards.gather([results[:, p] for p in shards.calls()]), results
        )
        return
    found = Peers(size).gather(count, most, lambda places: results[:, places])
    for values, _ in found:
        np.testing.assert_array_equal(values, results)
        assert values.dtype == np.float32
    assert len({len(calls) for _, calls in found}) == 1, "the same graphs, equally often"
    assert max(p.max() for _, calls in found for p in calls) < count


@pytest.mark.parametrize("most", [1, 4, 100])
def test_one_process_pads_only_its_last_call(most):
    shards = Shards(Peers(1).session(0), 10, most)
    calls = list(shards.calls())
    assert np.concatenate(calls)[:10].tolist() == list(range(10))
    assert np.concatenate(calls)[10:].tolist() == [9] * (len(calls) * shards.per_call - 10)


def test_shares_are_even_and_disjoint():
    computed = []
    Peers(2).gather(8, 3, lambda places: computed.append(set(places)) or np.float32(places))
    first, second = computed[0] | computed[1], computed[2] | computed[3]
    assert (first, second) == ({0, 1, 2, 3}, {4, 5, 6, 7})


def test_what_is_not_finite_stays_at_its_item():
    results = np.array([1.0, np.inf, np.nan, -np.inf, 5.0], np.float32)
    for values, _ in Peers(2).gather(5, 2, lambda places: results[places]):
        np.testing.assert_array_equal(values, results)


def test_counts_come_together_too():
    results = np.arange(10, dtype=np.int32).reshape(2, 5)
    for values, _ in Peers(2).gather(5, 2, lambda places: results[:, places]):
        np.testing.assert_array_equal(values, results)
        assert values.dtype == np.int32
