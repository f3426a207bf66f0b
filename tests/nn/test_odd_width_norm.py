"""Batch norm in pieces that XLA compiles: the same numbers as the explicit formula."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from zoolib.nn import odd_width_norm
from zoolib.nn.batch_norm import BatchNorm

SHAPE, EPSILON = (4, 5, 3, 22), 1e-3


def explicit(x, gamma, beta, relu):
    mean, variance = x.mean((0, 1, 2)), x.var((0, 1, 2))
    y = (x - mean) / np.sqrt(variance + EPSILON) * gamma + beta
    return (np.maximum(y, 0) if relu else y), mean, variance


def explicit_gradients(x, gamma, beta, dy, relu):
    """By automatic differentiation of the formula, in float32."""
    given = [tf.constant(v, tf.float32) for v in (x, gamma, beta)]
    with tf.GradientTape() as tape:
        tape.watch(given)
        mean = tf.reduce_mean(given[0], [0, 1, 2])
        centred = given[0] - mean
        variance = tf.reduce_mean(tf.square(centred), [0, 1, 2])
        y = centred * tf.math.rsqrt(variance + EPSILON) * given[1] + given[2]
        y = tf.nn.relu(y) if relu else y
    return tape.gradient(y, given, tf.constant(dy, tf.float32))


@pytest.fixture
def numbers():
    draw = np.random.default_rng(3)
    x = draw.normal(size=SHAPE) * draw.uniform(0.1, 3, SHAPE[-1]) + draw.normal(size=SHAPE[-1])
    return x, draw.uniform(0.5, 2, SHAPE[-1]), draw.normal(size=SHAPE[-1]), draw.normal(size=SHAPE)


@pytest.mark.parametrize("relu", [False, True])
def test_values_and_gradients(numbers, relu):
    x, gamma, beta, dy = (v.astype(np.float32) for v in numbers)

    @tf.function(autograph=False)
    def both():
        given = [tf.constant(v) for v in (x, gamma, beta)]
        with tf.GradientTape() as tape:
            tape.watch(given)
            found = odd_width_norm.normalised(*given, EPSILON, relu)
        return found, tape.gradient(found[0], given, tf.constant(dy))

    found, gradients = both()
    for value, expected in zip(found, explicit(*numbers[:3], relu)):
        np.testing.assert_allclose(value, expected, rtol=2e-5, atol=2e-5)
    for value, expected in zip(gradients, explicit_gradients(x, gamma, beta, dy, relu)):
        np.testing.assert_allclose(value, expected, rtol=1e-4, atol=1e-4)


def test_a_large_mean_takes_no_digits_from_the_variance(numbers):
    x = (numbers[0] + 1000).astype(np.float32)
    ones, zeros = tf.ones(SHAPE[-1]), tf.zeros(SHAPE[-1])
    _, _, found = odd_width_norm.normalised(tf.constant(x), ones, zeros, EPSILON, False)
    np.testing.assert_allclose(found, x.astype(np.float64).var((0, 1, 2)), rtol=1e-5)


@pytest.mark.parametrize(("channels", "ours"), [(58, True), (22, True), (64, False), (16, False)])
def test_widths_that_fill_vectors_are_left_to_the_fused_kernel(channels, ours):
    norm = BatchNorm(channels, pieces_under_xla=True)
    plain = BatchNorm(channels)
    x = tf.random.stateless_normal([3, 4, 4, channels], seed=(1, 2))

    def traced(layer):
        call = tf.function(lambda x: layer(x, True, relu=True), autograph=False)
        return call.get_concrete_function(x), call(x)

    (graph, y), (plain_graph, expected) = traced(norm), traced(plain)
    kinds = {op.type for op in graph.graph.get_operations()}
    assert ("FusedBatchNormV3" not in kinds) == ours
    assert "FusedBatchNormV3" in {op.type for op in plain_graph.graph.get_operations()}
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-5)
    for name in ("moving_mean", "moving_variance"):
        np.testing.assert_allclose(getattr(norm, name), getattr(plain, name), rtol=1e-5, atol=1e-6)
