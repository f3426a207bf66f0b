"""Two more classifiers that the published programs offer: `convnet` and `shake` (spec 2)."""

from __future__ import annotations

import functools

import numpy as np
import tensorflow as tf

from zoolib.models.realmix.network import EPSILON, KERNELS, MOMENTUM, STEM, Network
from zoolib.nn.batch_norm import BatchNorm
from zoolib.nn.layers import Conv2D, Dense, Maker
from zoolib.nn.pool import global_mean
from zoolib.nn.variance_scaling import glorot_normal

_SLOPE = 0.2  # of tf.nn.leaky_relu where nothing is told, which this network relies on


class ConvNet(Network):
    """A stack of 3x3 convolutions with leaky ReLUs; no batch norm, so nothing to interleave for.

    A stem, then per scale k one convolution of filters 2^k and one of filters 2^(k+1) channels and
    a mean over 2 x 2 places; a last one to the classes, averaged over all places. Arguments as for
    `network.WideResNet`; ``repeat``, ``momentum`` and ``whiten`` are not used, as published.
    """

    def __init__(
        self,
        make: Maker,
        num_classes: int,
        filters: int,
        repeat: int,
        scales: int,
        momentum: float = MOMENTUM,
        whiten: tuple[np.ndarray, np.ndarray] | None = None,
    ) -> None:
        super().__init__(None)
        self.stem = Conv2D(make, "stem", 3, filters, 3, bias=True)
        self.pairs, width = [], filters
        for scale in range(scales):
            pair = []
            for place, outputs in enumerate((filters << scale, filters << (scale + 1))):
                name = f"scale{scale}/conv{place}"
                pair.append(Conv2D(make, name, width, outputs, 3, bias=True))
                width = outputs
            self.pairs.append(pair)
        self.head = Conv2D(make, "head", width, num_classes, 3, bias=True)

    def forward(
        self, x: tf.Tensor, normalise: functools.partial, shake: tf.Tensor | None
    ) -> tf.Tensor:
        """See `network.Network`."""
        x = tf.nn.leaky_relu(self.stem(x), _SLOPE)
        for pair in self.pairs:
            for conv in pair:
                x = tf.nn.leaky_relu(conv(x), _SLOPE)
            x = tf.nn.avg_pool2d(x, 2, 2, "VALID")
        return global_mean(self.head(x))


class Branch(tf.Module):
    """ReLU, conv, BN, ReLU, conv, BN."""

    def __init__(self, make: Maker, inputs: int, outputs: int, stride: int, momentum: float):
        super().__init__()
        self.conv1 = Conv2D(make, "conv1", inputs, outputs, 3, stride, initial=KERNELS)
        self.norm1 = BatchNorm(outputs, momentum, EPSILON, name=make.path("norm1"))
        self.conv2 = Conv2D(make, "conv2", outputs, outputs, 3, initial=KERNELS)
        self.norm2 = BatchNorm(outputs, momentum, EPSILON, name=make.path("norm2"))

    def __call__(self, x: tf.Tensor, normalise: functools.partial) -> tf.Tensor:
        """[N, H, W, inputs] -> [N, H / stride, W / stride, outputs]."""
        x = self.conv1(tf.nn.relu(x))
        x = self.conv2(tf.nn.relu(normalise(self.norm1, x)))
        return normalise(self.norm2, x)


class ShakeBlock(tf.Module):
    """shortcut + a branch + (1 - a) other branch, a drawn for each image (Gastaldi 2017).

    The published code means to draw anew for the gradient but does not; neither does this.
    Where places are halved, the shortcut is two shifted 1x1 convolutions side by side.
    """

    def __init__(self, make: Maker, inputs: int, outputs: int, stride: int, momentum: float):
        super().__init__()
        self.branches = [
            Branch(make.within(name), inputs, outputs, stride, momentum) for name in ("a", "b")
        ]
        self.halves, self.shortcut, self.norm = [], None, None
        if stride == 2:
            sizes = {"even": outputs // 2, "odd": outputs - outputs // 2}
            self.halves = [
                Conv2D(make, name, inputs, count, initial=KERNELS) for name, count in sizes.items()
            ]
        elif inputs != outputs:
            self.shortcut = Conv2D(make, "shortcut", inputs, outputs, initial=KERNELS)
        if stride == 2 or inputs != outputs:
            self.norm = BatchNorm(outputs, momentum, EPSILON, name=make.path("norm"))
        norms = [n for b in self.branches for n in (b.norm1, b.norm2)]
        self.norms = norms + ([self.norm] if self.norm is not None else [])

    def __call__(
        self, x: tf.Tensor, normalise: functools.partial, a: tf.Tensor | float
    ) -> tf.Tensor:
        """``a``: coefficient of the first branch, [N, 1, 1, 1] or a number."""
        one, two = (branch(x, normalise) for branch in self.branches)
        mixed = two + a * (one - two)
        if self.halves:
            active = tf.nn.relu(x)
            # An odd size has one place less at the odd offsets: SAME's margin is the last place.
            size = (2 * mixed.shape[1], 2 * mixed.shape[2])
            active = tf.pad(
                active,
                [[0, 0], [0, size[0] - x.shape[1]], [0, size[1] - x.shape[2]], [0, 0]],
            )
            places = (active[:, ::2, ::2], active[:, 1::2, 1::2])
            x = tf.concat([conv(part) for conv, part in zip(self.halves, places)], axis=-1)
        elif self.shortcut is not None:
            x = self.shortcut(x)
        return mixed + (x if self.norm is None else normalise(self.norm, x))


class ShakeNet(Network):
    """Shake-shake: stem, blocks of two mixed branches, ReLU, mean over places, dense.

    No biases on convolutions. Arguments as for `network.WideResNet`.
    """

    def __init__(
        self,
        make: Maker,
        num_classes: int,
        filters: int,
        repeat: int,
        scales: int,
        momentum: float = MOMENTUM,
        whiten: tuple[np.ndarray, np.ndarray] | None = None,
    ) -> None:
        super().__init__(whiten)
        self.stem = Conv2D(make, "stem", 3, STEM, 3, initial=KERNELS)
        self.blocks, width = [], STEM
        for scale in range(scales):
            for place in range(repeat):
                here, outputs = make.within(f"scale{scale}/block{place}"), filters << scale
                stride = 2 if scale and not place else 1
                self.blocks.append(ShakeBlock(here, width, outputs, stride, momentum))
                width = outputs
        self.shakes = len(self.blocks)
        self.norms = [n for b in self.blocks for n in b.norms]
        self.dense = Dense(make, "dense", width, num_classes, initial=glorot_normal)

    def forward(
        self, x: tf.Tensor, normalise: functools.partial, shake: tf.Tensor | None
    ) -> tf.Tensor:
        """See `network.Network`."""
        x = self.stem(x)
        for place, block in enumerate(self.blocks):
            a = 0.5 if shake is None else shake[:, place, None, None, None]
            x = block(x, normalise, a)
        return self.dense(global_mean(tf.nn.relu(x)))
