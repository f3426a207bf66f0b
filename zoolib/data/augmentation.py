"""Random crops, flips and colours of training images, from numbers that enter as data.

The reference's pipeline (ShuffleNetV2 specification, 4.4, steps 5 to 11). The crop is the one of
`tf.image.sample_distorted_bounding_box`: rectangles of random aspect and area are tried until one
holds enough of an object; without any object the whole image counts as one. Resizing is bilinear
in the kernel of TensorFlow 1 (pixel i of the result is read at i * height / size).

Deviation: the numbers belong to the image's place in the stream (seed, position), so that the
same seed gives the same crops on any machine, on any number of devices, and after a resume.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from zoolib.data.draws import uniforms

_SINGLE = 8  # numbers per image before those of the crop: flip, colour, its three, grey, none, none
_AT_ONCE = 10  # attempts made for all images before looking which need more
_F = np.float32
LUMA = (0.2989, 0.5870, 0.1140)


@dataclass(frozen=True)
class Augmentation:
    """What is varied; the defaults are the reference's.

    Attributes:
        covered: least share of an object in the crop.
        aspect, area: of the crop, from and to; area as a share of the image's.
        attempts: rectangles tried before the whole image is taken.
        flip: probability of a flip left to right.
        shift: probability of a shift in brightness and chroma.
        brightness, chroma: largest shifts, full scale 1.
        grey: probability of taking the colour away.
    """

    covered: float = 0.25
    aspect: tuple[float, float] = (0.75, 1.33)
    area: tuple[float, float] = (0.08, 1.0)
    attempts: int = 100
    flip: float = 0.5
    shift: float = 0.25
    brightness: float = 32 / 255
    chroma: float = 0.1
    grey: float = 0.05


class Choices(NamedTuple):
    """What was drawn for each of N images.

    Attributes:
        crop: int32 [N, 4]: top, left, height, width in pixels.
        flip: bool [N].
        shift: float32 [N, 3], added to R, G and B.
        grey: bool [N].
    """

    crop: np.ndarray
    flip: np.ndarray
    shift: np.ndarray
    grey: np.ndarray


def choose(
    kind: Augmentation,
    seed: int,
    places: range,
    sizes: np.ndarray,
    boxes: Sequence[np.ndarray | None],
) -> Choices:
    """Draw what happens to consecutive images of the stream.

    Args:
        kind: what is varied.
        seed: of the run.
        places: the images' places in the stream.
        sizes: heights and widths, int [N, 2].
        boxes: of each image's objects, float32 [n, 4] as xmin, ymin, xmax, ymax, or None.
    """
    chance = uniforms(seed, "augmentation", places, _SINGLE + 4 * kind.attempts)
    blue, red = (chance[:, i] * _F(2) - _F(1) for i in (3, 4))
    light = (chance[:, 2] * _F(2) - _F(1)) * _F(kind.brightness)
    cb, cr = blue * _F(kind.chroma), red * _F(kind.chroma)
    green = _F(-0.344136) * cb - _F(0.714136) * cr
    shift = np.stack([_F(1.402) * cr + light, green + light, _F(1.772) * cb + light], axis=1)
    shift *= (chance[:, 1] < kind.shift)[:, None]
    tries = chance[:, _SINGLE:].reshape(len(places), kind.attempts, 4)
    crop = crops(kind, tries, sizes, _padded(boxes))
    return Choices(crop, chance[:, 0] < kind.flip, shift, chance[:, 5] < kind.grey)


def _padded(boxes: Sequence[np.ndarray | None]) -> np.ndarray:
    """Boxes of all images as one array [N, most, 4]; where there is none, the whole image."""
    whole = np.array([[0, 0, 1, 1]], np.float32)
    every = [whole if b is None or not len(b) else b for b in boxes]
    result = np.zeros((len(every), max(map(len, every), default=1), 4), np.float32)
    for row, box in zip(result, every):
        row[: len(box)] = box
    return result


def crops(
    kind: Augmentation, tries: np.ndarray, sizes: np.ndarray, boxes: np.ndarray
) -> np.ndarray:
    """The first rectangle that will do, int32 [N, 4]: top, left, height, width.

    Args:
        kind: what is varied.
        tries: numbers in [0, 1), [N, attempts, 4].
        sizes: heights and widths, int [N, 2].
        boxes: [N, n, 4] as xmin, ymin, xmax, ymax in [0, 1]; boxes without area do not count.
    """
    chosen = np.zeros((len(tries), 4), np.int32)
    chosen[:, 2:] = sizes
    left = np.arange(len(tries))
    for start in range(0, tries.shape[1], _AT_ONCE):
        if not len(left):
            break
        found, good = _rectangles(kind, tries[left, start : start + _AT_ONCE], sizes[left])
        good &= _holds(found, boxes[left], sizes[left], kind.covered)
        done = good.any(axis=1)
        first = good[done].argmax(axis=1)
        chosen[left[done]] = found[done, first]
        left = left[~done]
    return chosen


def _rectangles(
    kind: Augmentation, tries: np.ndarray, sizes: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Rectangles int32 [N, k, 4], and whether their area is within the limits, bool [N, k]."""
    chance = tries.astype(np.float64)
    high, wide = (sizes[:, None, i].astype(np.float64) for i in (0, 1))
    aspect = kind.aspect[0] + (kind.aspect[1] - kind.aspect[0]) * chance[..., 0]
    least, most = (share * high * wide for share in kind.area)
    largest = np.rint(np.sqrt(most / aspect))
    largest = np.where(np.rint(largest * aspect) > wide, (wide + 0.4999) // aspect, largest)
    largest = np.maximum(np.minimum(largest, high), 1)
    smallest = np.minimum(np.rint(np.sqrt(least / aspect)), largest)
    height = np.maximum(smallest + np.floor(chance[..., 1] * (largest - smallest + 1)), 1)
    width = np.clip(np.rint(height * aspect), 1, wide)
    # The sampler never takes the last row and column where it could.
    top = np.floor(chance[..., 2] * (high - height))
    side = np.floor(chance[..., 3] * (wide - width))
    good = (height * width >= least) & (height * width <= most)
    return np.stack([top, side, height, width], axis=-1).astype(np.int32), good


def _holds(found: np.ndarray, boxes: np.ndarray, sizes: np.ndarray, covered: float) -> np.ndarray:
    """Whether rectangles [N, k, 4] hold enough of any box, bool [N, k]."""
    scale = np.stack([sizes[:, 1], sizes[:, 0]] * 2, axis=1)[:, None]
    xmin, ymin, xmax, ymax = np.moveaxis(boxes * scale, -1, 0)[:, :, None]  # [N, 1, n] each
    top, left, height, width = (found[..., i, None] for i in range(4))
    across = np.minimum(xmax, left + width) - np.maximum(xmin, left)
    down = np.minimum(ymax, top + height) - np.maximum(ymin, top)
    inside = np.maximum(across, 0) * np.maximum(down, 0)
    whole = (xmax - xmin) * (ymax - ymin)
    return ((inside >= covered * whole) & (whole > 0)).any(axis=-1)


def resize(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Bilinear resizing as TensorFlow 1 did it: uint8 [H, W, C] to float32 [*size, C], 0 to 255."""
    rows, columns = (_samples(length, n) for length, n in zip(image.shape[:2], size))
    low, high, share = rows
    upper = image[low].astype(np.float32)
    upper += (image[high].astype(np.float32) - upper) * share[:, None, None]
    low, high, share = columns
    left = upper[:, low]
    return left + (upper[:, high] - left) * share[:, None]


def _samples(length: int, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    place = np.arange(size, dtype=np.float32) * (_F(length) / _F(size))
    low = np.minimum(np.floor(place).astype(np.int64), length - 1)
    return low, np.minimum(low + 1, length - 1), place - low.astype(np.float32)


def apply(images: Sequence[np.ndarray], choices: Choices, size: int) -> np.ndarray:
    """Crop, flip, resize and colour.

    Args:
        images: uint8 [H, W, 3] each.
        choices: what was drawn for each.
        size: of the results.

    Returns:
        float32 [N, size, size, 3] in [0, 1].
    """
    result = np.empty((len(images), size, size, 3), np.float32)
    for i, (image, (top, left, height, width)) in enumerate(zip(images, choices.crop)):
        piece = image[top : top + height, left : left + width]
        piece = piece[:, ::-1] if choices.flip[i] else piece
        result[i] = resize(piece, (size, size))
    result *= _F(1 / 255)
    moved = np.flatnonzero(choices.shift.any(axis=1))
    result[moved] = np.clip(result[moved] + choices.shift[moved, None, None], _F(0), _F(1))
    pale = np.flatnonzero(choices.grey)
    r, g, b = (result[pale, ..., i] * _F(weight) for i, weight in enumerate(LUMA))
    result[pale] = (r + g + b)[..., None]
    return result


def shorter_side(size: int) -> int:
    """To what length images are resized to evaluate at `size`: 256 for 224."""
    return round(size * 256 / 224)


def central(height: int, width: int, size: int) -> tuple[int, int]:
    """Top and left of the central crop (specification, 4.5)."""
    return (height - size) // 2, (width - size) // 2
