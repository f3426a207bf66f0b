"""Random views of training images, many at a time, each image by numbers of its own.

RealMix (arXiv 1912.08766) and MixMatch: flip and reflect-padded crop, colours, random erasing.
uint8 in, uint8 out. A number belongs to (seed, purpose, place): an image's view does not depend on
which other images are in the call.

Deviations from the published code:
    * Erasing was decided once, when the pipeline was built, so that either no image was ever
      erased or the program ended; here it is decided per image.
    * Its loop "until the rectangle lies inside" has an end here: 24 rectangles are tried at once
      and the first that fits is taken; where none fits (about 1 image in 10,000) nothing is
      erased.
    * Colour operations worked on [-1, 1], where hue and saturation mean nothing, and let values
      leave the range; here they work on [0, 1] and are clipped after every one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Optional

import numpy as np

from zoolib.data.colours import Shift, recolour
from zoolib.data.draws import uniforms
from zoolib.errors import ConfigError

# What is done, in this order, and by how many pixels is padded.
KINDS: dict[str, tuple[tuple[str, ...], int]] = {
    "none": ((), 0),
    "cifar10": (("flip", "crop"), 4),
    "svhn": (("crop",), 4),
    "stl10": (("flip", "crop"), 12),
    "digits": (("crop",), 2),
    "color": (("flip", "color", "crop"), 4),
    "cutout": (("cutout",), 0),
    "strong": (("flip", "color", "crop", "cutout"), 4),
}
ERASED = 0.3  # probability that a rectangle of an image is erased
AREA, ASPECT = (0.02, 0.4), (0.3, 1 / 0.3)  # of the rectangle; area as a share of the image's
_TRIES = 24
_F = np.float32


@dataclass(frozen=True)
class Views:
    """A kind of view.

    Attributes:
        kind: one of `KINDS`, or several joined by "+": the operations of the first, then those of
            the second that are not among them, and so on. So "cutout+color" is cutout, flip,
            color, crop (the published "custom cutout").
        pad: pixels of padding of the crop; None: that of the first kind with a crop.
    """

    kind: str = "cifar10"
    pad: Optional[int] = None

    def __post_init__(self) -> None:
        wrong = [name for name in self.kind.split("+") if name not in KINDS]
        if wrong:
            raise ConfigError(
                f"augment: expected one of {', '.join(KINDS)}, or some joined by +, "
                f"got {self.kind!r}."
            )
        if self.pad is not None and self.pad < 0:
            raise ConfigError(f"pad: expected 0 or more pixels, got {self.pad}.")

    @property
    def operations(self) -> tuple[str, ...]:
        """flip, color, crop, cutout: those that are done, in order."""
        named = [op for name in self.kind.split("+") for op in KINDS[name][0]]
        return tuple(dict.fromkeys(named))

    @property
    def padding(self) -> int:
        """Pixels of padding of the crop."""
        if self.pad is not None:
            return self.pad
        return next((KINDS[n][1] for n in self.kind.split("+") if "crop" in KINDS[n][0]), 0)

    def apply(self, images: np.ndarray, seed: int, purpose: str, places: range) -> np.ndarray:
        """Views of images.

        Args:
            images: uint8 [n, H, W, 3]; not changed.
            seed: of the run.
            purpose: what the views are for; different purposes are independent.
            places: consecutive places of the stream, one per image.

        Returns:
            uint8 [n, H, W, 3], never the given array itself.

        Raises:
            ConfigError: the padding is not smaller than the images.
        """
        if len(places) != len(images):
            raise ValueError(f"Expected {len(images)} places, one per image, got {len(places)}.")
        views = np.array(images, order="C")
        for operation in self.operations:
            function, count = _OPERATIONS[operation]
            chance = uniforms(seed, f"{purpose}/{operation}", places, count)
            views = function(views, chance, self.padding)
        return views


def _flip(images: np.ndarray, chance: np.ndarray, _pad: int) -> np.ndarray:
    """Mirror half of the images, left to right, in place."""
    chosen = np.flatnonzero(chance[:, 0] < 0.5)
    images[chosen] = images[chosen, :, ::-1]
    return images


def _crop(images: np.ndarray, chance: np.ndarray, pad: int) -> np.ndarray:
    """Pad by mirroring without repeating the edge, then cut the size out again at random."""
    if not pad:
        return images
    count, height, width, channels = images.shape
    padded = reflected(images, pad)
    rows, columns, pixel = (padded.strides[i] for i in (1, 2, 3))
    # Every window of every image, none copied: [n, 2 pad + 1, 2 pad + 1, H, W * channels].
    windows = np.lib.stride_tricks.as_strided(
        padded,
        (count, 2 * pad + 1, 2 * pad + 1, height, width * channels),
        (padded.strides[0], rows, columns, rows, pixel),
        writeable=False,
    )
    top, left = np.floor(chance * _F(2 * pad + 1)).astype(np.int64).T
    return windows[np.arange(count), top, left].reshape(images.shape)


def reflected(images: np.ndarray, pad: int) -> np.ndarray:
    """Images [n, H, W, C] with mirrored margins, the edge itself not repeated.

    Raises:
        ConfigError: the padding is not smaller than the images.
    """
    count, height, width, channels = images.shape
    if pad >= min(height, width):
        raise ConfigError(
            f"pad: expected less than the image size, {min(height, width)}, got {pad}."
        )
    padded = np.empty((count, height + 2 * pad, width + 2 * pad, channels), images.dtype)
    padded[:, pad : pad + height, pad : pad + width] = images
    inner = padded[:, pad : pad + height]
    inner[:, :, :pad] = inner[:, :, 2 * pad : pad : -1]
    inner[:, :, pad + width :] = inner[:, :, pad + width - 2 : width - 2 : -1]
    padded[:, :pad] = padded[:, 2 * pad : pad : -1]
    padded[:, pad + height :] = padded[:, pad + height - 2 : height - 2 : -1]
    return padded


def _color(images: np.ndarray, chance: np.ndarray, _pad: int) -> np.ndarray:
    return recolour(images, Shift.of(chance))


def _cutout(images: np.ndarray, chance: np.ndarray, _pad: int) -> np.ndarray:
    """Erase a rectangle of some of the images with one grey, in place."""
    chosen = np.flatnonzero(chance[:, 0] < _F(ERASED))
    height, width = images.shape[1:3]
    box = rectangles(chance[chosen, 2:].reshape(len(chosen), _TRIES, 4), height, width)
    shades = np.floor(chance[chosen, 1] * _F(255) + _F(0.5)).astype(np.uint8)
    for image, shade, (top, left, high, wide) in zip(chosen, shades, box.tolist()):
        images[image, top : top + high, left : left + wide] = shade
    return images


def rectangles(tries: np.ndarray, height: int, width: int) -> np.ndarray:
    """The first rectangle that lies inside the image, int64 [n, 4]: top, left, height, width.

    Args:
        tries: numbers in [0, 1), [n, tries, 4]: area, aspect, left, top.
        height, width: of the image; where nothing fits the result has height and width 0.
    """
    area = (_F(AREA[0]) + _F(AREA[1] - AREA[0]) * tries[..., 0]) * _F(height * width)
    aspect = _F(ASPECT[0]) + _F(ASPECT[1] - ASPECT[0]) * tries[..., 1]
    wide, high = np.floor(np.sqrt(area / aspect)), np.floor(np.sqrt(area * aspect))
    left, top = np.floor(tries[..., 2] * _F(width)), np.floor(tries[..., 3] * _F(height))
    fits = (left + wide <= width) & (top + high <= height)
    first = fits.argmax(axis=1)
    every = np.stack([top, left, high, wide], axis=-1) * fits[..., None]
    return every[np.arange(len(every)), first].astype(np.int64)


# Numbers an operation takes per image.
_OPERATIONS: dict[str, tuple[Callable[[np.ndarray, np.ndarray, int], np.ndarray], int]] = {
    "flip": (_flip, 1),
    "crop": (_crop, 2),
    "color": (_color, 4),
    "cutout": (_cutout, 2 + 4 * _TRIES),
}
