"""Batch norm against numpy, against the other path, and against Keras' running statistics."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from zoolib.nn.batch_norm import BatchNorm, batch_norms

SOURCE = np.random.RandomState(5)
SHAPES = {"rows": (7, 3), "episodes": (2, 5, 3), "images": (4, 5, 6, 3)}
GAMMA = np.array([0.5, 1.0, 2.0], np.float32)
BETA = np.array([-1.0, 0.0, 0.25], np.float32)
every_shape = pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)


def values(shape) -> np.ndarray:
    return (2.0 + 3.0 * SOURCE.standard_normal(shape)).astype(np.float32)


def layer(**options) -> BatchNorm:
    norm = BatchNorm(3, **options)
    for variable, value in ((norm.gamma, GAMMA), (norm.beta, BETA)):
        if variable is not None:
            variable.assign(value)
    return norm


def by_hand(x, mean, variance, epsilon, gamma=GAMMA, beta=BETA) -> np.ndarray:
    return (x.astype(np.float64) - mean) / np.sqrt(variance + epsilon) * gamma + beta


def own(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    rows = x.reshape(-1, 3).astype(np.float64)
    return rows.mean(0), rows.var(0), len(rows)


@every_shape
@pytest.mark.parametrize("epsilon", [1e-3, 1e-5])
def test_training_normalises_by_the_batchs_mean_and_biased_variance(shape, epsilon):
    x = values(shape)
    mean, variance, _ = own(x)
    found = layer(epsilon=epsilon)(tf.constant(x), True)
    np.testing.assert_allclose(found, by_hand(x, mean, variance, epsilon), atol=1e-5)


@every_shape
def test_scale_and_offset_can_be_left_out(shape):
    x = values(shape)
    mean, variance, _ = own(x)
    for scale, center in ((False, True), (True, False), (False, False)):
        norm = layer(scale=scale, center=center)
        gamma, beta = (GAMMA if scale else 1.0), (BETA if center else 0.0)
        expected = by_hand(x, mean, variance, 1e-3, gamma, beta)
        np.testing.assert_allclose(norm(tf.constant(x), True), expected, atol=1e-5)
        assert len(norm.trainable_variables) == scale + center
    assert BatchNorm(2, gamma=0.5, beta=1e-4).gamma.numpy().tolist() == [0.5, 0.5]
    assert BatchNorm(2, beta=1e-4).beta.numpy().tolist() == [np.float32(1e-4)] * 2


@every_shape
@pytest.mark.parametrize("unbiased", [True, False])
def test_running_statistics_move_by_one_minus_momentum(shape, unbiased):
    norm = layer(momentum=0.9, unbiased=unbiased)
    expected_mean, expected_variance = np.zeros(3), np.ones(3)
    for _ in range(3):
        x = values(shape)
        mean, variance, n = own(x)
        variance = variance * n / (n - 1) if unbiased else variance
        expected_mean = 0.9 * expected_mean + 0.1 * mean
        expected_variance = 0.9 * expected_variance + 0.1 * variance
        norm(tf.constant(x), True)
    np.testing.assert_allclose(norm.moving_mean, expected_mean, rtol=1e-5)
    np.testing.assert_allclose(norm.moving_variance, expected_variance, rtol=1e-5)


@every_shape
def test_inference_normalises_by_the_running_statistics_and_moves_nothing(shape):
    norm, x = layer(), values(shape)
    mean, variance = np.array([1.0, 2.0, 3.0]), np.array([0.5, 1.0, 4.0])
    norm.moving_mean.assign(mean.astype(np.float32))
    norm.moving_variance.assign(variance.astype(np.float32))
    found = norm(tf.constant(x), False)
    np.testing.assert_allclose(found, by_hand(x, mean, variance, 1e-3), atol=2e-5)
    np.testing.assert_array_equal(norm.moving_mean, mean)
    np.testing.assert_array_equal(norm.moving_variance, variance)


@every_shape
def test_statistics_move_by_request_only(shape):
    norm, x = layer(momentum=0.5), tf.constant(values(shape))
    compiled = tf.function(lambda x, update: norm(x, True, update), autograph=False)
    for call in (norm, compiled):
        before = norm.moving_mean.numpy()
        without = call(x, True, False) if call is norm else call(x, False)
        np.testing.assert_array_equal(norm.moving_mean, before)
        with_update = call(x, True, True) if call is norm else call(x, True)
        assert np.abs(norm.moving_mean - before).min() > 0.1
        np.testing.assert_allclose(without, with_update, rtol=1e-6)


def test_updates_of_one_step_follow_each_other_in_program_order():
    norm, a, b = layer(momentum=0.5), values((6, 3)), values((6, 3)) + 10.0

    @tf.function
    def step(a, b):
        norm(a, True)
        norm(b, True)

    step(tf.constant(a), tf.constant(b))
    np.testing.assert_allclose(norm.moving_mean, 0.25 * a.mean(0) + 0.5 * b.mean(0), rtol=1e-5)


def test_both_paths_agree():
    x = values((8, 1, 1, 3))
    norms = layer(), layer()
    fused, explicit = norms[0](tf.constant(x), True), norms[1](tf.constant(x[:, 0, 0]), True)
    np.testing.assert_allclose(fused[:, 0, 0], explicit, atol=1e-5)
    for mine, other in zip(norms[0].variables, norms[1].variables):
        np.testing.assert_allclose(mine, other, rtol=1e-5)


@pytest.mark.parametrize("jit", [False, True])
def test_compiled_and_eager_agree(jit):
    x, norms = values((4, 5, 6, 3)), (layer(), layer())
    compiled = tf.function(lambda x: norms[0](x, True), jit_compile=jit, autograph=False)
    eager = norms[1](tf.constant(x), True)
    np.testing.assert_allclose(compiled(tf.constant(x)), eager, atol=1e-5)
    for mine, other in zip(norms[0].variables, norms[1].variables):
        np.testing.assert_allclose(mine, other, rtol=1e-5)


def test_running_statistics_are_those_of_keras():
    """Keras 2 takes the fused kernel's unbiased variance for images, Keras 3 the biased one."""
    keras = tf.keras.layers.BatchNormalization(momentum=0.95, epsilon=1e-3)
    keras3 = int(tf.version.VERSION.split(".")[1]) >= 16
    norm = BatchNorm(3, momentum=0.95, unbiased=not keras3)
    for _ in range(5):
        x = tf.constant(values((4, 5, 6, 3)))
        np.testing.assert_allclose(norm(x, True), keras(x, training=True), atol=1e-4)
    np.testing.assert_allclose(norm.moving_mean, keras.moving_mean, rtol=1e-5)
    np.testing.assert_allclose(norm.moving_variance, keras.moving_variance, rtol=1e-5)
    x = tf.constant(values((4, 5, 6, 3)))
    np.testing.assert_allclose(norm(x, False), keras(x, training=False), atol=1e-4)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_keeps_float32_statistics(dtype):
    x = tf.cast(1000.0 + values((4, 5, 6, 3)), dtype)  # its squares overflow float16
    for shape in ((4, 5, 6, 3), (120, 3)):
        norm = layer(momentum=0.0)
        found = norm(tf.reshape(x, shape), True)
        assert found.dtype == tf.as_dtype(dtype) and norm.moving_mean.dtype == tf.float32
        rows = tf.cast(x, tf.float64).numpy().reshape(-1, 3)
        np.testing.assert_allclose(norm.moving_mean, rows.mean(0), rtol=1e-5)
        np.testing.assert_allclose(norm.moving_variance, rows.var(0, ddof=1), rtol=1e-3)
        expected = by_hand(rows, rows.mean(0), rows.var(0), 1e-3).reshape(shape)
        np.testing.assert_allclose(tf.cast(found, tf.float32), expected, atol=0.03)


