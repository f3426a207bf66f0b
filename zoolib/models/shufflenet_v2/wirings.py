"""The constants in which the three networks differ beside their wiring (see `architecture`)."""

from __future__ import annotations

import dataclasses

import numpy as np
import tensorflow as tf

from zoolib.models.shufflenet_v2.architecture import Layer
from zoolib.nn.variance_scaling import (
    Initial,
    glorot_uniform,
    he_uniform,
    normal,
    variance_scaling,
    zeros,
)

INITS = ("wiring", "xavier", "he_uniform")
_MEAN = np.array([0.485, 0.456, 0.406], np.float32)  # of ImageNet's pixels, RGB in [0, 1]
_STD = np.array([0.229, 0.224, 0.225], np.float32)


@dataclasses.dataclass(frozen=True)
class Wiring:
    """What a wiring fixes.

    Attributes:
        name: see `architecture`.
        deinterleave: units read even and odd channels, in place of mixing two halves.
        processed: which half a unit of stride 1 works on, 0 or 1; the other passes.
        shuffled_end: whether a stage's output is shuffled once more.
        epsilon, momentum, beta: of batch norm; beta is the initial offset.
        padding: of convolutions of stride 2 and the maximum: TensorFlow's SAME puts the margin at
            the bottom and the right only, 1 all around.
    """

    name: str
    deinterleave: bool
    processed: int
    shuffled_end: bool
    epsilon: float
    momentum: float
    beta: float
    padding: str | int


WIRING = {
    w.name: w
    for w in (
        Wiring("reference", False, 0, False, 1e-3, 0.997, 0.0, "SAME"),
        Wiring("torchvision", False, 1, True, 1e-5, 0.9, 0.0, 1),
        Wiring("megvii", True, 1, False, 1e-5, 0.9, 1e-4, 1),
    )
}


def normalised(images: tf.Tensor, wiring: str) -> tf.Tensor:
    """What the first convolution gets from RGB in [0, 1]: the wiring's own scale and order."""
    if wiring == "reference":
        return 2.0 * images - 1.0
    if wiring == "torchvision":
        return (images - _MEAN) / _STD
    return tf.reverse(images, [3]) * 255.0  # BGR in [0, 255]


def initial(layer: Layer, wiring: str, init: str) -> Initial:
    """Initial values of a layer's kernel.

    Args:
        init: ``wiring`` is what the wiring's authors took: Glorot (reference), PyTorch's default,
            uniform in +-1 / sqrt(fan_in) (torchvision), or normal, 1 / inputs (megvii).
    """
    if init == "xavier" or (init == "wiring" and wiring == "reference"):
        return glorot_uniform
    if init == "he_uniform":
        return he_uniform
    if wiring == "torchvision":
        return variance_scaling(1 / 3, "fan_in", "uniform", per_filter=layer.kind == "depthwise")
    if layer.kind in ("conv", "dense"):
        return normal(0.01)
    return normal(1.0 / (1 if layer.kind == "depthwise" else layer.inputs))


def bias_initial(layer: Layer, wiring: str, init: str) -> Initial:
    """Initial values of the classifier's bias."""
    if init != "wiring" or wiring != "torchvision":
        return zeros
    limit = layer.inputs**-0.5
    return lambda source, shape: source.uniform(-limit, limit, shape).astype(np.float32)
