"""Pictures of attributed shapes, drawn from a seed: a data set whose class names mean something.

A class is a combination of an outline, a colour and a texture, and its name says which: "red
striped square". Two sets come from this one generator:

* `shapes`, for classification (ShuffleNetV2 and whoever wants ImageNet's layout without ImageNet):
  turned, moved and scaled over busy grounds among other, smaller things;
* `attrshapes`, for few-shot learning with words (AM3 specification, 4.6): 100 classes in disjoint
  sets of 64, 16 and 20, and many untypical pictures, so that one picture tells less than the name.

Deviation from the specification: angles are drawn through the tangent of half the angle and noise
through sums of bytes (see `shapes_drawing`), both within a percent of the laws named there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from zoolib.data.draws import uniforms, words
from zoolib.data.image_classes import ClassSplit, ImageClasses
from zoolib.data.shapes_classes import (
    COLOURS,
    LIMITS,
    SHAPES,
    TEXTURE_NAMES,
    WORDS,
    ShapeClass,
    attrshapes_classes,
    catalogue,
)
from zoolib.data.shapes_drawing import OUTLINES, TEXTURES, bell, colours, grids, per_kind, turned
from zoolib.errors import ConfigError

__all__ = [
    "ATTRSHAPES",
    "COLOURS",
    "SHAPES",
    "TEXTURE_NAMES",
    "WORDS",
    "ShapeClass",
    "Style",
    "attrshapes",
    "attrshapes_classes",
    "catalogue",
    "draw",
    "draw_classes",
]

_AT_ONCE = 8  # pictures; keeps the intermediate arrays in the processor's cache
_NUMBERS = 40  # uniform numbers per picture, of which some remain unused
_SAMPLES = 1 << 20  # pictures a class may have
_F = np.float32


@dataclass(frozen=True)
class Style:
    """What varies between the pictures of a class. Lengths are shares of the picture's side.

    Attributes:
        untypical: probability that one attribute is replaced by any value.
        hue_noise: standard deviation of the hue, degrees (colours are 45 apart).
        radius: from, to.
        shift: the centre is off by at most this, in both directions.
        turn: largest tangent of half the angle the shape is turned by; 1 is a quarter turn.
        busy: a ground shaded between four colours with small things on it, in place of a flat one.
        cover: sides of the one rectangle that hides something, from, to; zeros: there is none.
        light: brightness factor, from, to.
        noise: standard deviation of the pixel noise, full scale 1.
    """

    untypical: float = 0.0
    hue_noise: float = 6.0
    radius: tuple[float, float] = (0.17, 0.36)
    shift: float = 0.16
    turn: float = 0.45
    busy: bool = True
    cover: tuple[float, float] = (0.08, 0.26)
    light: tuple[float, float] = (0.6, 1.2)
    noise: float = 0.05


ATTRSHAPES = Style(
    untypical=0.4,
    hue_noise=18.0,
    radius=(0.26, 0.42),
    shift=0.12,
    turn=0.1768,  # 0.35 rad
    busy=False,
    cover=(0.2, 0.45),
    light=(0.7, 1.2),
    noise=0.1,
)


def draw(
    kind: ShapeClass, samples: range, size: int, style: Style, seed: int, split: str
) -> tuple[np.ndarray, np.ndarray]:
    """Pictures of one class. A picture is the same whichever others are asked for with it.

    Args:
        kind: the class.
        samples: consecutive numbers of pictures.
        size: height and width in pixels.
        style: what varies.
        seed: of the data set.
        split: name of the part; parts share no picture.

    Returns:
        uint8 [N, size, size, 3] and the shapes' boxes as xmin, ymin, xmax, ymax in [0, 1],
        float32 [N, 4], taken before anything covers them.
    """
    if not 0 <= samples.start <= samples.stop <= _SAMPLES:
        raise ConfigError(f"samples: expected numbers from 0 to {_SAMPLES}, got {samples}.")
    images, boxes = [], []
    for start in range(samples.start, samples.stop, _AT_ONCE):
        stop = min(start + _AT_ONCE, samples.stop)
        place = range(kind.code * _SAMPLES + start, kind.code * _SAMPLES + stop)
        chance = uniforms(seed, f"shapes/{split}", place, _NUMBERS)
        grain = words(seed, f"shapes/{split}/noise", place, size * size * 3)
        image, box = _draw(kind, chance, grain, size, style)
        images.append(image)
        boxes.append(box)
    if not images:
        return np.zeros((0, size, size, 3), np.uint8), np.zeros((0, 4), np.float32)
    return np.concatenate(images), np.concatenate(boxes)


def draw_classes(
    kinds: Sequence[ShapeClass], each: int, size: int, style: Style, seed: int, split: str
) -> tuple[ImageClasses, np.ndarray]:
    """`each` pictures of every class, numbered as in `kinds`, in memory, and their boxes.

    Returns:
        The images, uint8 [N, size, size, 3], and float32 [N, 4] as of `draw`.
    """
    drawn = [draw(kind, range(each), size, style, seed, split) for kind in kinds]
    images, boxes = (np.concatenate(part) for part in zip(*drawn))
    class_of = np.repeat(np.arange(len(kinds)), each)
    return ImageClasses.from_arrays(images, class_of, [kind.name for kind in kinds]), boxes


def attrshapes(
    size: int = 32,
    each: int = 40,
    counts: tuple[int, int, int] = (64, 16, 20),
    seed: int = 0,
    style: Style = ATTRSHAPES,
) -> ClassSplit:
    """The few-shot set in memory: images uint8 [N, size, size, 3] of disjoint classes."""
    parts = attrshapes_classes(counts, seed)
    drawn = (draw_classes(kinds, each, size, style, seed, "attr") for kinds in parts)
    return ClassSplit(*(images for images, _ in drawn))


def _draw(
    kind: ShapeClass, chance: np.ndarray, grain: np.ndarray, size: int, style: Style
) -> tuple[np.ndarray, np.ndarray]:
    outline, hue, texture = _attributes(kind, chance, style)
    ground = _ground(chance, size, style)
    radius = _between(chance[:, 8], style.radius) * _F(2)
    centre = (chance[:, 9:11] * _F(2) - _F(1)) * _F(2 * style.shift)
    x, y = turned(size, centre, radius, (chance[:, 11] * _F(2) - _F(1)) * _F(style.turn))
    coverage = _coverage(per_kind(outline, OUTLINES, x, y), radius, size)
    shade = _F(1) - _F(0.6) * per_kind(texture, TEXTURES, x, y)
    paint = colours(hue, _between(chance[:, 12], (0.6, 1)), _between(chance[:, 13], (0.6, 1)))
    image = _over(ground, coverage, paint[:, :, None, None] * shade[:, None])
    if style.cover[1] > 0:
        cover = _cover(chance[:, 14:18], size, style)
        image = _over(image, cover, chance[:, 18:21, None, None])
    image *= _between(chance[:, 21], style.light)[:, None, None, None]
    image += _F(style.noise) * bell(grain).reshape(image.shape)
    pixels = (np.clip(image, _F(0), _F(1)) * _F(255) + _F(0.5)).astype(np.uint8)
    return np.ascontiguousarray(pixels.transpose(0, 2, 3, 1)), _boxes(coverage > _F(0.5), size)


def _between(uniform: np.ndarray, ends: tuple[float, float]) -> np.ndarray:
    return _F(ends[0]) + _F(ends[1] - ends[0]) * uniform


def _pick(uniform: np.ndarray, count: int) -> np.ndarray:
    return np.floor(uniform * _F(count)).astype(np.int32)


def _attributes(
    kind: ShapeClass, chance: np.ndarray, style: Style
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Outline and texture numbers int32 [N] and hue in turns [N], one attribute perhaps another."""
    typical = np.array([[kind.shape, kind.colour, kind.texture]])
    values = np.repeat(typical, len(chance), axis=0)
    swapped = np.flatnonzero(chance[:, 0] < _F(style.untypical))
    which = _pick(chance[swapped, 1], 3)
    values[swapped, which] = np.floor(chance[swapped, 2] * np.array(LIMITS, _F)[which])
    # Four uniform numbers make a nearly normal one: the sum's deviation is sqrt(4 / 12).
    normal = (chance[:, 3] + chance[:, 4] + chance[:, 5] + chance[:, 6] - _F(2)) * _F(1.7320508)
    hue = values[:, 1] / _F(LIMITS[1]) + normal * _F(style.hue_noise / 360)
    return values[:, 0], hue.astype(np.float32), values[:, 2]


