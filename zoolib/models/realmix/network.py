"""The classifier of RealMix and MixMatch: a Wide ResNet 28-2 and its smaller kin (spec 2).

Pre-activation residual blocks (Zagoruyko and Komodakis 2016), leaky ReLU of slope 0.1, biases on
all convolutions, batch norm of momentum 0.999 and epsilon 0.001. Two more architectures, without
batch norm (`convnet`) and with two mixed branches (`shake`), are in `other_networks`.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from zoolib.data.draws import generator
from zoolib.errors import ConfigError
from zoolib.nn.batch_norm import BatchNorm
from zoolib.nn.layers import Conv2D, Dense, Maker
from zoolib.nn.pool import global_mean
from zoolib.nn.variance_scaling import glorot_normal, variance_scaling
from zoolib.runtime.device import Session, current, open_session

SLOPE = 0.1
STEM = 16
MOMENTUM, EPSILON = 0.999, 1e-3
KERNELS = variance_scaling(2.0, "fan_out", "normal")


def automatic_scales(image_size: int) -> int:
    """Scales that leave 8 x 8 places: log2 of the width, rounded up, less 2 (at least 1)."""
    return max((image_size - 1).bit_length() - 2, 1)


class Network(tf.Module):
    """What all architectures share: input, whitening, classifier.

    Args:
        whiten: per channel mean and standard deviation of the input; None leaves it as it is.

    Attributes:
        shakes: coefficients that an image needs in training (`shake` only).
        norms: batch normalisations in order of use.
    """

    shakes = 0

    def __init__(self, whiten: tuple[np.ndarray, np.ndarray] | None = None) -> None:
        super().__init__()
        self._whiten = whiten
        self.norms: list[BatchNorm] = []

    def __call__(
        self,
        images: tf.Tensor,
        training: bool = False,
        update: bool = True,
        parts: int = 1,
        shake: tf.Tensor | None = None,
    ) -> tf.Tensor:
        """Logits [N, num_classes].

        Args:
            images: RGB in [-1, 1], float32 [N, height, width, 3].
            training: normalise by the batch's statistics.
            update: in training, whether running statistics move.
            parts: in training, batches of one size that lie behind one another in ``images``; each
                is normalised by itself, and running statistics move by the first one's only.
            shake: coefficients in [0, 1] of `shake` in training, [N, shakes]; 0.5 without.

        Raises:
            ValueError: for images of another shape.
        """
        if len(images.shape) != 4 or images.shape[3] != 3 or None in images.shape[1:3]:
            raise ValueError(
                f"images: expected [N, height, width, 3] of static size, got {images.shape}"
            )
        if self._whiten is not None:
            mean, deviation = (tf.constant(v, tf.float32) for v in self._whiten)
            images = (images - mean) / deviation
        normalise = functools.partial(_normalised, training=training, update=update, parts=parts)
        return self.forward(images, normalise, shake if training else None)

    def forward(
        self, x: tf.Tensor, normalise: functools.partial, shake: tf.Tensor | None
    ) -> tf.Tensor:
        """Logits of an architecture; ``normalise(norm, x)`` applies a batch norm."""
        raise ValueError("forward: expected an architecture, not the base class")


def _normalised(
    norm: BatchNorm, x: tf.Tensor, training: bool, update: bool, parts: int
) -> tf.Tensor:
    return norm(x, training, update, parts)


class Conv(Conv2D):
    """A convolution whose bias gets no gradient, since the true one is zero.

    Behind every convolution of a residual network here stands, sooner or later, a batch norm, and
    nothing but sums and 1 x 1 convolutions between; it takes out what a bias adds. What rounding
    leaves of that gradient is noise, which Adam would bring to full size.
    """

    def __call__(self, x: tf.Tensor) -> tf.Tensor:
        """[N, H, W, inputs] -> [N, H', W', outputs]."""
        y = self._conv2d(x, self.kernel, strides=self.stride, padding=self.padding)
        return tf.nn.bias_add(y, tf.stop_gradient(self.bias))


class Block(tf.Module):
    """h = lrelu(BN(x)); lrelu(BN(conv h)); conv; added to the shortcut.

    The shortcut is x, or h in the network's first block; through a 1x1 convolution where the
    number of channels changes.
    """

    def __init__(
        self, make: Maker, inputs: int, outputs: int, stride: int, first: bool, momentum: float
    ) -> None:
        super().__init__()
        self.first = first

        def conv(name: str, count: int, window: int, step: int) -> Conv:
            return Conv(make, name, count, outputs, window, step, bias=True, initial=KERNELS)

        def norm(name: str, count: int) -> BatchNorm:
            return BatchNorm(count, momentum, EPSILON, name=make.path(name))

        self.norm1, self.conv1 = norm("norm1", inputs), conv("conv1", inputs, 3, stride)
        self.norm2, self.conv2 = norm("norm2", outputs), conv("conv2", outputs, 3, 1)
        self.shortcut = conv("shortcut", inputs, 1, stride) if inputs != outputs else None

    def __call__(self, x: tf.Tensor, normalise: functools.partial) -> tf.Tensor:
        """[N, H, W, inputs] -> [N, H / stride, W / stride, outputs]."""
        h = leaky(normalise(self.norm1, x))
        kept = h if self.first else x
        h = self.conv1(h)
        h = self.conv2(leaky(normalise(self.norm2, h)))
        return h + (kept if self.shortcut is None else self.shortcut(kept))


class WideResNet(Network):
    """Stem, ``scales`` times ``repeat`` blocks of width filters 2^k, mean over places, dense.

    Args:
        make: names, initial values and products.
        num_classes, filters, repeat, scales: sizes.
        momentum: of the running statistics.
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
        self.stem = Conv(make, "stem", 3, STEM, 3, bias=True, initial=KERNELS)
        self.blocks, width = [], STEM
        for scale in range(scales):
            for place in range(repeat):
                stride = 2 if scale and not place else 1
                here, outputs = make.within(f"scale{scale}/block{place}"), filters << scale
                first = not (scale or place)
                self.blocks.append(Block(here, width, outputs, stride, first, momentum))
                width = outputs
        self.norm = BatchNorm(width, momentum, EPSILON, name=make.path("norm"))
        self.norms = [n for b in self.blocks for n in (b.norm1, b.norm2)] + [self.norm]
        self.dense = Dense(make, "dense", width, num_classes, initial=glorot_normal)

    def forward(
        self, x: tf.Tensor, normalise: functools.partial, shake: tf.Tensor | None
    ) -> tf.Tensor:
        """See :class:`Network`."""
        x = self.stem(x)
        for block in self.blocks:
            x = block(x, normalise)
        return self.dense(global_mean(leaky(normalise(self.norm, x))))


