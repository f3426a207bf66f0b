"""Loops of steps in one call, and bulk access to variables."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from zoolib.runtime import compat
from zoolib.runtime.compile import Bulk, StepLoop

TERMS = ("loss", "size")
KINDS = ["single", "graph", *(["xla"] if compat.loops_under_xla() else [])]


class Walk:
    """w <- 0.9 w + batch + draw."""

    def __init__(self) -> None:
        self.w = tf.Variable(tf.zeros([3]))

    def step(self, batch, draws):
        self.w.assign(0.9 * self.w + batch["a"] + draws["b"])
        return {"size": tf.reduce_sum(tf.square(self.w)), "loss": tf.reduce_sum(self.w)}


def feeds(count: int, seed: int = 0):
    drawn = np.random.RandomState(seed).standard_normal((2, count, 3)).astype(np.float32)
    return {"a": drawn[0]}, {"b": drawn[1]}


def by_hand(batch, draws):
    w, rows = np.zeros(3), []
    for a, b in zip(batch["a"], draws["b"]):
        w = 0.9 * w + a + b
        rows.append((w.sum(), (w**2).sum()))
    return w, np.array(rows)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("cuts", [[8], [3, 5], [1] * 8, [2, 6]])
def test_the_numbers_are_those_of_single_steps_however_cut(kind, cuts):
    walk, (batch, draws) = Walk(), feeds(8)
    loop, rows, start = StepLoop(walk.step, TERMS, 8, kind), [], 0
    if kind == "single":
        cuts = [1] * 8
    for count in cuts:
        part = slice(start, start + count)
        values = loop({"a": batch["a"][part]}, {"b": draws["b"][part]}, count)
        assert set(values) == set(TERMS)
        assert {(v.shape, v.dtype) for v in values.values()} == {((count,), np.dtype("float32"))}
        rows += zip(values["loss"], values["size"])
        start += count
    w, expected = by_hand(batch, draws)
    np.testing.assert_allclose(rows, expected, rtol=2e-5, atol=1e-5)
    np.testing.assert_allclose(walk.w.numpy(), w, rtol=1e-5, atol=1e-6)
    assert loop.traces == 1


@pytest.mark.parametrize("kind", KINDS[1:])
def test_cuts_do_not_change_a_bit(kind):
    found = []
    for cuts in ([8], [5, 3], [1] * 8):
        walk, (batch, draws), start = Walk(), feeds(8), 0
        loop = StepLoop(walk.step, TERMS, 8, kind)
        for count in cuts:
            part = slice(start, start + count)
            loop({"a": batch["a"][part]}, {"b": draws["b"][part]}, count)
            start += count
        found.append(walk.w.numpy().tobytes())
    assert len(set(found)) == 1


def test_a_single_loop_takes_one_step_a_call():
    assert StepLoop(Walk().step, TERMS, 100, "single").size == 1
    assert StepLoop(Walk().step, TERMS, 100, "graph").size == 100


@pytest.mark.parametrize("kind", KINDS[:2])
@pytest.mark.parametrize("terms", [("loss",), ("loss", "size", "more"), ("loss", "sizes")])
def test_a_step_must_return_the_terms_it_declares(kind, terms):
    loop = StepLoop(Walk().step, terms, 1, kind)
    with pytest.raises(ValueError, match="train_step: expected the terms"):
        loop(*feeds(1), 1)


def test_bulk_reads_and_writes_all_at_once():
    variables = {"a/w": tf.Variable([[1.0, 2.0]]), "n": tf.Variable(3), "f": tf.Variable(True)}
    bulk = Bulk(variables)
    values = bulk.read()
    assert values["a/w"].tolist() == [[1.0, 2.0]] and values["n"] == 3 and values["f"]
    assert {k: v.dtype for k, v in values.items()} == {"a/w": np.float32, "n": np.int32, "f": bool}
    variables["n"].assign(9)
    bulk.write({**values, "f": np.array(False), "unknown": np.zeros(3)})
    assert variables["n"].numpy() == 3 and not variables["f"].numpy()


@pytest.mark.parametrize(
    "change, told",
    [
        ({"w": None}, r"w: expected float32 \(2,\), got nothing"),
        ({"w": np.zeros(3, np.float32)}, r"w: expected float32 \(2,\), got float32 \(3,\)"),
        ({"w": np.zeros(2)}, r"w: expected float32 \(2,\), got float64 \(2,\)"),
    ],
)
def test_bulk_writes_all_or_nothing(change, told):
    w, v = tf.Variable([1.0, 2.0]), tf.Variable(5.0)
    values = {"v": np.float32(7), "w": np.zeros(2, np.float32), **change}
    with pytest.raises(ValueError, match=told):
        Bulk({"v": v, "w": w}).write({k: a for k, a in values.items() if a is not None})
    assert v.numpy() == 5.0 and w.numpy().tolist() == [1.0, 2.0]
