"""Second derivatives through batch norm, against finite differences in float64.

Meta-learning differentiates a gradient. `tf.nn.moments`, and the batch norms built on it, stop the
gradient inside the variance: their first derivatives are right and their second ones are not.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from zoolib.nn.normalise import standardise

SOURCE = np.random.RandomState(3)
X = SOURCE.standard_normal((2, 6, 4))  # tasks, examples, inputs
W = SOURCE.standard_normal((4, 3))
TARGET = SOURCE.standard_normal((2, 6, 3))
DIRECTION = SOURCE.standard_normal(W.shape)


def with_moments(x, axes, epsilon=1e-3):
    mean, variance = tf.nn.moments(x, axes, keepdims=True)
    return (x - mean) * tf.math.rsqrt(variance + epsilon)


def loss(w, normalise, axes):
    hidden = tf.nn.tanh(normalise(tf.matmul(tf.constant(X), w), axes))
    return tf.reduce_mean(tf.square(hidden - TARGET))


def gradient(w: np.ndarray, normalise, axes) -> np.ndarray:
    w = tf.constant(w)
    with tf.GradientTape() as tape:
        tape.watch(w)
        value = loss(w, normalise, axes)
    return tape.gradient(value, w).numpy()


def hessian_times(w: np.ndarray, direction: np.ndarray, normalise, axes) -> np.ndarray:
    """Derivative of (gradient . direction): what the outer loop needs."""
    w = tf.constant(w)
    with tf.GradientTape() as outer:
        outer.watch(w)
        with tf.GradientTape() as inner:
            inner.watch(w)
            value = loss(w, normalise, axes)
        product = tf.reduce_sum(inner.gradient(value, w) * direction)
    return outer.gradient(product, w).numpy()


def differences(function, w: np.ndarray, h: float = 1e-5) -> np.ndarray:
    """Central differences of a scalar function of w."""
    found = np.zeros_like(w)
    for place in np.ndindex(*w.shape):
        step = np.zeros_like(w)
        step[place] = h
        found[place] = (function(w + step) - function(w - step)) / (2 * h)
    return found


def relative(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.abs(a - b).max() / np.abs(b).max())


def test_first_derivatives():
    for axes in ([1], [2]):
        expected = differences(lambda w, a=axes: loss(tf.constant(w), standardise, a).numpy(), W)
        assert relative(gradient(W, standardise, axes), expected) < 1e-7


def test_second_derivatives():
    for axes in ([1], [2], [0, 1]):
        expected = differences(
            lambda w, a=axes: float((gradient(w, standardise, a) * DIRECTION).sum()), W
        )
        assert relative(hessian_times(W, DIRECTION, standardise, axes), expected) < 1e-7


def test_the_check_above_can_fail():
    """TensorFlow's own moments fail it, by far more than rounding."""
    expected = differences(lambda w: float((gradient(w, standardise, [1]) * DIRECTION).sum()), W)
    assert relative(gradient(W, with_moments, [1]), gradient(W, standardise, [1])) < 1e-9
    assert relative(hessian_times(W, DIRECTION, with_moments, [1]), expected) > 1e-2


def test_values_are_standardised_with_the_biased_variance():
    found = standardise(tf.constant(X), [1]).numpy()
    expected = (X - X.mean(1, keepdims=True)) / np.sqrt(X.var(1, keepdims=True) + 1e-3)
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    constant = standardise(tf.ones([2, 5, 3]), [1]).numpy()
    np.testing.assert_array_equal(constant, 0.0)
