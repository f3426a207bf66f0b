"""The networks: exact counts, several batches at once, the other architectures."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from zoolib.errors import ConfigError
from zoolib.models.realmix import build, parameters
from zoolib.nn.layers import kernels

SMALL = dict(image_size=16, filters=8, repeat=1, scales=2)
COUNTS = [
    ({}, 1_469_642),
    ({"num_classes": 6}, 1_469_126),
    ({"num_classes": 100}, 1_481_252),
    ({"image_size": 96, "scales": 4}, 5_933_770),
    (SMALL, 6_258),
    ({"image_size": 16, "filters": 16, "repeat": 2, "scales": 2}, 43_402),
]


@pytest.mark.parametrize(("settings", "count"), COUNTS)
def test_counts(settings, count):
    assert parameters(build(**settings).trainable_variables) == count


@pytest.mark.slow
@pytest.mark.parametrize(
    ("settings", "count"),
    [({"filters": 135}, 25_985_290), ({"image_size": 96, "scales": 0}, 23_774_922)],
)
def test_counts_of_large_networks(settings, count):
    assert parameters(build(**settings).trainable_variables) == count


def test_the_published_network_tensor_by_tensor():
    network = build()
    assert len(network.trainable_variables) == 108
    assert len(kernels(network)) == 29 and parameters(kernels(network)) == 1_463_984
    still = [v for v in network.variables if not v.trainable]
    assert len(still) == 50 and parameters(still) == 3_616
    assert len(network.norms) == 25
    assert {(n.momentum, n.epsilon) for n in network.norms} == {(0.999, 1e-3)}
    shapes = {v.name.split(":")[0]: tuple(v.shape) for v in network.trainable_variables}
    assert shapes["stem/kernel"] == (3, 3, 3, 16)
    assert shapes["scale0/block0/shortcut/kernel"] == (1, 1, 16, 32)
    assert shapes["dense/kernel"] == (128, 10) and shapes["dense/bias"] == (10,)
    assert sum("shortcut/kernel" in name for name in shapes) == 3


def test_initial_values():
    network = build()
    large = [v for v in kernels(network) if v.shape.num_elements() > 5000]
    for kernel in large:
        k, _, _, outputs = kernel.shape
        expected = (0.5 * k * k * outputs) ** -0.5
        assert np.std(kernel.numpy()) == pytest.approx(expected, rel=0.03)
    assert len(large) == 24
    zero = [v for v in network.trainable_variables if v.name.endswith(("bias:0", "beta:0"))]
    assert len(zero) == 54 and all(not v.numpy().any() for v in zero)


def by_hand(network, x, training_statistics=True):
    """The forward pass written down once more, with TensorFlow's plain operations."""

    def norm(layer, x):
        mean, variance = np.mean(x, (0, 1, 2)), np.var(x, (0, 1, 2))
        return (x - mean) / np.sqrt(variance + 1e-3) * layer.gamma + layer.beta

    def conv(layer, x):
        return tf.nn.conv2d(x, layer.kernel, layer.stride, "SAME").numpy() + layer.bias.numpy()

    def active(x):
        return np.where(x > 0, x, 0.1 * x).astype(np.float32)

    x = conv(network.stem, x)
    for number, block in enumerate(network.blocks):
        h = active(norm(block.norm1, x))
        shortcut = h if number == 0 else x
        h = conv(block.conv2, active(norm(block.norm2, conv(block.conv1, h))))
        x = h + (shortcut if block.shortcut is None else conv(block.shortcut, shortcut))
    h = active(norm(network.norm, x)).mean((1, 2))
    return h @ network.dense.kernel.numpy() + network.dense.bias.numpy()


def test_the_forward_pass(source):
    network = build(image_size=16, filters=4, repeat=2, scales=2)
    for v in network.trainable_variables:  # biases and gammas other than 0 and 1
        v.assign(v + source.normal(size=v.shape).astype(np.float32) * 0.2)
    x = source.uniform(-1, 1, (4, 16, 16, 3)).astype(np.float32)
    found = network(tf.constant(x), training=True, update=False)
    np.testing.assert_allclose(found, by_hand(network, x), atol=2e-4)


def is_conv_bias(v):
    return v.name.endswith("bias:0") and not v.name.startswith("dense")


