"""Stand-ins for image sets, drawn from a seed, so that everything runs with no download.

Like Omniglot, a class is a character: two to four pen strokes (quadratic Bezier curves). A sample
is the same character by another hand: shaken control points, a little shear, scale and shift, and
another pen width. Raw-pixel nearest neighbours are far above chance and far from perfect on it.

The arithmetic is restricted to what IEEE 754 defines exactly (+ - * / sqrt, minimum), in a fixed
order, so the pixels are the same on every machine.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from PIL import Image

from zoolib.data.draws import uniforms
from zoolib.data.image_classes import ImageClasses
from zoolib.errors import ConfigError

_STROKES = 4  # at most, per character
_PIECES = 6  # straight pieces per stroke
_ALPHABET = 20  # characters per alphabet


def stroke_glyphs(
    classes: int = 100, samples: int = 20, size: int = 28, channels: int = 1, seed: int = 0
) -> ImageClasses:
    """Draw an Omniglot-like set: bright ink on black, as `load_omniglot` gives it.

    Args:
        classes: characters, named "alphabet_00/character_00" and so on.
        samples: images of each character.
        size: height and width in pixels.
        channels: 1 (grey), or 3: ink and paper in random colours for each sample.
        seed: which set; a class is the same in a larger set of the same seed.

    Returns:
        Images uint8 [classes * samples, size, size, channels].

    Raises:
        ConfigError: channels other than 1 and 3, or a number below 1.
    """
    if channels not in (1, 3) or min(classes, samples, size) < 1:
        raise ConfigError(
            "Expected channels 1 or 3 and at least one class, sample and pixel, got "
            f"channels={channels}, classes={classes}, samples={samples}, size={size}."
        )
    shapes = _spread(uniforms(seed, "glyphs/shape", range(classes), _STROKES * 6))
    strokes = 2 + np.floor(uniforms(seed, "glyphs/strokes", range(classes), 1)[:, 0] * 3)
    images = np.empty((classes, samples, size, size, channels), dtype=np.uint8)
    for number in range(classes):
        hands = range(number << 16, (number << 16) + samples)
        points = shapes[number].reshape(_STROKES, 3, 2)[: int(strokes[number])] * 0.7
        ink = _draw(_by_hand(points, seed, hands), _pen(seed, hands), size)[..., None]
        if channels == 3:
            colour = uniforms(seed, "glyphs/colour", hands, 6).reshape(samples, 2, 1, 1, 3)
            ink = ink * (0.5 + 0.5 * colour[:, 0]) + (1 - ink) * (0.5 * colour[:, 1])
        images[number] = np.floor(ink * 255 + 0.5).astype(np.uint8)
    names = [f"alphabet_{i // _ALPHABET:02d}/character_{i % _ALPHABET:02d}" for i in range(classes)]
    class_of = np.repeat(np.arange(classes), samples)
    return ImageClasses.from_arrays(images.reshape(-1, size, size, channels), class_of, names)


def write_image_folders(
    classes: ImageClasses, root: str | os.PathLike[str], invert: bool = False, suffix: str = ".png"
) -> None:
    """Write an image set as class folders, one file per image, as `load_image_folders` reads it.

    Args:
        classes: the images; a "/" in a class name makes a folder in a folder.
        root: where; made if missing. Existing files of the same names are overwritten.
        invert: write 255 - p, as Omniglot is stored (black ink on white).
        suffix: ".png" keeps the pixels exactly, ".jpg" does not.
    """
    width = len(str(int(classes.counts.max())))
    for name, start, count in zip(classes.names, classes.starts, classes.counts):
        folder = Path(root) / name
        folder.mkdir(parents=True, exist_ok=True)
        for number in range(count):
            pixels = classes.images[start + number]
            pixels = 255 - pixels if invert else pixels
            picture = Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
            picture.save(folder / f"{number:0{width}d}{suffix}")


def _spread(uniform: np.ndarray) -> np.ndarray:
    """From [0, 1) to [-1, 1)."""
    return 2 * uniform - 1


def _by_hand(points: np.ndarray, seed: int, hands: range) -> np.ndarray:
    """A character as several hands write it: [S, 3, 2] -> [hands, S, 3, 2], mostly in [-1, 1]."""
    shake = _spread(uniforms(seed, "glyphs/shake", hands, points.size))
    shaken = points + 0.15 * shake.reshape(-1, *points.shape)
    bend = _spread(uniforms(seed, "glyphs/bend", hands, 6)).reshape(-1, 6, 1, 1)
    x, y = shaken[..., 0], shaken[..., 1]
    across = x + 0.2 * (bend[:, 0] * x + bend[:, 1] * y) + 0.15 * bend[:, 2]
    down = y + 0.2 * (bend[:, 3] * x + bend[:, 4] * y) + 0.15 * bend[:, 5]
    return np.stack([across, down], axis=-1)


def _pen(seed: int, hands: range) -> np.ndarray:
    """Half the width of each hand's pen, as a share of half the image: [hands]."""
    return 0.05 + 0.05 * uniforms(seed, "glyphs/pen", hands, 1)[:, 0]


def _draw(points: np.ndarray, pen: np.ndarray, size: int) -> np.ndarray:
    """Ink in [0, 1], float32 [hands, size, size], of strokes [hands, S, 3, 2] given by Beziers."""
    time = (np.arange(_PIECES + 1, dtype=np.float32) / np.float32(_PIECES))[:, None]
    first, middle, last = (points[:, :, None, i].astype(np.float32) for i in range(3))
    curve = (1 - time) * (1 - time) * first + 2 * time * (1 - time) * middle + time * time * last
    centres = (2 * np.arange(size, dtype=np.float32) + 1) / np.float32(size) - 1
    nearest = np.full((len(points), size, size), np.inf, dtype=np.float32)
    for stroke in range(curve.shape[1]):
        for piece in range(_PIECES):
            start, end = curve[:, stroke, piece], curve[:, stroke, piece + 1]
            np.minimum(nearest, _squared_distance(centres, start, end), out=nearest)
    pixel = np.float32(2) / np.float32(size)
    edge = (pen.astype(np.float32)[:, None, None] - np.sqrt(nearest)) / pixel + np.float32(0.5)
    return np.clip(edge, np.float32(0), np.float32(1))


def _squared_distance(centres: np.ndarray, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """From every pixel to the straight piece start-end ([hands, 2] each): [hands, size, size]."""
    ahead = end - start
    length = ahead[:, 0] * ahead[:, 0] + ahead[:, 1] * ahead[:, 1] + np.float32(1e-12)
    x = centres[None, None, :] - start[:, 0, None, None]
    y = centres[None, :, None] - start[:, 1, None, None]
    across, down = ahead[:, 0, None, None], ahead[:, 1, None, None]
    share = (x * across + y * down) / length[:, None, None]
    share = np.clip(share, np.float32(0), np.float32(1))
    off_x, off_y = x - share * across, y - share * down
    return off_x * off_x + off_y * off_y
