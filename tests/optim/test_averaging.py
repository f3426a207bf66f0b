"""Averages of weights against numpy means in float64; state, types and graph mode."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from zoolib.optim.averaging import EqualAverage, ExponentialAverage

SOURCE = np.random.RandomState(0)
SHAPES = ((3, 4), (5,), ())
SNAPSHOTS = [
    [np.asarray(100.0 + SOURCE.standard_normal(s), np.float32) for s in SHAPES] for _ in range(23)
]


def variables() -> list[tf.Variable]:
    return [tf.Variable(w, name=f"w{i}") for i, w in enumerate(SNAPSHOTS[0])]


def fed(average, w, snapshots=SNAPSHOTS, compiled: bool = True) -> list[np.ndarray]:
    update = tf.function(average.update, autograph=False) if compiled else average.update
    for snapshot in snapshots:
        for variable, value in zip(w, snapshot):
            variable.assign(value)
        update()
    return [v.numpy() for v in average.values()]


def mean(snapshots) -> list[np.ndarray]:
    return [np.mean([s[i].astype(np.float64) for s in snapshots], 0) for i in range(len(SHAPES))]


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("window", [0, 1, 5, 23, 40])
def test_equal_average_is_the_mean_of_its_snapshots(window, compiled):
    w = variables()
    found = fed(EqualAverage(w, window), w, compiled=compiled)
    for value, expected in zip(found, mean(SNAPSHOTS[-window:] if window else SNAPSHOTS)):
        np.testing.assert_allclose(value, expected, rtol=1e-6)


@pytest.mark.parametrize("window", [0, 4])
def test_the_mean_is_right_after_every_snapshot(window):
    w = variables()
    average = EqualAverage(w, window)
    for n in range(1, 10):
        found = fed(average, w, SNAPSHOTS[n - 1 : n], compiled=False)
        first = max(0, n - window) if window else 0
        for value, expected in zip(found, mean(SNAPSHOTS[first:n])):
            np.testing.assert_allclose(value, expected, rtol=1e-6)
        assert average.count.numpy() == n


@pytest.mark.parametrize(("count", "tolerance"), [(100, 1e-6), (1000, 4e-6)])
def test_roundings_grow_like_the_root_of_the_count(count, tolerance):
    w = tf.Variable(tf.zeros([50]))
    average = EqualAverage([w])
    update = tf.function(average.update, autograph=False)
    snapshots = (1.0 + 0.1 * SOURCE.standard_normal((count, 50))).astype(np.float32)
    for snapshot in snapshots:
        w.assign(snapshot)
        update()
    expected = snapshots.astype(np.float64).mean(0)
    np.testing.assert_allclose(average.values()[0], expected, rtol=tolerance)


def test_the_tolerance_tells_wrong_weights_apart():
    """keras-swa's 0.1.5 weights n = e - s instead of (e - s) / f over-weigh early snapshots."""
    wrong = SNAPSHOTS[0][0].astype(np.float64)
    for k, snapshot in enumerate(SNAPSHOTS):
        n = 3 * k
        wrong = (n * wrong + snapshot[0]) / (n + 1)
    assert np.abs(wrong / mean(SNAPSHOTS)[0] - 1).max() > 1e-4


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_weights_are_averaged_in_float32(dtype):
    w = tf.Variable(tf.ones([4], dtype))
    average = EqualAverage([w])
    for value in (1.0, 1.0, 1.0, 2.0):
        w.assign(tf.fill([4], tf.cast(value, dtype)))
        average.update()
    assert average.kept[0].dtype == tf.float32
    np.testing.assert_allclose(average.kept[0], 1.25, rtol=1e-6)
    assert average.values()[0].dtype == w.dtype


def test_averages_are_put_into_the_weights_on_request():
    w = variables()
    average = EqualAverage(w)
    expected = fed(average, w)
    for variable, value in zip(w, SNAPSHOTS[-1]):
        np.testing.assert_array_equal(variable, value)  # averaging left them alone
    average.assign()
    for variable, value in zip(w, expected):
        np.testing.assert_array_equal(variable, value)


@pytest.mark.parametrize("window", [0, 5])
def test_state_is_variables_so_a_copy_goes_on_bit_for_bit(window):
    w = variables()
    first = EqualAverage(w, window)
    fed(first, w, SNAPSHOTS[:9])
    second = EqualAverage(w, window)
    for target, source in zip(second.variables, first.variables):
        target.assign(source)
    for a, b in zip(fed(first, w, SNAPSHOTS[9:]), fed(second, w, SNAPSHOTS[9:])):
        np.testing.assert_array_equal(a, b)
    names = [v.name for v in (*first.kept, first.count)]
    assert names == ["swa/w0:0", "swa/w1:0", "swa/w2:0", "swa/count:0"]
    assert not any(v.trainable for v in (*first.kept, first.count))


def test_counters_are_refused_by_name():
    with pytest.raises(TypeError, match="steps:0: expected a floating variable to average, got"):
        EqualAverage([tf.Variable(0, name="steps")])


def test_exponential_average_starts_at_the_weights_and_follows_its_formula():
    w = variables()
    average = ExponentialAverage(w, 0.9)
    for value, start in zip(average.values(), SNAPSHOTS[0]):
        np.testing.assert_array_equal(value, start)
    expected = [s.astype(np.float64) for s in SNAPSHOTS[0]]
    for snapshot in SNAPSHOTS:
        expected = [0.9 * e + 0.1 * s for e, s in zip(expected, snapshot)]
    for value, other in zip(fed(average, w), expected):
        np.testing.assert_allclose(value, other, rtol=1e-6)


def test_exponential_average_takes_a_decay_of_the_step():
    """ShuffleNetV2's warmup, min(d, (1 + s) / (10 + s)) after step s = 1, 2, …: 2/11, 3/12, …."""
    w = variables()
    average = ExponentialAverage(w, 0.995)
    update = tf.function(average.update, autograph=False)
    expected = [s.astype(np.float64) for s in SNAPSHOTS[0]]
    for step, snapshot in enumerate(SNAPSHOTS, 1):
        decay = min(0.995, (1 + step) / (10 + step))
        expected = [decay * e + (1 - decay) * s for e, s in zip(expected, snapshot)]
        for variable, value in zip(w, snapshot):
            variable.assign(value)
        update(tf.constant(decay))
    for value, other in zip(average.values(), expected):
        np.testing.assert_allclose(value, other, rtol=1e-6)


def test_half_weights_move_their_shadow_by_less_than_their_last_bit():
    w = tf.Variable(tf.ones([2], tf.float16))
    average = ExponentialAverage([w], 0.9999)
    w.assign(tf.fill([2], tf.cast(1.5, tf.float16)))
    for _ in range(10):
        average.update()
    np.testing.assert_allclose(average.shadows[0], 1.5 - 0.5 * 0.9999**10, rtol=1e-6)
    assert average.values()[0].dtype == tf.float16
