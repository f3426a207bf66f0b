"""Convolution as a matrix product, so that every task of a batch can have a kernel of its own."""

from __future__ import annotations

import tensorflow as tf


def same_padding(size: int, window: int, stride: int) -> tuple[int, int]:
    """Zeros before and after, by TensorFlow's SAME rule."""
    missing = max((-(-size // stride) - 1) * stride + window - size, 0)
    return missing // 2, missing - missing // 2


def windows(images: tf.Tensor, window: int = 3, stride: int = 1) -> tf.Tensor:
    """All windows of SAME-padded images, flattened in a kernel's own order.

    Args:
        images: [N, H, W, C], static shape.

    Returns:
        [N, ceil(H / stride), ceil(W / stride), window * window * C]; its product with a kernel
        [window, window, C, D] reshaped to two dimensions is the convolution.
    """
    _, height, width, _ = images.shape
    pads = [same_padding(size, window, stride) for size in (height, width)]
    padded = tf.pad(images, [(0, 0), *pads, (0, 0)])
    rows, columns = -(-height // stride), -(-width // stride)
    parts = [
        padded[
            :, i : i + (rows - 1) * stride + 1 : stride, j : j + (columns - 1) * stride + 1 : stride
        ]
        for i in range(window)
        for j in range(window)
    ]
    # Stacked, not concatenated: the gradient of a concatenation brings ConcatOffset along, which
    # is in no table of operators an NPU accepts.
    stacked = tf.stack(parts, axis=3)
    return tf.reshape(stacked, [-1, rows, columns, window * window * images.shape[-1]])
