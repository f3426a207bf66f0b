"""A finished network as a `keras.Model`, of Keras's own layers, with the weights copied in.

From then on the model is Keras's: it trains with `fit`, is frozen layer by layer, gives features of
any layer, and a saved one loads where there is no zoolib. Both Kerases do, that of current
TensorFlow and 2.6.

What it does not do. It shares nothing with the network it comes from: neither sees what the other
learns. It holds the network only, not the method: no loss, no weight decay, no average of weights,
no augmentation, no precision of the run, no blocks frozen in it. Training goes by Keras's rules,
whose batch norm moves running variances by the biased variance of a batch (Keras 3) where zoolib's
image methods take the unbiased one.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from zoolib.errors import ConfigError

_SUPPORT = "keras_layers"


def to_keras(model: Any) -> Any:
    """A finished model as a `keras.Model` that gives the same numbers.

    Args:
        model: a trained task (``result.task``; of a run that keeps an average of its weights the
            averaged ones are taken, as its evaluations do), or a network such as
            ``zoolib.models.shufflenet_v2.build`` returns.

    Returns:
        The model, inputs and outputs as the network has them: logits, no softmax.

    Raises:
        ConfigError: for a method whose network is no stack of layers (a meta-learner's weights
            are inputs of its forward pass), or anything else.
    """
    compose = getattr(model, _SUPPORT, None)
    if compose is None:
        config = getattr(model, "config", None)
        told = getattr(config, "model", type(model).__name__)
        raise ConfigError(
            f"to_keras: expected a trained image classifier or swa task, or a network of "
            f"shufflenet_v2.build, got {told}, which is no stack of Keras layers"
        )
    return Layers().model(compose)


class Layers:
    """What a method composes its network of; each call adds a Keras layer and its weights.

    A method that can be had in Keras has a function ``keras_layers(layers)``, which calls these and
    returns inputs and outputs. Arrays are laid out as in TensorFlow: kernels [h, w, in, out],
    depthwise [h, w, channels, 1], dense [in, out].
    """

    def __init__(self) -> None:
        self._make = tf.keras.layers
        # Operations on symbolic tensors: Keras 3 has its own, 2.6 takes TensorFlow's.
        self._operations = getattr(tf.keras, "ops", tf)

    def model(self, compose: Any) -> Any:
        """The model that ``compose(self)`` describes."""
        inputs, outputs = compose(self)
        return tf.keras.Model(inputs, outputs)

    def input(self, shape: tuple[int, ...]) -> Any:
        """One example's shape."""
        return tf.keras.Input(shape, name="images" if len(shape) == 3 else "x")

    def conv(
        self, x: Any, name: str, kernel: np.ndarray, stride: int = 1, padding: str | int = "SAME"
    ) -> Any:
        """Convolution without bias; ``padding`` as for `zoolib.nn.layers.Conv2D`."""
        x, margin = self._padded(x, kernel.shape[0], stride, padding)
        options = dict(strides=stride, padding=margin, use_bias=False, name=name)
        return self._with(
            self._make.Conv2D(kernel.shape[-1], kernel.shape[:2], **options), x, kernel
        )

    def depthwise(
        self, x: Any, name: str, kernel: np.ndarray, stride: int = 1, padding: str | int = "SAME"
    ) -> Any:
        """Depthwise convolution without bias."""
        x, margin = self._padded(x, kernel.shape[0], stride, padding)
        options = dict(strides=stride, padding=margin, use_bias=False, name=name)
        return self._with(self._make.DepthwiseConv2D(kernel.shape[:2], **options), x, kernel)

    def dense(self, x: Any, name: str, kernel: np.ndarray, bias: np.ndarray | None) -> Any:
        """x W + b."""
        values = [kernel] if bias is None else [kernel, bias]
        layer = self._make.Dense(kernel.shape[1], use_bias=bias is not None, name=name)
        return self._with(layer, x, *values)

    def batch_norm(self, x: Any, name: str, norm: Any, values: list[np.ndarray]) -> Any:
        """Batch normalisation.

        Args:
            norm: a `zoolib.nn.batch_norm.BatchNorm`.
            values: its gamma, beta, running mean and running variance.
        """
        layer = self._make.BatchNormalization(
            momentum=norm.momentum, epsilon=norm.epsilon, name=name
        )
        return self._with(layer, x, *values)

    def relu(self, x: Any) -> Any:
        """Negative values become 0."""
        return self._make.ReLU()(x)

    def sigmoid(self, x: Any) -> Any:
        """1 / (1 + exp(-x))."""
        return self._make.Activation("sigmoid")(x)

    def max_pool(self, x: Any, window: int, stride: int, padding: str | int) -> Any:
        """Maximum over windows of values not negative, so that a margin of zeros wins none."""
        x, margin = self._padded(x, window, stride, padding)
        return self._make.MaxPooling2D(window, stride, margin)(x)

    def mean(self, x: Any) -> Any:
        """Mean over all places: [N, H, W, C] -> [N, C]."""
        return self._make.GlobalAveragePooling2D()(x)

    def scaled(self, x: Any, scale: Any, offset: Any) -> Any:
        """scale * x + offset, numbers or one per channel."""
        plain = (np.asarray(value, float).tolist() for value in (scale, offset))
        return self._make.Rescaling(*plain)(x)

    def add(self, x: Any, y: Any) -> Any:
        """x + y."""
        return self._make.Add()([x, y])

    def weighted(self, x: Any, weights: Any) -> Any:
        """Images [N, H, W, C] times [N, C]."""
        return self._make.Multiply()([x, self._make.Reshape((1, 1, x.shape[-1]))(weights)])

    def concat(self, parts: list[Any]) -> Any:
        """Channels side by side."""
        return self._make.Concatenate()(parts)

    def split(self, x: Any, parts: int) -> list[Any]:
        """Channels cut into equal parts."""
        return list(self._operations.split(x, parts, axis=-1))

    def transposed_channels(self, x: Any, rows: int) -> Any:
        """Channels seen as a table of ``rows`` rows, read column by column: a channel shuffle."""
        height, width, channels = x.shape[1:]
        table = self._make.Reshape((height * width, rows, channels // rows))(x)
        return self._make.Reshape((height, width, channels))(self._make.Permute((1, 3, 2))(table))

    def _padded(self, x: Any, window: int, stride: int, padding: str | int) -> tuple[Any, str]:
        if isinstance(padding, str):
            return x, padding.lower()
        if stride == 1 and 2 * padding == window - 1:
            return x, "same"
        return self._make.ZeroPadding2D(padding)(x), "valid"

    @staticmethod
    def _with(layer: Any, x: Any, *values: np.ndarray) -> Any:
        """Calling a layer makes its weights, which are then set."""
        y = layer(x)
        layer.set_weights([np.asarray(value, np.float32) for value in values])
        return y
