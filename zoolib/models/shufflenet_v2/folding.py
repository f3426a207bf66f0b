"""A trained network for inference: batch norm folded into kernels, shuffles taken out.

Batch norm: W <- W gamma / sqrt(variance + epsilon), b = beta - mean gamma / sqrt(variance +
epsilon). A depthwise convolution has no activation behind it, so its b goes through the next 1 x 1
kernel. Shuffles: see `routes`. Up to the order of sums the numbers are those of the network.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from zoolib.models.shufflenet_v2.architecture import Layer
from zoolib.models.shufflenet_v2.network import ShuffleNetV2
from zoolib.models.shufflenet_v2.routes import Branch, routes
from zoolib.models.shufflenet_v2.units import ConvNorm, ShuffleUnit, cut, joined
from zoolib.models.shufflenet_v2.wirings import normalised
from zoolib.nn.layers import padded
from zoolib.nn.pool import global_mean
from zoolib.runtime.compile import Bulk

Values = dict[str, np.ndarray]
Folded = tuple[np.ndarray, np.ndarray]  # kernel and bias
_SMALL = 10  # pixels


def values_of(network: ShuffleNetV2) -> Values:
    """All variables of a network by name, read in one call."""
    return Bulk({v.name.split(":")[0]: v for v in network.variables}).read()


class FoldedNet(tf.Module):
    """The network as a function of images only.

    Args:
        network: the trained one.
        values: of its variables by name; as they are unless told (averages, for instance).
        products: whether 1 x 1 convolutions of small maps are matrix products, which is faster on
            CPUs with more than one image. Off, all are convolutions: the form that converters to
            other formats know, and quantise channel by channel.
    """

    def __init__(
        self, network: ShuffleNetV2, values: Values | None = None, products: bool = True
    ) -> None:
        super().__init__()
        self.wiring, self.architecture = network.wiring, network.architecture
        self.products = products
        self._values = values_of(network) if values is None else values
        self.stem = _Conv(self, network.stem.layer, *self._fold(network.stem))
        order, self.stages = np.arange(network.stem.layer.outputs), []
        for stage, units in zip(network.stages, self.architecture.units()):
            branches, following = routes(units, self.wiring)
            self.stages.append(_Stage(self, stage.units, branches, order))
            order = following
        kernel, bias = self._fold(network.last)
        self.last = _Conv(self, network.last.layer, kernel[:, :, order], bias)
        self.head = None
        if network.classifier is not None:
            self.head = [_constant(a) for a in self._linear(network.classifier)]
        del self._values

    def __call__(self, images: tf.Tensor) -> tf.Tensor:
        """Logits (features without a classifier) of RGB images [N, H, W, 3] in [0, 1]."""
        x = tf.nn.relu(self.stem(normalised(images, self.wiring.name)))
        # Behind a ReLU a margin of zeros wins no maximum, and unlike one of the lowest number it
        # does not spoil an eight-bit scale.
        x, padding = padded(x, 3, 2, self.wiring.padding)
        x = tf.nn.max_pool2d(x, 3, 2, padding)
        for stage in self.stages:
            x = stage(x)
        x = global_mean(tf.nn.relu(self.last(x)))
        return x if self.head is None else tf.matmul(x, self.head[0]) + self.head[1]

    def _fold(self, part: ConvNorm) -> Folded:
        name, norm = part.layer.name, f"{part.layer.name}/batch_norm"
        get = self._values.__getitem__
        gain = get(f"{norm}/gamma") / np.sqrt(
            get(f"{norm}/moving_variance").astype(np.float64) + self.wiring.epsilon
        )
        bias = get(f"{norm}/beta") - get(f"{norm}/moving_mean") * gain
        if part.layer.kind == "depthwise":
            return get(f"{name}/depthwise_weights") * gain[:, None], bias
        return get(f"{name}/weights") * gain, bias

    def _linear(self, part: Any) -> Folded:
        kernel = self._values[f"{part.layer.name}/weights"]
        bias = self._values.get(f"{part.layer.name}/biases")
        return kernel, np.zeros(kernel.shape[1]) if bias is None else bias


class _Conv(tf.Module):
    """A convolution with its bias."""

    def __init__(self, net: FoldedNet, layer: Layer, kernel: np.ndarray, bias: Any) -> None:
        super().__init__()
        self.layer, self.padding = layer, net.wiring.padding
        # On CPUs small maps are faster as a matrix product, larger ones as a convolution.
        small = layer.kind == "pointwise" and layer.size < _SMALL
        self.product = net.products and small
        self.kernel = _constant(kernel[0, 0] if self.product else kernel)
        self.bias = None if bias is None else _constant(bias)

    def __call__(self, x: tf.Tensor) -> tf.Tensor:
        layer = self.layer
        if self.product:
            rows = tf.matmul(tf.reshape(x, [-1, layer.inputs]), self.kernel)
            y = tf.nn.bias_add(rows, self.bias)
            return tf.reshape(y, [-1, *x.shape[1:3], layer.outputs])
        margin = "SAME" if layer.kind == "pointwise" else self.padding
        x, padding = padded(x, layer.window, layer.stride, margin)
        if layer.kind == "depthwise":
            strides = [1, layer.stride, layer.stride, 1]
            return tf.nn.depthwise_conv2d(x, self.kernel, strides, padding)
        y = tf.nn.conv2d(x, self.kernel, layer.stride, padding)
        return tf.nn.bias_add(y, self.bias)


class _Branch(tf.Module):
    """One branch: its convolutions, and how its output is cut."""

    def __init__(
        self, net: FoldedNet, unit: ShuffleUnit, parts: list, branch: Branch, rows: np.ndarray
    ) -> None:
        super().__init__()
        *before, depthwise, after = [(p.layer, *net._fold(p)) for p in parts]
        kernel, bias = after[1][0, 0], after[2] + depthwise[2] @ after[1][0, 0]
        depth = depthwise[1]
        if before:
            layer, first, offset = before[0]
            before = [_Conv(net, layer, first[:, :, rows], offset)]
        else:  # nothing mixes channels before the depthwise convolution
            depth, kernel = depth[:, :, rows], kernel[rows]
        kernel, bias = kernel[:, branch.order], bias[branch.order]
        self.before = before
        self.depthwise = _Conv(net, depthwise[0], depth, None)
        self.after = _Conv(net, after[0], kernel[None, None], bias)
        processed = bool(before)
        self.residual = None
        if processed and unit.residual:  # the input's channels in the output's order
            self.residual = np.argsort(rows)[branch.order].astype(np.int32)
        self.excitation = None
        if processed and unit.excitation is not None:
            (w1, b1), (w2, b2) = map(net._linear, (unit.excitation.squeeze, unit.excitation.excite))
            folded = (w1[branch.order], b1, w2[:, branch.order], b2[branch.order])
            self.excitation = [_constant(a) for a in folded]
        self.pieces = branch.pieces

    def __call__(self, x: tf.Tensor) -> dict[int, tf.Tensor]:
        """Pieces of the output by their reader."""
        y = x
        for conv in self.before:
            y = tf.nn.relu(conv(y))
        y = self.after(self.depthwise(y))
        y = y if self.residual is not None else tf.nn.relu(y)
        if self.excitation is not None:
            w1, b1, w2, b2 = self.excitation
            hidden = tf.nn.relu(tf.matmul(tf.reduce_mean(y, [1, 2]), w1) + b1)
            weight = tf.sigmoid(tf.matmul(hidden, w2) + b2)
            y = y * tf.reshape(weight, [-1, 1, 1, y.shape[-1]])
        if self.residual is not None:
            y = tf.nn.relu(tf.gather(x, self.residual, axis=-1) + y)
        return cut(y, self.pieces)


class _Stage(tf.Module):
    """A stage without a shuffle."""

    def __init__(
        self, net: FoldedNet, units: list[ShuffleUnit], branches: list[Branch], order: np.ndarray
    ) -> None:
        super().__init__()
        shortcut, *main = branches
        self.branches = [_Branch(net, units[0], units[0].layers[3:], shortcut, order)]
        for unit, branch in zip(units, main):
            rows = branch.rows if len(branch.rows) else order
            self.branches.append(_Branch(net, unit, unit.layers[:3], branch, rows))

    def __call__(self, x: tf.Tensor) -> tf.Tensor:
        made: list[dict[int, tf.Tensor]] = []
        for number, branch in enumerate(self.branches):
            made.append(branch(x if number < 2 else joined(made, number)))
        return joined(made, len(self.branches))


def _constant(values: np.ndarray) -> tf.Variable:
    return tf.Variable(np.asarray(values, np.float32), trainable=False)
