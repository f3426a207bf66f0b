"""The adapter's loss-scaling optimizer, which exists for Keras 2 only."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from .. import gen_npu_ops


def __getattr__(name: str) -> Any:
    if name != "NpuLossScaleOptimizer":
        raise AttributeError(name)
    base = tf.keras.mixed_precision.LossScaleOptimizer
    if not hasattr(base, "get_scaled_loss"):
        raise AttributeError("NpuLossScaleOptimizer needs the optimizers of Keras 2")
    return _make(base)


def _make(base: type) -> type:
    class NpuLossScaleOptimizer(base):  # type: ignore[misc, valid-type]
        """Skips a step, and lowers the scale, by the device's status instead of finiteness."""

        def __init__(
            self,
            inner_optimizer: Any,
            dynamic: bool = True,
            initial_scale: float | None = None,
            dynamic_growth_steps: int | None = None,
        ) -> None:
            super().__init__(inner_optimizer, dynamic, initial_scale, dynamic_growth_steps)
            self.last_step_finite = tf.Variable(False, trainable=False)

        def apply_gradients(self, grads_and_vars: Any, name: str | None = None) -> Any:
            pairs = list(grads_and_vars)
            with tf.control_dependencies([g for g, _ in pairs]):
                status = gen_npu_ops.npu_get_float_status_v2()
            with tf.control_dependencies([status]):
                gen_npu_ops.npu_clear_float_status_v2()
            good = tf.reduce_all(tf.equal(status, 0))
            self.last_step_finite.assign(good)
            # Keras then does the rest by its own rule for gradients that are not finite.
            pairs = [(tf.where(good, g, g + float("nan")), v) for g, v in pairs]
            return super().apply_gradients(pairs, name)

    return NpuLossScaleOptimizer
