"""Products in reduced precision: inputs rounded, sums in float32."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from zoolib.errors import DeviceError
from zoolib.runtime.precision import GENERIC, Autocast, check_precision

SOURCE = np.random.RandomState(0)
A = SOURCE.standard_normal((3, 5, 64)).astype(np.float32)
B = SOURCE.standard_normal((3, 64, 4)).astype(np.float32)
EXACT = A.astype(np.float64) @ B.astype(np.float64)
# Relative size of the last bit: 8 bits of bfloat16, 11 of float16.
LAST_BIT = {"mixed_bfloat16": 2.0**-8, "mixed_float16": 2.0**-11}


def rounded(x: np.ndarray, precision: str) -> np.ndarray:
    kind = {"mixed_bfloat16": tf.bfloat16, "mixed_float16": tf.float16}[precision]
    return tf.cast(tf.cast(x, kind), tf.float64).numpy()


@pytest.mark.parametrize("precision", LAST_BIT)
def test_emulated_products_round_the_inputs_and_sum_in_float32(precision):
    found = Autocast(precision, emulate=True).matmul(tf.constant(A), tf.constant(B))
    assert found.dtype == tf.float32
    expected = rounded(A, precision) @ rounded(B, precision)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    error = np.abs(found - EXACT).max()
    assert 1e-5 < error < 64 * LAST_BIT[precision]


@pytest.mark.parametrize("precision", LAST_BIT)
def test_lowered_products_come_back_in_float32(precision):
    found = Autocast(precision, emulate=False).matmul(tf.constant(A), tf.constant(B))
    assert found.dtype == tf.float32
    error = np.abs(found - EXACT).max()  # TensorFlow 2.6 on a CPU sums 64 terms in half precision
    assert 1e-5 < error < 12 * np.abs(EXACT).max() * LAST_BIT[precision]


@pytest.mark.parametrize("precision", ["float32", "allow_mix_precision"])
def test_full_precision_changes_nothing(precision):
    cast = Autocast(precision, emulate=True)
    np.testing.assert_array_equal(cast.matmul(A, B), tf.matmul(A, B))
    np.testing.assert_array_equal(
        cast.matmul(A, np.swapaxes(B, 1, 2), transpose_b=True),
        tf.matmul(A, np.swapaxes(B, 1, 2), transpose_b=True),
    )


def test_convolutions_are_rounded_alike():
    x = SOURCE.standard_normal((2, 6, 6, 3)).astype(np.float32)
    kernel = SOURCE.standard_normal((3, 3, 3, 4)).astype(np.float32)
    cast = Autocast("mixed_bfloat16", emulate=True)
    found = cast.conv2d(tf.constant(x), tf.constant(kernel), strides=1, padding="SAME")
    low = [rounded(v, "mixed_bfloat16").astype(np.float32) for v in (x, kernel)]
    expected = tf.nn.conv2d(*low, strides=1, padding="SAME")
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    assert np.abs(found - tf.nn.conv2d(x, kernel, 1, "SAME")).max() > 1e-4


@pytest.mark.parametrize("precision", LAST_BIT)
def test_gradients_pass_through(precision):
    cast, a = Autocast(precision, emulate=True), tf.constant(A)
    with tf.GradientTape() as tape:
        tape.watch(a)
        value = tf.reduce_sum(cast.matmul(a, tf.constant(B)))
    expected = np.broadcast_to(rounded(B, precision).sum(-1)[:, None], A.shape)
    np.testing.assert_allclose(tape.gradient(value, a), expected, rtol=0.01, atol=0.1)


def test_names_are_checked_against_what_the_device_offers():
    for kind, offered in GENERIC.items():
        assert offered[0] == "float32"
        assert [check_precision(p, kind, offered) for p in offered] == list(offered)
    told = "precision: expected one of float32, mixed_bfloat16 on cpu, got 'mixed_float16'"
    with pytest.raises(DeviceError, match=told):
        check_precision("mixed_float16", "cpu", GENERIC["cpu"])


def test_depthwise_convolutions_are_rounded_alike():
    x = SOURCE.standard_normal((2, 6, 6, 3)).astype(np.float32)
    kernel = SOURCE.standard_normal((3, 3, 3, 1)).astype(np.float32)
    options = {"strides": [1, 1, 1, 1], "padding": "SAME"}
    cast = Autocast("mixed_bfloat16", emulate=True)
    found = cast.depthwise_conv2d(tf.constant(x), tf.constant(kernel), **options)
    low = [rounded(v, "mixed_bfloat16").astype(np.float32) for v in (x, kernel)]
    np.testing.assert_allclose(found, tf.nn.depthwise_conv2d(*low, **options), atol=1e-5)
    exact = tf.nn.depthwise_conv2d(x, kernel, **options)
    assert found.dtype == tf.float32 and np.abs(found - exact).max() > 1e-4
