"""Dense, convolutional and depthwise layers: variables made at once, products by the session.

    make = Maker(session, lambda name: generator(seed, f"shufflenet_v2/{name}"))
    conv = Conv2D(make, "Conv1", 3, 24, window=3, stride=2)
    y = conv(x)

Initial values come from a generator of the variable's own, so they depend on seed and name only,
neither on device and TensorFlow nor on the order in which layers are made.
"""

from __future__ import annotations

import dataclasses
from typing import Callable

import numpy as np
import tensorflow as tf

from zoolib.nn.batch_norm import BatchNorm
from zoolib.nn.variance_scaling import Initial, glorot_uniform, zeros
from zoolib.runtime.device import Session


@dataclasses.dataclass(frozen=True)
class Maker:
    """What the layers of a network share.

    Attributes:
        session: multiplies, at the run's precision.
        source: generator of random numbers by a variable's name.
        initial: of kernels, where a layer names no other.
        scope: leading part of all names.
    """

    session: Session
    source: Callable[[str], np.random.Generator]
    initial: Initial = glorot_uniform
    scope: str = ""

    def within(self, name: str) -> Maker:
        """The same for a part of the network: names get ``name/`` in front."""
        return dataclasses.replace(self, scope=self.path(name))

    def path(self, name: str) -> str:
        """The full name."""
        return f"{self.scope}/{name}" if self.scope else name

    def variable(
        self, name: str, shape: tuple[int, ...], initial: Initial | None = None
    ) -> tf.Variable:
        """A trainable variable, float32."""
        path = self.path(name)
        value = (initial or self.initial)(self.source(path), tuple(shape))
        return tf.Variable(np.asarray(value, np.float32), name=path)


class Dense(tf.Module):
    """x W + b over the last axis.

    Args:
        make: names, initial values and products.
        name: of the layer.
        inputs, outputs: sizes of the last axis.
        bias: whether there is b.
        initial, bias_initial: of W and b; the maker's and zeros unless told.
    """

    def __init__(
        self,
        make: Maker,
        name: str,
        inputs: int,
        outputs: int,
        bias: bool = True,
        initial: Initial | None = None,
        bias_initial: Initial = zeros,
    ) -> None:
        super().__init__()
        here = make.within(name)
        self.path, self._matmul = here.scope, make.session.matmul
        self.kernel = here.variable("kernel", (inputs, outputs), initial)
        self.bias = here.variable("bias", (outputs,), bias_initial) if bias else None

    def __call__(self, x: tf.Tensor) -> tf.Tensor:
        """[..., inputs] -> [..., outputs]."""
        rows = x if len(x.shape) == 2 else tf.reshape(x, [-1, x.shape[-1]])
        y = self._matmul(rows, self.kernel)
        y = y if self.bias is None else tf.nn.bias_add(y, self.bias)
        if len(x.shape) == 2:
            return y
        return tf.reshape(y, [*[-1 if n is None else n for n in x.shape[:-1]], y.shape[-1]])


class Conv2D(tf.Module):
    """Convolution of images [N, H, W, inputs].

    Args:
        make: names, initial values and products.
        name: of the layer.
        inputs, outputs: channels.
        window: side of the square kernel.
        stride: in both directions.
        padding: ``"SAME"``, ``"VALID"``, or a number of zeros on every side. With stride 2 and an
            even size SAME pads bottom and right only, a number pads symmetrically as PyTorch does.
        bias: whether a bias is added.
        initial, bias_initial: of kernel and bias; the maker's and zeros unless told.
    """

    def __init__(
        self,
        make: Maker,
        name: str,
        inputs: int,
        outputs: int,
        window: int = 1,
        stride: int = 1,
        padding: str | int = "SAME",
        bias: bool = False,
        initial: Initial | None = None,
        bias_initial: Initial = zeros,
    ) -> None:
        super().__init__()
        here = make.within(name)
        self.path, self._conv2d = here.scope, make.session.conv2d
        self.window, self.stride, self.padding = window, stride, padding
        self.kernel = here.variable("kernel", (window, window, inputs, outputs), initial)
        self.bias = here.variable("bias", (outputs,), bias_initial) if bias else None

    def __call__(self, x: tf.Tensor) -> tf.Tensor:
        """[N, H, W, inputs] -> [N, H', W', outputs]."""
        stride = self.stride
        if self.window == 1 and stride > 1:
            # The places such a kernel looks at. TensorFlow 2.21's own gradient of the strided form
            # ends the process on CPUs where the batch is odd and the channels are few.
            x, stride = x[:, ::stride, ::stride], 1
        x, padding = padded(x, self.window, stride, self.padding)
        y = self._conv2d(x, self.kernel, strides=stride, padding=padding)
        return y if self.bias is None else tf.nn.bias_add(y, self.bias)


class DepthwiseConv2D(tf.Module):
    """One kernel per channel, channels not mixed; arguments as for :class:`Conv2D`."""

    def __init__(
        self,
        make: Maker,
        name: str,
        channels: int,
        window: int = 3,
        stride: int = 1,
        padding: str | int = "SAME",
        bias: bool = False,
        initial: Initial | None = None,
        bias_initial: Initial = zeros,
    ) -> None:
        super().__init__()
        here = make.within(name)
        self.path, self._depthwise = here.scope, make.session.depthwise_conv2d
        self.window, self.stride, self.padding = window, stride, padding
        self.kernel = here.variable("depthwise_kernel", (window, window, channels, 1), initial)
        self.bias = here.variable("bias", (channels,), bias_initial) if bias else None

    def __call__(self, x: tf.Tensor) -> tf.Tensor:
        """[N, H, W, channels] -> [N, H', W', channels]."""
        x, padding = padded(x, self.window, self.stride, self.padding)
        strides = [1, self.stride, self.stride, 1]
        y = self._depthwise(x, self.kernel, strides=strides, padding=padding)
        return y if self.bias is None else tf.nn.bias_add(y, self.bias)


class Normalised(tf.Module):
    """A layer and the batch normalisation after it, as most networks have them.

    Args:
        layer: without a bias, which the normalisation would take out again.
        norm: its normalisation.
    """

    def __init__(self, layer: Dense | Conv2D | DepthwiseConv2D, norm: BatchNorm) -> None:
        super().__init__()
        self.layer, self.norm = layer, norm

    def __call__(self, x: tf.Tensor, training: bool, update: bool = True) -> tf.Tensor:
        """The layer, then the normalisation; ``training`` and ``update`` are the latter's."""
        return self.norm(self.layer(x), training, update)


def padded(
    x: tf.Tensor, window: int, stride: int, padding: str | int, fill: float = 0.0
) -> tuple[tf.Tensor, str]:
    """Images with explicit padding put on, and the padding left for the kernel to do."""
    if isinstance(padding, str):
        return x, padding
    if stride == 1 and 2 * padding == window - 1:  # the same, without a copy
        return x, "SAME"
    sides = [padding, padding]
    return tf.pad(x, [[0, 0], sides, sides, [0, 0]], constant_values=fill), "VALID"


def kernels(module: tf.Module, depthwise: bool = False) -> list[tf.Variable]:
    """The kernels a network's weight decay usually means: dense and convolutional ones.

    Args:
        module: the network.
        depthwise: whether depthwise kernels count, too.
    """
    kinds = (Dense, Conv2D, DepthwiseConv2D) if depthwise else (Dense, Conv2D)
    return [p.kernel for p in (module, *module.submodules) if isinstance(p, kinds)]
