"""Batch normalisation (Ioffe and Szegedy 2015, algorithm 1) with statistics updated by request.

Images [N, H, W, C] go through TensorFlow's fused kernel, everything else through the explicit
formula; both have right first and second derivatives. On request images go through `odd_width_norm`
where that is faster. A batch is normalised by its biased variance (divided by n). What moves into
the running variance is the unbiased one (divided by n - 1), as in TensorFlow 1, unless `unbiased`
is off, as in Keras 3.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Callable

import tensorflow as tf

from zoolib.nn import odd_width_norm

Receiver = Callable[[tf.Tensor, tf.Tensor, int], None]


class BatchNorm(tf.Module):
    """Batch normalisation over all axes but the last.

    Args:
        channels: size of the last axis.
        momentum: weight of the old running value at an update.
        epsilon: added to the variance.
        scale, center: whether gamma and beta exist; without them they are 1 and 0.
        gamma, beta: their initial values.
        unbiased: whether running variances are of the n - 1 kind.
        pieces_under_xla: whether `odd_width_norm` may be used: see
            :class:`~zoolib.runtime.device.Session`. It has no second derivatives.
        name: first part of the variables' names.
    """

    def __init__(
        self,
        channels: int,
        momentum: float = 0.99,
        epsilon: float = 1e-3,
        scale: bool = True,
        center: bool = True,
        gamma: float = 1.0,
        beta: float = 0.0,
        unbiased: bool = True,
        pieces_under_xla: bool = False,
        name: str = "batch_norm",
    ) -> None:
        super().__init__()  # a module's own name may hold no slash
        self.channels, self.momentum, self.epsilon = channels, momentum, epsilon
        self.unbiased, self.path, self._pieces = unbiased, name, pieces_under_xla
        self._receive: Receiver | None = None

        def variable(value: float, letter: str, trainable: bool) -> tf.Variable:
            start = tf.fill([channels], float(value))
            return tf.Variable(start, trainable=trainable, name=f"{name}/{letter}")

        self.gamma = variable(gamma, "gamma", True) if scale else None
        self.beta = variable(beta, "beta", True) if center else None
        self.moving_mean = variable(0.0, "moving_mean", False)
        self.moving_variance = variable(1.0, "moving_variance", False)

    def __call__(
        self,
        x: tf.Tensor,
        training: bool,
        update: bool = True,
        parts: int = 1,
        relu: bool = False,
    ) -> tf.Tensor:
        """Normalise.

        Args:
            x: [..., channels], in training of static shape; of half precision it is normalised in
                float32.
            training: by the batch's own statistics; else by the running ones.
            update: in training, whether the running statistics move. The assignment is part of
                the step at hand, in program order.
            parts: in training, that many batches of one size lie behind one another on the first
                axis. Each is normalised by its own statistics, the running ones move by those of
                the first part only: as if the parts had come one at a time.
            relu: whether max(y, 0) is returned, which may save a pass over memory.

        Returns:
            Shape and type of ``x``.

        Raises:
            ValueError: if the last axis is not ``channels`` wide, for a shape not static, or a
                batch that ``parts`` does not divide.
        """
        if x.shape[-1] != self.channels:
            raise ValueError(
                f"{self.path}: expected {self.channels} channels on the last axis, "
                f"got shape {tuple(x.shape)}"
            )
        high = tf.cast(x, tf.float32)
        if not training:
            y = self._by_running_statistics(high)
            return tf.cast(tf.nn.relu(y) if relu else y, x.dtype)
        batches = [high] if parts == 1 else self._split(high, parts)
        found = [self._by_own_statistics(batch, relu) for batch in batches]
        if update:
            _, mean, variance = found[0]
            (self._receive or self._move)(mean, variance, self._count(batches[0]))
        y = found[0][0] if parts == 1 else tf.concat([each[0] for each in found], axis=0)
        return tf.cast(y, x.dtype)

    @contextlib.contextmanager
    def statistics_to(self, receiver: Receiver) -> Iterator[None]:
        """Within, updates go to ``receiver(mean, biased variance, n)`` and nowhere else."""
        before, self._receive = self._receive, receiver
        try:
            yield
        finally:
            self._receive = before

    def running_variance(self, variance: tf.Tensor, count: int) -> tf.Tensor:
        """The running kind of a biased variance of ``count`` values; of one value it is 0."""
        return variance * (count / max(count - 1, 1)) if self.unbiased else variance

    def _split(self, x: tf.Tensor, parts: int) -> list[tf.Tensor]:
        if parts < 1 or (x.shape[0] or 0) % parts:
            raise ValueError(
                f"{self.path}: expected a first axis that {parts} parts divide, got "
                f"{tuple(x.shape)}"
            )
        return tf.split(x, parts, axis=0)

    def _count(self, x: tf.Tensor) -> int:
        """Values per channel."""
        size = x.shape.num_elements()
        if size is None:
            raise ValueError(
                f"{self.path}: expected a static shape in training, got {tuple(x.shape)}; cut or "
                "pad batches to one size"
            )
        return size // self.channels

    def _move(self, mean: tf.Tensor, variance: tf.Tensor, count: int) -> None:
        rate = 1.0 - self.momentum
        variance = self.running_variance(variance, count)
        for moving, new in ((self.moving_mean, mean), (self.moving_variance, variance)):
            moving.assign_sub(rate * (moving - new))

    def _by_own_statistics(
        self, x: tf.Tensor, relu: bool
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Normalised values, mean and biased variance."""
        if self._pieces and odd_width_norm.pays(x) and self._count(x):
            gamma, beta = self._gamma_and_beta()
            return odd_width_norm.normalised(x, gamma, beta, self.epsilon, relu)
        if len(x.shape) == 4:
            y, mean, variance = self._fused(x, tf.zeros([0]), tf.zeros([0]), True)
            count = self._count(x)  # the kernel tells the unbiased variance
            variance *= max(count - 1, 1) / count
        else:
            axes = list(range(len(x.shape) - 1))
            mean = tf.reduce_mean(x, axes)
            centred = x - mean
            variance = tf.reduce_mean(tf.square(centred), axes)
            y = self._scaled(centred, variance)
        return tf.nn.relu(y) if relu else y, mean, variance

    def _by_running_statistics(self, x: tf.Tensor) -> tf.Tensor:
        if len(x.shape) == 4:
            return self._fused(x, self.moving_mean, self.moving_variance, False)[0]
        return self._scaled(x - self.moving_mean, self.moving_variance)

    def _scaled(self, centred: tf.Tensor, variance: tf.Tensor) -> tf.Tensor:
        gain = tf.math.rsqrt(variance + self.epsilon)
        y = centred * (gain if self.gamma is None else gain * self.gamma)
        return y if self.beta is None else y + self.beta

    def _fused(
        self, x: tf.Tensor, mean: tf.Tensor, variance: tf.Tensor, training: bool
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        gamma, beta = self._gamma_and_beta()
        found = tf.raw_ops.FusedBatchNormV3(
            x=x,
            scale=gamma,
            offset=beta,
            mean=mean,
            variance=variance,
            epsilon=self.epsilon,
            is_training=training,
        )
        return found.y, found.batch_mean, found.batch_variance

    def _gamma_and_beta(self) -> tuple[tf.Tensor, tf.Tensor]:
        return (
            tf.ones([self.channels]) if self.gamma is None else self.gamma,
            tf.zeros([self.channels]) if self.beta is None else self.beta,
        )


def batch_norms(module: tf.Module) -> list[BatchNorm]:
    """All batch normalisations of a network, in a fixed order."""
    return [part for part in (module, *module.submodules) if isinstance(part, BatchNorm)]
