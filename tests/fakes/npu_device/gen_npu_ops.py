"""The device's overflow status, and arithmetic that saturates like a 910's, in emulation."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from .contract import ContractViolation

_LARGEST = 65504.0
_status = np.zeros(8, np.int32)


def npu_get_float_status_v2() -> tf.Tensor:
    """int32 [8], all zero unless something overflowed since the last clearing."""
    _need_order("npu_get_float_status_v2")
    return _host(lambda: _status.copy(), [], tf.int32, [8])


def npu_clear_float_status_v2() -> tf.Tensor:
    """Clear the sticky status; gives it as it was."""
    _need_order("npu_clear_float_status_v2")

    def clear() -> np.ndarray:
        before = _status.copy()
        _status[:] = 0
        return before

    return _host(clear, [], tf.int32, [8])


@tf.custom_gradient
def saturate(x: tf.Tensor) -> tf.Tensor:
    """Round to float16 and back; beyond its range the largest number comes out and the status is
    set. The gradient passes through the same arithmetic."""

    def gradient(dy: tf.Tensor) -> tf.Tensor:
        return _half(dy)

    return _half(x), gradient


def _half(x: tf.Tensor) -> tf.Tensor:
    def run(value: np.ndarray) -> np.ndarray:
        if np.any(~np.isfinite(value)) or np.any(np.abs(value) > _LARGEST):
            _status[0] = 1
        value = np.nan_to_num(value, posinf=_LARGEST, neginf=-_LARGEST)
        return np.clip(value, -_LARGEST, _LARGEST).astype(np.float16).astype(np.float32)

    return _host(run, [x], tf.float32, x.shape)


def _host(run: object, inputs: list, dtype: tf.DType, shape: object) -> tf.Tensor:
    result = tf.numpy_function(run, inputs, dtype)
    result.set_shape(shape)
    return result


def _need_order(name: str) -> None:
    """In a graph the status means something only after what it is to tell about."""
    if tf.executing_eagerly():
        return
    graph = tf.compat.v1.get_default_graph()
    if not any(c._control_inputs_val for c in graph._control_dependencies_stack):
        raise ContractViolation(f"{name} without control dependencies on what it looks at")
