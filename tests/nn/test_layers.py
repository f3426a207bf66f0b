"""Layers against plain loops, PyTorch's padding rule, initial values and names."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from zoolib.data.draws import generator
from zoolib.nn import variance_scaling as initial
from zoolib.nn.batch_norm import BatchNorm
from zoolib.nn.layers import Conv2D, Dense, DepthwiseConv2D, Maker, Normalised, kernels
from zoolib.nn.pool import global_mean, max_pool
from zoolib.runtime.device import open_session

SOURCE = np.random.RandomState(4)


@pytest.fixture(scope="module")
def session():
    return open_session("cpu", "float32")


@pytest.fixture
def make(session):
    return maker(session)


def maker(session, seed: int = 3, **options) -> Maker:
    return Maker(session, lambda name: generator(seed, name), **options)


def values(*shape: int) -> np.ndarray:
    return SOURCE.standard_normal(shape).astype(np.float32)


def correlate(x: np.ndarray, kernel: np.ndarray, stride: int, before: int, after: int):
    """Convolution by its definition; kernel [k, k, C, D]."""
    x = np.pad(x.astype(np.float64), [(0, 0), (before, after), (before, after), (0, 0)])
    k = kernel.shape[0]
    rows = [
        np.tensordot(x[:, i : i + k, j : j + k], kernel, [[1, 2, 3], [0, 1, 2]])
        for i in range(0, x.shape[1] - k + 1, stride)
        for j in range(0, x.shape[2] - k + 1, stride)
    ]
    side = int(np.sqrt(len(rows)))
    return np.stack(rows, 1).reshape(len(x), side, side, -1)


def diagonal(kernel: np.ndarray) -> np.ndarray:
    """A depthwise kernel as an ordinary one."""
    full = np.zeros((*kernel.shape[:2], kernel.shape[2], kernel.shape[2]))
    for channel in range(kernel.shape[2]):
        full[:, :, channel, channel] = kernel[:, :, channel, 0]
    return full


# (padding, size, stride) -> zeros before and after
PADDING = {
    ("SAME", 6, 1): (1, 1),
    ("SAME", 6, 2): (0, 1),
    ("SAME", 7, 2): (1, 1),
    (1, 6, 1): (1, 1),
    (1, 6, 2): (1, 1),
    (1, 7, 2): (1, 1),
    (2, 6, 1): (2, 2),
    (0, 6, 2): (0, 0),
    ("VALID", 6, 1): (0, 0),
}


@pytest.mark.parametrize("case", PADDING, ids=str)
def test_convolutions_are_their_definition(make, case):
    padding, size, stride = case
    x = values(2, size, size, 3)
    conv = Conv2D(make, "a", 3, 4, 3, stride, padding, bias=True, bias_initial=initial.normal(1.0))
    deep = DepthwiseConv2D(make, "b", 3, 3, stride, padding)
    expected = correlate(x, conv.kernel.numpy(), stride, *PADDING[case]) + conv.bias.numpy()
    np.testing.assert_allclose(conv(tf.constant(x)), expected, atol=1e-5)
    expected = correlate(x, diagonal(deep.kernel.numpy()), stride, *PADDING[case])
    np.testing.assert_allclose(deep(tf.constant(x)), expected, atol=1e-5)
    assert conv.bias.numpy().any() and deep.bias is None


def test_dense_layers_multiply_the_last_axis(make):
    dense = Dense(make, "head", 5, 2, bias_initial=initial.constant(0.5))
    for shape in ((4, 5), (2, 3, 5)):
        x = values(*shape)
        np.testing.assert_allclose(dense(tf.constant(x)), x @ dense.kernel.numpy() + 0.5, atol=1e-5)
    open_ended = tf.function(dense, autograph=False).get_concrete_function(
        tf.TensorSpec([None, 3, 5])
    )
    assert open_ended.structured_outputs.shape.as_list() == [None, 3, 2]
    assert Dense(make, "plain", 5, 2, bias=False).bias is None


def test_gradients_are_those_of_the_plain_operators(make):
    x = tf.constant(values(2, 7, 7, 3))
    conv, deep = Conv2D(make, "a", 3, 4, 3, 2, 1), DepthwiseConv2D(make, "b", 4, 3, 2, 1)
    with tf.GradientTape() as tape:
        value = tf.reduce_sum(tf.square(deep(conv(x))))
    found = tape.gradient(value, [conv.kernel, deep.kernel])
    with tf.GradientTape() as tape:
        pads = [[0, 0], [1, 1], [1, 1], [0, 0]]
        y = tf.nn.conv2d(tf.pad(x, pads), conv.kernel, 2, "VALID")
        y = tf.nn.depthwise_conv2d(tf.pad(y, pads), deep.kernel, [1, 2, 2, 1], "VALID")
        value = tf.reduce_sum(tf.square(y))
    for mine, other in zip(found, tape.gradient(value, [conv.kernel, deep.kernel])):
        np.testing.assert_allclose(mine, other, rtol=1e-5, atol=1e-5)


def test_a_margin_never_wins_a_maximum():
    x = -1.0 - np.abs(values(2, 6, 6, 3))
    found = max_pool(tf.constant(x), 3, 2, 1).numpy()
    bordered = np.pad(x, [(0, 0), (1, 1), (1, 1), (0, 0)], constant_values=-np.inf)
    for i in range(3):
        for j in range(3):
            window = bordered[:, 2 * i : 2 * i + 3, 2 * j : 2 * j + 3]
            np.testing.assert_array_equal(found[:, i, j], window.max((1, 2)))
    same = tf.nn.max_pool2d(x, 2, 2, "SAME")
    np.testing.assert_array_equal(max_pool(tf.constant(x), padding="SAME"), same)
    np.testing.assert_allclose(global_mean(tf.constant(x)), x.mean((1, 2)), rtol=1e-5)


# ---- names and initial values


class Unit(tf.Module):
    """A basic unit of ShuffleNetV2 on its half of the channels, as the paper draws it."""

    def __init__(self, make: Maker, width: int) -> None:
        super().__init__()

        def norm(name: str) -> BatchNorm:
            return BatchNorm(width, name=make.path(name))

        self.before = Normalised(Conv2D(make, "before", width, width), norm("before/norm"))
        self.depthwise = Normalised(DepthwiseConv2D(make, "deep", width), norm("deep/norm"))
        self.after = Normalised(Conv2D(make, "after", width, width), norm("after/norm"))

    def __call__(self, x: tf.Tensor, training: bool, update: bool = True) -> tf.Tensor:
        x = tf.nn.relu(self.before(x, training, update))
        x = self.depthwise(x, training, update)
        return tf.nn.relu(self.after(x, training, update))


def test_a_unit_reads_like_the_paper(make):
    unit = Unit(make.within("Stage2").within("unit_2"), 4)
    names = {v.name for v in unit.trainable_variables}
    assert len(unit.variables) == 15 and len(names) == 9
    assert {"Stage2/unit_2/before/kernel:0", "Stage2/unit_2/deep/norm/gamma:0"} <= names
    x = tf.constant(values(2, 5, 5, 4))
    assert unit(x, True).shape == x.shape
    moved = unit.after.norm.moving_mean.numpy()
    assert moved.any()
    unit(x, True, update=False)
    np.testing.assert_array_equal(moved, unit.after.norm.moving_mean)


def test_weight_decay_means_kernels_and_not_depthwise_ones(make):
    unit = Unit(make, 4)
    assert sorted(k.name for k in kernels(unit)) == ["after/kernel:0", "before/kernel:0"]
    assert len(kernels(unit, depthwise=True)) == 3
    assert [k.name for k in kernels(Dense(make, "head", 4, 2))] == ["head/kernel:0"]


def test_initial_values_follow_seed_and_name_and_nothing_else(session):
    def drawn(seed: int, names: list[str]) -> dict[str, np.ndarray]:
        make = maker(session, seed).within("net")
        layers = {n: Conv2D(make, n, 3, 4, 3, bias=True) for n in names}
        return {n: layer.kernel.numpy() for n, layer in layers.items()}

    first, second = drawn(3, ["a", "b"]), drawn(3, ["b", "c", "a"])
    for name in ("a", "b"):
        np.testing.assert_array_equal(first[name], second[name])
    assert np.abs(first["a"] - first["b"]).max() > 0.01
    assert np.abs(first["a"] - drawn(4, ["a"])["a"]).max() > 0.01


def test_initial_values_are_these_on_every_machine_and_tensorflow(make):
    kernel = Conv2D(make, "Conv1", 3, 24, 3).kernel.numpy()
    expected = generator(3, "Conv1/kernel").uniform(-1.0, 1.0, (3, 3, 3, 24)) * np.sqrt(6 / 243)
    np.testing.assert_allclose(kernel, expected, rtol=1e-6)


def test_the_makers_initial_values_are_the_default(session):
    make = maker(session, initial=initial.constant(0.25))
    assert (Conv2D(make, "a", 2, 2).kernel.numpy() == 0.25).all()
    assert not Dense(make, "b", 2, 2, initial=initial.zeros).kernel.numpy().any()


WIDE = (3, 3, 40, 200)
SPREADS = {  # standard deviation for the shape above, greatest size over it
    "glorot_uniform": (initial.glorot_uniform, np.sqrt(2 / (9 * 240)), np.sqrt(3)),
    "glorot_normal": (initial.glorot_normal, np.sqrt(2 / (9 * 240)), 2 / 0.8796),
    "he_normal": (initial.he_normal, np.sqrt(2 / 360), None),
    "he_uniform": (initial.he_uniform, np.sqrt(2 / 360), np.sqrt(3)),
    "realmix": (initial.variance_scaling(2.0, "fan_out"), (0.5 * 9 * 200) ** -0.5, None),
    "am3": (initial.variance_scaling(0.2, "fan_out"), np.sqrt(0.2 / 1800), None),
    "torch": (
        initial.variance_scaling(1 / 3, "fan_in", "uniform"),
        np.sqrt(1 / 3 / 360),
        np.sqrt(3),
    ),
    "normal": (initial.normal(0.01), 0.01, None),
    "truncated": (initial.truncated_normal(0.01), 0.01 * 0.8796, 2 / 0.8796),
}


@pytest.mark.parametrize("name", SPREADS)
def test_spreads(name):
    draw, std, most = SPREADS[name]
    found = draw(generator(0, name), WIDE)
    assert found.dtype == np.float32 and found.shape == WIDE
    assert abs(found.std() / std - 1) < 0.01 and abs(found.mean() / std) < 0.02
    largest = np.abs(found).max() / std
    assert 0.98 * most < largest < 1.001 * most if most else largest > 3.5


def test_depthwise_fans():
    """TensorFlow's rule (spec: at most 0.11664 for 48 channels), and that of one filter."""
    shape = (3, 3, 48, 1)
    limit = np.abs(initial.glorot_uniform(generator(0, "a"), shape)).max()
    assert 0.11 < limit < np.sqrt(6 / (9 * 48 + 9)) == pytest.approx(0.11664, abs=1e-5)
    draw = initial.variance_scaling(1 / 3, "fan_in", "uniform", per_filter=True)
    assert 0.32 < np.abs(draw(generator(0, "a"), shape)).max() < 1 / 3
    with pytest.raises(ValueError, match="variance_scaling: expected mode fan_in"):
        initial.variance_scaling(1.0, "fan_avg")


@pytest.mark.parametrize("size", [8, 7])
def test_a_strided_kernel_of_one_place_takes_odd_batches(make, size):
    """TensorFlow 2.21 ends the process in its own gradient of this (batch 7, channels 8 to 16)."""
    layer, x = Conv2D(make, f"strided{size}", 8, 16, 1, 2), tf.constant(values(7, size, size, 8))
    with tf.GradientTape() as tape:
        y = layer(x)
        loss = tf.reduce_sum(tf.square(y))
    found = tape.gradient(loss, layer.kernel)
    places = x.numpy()[:, ::2, ::2].reshape(-1, 8)
    expected = places @ layer.kernel.numpy()[0, 0]
    np.testing.assert_allclose(y.numpy().reshape(-1, 16), expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found.numpy()[0, 0], 2 * places.T @ expected, rtol=1e-4, atol=1e-4)
