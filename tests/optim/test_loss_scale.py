"""Loss scaling on devices whose arithmetic gives infinities, and on those where it saturates."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from zoolib.optim.adam import Adam
from zoolib.optim.loss_scale import LossScale
from zoolib.runtime.device import Device, Session

HALF_MAX = 65504.0


class Saturating:
    """Emulates an Ascend 910: no value is ever infinite, a status register tells of overflows."""

    rank, size, saturates = 0, 1, True

    def __init__(self) -> None:
        self.status = tf.Variable(tf.zeros([8], tf.int32), trainable=False)

    def all_reduce(self, tensors, reduction="mean"):
        return list(tensors)

    broadcast = all_reduce

    def overflow_status(self, gradients):
        with tf.control_dependencies(gradients):
            return self.status.read_value()

    def lower(self, gradient):
        """What half precision makes of a gradient on such a device."""
        over = tf.reduce_any(tf.abs(gradient) > HALF_MAX)
        self.status.assign(tf.fill([8], tf.cast(over, tf.int32)))
        return tf.clip_by_value(gradient, -HALF_MAX, HALF_MAX)


class Infinite:
    """Half precision with infinities."""

    def lower(self, gradient):
        return tf.cast(tf.cast(gradient, tf.float16), tf.float32)


def session_and_engine(kind: str):
    if kind == "finite check":
        return Session(Device("cpu", "cpu", ("float32",)), "float32"), Infinite()
    engine = Saturating()
    return Session(Device("npu:0", "npu", ("float32",)), "float32", engine), engine


both = pytest.mark.parametrize("kind", ["finite check", "saturating"])


def train(
    kind: str, mode: str, value: float, slopes: list[float], compiled: bool = True, **options
):
    """Minimise slope * w with the scaled gradient in half precision.

    Returns:
        After every step: w, Adam's slots and count, the scale, steps skipped.
    """
    session, engine = session_and_engine(kind)
    w = tf.Variable([1.0], name="w")
    adam, scale = Adam([w]), LossScale(mode, value, session.overflowed, **options)

    def step(slope):
        with tf.GradientTape() as tape:
            loss = scale.scale(slope * tf.reduce_sum(w))
        gradient = engine.lower(tape.gradient(loss, w))
        true, skip = scale.unscale([gradient])
        adam.apply(true, tf.constant(0.1), skip)
        return true[0]

    call, history = tf.function(step, autograph=False) if compiled else step, []
    for slope in slopes:
        gradient = call(tf.constant(slope)).numpy()
        state = [v.numpy().item() for v in (w, adam.first[0], adam.second[0], adam.count)]
        told = (
            [getattr(scale, n).numpy().item() for n in ("value", "skipped")]
            if mode != "none"
            else []
        )
        history.append((state, told, gradient.item()))
    return history


@both
def test_static_skips_overflows_and_never_changes(kind):
    history = train(kind, "static", 1024.0, [1.0, 100.0, 2.0])
    (first, told, gradient), (second, told2, gradient2), (third, told3, gradient3) = history
    assert (gradient, gradient2, gradient3) == (1.0, 0.0, 2.0)  # true size; 102400 overflows
    assert second == first and third != second  # parameters, slots and count are untouched
    assert (told, told2, told3) == ([1024.0, 0], [1024.0, 1], [1024.0, 1])
    assert first[3] == 1.0 and third[3] == 2.0


@both
def test_dynamic_halves_at_an_overflow_and_doubles_after_good_steps(kind):
    slopes = [1.0, 1.0, 100.0, 100.0, 1.0, 1.0, 1.0, 1.0]
    history = train(kind, "dynamic", 1024.0, slopes, growth_steps=3)
    scales = [told[0] for _, told, _ in history]
    # good, good, overflow (count begins again), good at 512, good, good: doubled, good, good
    assert scales == [1024.0, 1024.0, 512.0, 512.0, 512.0, 1024.0, 1024.0, 1024.0]
    assert [told[1] for _, told, _ in history] == [0, 0, 1, 1, 1, 1, 1, 1]
    assert history[2][0] == history[1][0]
    assert history[-1][0][3] == 7.0


@both
def test_dynamic_stays_within_bounds(kind):
    down = train(kind, "dynamic", 2.0, [1e6] * 3)
    assert [told[0] for _, told, _ in down] == [1.0, 1.0, 1.0]
    up = train(kind, "dynamic", 2.0**23, [1e-4] * 3, growth_steps=1)
    assert [told[0] for _, told, _ in up] == [2.0**24] * 3


@both
def test_small_gradients_survive_half_precision_only_when_scaled(kind):
    if kind == "saturating":
        pytest.skip("the emulation rounds no small numbers")
    assert train(kind, "none", 1.0, [1e-8])[0][2] == 0.0
    assert train(kind, "static", 1024.0, [1e-8])[0][2] == pytest.approx(1e-8, rel=0.05)


def test_without_scaling_nothing_is_added():
    scale = LossScale("none", 1.0, lambda gradients: 1 / 0)
    gradients = [tf.constant([2.0])]
    true, skip = scale.unscale(gradients)
    assert skip is None and true[0] is gradients[0] and not scale.variables
    assert scale.scale(gradients[0]) is gradients[0]


def test_other_modes_are_refused():
    with pytest.raises(
        ValueError, match="loss_scale: expected none, static or dynamic, got 'auto'"
    ):
        LossScale("auto", 1.0, lambda gradients: None)


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan, 1e30])
def test_one_bad_gradient_among_many_is_an_overflow(value):
    session, _ = session_and_engine("finite check")
    good = [tf.ones([3, 3]), tf.ones([4])]
    assert not session.overflowed(good).numpy()
    assert session.overflowed([*good, tf.constant([0.0, value])]).numpy()


def test_where_arithmetic_saturates_only_the_status_tells():
    session, engine = session_and_engine("saturating")
    assert not session.overflowed([tf.constant([HALF_MAX])]).numpy()
    engine.status.assign([0, 0, 0, 0, 0, 1, 0, 0])
    assert session.overflowed([tf.constant([1.0])]).numpy()
