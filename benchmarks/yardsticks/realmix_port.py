"""The published training step carried over to a graph as it stands: the yardstick for speed.

One program with plain TensorFlow operations: five separate passes through the network, coefficients
and permutation drawn in the graph, Keras's Adam; images augmented one at a time by `map` functions
of a data pipeline that holds them as float32, as the published one does.
"""

from __future__ import annotations

from typing import Any, Callable

import numpy as np
import tensorflow as tf

BETA, WEIGHT, DECAY, EMA, RATE = 0.75, 75.0, 0.02, 0.999, 0.002


class Classifier:
    """A Wide ResNet over a list of variables."""

    def __init__(self, classes: int, filters: int, repeat: int, scales: int) -> None:
        self.trained: list[tf.Variable] = []
        self.kernels: list[tf.Variable] = []
        self.source = np.random.default_rng(0)
        self.layers: list[tuple] = [("conv", *self.conv(3, 3, 16))]
        width = 16
        for scale in range(scales):
            for place in range(repeat):
                out, stride = filters << scale, 2 if scale and not place else 1
                block = {
                    "first": not (scale or place),
                    "stride": stride,
                    "norm1": self.norm(width),
                    "conv1": self.conv(3, width, out),
                    "norm2": self.norm(out),
                    "conv2": self.conv(3, out, out),
                    "short": self.conv(1, width, out) if width != out else None,
                }
                self.layers.append(("block", block))
                width = out
        self.last = self.norm(width)
        self.dense = self.weights((width, classes), width**-0.5), self.zeros(classes)

    def weights(self, shape: tuple, std: float) -> tf.Variable:
        v = tf.Variable(self.source.normal(0.0, std, shape).astype(np.float32))
        self.trained.append(v)
        self.kernels.append(v)
        return v

    def zeros(self, count: int, value: float = 0.0, trained: bool = True) -> tf.Variable:
        v = tf.Variable(tf.fill([count], value), trainable=trained)
        if trained:
            self.trained.append(v)
        return v

    def conv(self, window: int, inputs: int, outputs: int) -> tuple:
        std = (0.5 * window**2 * outputs) ** -0.5
        return self.weights((window, window, inputs, outputs), std), self.zeros(outputs)

    def norm(self, channels: int) -> tuple:
        still = self.zeros(channels, 0.0, False), self.zeros(channels, 1.0, False)
        return self.zeros(channels, 1.0), self.zeros(channels), *still

    def __call__(self, x: tf.Tensor, update: bool) -> tf.Tensor:
        def conv(layer: tuple, x: tf.Tensor, stride: int = 1) -> tf.Tensor:
            return tf.nn.bias_add(tf.nn.conv2d(x, layer[0], stride, "SAME"), layer[1])

        def active(layer: tuple, x: tf.Tensor) -> tf.Tensor:
            gamma, beta, moving_mean, moving_variance = layer
            y, mean, variance = tf.compat.v1.nn.fused_batch_norm(x, gamma, beta, epsilon=1e-3)
            if update:
                moving_mean.assign_sub(0.001 * (moving_mean - mean))
                moving_variance.assign_sub(0.001 * (moving_variance - variance))
            return tf.nn.leaky_relu(y, 0.1)

        x = conv(self.layers[0][1:], x)
        for _, b in self.layers[1:]:
            h = active(b["norm1"], x)
            kept = h if b["first"] else x
            h = conv(b["conv2"], active(b["norm2"], conv(b["conv1"], h, b["stride"])))
            x = h + (kept if b["short"] is None else conv(b["short"], kept, b["stride"]))
        x = tf.reduce_mean(active(self.last, x), [1, 2])
        return tf.matmul(x, self.dense[0]) + self.dense[1]


def pipeline(images: np.ndarray, labels: np.ndarray, batch: int, views: int, pad: int) -> Any:
    """Endless batches, each image varied by itself."""
    size = images.shape[1]

    def vary(x: tf.Tensor) -> tf.Tensor:
        x = tf.pad(x, [[pad, pad], [pad, pad], [0, 0]], "REFLECT")
        return tf.image.random_crop(x, [size, size, 3])

    def one(x: tf.Tensor, y: tf.Tensor) -> tuple:
        return tf.stack([vary(x) for _ in range(views)]), y

    floats = images.astype(np.float32) * (2 / 255) - 1
    data = tf.data.Dataset.from_tensor_slices((floats, labels)).repeat()
    data = data.shuffle(min(len(images), 8192)).map(one, num_parallel_calls=4)
    return iter(data.batch(batch, drop_remainder=True).prefetch(16))


def interleave(pieces: list[tf.Tensor], batch: int) -> list[tf.Tensor]:
    sizes = [batch // 3 + (i >= 3 - batch % 3) for i in range(3)]
    cut = [tf.split(p, sizes) for p in pieces]
    for i in (1, 2):
        cut[0][i], cut[i][i] = cut[i][i], cut[0][i]
    return [tf.concat(c, 0) for c in cut]


def trainer(data: Any, batch: int, network: dict[str, int], pad: int) -> Callable[[], Any]:
    """A call that takes the next batches and trains on them."""
    classes = len(data.names)
    model = Classifier(classes, **network)
    shadows = [tf.Variable(v, trainable=False) for v in model.trained]
    optimizer = tf.keras.optimizers.Adam(RATE, epsilon=1e-8)
    optimizer.build(model.trained)
    labelled = pipeline(data.labelled.images, data.labelled.labels, batch, 1, pad)
    unlabelled = pipeline(data.unlabelled.images, data.unlabelled.labels, batch, 2, pad)
    seen = tf.Variable(0.0, trainable=False)

    @tf.function
    def step(x: tf.Tensor, y: tf.Tensor, u: tf.Tensor) -> tf.Tensor:
        u1, u2 = u[:, 0], u[:, 1]
        p = (tf.nn.softmax(model(u1, False)) + tf.nn.softmax(model(u2, False))) / 2
        q = tf.stop_gradient(p**2 / tf.reduce_sum(p**2, -1, keepdims=True))
        a, b = (tf.random.gamma([3 * batch, 1, 1, 1], BETA) for _ in range(2))
        mix = tf.maximum(a / (a + b), b / (a + b))
        order = tf.random.shuffle(tf.range(3 * batch))
        images = tf.concat([x[:, 0], u1, u2], 0)
        targets = tf.concat([tf.one_hot(y, classes), q, q], 0)
        images = images * mix + tf.gather(images, order) * (1 - mix)
        flat = mix[:, 0, 0]
        targets = targets * flat + tf.gather(targets, order) * (1 - flat)
        parts = interleave(tf.split(images, 3), batch)
        with tf.GradientTape() as tape:
            z = [model(part, number == 0) for number, part in enumerate(parts)]
            z = interleave(z, batch)
            l_x = tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(targets[:batch], z[0]))
            other = tf.nn.softmax(tf.concat(z[1:], 0))
            l_u = tf.reduce_mean(tf.square(targets[batch:] - other))
            loss = l_x + WEIGHT * tf.minimum(seen / 2.0**20, 1.0) * l_u
        for k in model.kernels:
            k.assign(k * (1 - RATE * DECAY))
        optimizer.apply_gradients(zip(tape.gradient(loss, model.trained), model.trained))
        for shadow, v in zip(shadows, model.trained):
            shadow.assign_sub((1 - EMA) * (shadow - v))
        seen.assign_add(float(batch))
        return loss

    def call() -> Any:
        x, y = next(labelled)
        u, _ = next(unlabelled)
        return step(x, y, u).numpy()

    return call
