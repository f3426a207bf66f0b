"""The classes of the drawn shapes: outline x colour x texture, and what they are called."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from zoolib.data.draws import words
from zoolib.data.shapes_drawing import OUTLINES, TEXTURES
from zoolib.errors import ConfigError

SHAPES = tuple(OUTLINES)
COLOURS = ("red", "orange", "lime", "green", "cyan", "blue", "violet", "pink")  # 45 degrees apart
TEXTURE_NAMES = tuple(TEXTURES)
WORDS = (*COLOURS, *TEXTURE_NAMES, *SHAPES)  # every word of every class name

LIMITS = (len(SHAPES), len(COLOURS), len(TEXTURE_NAMES))
_TOTAL = LIMITS[0] * LIMITS[1] * LIMITS[2]


@dataclass(frozen=True)
class ShapeClass:
    """A class: its place in each list of attribute values, and its names.

    Attributes:
        shape, colour, texture: places in SHAPES, COLOURS and TEXTURE_NAMES.
    """

    shape: int
    colour: int
    texture: int

    @property
    def code(self) -> int:
        """Number among all 256 combinations."""
        return (self.shape * LIMITS[1] + self.colour) * LIMITS[2] + self.texture

    @property
    def words(self) -> tuple[str, str, str]:
        """Colour, texture and outline in words."""
        return COLOURS[self.colour], TEXTURE_NAMES[self.texture], SHAPES[self.shape]

    @property
    def name(self) -> str:
        """Such as "red striped square"."""
        return " ".join(self.words)

    @property
    def wnid(self) -> str:
        """An identifier of WordNet's form, n99000 and a digit for each attribute.

        No real synset begins with n99.
        """
        return f"n99000{self.shape}{self.colour}{self.texture}"

    @property
    def description(self) -> str:
        """A sentence, as glosses of synsets are."""
        colour, texture, shape = self.words
        return f"a {shape} in {colour} paint with a {texture} surface"


def catalogue(count: int = _TOTAL, seed: int = 0) -> tuple[ShapeClass, ...]:
    """Different classes in random order; the order is a class's number.

    A shorter catalogue is the beginning of a longer one of the same seed.

    Raises:
        ConfigError: `count` is not between 1 and 256.
    """
    if not 1 <= count <= _TOTAL:
        raise ConfigError(f"classes: expected 1 to {_TOTAL} shapes, got {count}.")
    order = np.argsort(words(seed, "shapes/catalogue", range(1), _TOTAL)[0], kind="stable")
    return tuple(ShapeClass(*(int(i) for i in np.unravel_index(c, LIMITS))) for c in order[:count])


def attrshapes_classes(
    counts: tuple[int, int, int] = (64, 16, 20), seed: int = 0
) -> tuple[tuple[ShapeClass, ...], tuple[ShapeClass, ...], tuple[ShapeClass, ...]]:
    """Disjoint classes to train, validate and test; every attribute value is among the first.

    Raises:
        ConfigError: the training classes cannot, or do not, hold every attribute value.
    """
    kinds = catalogue(sum(counts), seed)
    train = kinds[: counts[0]]
    if len({word for kind in train for word in kind.words}) < len(WORDS):
        raise ConfigError(
            f"attrshapes: expected every one of {len(WORDS)} words in the {counts[0]} training "
            f"classes, seed {seed} misses some. Take another seed or more training classes."
        )
    return train, kinds[counts[0] : counts[0] + counts[1]], kinds[counts[0] + counts[1] :]
