"""RealMix's published step, ported to TensorFlow 2 line by line: the yardstick for speed.

Five passes of one batch each, two for guessing and three for training; tf.data with one map call
per image, from images decoded to float32 in memory; MixUp's numbers drawn in the graph; then decay
of the kernels, Adam and the averaged weights. Annealing and the mask are off, as they are by
default. What is computed is Nair et al. 2019, arXiv 1912.08766; only how is the earlier way.

Adam is TensorFlow's own in the published form, which updates a variable with one fused kernel, and
batch norm is the fused one unless told (see port_norm.py): this port is not slower than need be.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf
from yardsticks.port_norm import batch_norm

STEM, SLOPE = 16, 0.1
BUFFER, AHEAD = 8192, 16  # images to shuffle among, batches to prefetch
Batch = tuple[tf.Tensor, tf.Tensor, tf.Tensor]


class Network:
    """Wide ResNet in training; variables are made by the first call, outside a graph.

    Attributes:
        trained, moving: variables by name.
    """

    def __init__(self, settings: Any, classes: int, image_size: int, fused: bool) -> None:
        self.settings, self.classes, self.fused = settings, classes, fused
        self.trained: dict[str, tf.Variable] = {}
        self.moving: dict[str, tf.Variable] = {}
        self(tf.zeros([2, image_size, image_size, 3]))

    def __call__(self, x: tf.Tensor, update: bool = False) -> tf.Tensor:
        """Logits, normalised by this batch; ``update``: it also moves the running statistics."""
        s = self.settings
        x = self.conv("stem", x, STEM, 3)
        for scale in range(s.scales):
            for block in range(s.repeat):
                stride = 2 if scale and not block else 1
                x = self.block(f"scale{scale}/block{block}", x, s.filters << scale, stride, update)
        x = tf.reduce_mean(self.active("norm", x, update), [1, 2])
        deviation = (2.0 / (x.shape[-1] + self.classes)) ** 0.5
        kernel = self.variable("dense/kernel", [x.shape[-1], self.classes], deviation)
        return tf.matmul(x, kernel) + self.variable("dense/bias", [self.classes], 0.0)

    def block(self, name: str, x: tf.Tensor, filters: int, stride: int, update: bool) -> tf.Tensor:
        h = self.active(f"{name}/norm1", x, update)
        shortcut = h if name == "scale0/block0" else x
        h = self.conv(f"{name}/conv1", h, filters, 3, stride)
        h = self.conv(f"{name}/conv2", self.active(f"{name}/norm2", h, update), filters, 3)
        if shortcut.shape[-1] != filters:
            shortcut = self.conv(f"{name}/shortcut", shortcut, filters, 1, stride)
        return shortcut + h

    def conv(self, name: str, x: tf.Tensor, filters: int, size: int, stride: int = 1) -> tf.Tensor:
        deviation = (0.5 * size * size * filters) ** -0.5
        kernel = self.variable(f"{name}/kernel", [size, size, x.shape[-1], filters], deviation)
        bias = self.variable(f"{name}/bias", [filters], 0.0)
        return tf.nn.bias_add(tf.nn.conv2d(x, kernel, stride, "SAME"), bias)

    def active(self, name: str, x: tf.Tensor, update: bool) -> tf.Tensor:
        """Batch norm and leaky ReLU."""
        size = [x.shape[-1]]
        gamma = self.variable(f"{name}/gamma", size, 0.0, 1.0)
        beta = self.variable(f"{name}/beta", size, 0.0)
        if f"{name}/moving_mean" not in self.moving:
            for letter, start in (("mean", 0.0), ("variance", 1.0)):
                made = tf.Variable(tf.fill(size, start), trainable=False)
                self.moving[f"{name}/moving_{letter}"] = made
        y, *new = batch_norm(x, gamma, beta, self.fused)
        if update:
            for letter, value in zip(("mean", "variance"), new):
                variable = self.moving[f"{name}/moving_{letter}"]
                variable.assign_sub((1.0 - self.settings.bn_momentum) * (variable - value))
        return tf.nn.leaky_relu(y, SLOPE)

    def variable(
        self, name: str, shape: list[int], deviation: float, mean: float = 0.0
    ) -> tf.Variable:
        if name not in self.trained:
            self.trained[name] = tf.Variable(tf.random.normal(shape, mean, deviation), name=name)
        return self.trained[name]


class Port:
    """Network, optimizer, averaged weights and step.

    Args:
        settings: of the run: sizes, rates, decays, as RealMix's settings name them.
        classes, image_size: of the data.
        ramp: labelled images over which the unlabelled loss comes to its full weight.
        fused: which batch norm.
    """

    def __init__(
        self,
        settings: Any,
        classes: int,
        image_size: int,
        ramp: int = 2**20,
        fused: bool = True,
    ) -> None:
        self.settings, self.classes, self.ramp = settings, classes, ramp
        self.network = Network(settings, classes, image_size, fused)
        self.variables = list(self.network.trained.values())
        self.kernels = [v for name, v in self.network.trained.items() if "kernel" in name]
        self.shadows = [tf.Variable(v, trainable=False) for v in self.variables]
        self.optimizer = tf.compat.v1.train.AdamOptimizer(settings.lr)
        self.seen = tf.Variable(0.0, trainable=False)
        self.step = tf.function(self._step)
        self.batches: Iterator[Batch] | None = None

    def _step(self, x: tf.Tensor, labels: tf.Tensor, u: tf.Tensor) -> tf.Tensor:
        """One step on x [B, H, W, 3] and two views each of other images, u [B, 2, H, W, 3]."""
        s, rows = self.settings, 3 * self.settings.batch_size
        lambda_u = s.unlabelled_weight * tf.clip_by_value(self.seen / self.ramp, 0.0, 1.0)
        self.seen.assign_add(float(s.batch_size))
        one, two = (tf.random.gamma([rows], s.mixup_beta) for _ in range(2))
        weight = one / (one + two)
        weight = tf.maximum(weight, 1.0 - weight)
        return self.improve(x, labels, u, lambda_u, weight, tf.random.shuffle(tf.range(rows)))[0]

    def improve(
        self,
        x: tf.Tensor,
        labels: tf.Tensor,
        u: tf.Tensor,
        lambda_u: tf.Tensor,
        weight: tf.Tensor,
        partner: tf.Tensor,
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """The step with its random numbers given; the loss and its two parts."""
        s = self.settings
        u1, u2 = u[:, 0], u[:, 1]
        p = (tf.nn.softmax(self.network(u1)) + tf.nn.softmax(self.network(u2))) / 2.0
        q = tf.pow(p, 1.0 / s.temperature)
        q = tf.stop_gradient(q / tf.reduce_sum(q, axis=1, keepdims=True))
        images = tf.concat([x, u1, u2], axis=0)
        targets = tf.concat([tf.one_hot(labels, self.classes), q, q], axis=0)
        images = mix(images, tf.gather(images, partner), weight[:, None, None, None])
        targets = mix(targets, tf.gather(targets, partner), weight[:, None])
        batches = interleave(tf.split(images, 3))
        with tf.GradientTape() as tape:
            logits = [self.network(rows, update=not i) for i, rows in enumerate(batches)]
            logits = interleave(logits)
            target_x, target_u = targets[: s.batch_size], targets[s.batch_size :]
            each = tf.nn.softmax_cross_entropy_with_logits(target_x, logits[0])
            loss_x = tf.reduce_mean(each)
            guess = tf.nn.softmax(tf.concat(logits[1:], axis=0))
            loss_u = tf.reduce_mean(tf.square(target_u - guess))
            loss = loss_x + lambda_u * loss_u
        gradients = tape.gradient(loss, self.variables)
        for kernel in self.kernels:
            kernel.assign(kernel * (1.0 - s.weight_decay * s.lr))
        self.optimizer.apply_gradients(zip(gradients, self.variables))
        for shadow, v in zip(self.shadows, self.variables):
            shadow.assign_sub((1.0 - s.ema_decay) * (shadow - v))
        return loss, loss_x, loss_u

    def feed(
        self, images: np.ndarray, labels: np.ndarray, others: np.ndarray, flip: bool, pad: int
    ) -> None:
        """Take batches from labelled images uint8 [N, H, W, 3], and from others, without labels."""
        scaled = tf.constant(images.astype(np.float32) * (2 / 255) - 1)
        unlabelled = tf.constant(others.astype(np.float32) * (2 / 255) - 1)
        classes = tf.constant(labels, tf.int32)

        def view(image: tf.Tensor) -> tf.Tensor:
            size = image.shape
            image = tf.image.random_flip_left_right(image) if flip else image
            image = tf.pad(image, [[pad, pad], [pad, pad], [0, 0]], "REFLECT")
            return tf.image.random_crop(image, size)

        def stream(count: int, make: Any) -> tf.data.Dataset:
            places = tf.data.Dataset.range(count).repeat().shuffle(min(count, BUFFER))
            made = places.map(make, num_parallel_calls=tf.data.AUTOTUNE)
            return made.batch(self.settings.batch_size, drop_remainder=True)

        with_labels = stream(len(images), lambda i: (view(scaled[i]), classes[i]))
        without = stream(
            len(others), lambda i: tf.stack([view(unlabelled[i]), view(unlabelled[i])])
        )
        both = tf.data.Dataset.zip((with_labels, without)).prefetch(AHEAD)
        self.batches = iter(both.map(lambda x, u: (*x, u)))

    def train(self, steps: int) -> None:
        """Train on the next batches of the feed."""
        for _ in range(steps):
            loss = self.step(*next(self.batches))
        if steps:
            self.loss = float(loss)


def mix(a: tf.Tensor, b: tf.Tensor, weight: tf.Tensor) -> tf.Tensor:
    return weight * a + (1.0 - weight) * b


def interleave(batches: list[tf.Tensor]) -> list[tf.Tensor]:
    """Exchange thirds so that the first batch is a mixture of all; its own inverse."""
    size, left = divmod(batches[0].shape[0], 3)
    sizes = [size + (group >= 3 - left) for group in range(3)]
    pieces = [tf.split(batch, sizes) for batch in batches]
    for i in (1, 2):
        pieces[0][i], pieces[i][i] = pieces[i][i], pieces[0][i]
    return [tf.concat(each, axis=0) for each in pieces]