def test_a_batch_of_one_value_has_no_variance():
    for shape in ((1, 3), (1, 1, 1, 3)):
        norm = layer(momentum=0.0)
        np.testing.assert_allclose(norm(tf.ones(shape), True).numpy().ravel(), BETA, atol=1e-6)
        np.testing.assert_array_equal(norm.moving_variance, np.zeros(3))


def test_statistics_can_be_sent_elsewhere():
    norm, x, told = layer(), values((4, 5, 6, 3)), []
    with norm.statistics_to(lambda *found: told.append(found)):
        norm(tf.constant(x), True)
        norm(tf.constant(x), True, update=False)
        norm(tf.constant(x), False)
    (mean, variance, count), expected = told[0], own(x)
    assert len(told) == 1 and count == expected[2]
    np.testing.assert_allclose(mean, expected[0], rtol=1e-5)
    np.testing.assert_allclose(variance, expected[1], rtol=1e-5)
    np.testing.assert_array_equal(norm.moving_mean, np.zeros(3))
    norm(tf.constant(x), True)
    assert len(told) == 1 and np.abs(norm.moving_mean).min() > 0


def test_wrong_shapes_are_told_by_name():
    norm = BatchNorm(3, name="Stage2/norm")
    with pytest.raises(ValueError, match=r"Stage2/norm: expected 3 channels .* got shape \(2, 4\)"):
        norm(tf.zeros([2, 4]), True)
    compiled = tf.function(
        lambda x: norm(x, True), input_signature=[tf.TensorSpec([None, 3])], autograph=False
    )
    with pytest.raises(ValueError, match=r"Stage2/norm: expected a static shape"):
        compiled(tf.zeros([2, 3]))
    names = sorted(v.name for v in norm.variables)
    assert names[0] == "Stage2/norm/beta:0" and len(set(names)) == 4


