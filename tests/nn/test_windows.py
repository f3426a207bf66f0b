from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from zoolib.nn.windows import same_padding, windows


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("height, width", [(6, 6), (7, 7), (5, 8), (1, 2), (3, 1)])
@pytest.mark.parametrize("window", [1, 2, 3, 5])
def test_windows_times_kernel_is_convolution(window, height, width, stride):
    source = np.random.RandomState(height + 10 * width)
    images = tf.constant(source.standard_normal((2, height, width, 3)))
    kernel = tf.constant(source.standard_normal((window, window, 3, 4)))
    parts = windows(images, window, stride)
    found = tf.matmul(parts, tf.reshape(kernel, [-1, 4])[None, None])
    expected = tf.nn.conv2d(images, kernel, stride, "SAME")
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("stride", [1, 2])
def test_gradients_agree_too(stride):
    source = np.random.RandomState(0)
    images = tf.constant(source.standard_normal((2, 7, 6, 3)))
    kernel = tf.constant(source.standard_normal((3, 3, 3, 4)))

    def of(convolve):
        with tf.GradientTape() as tape:
            tape.watch([images, kernel])
            value = tf.reduce_sum(tf.sin(convolve()))
        return tape.gradient(value, [images, kernel])

    by_windows = of(
        lambda: tf.matmul(windows(images, 3, stride), tf.reshape(kernel, [-1, 4])[None, None])
    )
    direct = of(lambda: tf.nn.conv2d(images, kernel, stride, "SAME"))
    for found, expected in zip(by_windows, direct):
        np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12)


def test_padding_is_tensorflows_rule():
    assert same_padding(28, 3, 1) == (1, 1)
    assert same_padding(28, 3, 2) == (0, 1)
    assert same_padding(7, 3, 2) == (1, 1)
    assert same_padding(4, 1, 2) == (0, 0)