def _coverage(distance: np.ndarray, radius: np.ndarray, size: int) -> np.ndarray:
    """How much of each pixel lies inside, [N, size, size], from distances in radii."""
    pixels = distance * (radius[:, None, None] * _F(size / 2))
    return np.clip(_F(0.5) - pixels, _F(0), _F(1))


def _over(under: np.ndarray, coverage: np.ndarray, paint: np.ndarray) -> np.ndarray:
    """Paint [N, 3, ...] where it covers [N, size, size], over what is there [N, 3, size, size]."""
    result = paint - under
    result *= coverage[:, None]
    result += under
    return result


def _ground(chance: np.ndarray, size: int, style: Style) -> np.ndarray:
    """What is behind, float32 [N, 3, size, size]."""
    if not style.busy:
        flat = chance[:, 22:25, None, None]
        return np.broadcast_to(flat, (len(chance), 3, size, size))
    pale = _F(0.45)  # the corners' colours: a grey and how far each channel is from it
    grey = chance[:, None, 22:26]
    corner = grey + pale * (chance[:, 26:38].reshape(-1, 3, 4) - grey)
    share = (grids(size) + _F(1)) / _F(2)
    upper = corner[:, :, :1] + share * (corner[:, :, 1:2] - corner[:, :, :1])
    lower = corner[:, :, 2:3] + share * (corner[:, :, 3:] - corner[:, :, 2:3])
    ground = upper[:, :, None] + share[:, None] * (lower - upper)[:, :, None]
    for number in range(3):  # small things; their numbers are those above, read in another order
        mixed = chance * _F(7 + 4 * number)
        mixed = mixed - np.floor(mixed)
        radius = _between(mixed[:, 24], (0.08, 0.22))
        centre = mixed[:, 26:28] * _F(2) - _F(1)
        x, y = turned(size, centre, radius, mixed[:, 28])
        outline = _pick(mixed[:, 29], LIMITS[0])
        thing = _coverage(per_kind(outline, OUTLINES, x, y), radius, size)
        paint = colours(mixed[:, 30], mixed[:, 31], mixed[:, 32])
        ground = _over(ground, thing, paint[:, :, None, None])
    return ground


def _cover(chance: np.ndarray, size: int, style: Style) -> np.ndarray:
    """Coverage of one rectangle somewhere, [N, size, size]."""
    sides = _between(chance[:, 2:], style.cover)
    reach = np.abs(grids(size)[None, None] - (chance[:, :2] * _F(2) - _F(1))[..., None])
    inside = np.clip((sides[..., None] - reach) * _F(size / 2) + _F(0.5), _F(0), _F(1))
    return inside[:, 0, None, :] * inside[:, 1, :, None]


def _boxes(inside: np.ndarray, size: int) -> np.ndarray:
    """Smallest boxes around masks [N, size, size]; the whole picture around an empty one."""
    boxes = np.empty((len(inside), 4), np.float32)
    for axis, (low, high) in ((1, (0, 2)), (2, (1, 3))):
        line = inside.any(axis=axis)
        boxes[:, low] = line.argmax(axis=1)
        boxes[:, high] = size - line[:, ::-1].argmax(axis=1)
    return boxes / _F(size)
