"""Brightness, hue, saturation and contrast of many images at a time, in [0, 1] with clipping.

The operations of `tf.image.adjust_*`, in the order and with the strengths of the RealMix
specification, 1.11. Hue and saturation are one pass without going to HSV and back: with v the
largest channel, d its distance to the smallest and h the hue in sixths of the circle, a channel is
v - d + d clip(|(h + o) mod 6 - 3| - 1, 0, 1), o being 0 for red, 4 for green, 2 for blue.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

BRIGHTNESS = 0.1  # largest shift, full scale 1
HUE = 0.5  # largest turn, whole circle 1: every hue
SATURATION, CONTRAST = (0.1, 3.0), (0.5, 1.5)
_AT_ONCE = 1 << 14  # pixels worked on together, so that they stay in the processor's cache
_F = np.float32


class Shift(NamedTuple):
    """What happens to each of N images, float32 [N] each.

    Attributes:
        brightness: added, full scale 1.
        hue: turn, whole circle 1.
        saturation: factor.
        contrast: factor of the distance to the image's mean.
    """

    brightness: np.ndarray
    hue: np.ndarray
    saturation: np.ndarray
    contrast: np.ndarray

    @classmethod
    def of(cls, chance: np.ndarray) -> Shift:
        """From uniform numbers in [0, 1), [N, 4]."""
        limits = ((-BRIGHTNESS, BRIGHTNESS), (-HUE, HUE), SATURATION, CONTRAST)
        return cls(*(_F(a) + _F(b - a) * chance[:, i] for i, (a, b) in enumerate(limits)))


def recolour(images: np.ndarray, shift: Shift) -> np.ndarray:
    """Images uint8 [N, H, W, 3] in other colours, uint8 of the same shape."""
    count, height, width, _ = images.shape
    step = max(1, _AT_ONCE // (height * width))
    result = np.empty_like(images)
    for start in range(0, count, step):
        part = slice(start, start + step)
        own = Shift(*(values[part, None] for values in shift))
        flat = images[part].reshape(len(own.hue), height * width, 3)
        result[part] = _together(flat, own).reshape(-1, height, width, 3)
    return result


def _together(flat: np.ndarray, shift: Shift) -> np.ndarray:
    """Images uint8 [n, pixels, 3], shifts [n, 1]."""
    planes = np.moveaxis(flat, -1, 0).astype(_F, order="C")  # [3, n, pixels]
    planes *= _F(1 / 255)
    planes += shift.brightness
    np.clip(planes, _F(0), _F(1), out=planes)
    turn_and_saturate(planes, shift.hue, shift.saturation)
    means = planes.mean(axis=-1, keepdims=True)
    planes -= means
    planes *= shift.contrast
    planes += means
    np.clip(planes, _F(0), _F(1), out=planes)
    planes *= _F(255)
    planes += _F(0.5)  # so that cutting off rounds
    return np.moveaxis(planes.astype(np.uint8), 0, -1)


def turn_and_saturate(planes: np.ndarray, hue: np.ndarray, saturation: np.ndarray) -> None:
    """Change hue and saturation of channels [3, n, pixels] in [0, 1], in place.

    Args:
        planes: red, green and blue.
        hue: turn, [n, 1], whole circle 1.
        saturation: factor, [n, 1]; the result is clipped as `tf.image.adjust_saturation` does.
    """
    red, green, blue = planes
    largest = np.maximum(np.maximum(red, green), blue)
    spread = largest - np.minimum(np.minimum(red, green), blue)
    inverse = _F(1) / np.maximum(spread, _F(1e-12))
    # The hue in sixths, counted from red; where all channels are equal it does not matter.
    angle = np.where(
        largest == red,
        (green - blue) * inverse,
        np.where(largest == green, (blue - red) * inverse + _F(2), (red - green) * inverse + _F(4)),
    )
    angle += hue * _F(6) + _F(12)  # above 0, so that the remainder is simple
    np.minimum(spread * saturation, largest, out=spread)
    largest -= spread
    for plane, offset in zip(planes, (0, 4, 2)):
        place = angle + _F(offset)
        place -= np.floor(place * _F(1 / 6)) * _F(6)
        place -= _F(3)
        np.abs(place, out=place)
        place -= _F(1)
        np.clip(place, _F(0), _F(1), out=place)
        place *= spread
        np.add(largest, place, out=plane)
