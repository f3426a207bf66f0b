"""Which precisions a device offers, and products in reduced precision.

zoolib keeps a float32 graph and reduces only the inputs of matrix products and convolutions, as
tensor cores do: inputs rounded, sums in float32. On an NPU the adapter lowers the operators by
itself (`zoolib.runtime.npu`), so the graph stays untouched there.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from zoolib.errors import DeviceError

GENERIC = {
    "cpu": ("float32", "mixed_bfloat16"),
    "gpu": ("float32", "mixed_float16", "mixed_bfloat16"),
}


def check_precision(precision: str, device: str, offered: tuple[str, ...]) -> str:
    """Return ``precision`` if ``device`` offers it.

    Raises:
        DeviceError: naming the precision, the device and what it offers.
    """
    if precision not in offered:
        raise DeviceError(
            f"precision: expected one of {', '.join(offered)} on {device}, got {precision!r}"
        )
    return precision


class Autocast:
    """Matrix products at a precision.

    Args:
        precision: a name of the table above; anything the engine lowers itself counts as float32.
        emulate: round the inputs but multiply in float32, for devices without such kernels.
    """

    def __init__(self, precision: str, emulate: bool) -> None:
        names = {"mixed_float16": tf.float16, "mixed_bfloat16": tf.bfloat16}
        self._dtype = names.get(precision)
        self._emulate = emulate

    def matmul(self, a: tf.Tensor, b: tf.Tensor, **options: Any) -> tf.Tensor:
        """`tf.matmul` with inputs at the reduced precision and a float32 result."""
        return self._product(tf.matmul, a, b, **options)

    def conv2d(self, x: tf.Tensor, kernel: tf.Tensor, **options: Any) -> tf.Tensor:
        """`tf.nn.conv2d` with inputs at the reduced precision and a float32 result."""
        return self._product(tf.nn.conv2d, x, kernel, **options)

    def depthwise_conv2d(self, x: tf.Tensor, kernel: tf.Tensor, **options: Any) -> tf.Tensor:
        """`tf.nn.depthwise_conv2d` with inputs at the reduced precision and a float32 result."""
        return self._product(tf.nn.depthwise_conv2d, x, kernel, **options)

    def _product(self, op: Any, a: tf.Tensor, b: tf.Tensor, **options: Any) -> tf.Tensor:
        if self._dtype is None:
            return op(a, b, **options)
        if self._emulate:
            return op(self._round(a), self._round(b), **options)
        return tf.cast(op(tf.cast(a, self._dtype), tf.cast(b, self._dtype), **options), tf.float32)

    def _round(self, x: tf.Tensor) -> tf.Tensor:
        return tf.cast(tf.cast(x, self._dtype), tf.float32)