def leaky(x: tf.Tensor) -> tf.Tensor:
    """max(x, 0.1 x)."""
    return tf.nn.leaky_relu(x, SLOPE)


def make_network(
    session: Session,
    num_classes: int,
    filters: int = 32,
    repeat: int = 4,
    scales: int = 3,
    image_size: int = 32,
    arch: str = "resnet",
    seed: int = 0,
    momentum: float = MOMENTUM,
    whiten: tuple[np.ndarray, np.ndarray] | None = None,
) -> Network:
    """A network of one of the architectures; arguments as for :func:`build`.

    Raises:
        ConfigError: for an unknown architecture, or more halvings than the image has pixels for.
    """
    from zoolib.models.realmix.other_networks import ConvNet, ShakeNet

    kinds = {"resnet": WideResNet, "convnet": ConvNet, "shake": ShakeNet}
    if arch not in kinds:
        raise ConfigError(f"arch: expected one of {', '.join(kinds)}, got {arch!r}")
    scales = scales or automatic_scales(image_size)
    halvings = scales if arch == "convnet" else scales - 1
    if image_size >> halvings < 1:
        raise ConfigError(
            f"scales: expected at most {image_size.bit_length()} for images of {image_size} "
            f"pixels, got {scales}"
        )
    for name, value in (("num_classes", num_classes), ("filters", filters), ("repeat", repeat)):
        if value < 1:
            raise ConfigError(f"{name}: expected an integer of at least 1, got {value}")
    make = Maker(session, lambda name: generator(seed, f"realmix/{name}"))
    return kinds[arch](make, num_classes, filters, repeat, scales, momentum, whiten)


def build(
    num_classes: int = 10,
    filters: int = 32,
    repeat: int = 4,
    scales: int = 3,
    image_size: int = 32,
    arch: str = "resnet",
    seed: int = 0,
) -> Network:
    """A network outside a run: ``model(images, training=False)``, RGB in [-1, 1] in, logits out.

    Args:
        num_classes: outputs.
        filters: channels of the first scale; each further one doubles them.
        repeat: blocks per scale.
        scales: halvings of the image plus one; 0 for as many as leave 8 x 8 places.
        image_size: height and width.
        arch: "resnet" (Wide ResNet 28-2 with the defaults), "convnet" or "shake".
        seed: of the initial values.

    Raises:
        ConfigError: for unknown names and values out of range.
    """
    session = current() or open_session("auto")
    with session.placement():
        return make_network(session, num_classes, filters, repeat, scales, image_size, arch, seed)


def parameters(variables: Sequence[tf.Variable]) -> int:
    """Numbers in variables."""
    return sum(int(np.prod(v.shape)) for v in variables)
