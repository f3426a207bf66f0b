"""ShuffleNetV2 the way it is usually written in Keras, reference wiring: the yardstick for speed.

Shuffle by stacking into five dimensions, transposing and reshaping; halves by slices.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

REPEATS = (4, 8, 4)
WIDTHS = {"0.5": (48, 1024), "1.0": (116, 1024), "1.5": (176, 1024), "2.0": (224, 2048)}


def conv(x: Any, channels: int, window: int, stride: int = 1, decay: float = 0.0) -> Any:
    layers, l2 = tf.keras.layers, tf.keras.regularizers.L2(decay / 2)
    options = dict(strides=stride, padding="same", use_bias=False, kernel_regularizer=l2)
    x = layers.Conv2D(channels, window, **options)(x)
    return layers.ReLU()(layers.BatchNormalization(momentum=0.997, epsilon=1e-3)(x))


def depthwise(x: Any, stride: int) -> Any:
    layers = tf.keras.layers
    x = layers.DepthwiseConv2D(3, strides=stride, padding="same", use_bias=False)(x)
    return layers.BatchNormalization(momentum=0.997, epsilon=1e-3)(x)


class Shuffle(tf.keras.layers.Layer):
    """Two halves in, two halves of the interleaved channels out."""

    def call(self, x: Any, y: Any) -> Any:
        shape, half = tf.shape(x), x.shape[-1]
        z = tf.transpose(tf.stack([x, y], axis=3), [0, 1, 2, 4, 3])
        z = tf.reshape(z, [shape[0], x.shape[1], x.shape[2], 2 * half])
        return z[:, :, :, :half], z[:, :, :, half:]


def build(width: str, size: int, classes: int, decay: float) -> Any:
    """The model: RGB in [0, 1] in, logits out."""
    layers, (first, last) = tf.keras.layers, WIDTHS[width]
    images = tf.keras.Input((size, size, 3))
    x = conv(layers.Rescaling(2.0, -1.0)(images), 24, 3, 2, decay)
    x = layers.MaxPooling2D(3, 2, "same")(x)
    for stage, repeats in enumerate(REPEATS):
        half = first * 2**stage // 2
        main = depthwise(conv(x, x.shape[-1], 1, decay=decay), 2)
        x, y = conv(depthwise(x, 2), half, 1, decay=decay), conv(main, half, 1, decay=decay)
        for _ in range(repeats - 1):
            x, y = Shuffle()(x, y)
            x = conv(depthwise(conv(x, half, 1, decay=decay), 1), half, 1, decay=decay)
        x = layers.Concatenate()([x, y])
    x = layers.GlobalAveragePooling2D()(conv(x, last, 1, decay=decay))
    l2 = tf.keras.regularizers.L2(decay / 2)
    return tf.keras.Model(images, layers.Dense(classes, kernel_regularizer=l2)(x))


def functions(width: str, images: Any, labels: Any, decay: float) -> tuple[Any, Any]:
    """Compiled calls without arguments: one training step, one inference."""
    model = build(width, images.shape[1], 1000, decay)
    optimizer = tf.keras.optimizers.SGD(1e-3, momentum=0.9, nesterov=True)
    cross_entropy = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    variables = model.trainable_variables

    @tf.function
    def train() -> Any:
        with tf.GradientTape() as tape:
            loss = cross_entropy(labels, model(images, training=True)) + tf.add_n(model.losses)
        optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables))
        return loss

    return train, tf.function(lambda: model(images, training=False))
