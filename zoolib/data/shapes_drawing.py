"""How one attributed shape becomes pixels: outlines, textures, colours, backgrounds.

The arithmetic is restricted to what IEEE 754 defines exactly (+ - * / sqrt, minimum, maximum,
floor), in a fixed order, so the pixels are the same on every machine: a turn is drawn as the
tangent of its half angle, noise is a sum of random bytes.

Coordinates are in units of the shape's radius, the shape upright at the origin. An outline is a
function (x, y) -> distance to the edge, negative inside; a texture (x, y) -> share of the darker
ink in [0, 1].
"""

from __future__ import annotations

from typing import Callable

import numpy as np

Field = Callable[[np.ndarray, np.ndarray], np.ndarray]
_F = np.float32
_PERIOD = 0.62  # of textures, in radii


def _box(x: np.ndarray, y: np.ndarray, width: float, height: float) -> np.ndarray:
    return np.maximum(np.abs(x) - _F(width), np.abs(y) - _F(height))


def _disc(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.sqrt(x * x + y * y) - _F(0.95)


def _square(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return _box(x, y, 0.82, 0.82)


def _triangle(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    slope = _F(0.8660254) * np.abs(x) - _F(0.5) * y
    return np.maximum(slope - _F(0.5), y - _F(0.62))


def _diamond(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return (np.abs(x) * _F(1.35) + np.abs(y) * _F(0.9) - _F(1)) * _F(0.62)


def _plus(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.minimum(_box(x, y, 1.0, 0.36), _box(x, y, 0.36, 1.0))


def _ring(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.abs(np.sqrt(x * x + y * y) - _F(0.74)) - _F(0.25)


def _frame(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.abs(_box(x, y, 0.66, 0.66)) - _F(0.22)


def _bar(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return _box(x, y, 1.05, 0.44)


OUTLINES: dict[str, Field] = {
    "disc": _disc,
    "square": _square,
    "triangle": _triangle,
    "diamond": _diamond,
    "plus": _plus,
    "ring": _ring,
    "frame": _frame,
    "bar": _bar,
}


def _wave(x: np.ndarray) -> np.ndarray:
    """A triangle wave of period 1, from -1/4 to 1/4."""
    return np.abs(x - np.floor(x) - _F(0.5)) - _F(0.25)


def _edge(signal: np.ndarray) -> np.ndarray:
    return np.clip(signal * _F(8) + _F(0.5), _F(0), _F(1))


def _plain(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.zeros_like(x)


def _striped(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return _edge(_wave(x / _F(_PERIOD)))


def _dotted(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    across, down = x / _F(_PERIOD), y / _F(_PERIOD)
    across = across - np.floor(across) - _F(0.5)
    down = down - np.floor(down) - _F(0.5)
    return _edge(_F(0.31) - np.sqrt(across * across + down * down))


def _checked(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return _edge(_wave(x / _F(1.4 * _PERIOD)) * _wave(y / _F(1.4 * _PERIOD)) * _F(5))


TEXTURES: dict[str, Field] = {
    "plain": _plain,
    "striped": _striped,
    "dotted": _dotted,
    "checked": _checked,
}


def colours(hue: np.ndarray, saturation: np.ndarray, value: np.ndarray) -> np.ndarray:
    """HSV to RGB in [0, 1], float32 [..., 3]; the hue in turns, taken modulo 1."""
    offsets = np.array([5, 3, 1], np.float32)
    turn = hue - np.floor(hue)
    place = offsets + turn[..., None] * _F(6)
    place = place - np.floor(place / _F(6)) * _F(6)
    ramp = np.clip(np.minimum(place, _F(4) - place), _F(0), _F(1))
    return value[..., None] * (_F(1) - saturation[..., None] * ramp)


def grids(size: int) -> np.ndarray:
    """Centres of the pixels along one side, float32 [size], from -1 to 1."""
    return (2 * np.arange(size, dtype=np.float32) + 1) / _F(size) - _F(1)


def turned(
    size: int, centre: np.ndarray, radius: np.ndarray, half_tangent: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Pixel centres in the coordinates of shapes: x and y, float32 [N, size, size].

    Args:
        size: pixels of a side; the picture reaches from -1 to 1.
        centre: [N, 2], across and down.
        radius: [N].
        half_tangent: tan(angle / 2), [N].
    """
    square = half_tangent * half_tangent
    cosine = ((_F(1) - square) / (_F(1) + square) / radius)[:, None, None]
    sine = (half_tangent * _F(2) / (_F(1) + square) / radius)[:, None, None]
    side = grids(size)
    across = side[None, None, :] - centre[:, 0, None, None]
    down = side[None, :, None] - centre[:, 1, None, None]
    return across * cosine + down * sine, down * cosine - across * sine


def per_kind(kinds: np.ndarray, fields: dict[str, Field], *at: np.ndarray) -> np.ndarray:
    """Each picture's own field: kinds [N] number the fields; at: x and y [N, size, size]."""
    result = np.empty_like(at[0])
    for number, field in enumerate(fields.values()):
        where = np.flatnonzero(kinds == number)
        if len(where):
            result[where] = field(*(axis[where] for axis in at))
    return result


def bell(words: np.ndarray) -> np.ndarray:
    """Nearly normal numbers (mean 0, deviation 1) from 32-bit words: the sum of their bytes."""
    pairs = (words & np.uint32(0x00FF00FF)) + ((words >> np.uint32(8)) & np.uint32(0x00FF00FF))
    total = (pairs & np.uint32(0xFFFF)) + (pairs >> np.uint32(16))
    return (total.astype(np.float32) - _F(510)) / _F(147.8)