def test_all_norms_of_a_network_are_found():
    network = tf.Module()
    network.parts = [BatchNorm(3, name="a"), {"deep": [BatchNorm(2, name="b")]}]
    assert sorted(norm.path for norm in batch_norms(network)) == ["a", "b"]
    assert len(batch_norms(BatchNorm(3))) == 1


# ---- derivatives


def loss(norm: BatchNorm, x: tf.Tensor, target: np.ndarray) -> tf.Tensor:
    return tf.reduce_mean(tf.square(tf.nn.tanh(norm(x, True, update=False)) - target))


def loss_by_hand(x: np.ndarray, target: np.ndarray) -> float:
    mean, variance, _ = own(x)
    return float(np.mean((np.tanh(by_hand(x, mean, variance, 1e-3)) - target) ** 2))


def differences(function, x: np.ndarray, h: float) -> np.ndarray:
    found = np.zeros(x.shape)
    for place in np.ndindex(*x.shape):
        step = np.zeros(x.shape)
        step[place] = h
        found[place] = (function(x + step) - function(x - step)) / (2 * h)
    return found


@pytest.mark.parametrize("shape", [(6, 3), (3, 1, 2, 3)], ids=["rows", "images"])
def test_first_and_second_derivatives_against_finite_differences(shape):
    """Of both paths, in float32, against a float64 formula that shares no code with them."""
    source = np.random.RandomState(1)
    x64, target, direction = (source.standard_normal(shape) for _ in range(3))
    target, norm, x = target.astype(np.float32), layer(), tf.constant(x64.astype(np.float32))
    with tf.GradientTape() as outer:
        outer.watch(x)
        with tf.GradientTape() as inner:
            inner.watch(x)
            value = loss(norm, x, target)
        first = inner.gradient(value, x)
        along = tf.reduce_sum(first * direction.astype(np.float32))
    second = outer.gradient(along, x)

    def by_differences(at: np.ndarray) -> np.ndarray:
        return differences(lambda v: loss_by_hand(v, target), at, 1e-5)

    h = 1e-3  # H d = (grad(x + h d) - grad(x - h d)) / 2h
    ahead, behind = by_differences(x64 + h * direction), by_differences(x64 - h * direction)
    expected = (ahead - behind) / (2 * h)
    np.testing.assert_allclose(first, by_differences(x64), atol=1e-5)
    assert np.abs(expected).max() > 0.01
    np.testing.assert_allclose(second, expected, atol=1e-3 * np.abs(expected).max())


# ---- several batches behind one another


@every_shape
def test_parts_are_as_batches_one_at_a_time(shape):
    x = values((3 * shape[0], *shape[1:]))
    x[shape[0] : 2 * shape[0]] *= 4.0
    together, apart = layer(momentum=0.9), layer(momentum=0.9)
    with tf.GradientTape() as tape:
        inputs = tf.constant(x)
        tape.watch(inputs)
        found = together(inputs, True, True, parts=3)
        loss = tf.reduce_sum(tf.sin(found))
    gradients = tape.gradient(loss, [inputs, together.gamma, together.beta])
    with tf.GradientTape() as tape:
        inputs = tf.constant(x)
        tape.watch(inputs)
        batches = tf.split(inputs, 3)
        parts = [apart(batch, True, number == 0) for number, batch in enumerate(batches)]
        expected = tf.concat(parts, axis=0)
        loss = tf.reduce_sum(tf.sin(expected))
    np.testing.assert_allclose(found, expected, atol=1e-6)
    for g, h in zip(gradients, tape.gradient(loss, [inputs, apart.gamma, apart.beta])):
        np.testing.assert_allclose(g, h, rtol=1e-4, atol=1e-5)
    mean, variance, count = own(x[: shape[0]])
    np.testing.assert_allclose(together.moving_mean, 0.1 * mean, rtol=1e-4, atol=1e-6)
    moved = 0.9 + 0.1 * variance * count / (count - 1)
    np.testing.assert_allclose(together.moving_variance, moved, rtol=1e-4)


def test_parts_leave_the_running_statistics_alone_where_asked_to():
    norm = layer()
    norm(tf.constant(values((6, 3))), True, update=False, parts=2)
    assert not norm.moving_mean.numpy().any()


def test_a_batch_that_parts_do_not_divide_is_refused():
    with pytest.raises(
        ValueError, match=r"expected a first axis that 4 parts divide, got \(6, 3\)"
    ):
        layer()(tf.zeros([6, 3]), True, parts=4)