def test_biases_of_convolutions_have_no_effect_in_training(source):
    """So their true gradient is zero, and none is taken."""
    network = build(image_size=16, filters=4, repeat=2, scales=2)
    x = tf.constant(source.uniform(-1, 1, (4, 16, 16, 3)).astype(np.float32))
    before = network(x, training=True, update=False)
    for v in filter(is_conv_bias, network.trainable_variables):
        v.assign(source.normal(size=v.shape).astype(np.float32))
    np.testing.assert_allclose(network(x, training=True, update=False), before, atol=1e-4)


@pytest.mark.parametrize("arch", ["resnet", "shake"])
def test_batches_behind_one_another_are_as_one_at_a_time(arch, source):
    one, many = (build(arch=arch, **SMALL) for _ in range(2))
    x = source.uniform(-1, 1, (12, 16, 16, 3)).astype(np.float32)
    x[4:8] *= 0.3
    shake = source.uniform(size=(12, one.shakes)).astype(np.float32) if one.shakes else None

    def coefficients(rows):
        return None if shake is None else tf.constant(shake[rows])

    w1, w2 = one.trainable_variables, many.trainable_variables
    with tf.GradientTape() as tape:
        parts = [
            one(tf.constant(x[i : i + 4]), True, not i, 1, coefficients(slice(i, i + 4)))
            for i in (0, 4, 8)
        ]
        apart = tf.concat(parts, 0)
        loss = tf.reduce_sum(tf.sin(apart))
    expected = tape.gradient(loss, w1)
    with tf.GradientTape() as tape:
        together = many(tf.constant(x), True, True, 3, coefficients(slice(0, 12)))
        loss = tf.reduce_sum(tf.sin(together))
    np.testing.assert_allclose(together, apart, atol=1e-5)
    for v, g, h in zip(w1, expected, tape.gradient(loss, w2)):
        assert (g is None) == (h is None) == (arch == "resnet" and is_conv_bias(v))
        if g is not None:
            np.testing.assert_allclose(g, h, atol=2e-4)
    for a, b in zip(one.norms, many.norms):
        assert a.moving_mean.numpy().any()
        np.testing.assert_allclose(a.moving_mean, b.moving_mean, atol=1e-6)
        np.testing.assert_allclose(a.moving_variance, b.moving_variance, atol=1e-6)


def test_convnet_has_no_batch_norm_and_shrinks_by_two_per_scale():
    network = build(arch="convnet", filters=4, scales=2, image_size=16)
    assert network.norms == [] and len(network.trainable_variables) == 12
    shapes = [tuple(v.shape[2:]) for v in kernels(network)]
    assert sorted(shapes) == sorted([(3, 4), (4, 4), (4, 8), (8, 8), (8, 16), (16, 10)])
    x = tf.random.stateless_uniform([2, 16, 16, 3], [1, 2])
    np.testing.assert_allclose(network(x), network(x, training=True), atol=1e-6)


def test_shake_mixes_by_the_coefficients_in_training_and_by_halves_otherwise(source):
    network = build(arch="shake", **SMALL)
    assert (
        network.shakes == 2 and not [v for v in network.trainable_variables if "bias" in v.name][1:]
    )
    x = tf.constant(source.uniform(-1, 1, (4, 16, 16, 3)).astype(np.float32))
    ends = [network(x, True, False, 1, tf.fill([4, 2], v)) for v in (0.0, 1.0)]
    assert np.abs(ends[0] - ends[1]).max() > 1e-3
    half = network(x, True, False, 1, tf.fill([4, 2], 0.5))
    np.testing.assert_allclose(network(x, True, False), half, atol=1e-6)


def test_odd_sizes(source):
    for arch in ("resnet", "shake", "convnet"):
        network = build(arch=arch, image_size=15, filters=4, repeat=1, scales=2)
        assert network(tf.zeros([2, 15, 15, 3]), training=True).shape == [2, 10]


def test_bad_arguments_are_refused():
    with pytest.raises(ConfigError, match="arch: expected one of resnet, convnet, shake"):
        build(arch="vgg")
    with pytest.raises(ConfigError, match="scales: expected at most"):
        build(image_size=8, filters=2, repeat=1, scales=6)
    with pytest.raises(ConfigError, match="filters: expected an integer of at least 1"):
        build(filters=0)
    with pytest.raises(ValueError, match=r"images: expected \[N, height, width, 3\]"):
        build(**SMALL)(tf.zeros([2, 16, 16, 1]))
