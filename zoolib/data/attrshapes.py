"""AttrShapes: few-shot classes whose names honestly help (AM3 specification, 4.6).

A class is a combination of colour, texture and outline, and its name says which; its word vector
is the mean of the vectors of these three words. Two fifths of the pictures are untypical in one
attribute, so one picture tells less than the name; every word occurs in training, no combination of
the test classes does. The pictures come from the generator of `shapes`.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np

from zoolib.data.draws import generator
from zoolib.data.fewshot import SPLITS, Split
from zoolib.data.shapes import WORDS, ShapeClass, attrshapes_classes
from zoolib.data.shapes import attrshapes as drawn_classes
from zoolib.data.vector_text import VectorFile
from zoolib.data.word_vectors import Coverage, from_table, words_of
from zoolib.errors import ConfigError

DIMENSION = 300
_DEVIATION = 0.4  # of each number of a word's vector
_DECIMALS = 6  # of the text file; the numbers in memory are those of the file


def attrshapes(
    size: int = 32,
    per_class: int = 40,
    seed: int = 0,
    classes: tuple[int, int, int] = (64, 16, 20),
) -> dict[str, Split]:
    """The three splits: train, val, test.

    Args:
        size: height and width in pixels.
        per_class: pictures of each class.
        seed: which set.
        classes: how many in each split, 256 in all at most.

    Returns:
        Images uint8 [n, size, size, 3], class after class, classes in the order of their
        identifiers; vectors float32 [classes, 300]. The arrays are shared between calls and
        read-only.

    Raises:
        ConfigError: a number is too small, or the training classes miss a word.
    """
    if per_class < 1 or size < 8 or len(classes) != 3 or min(classes) < 1:
        raise ConfigError(
            "attrshapes: expected at least 1 picture of each class, 8 pixels and 3 numbers of "
            f"classes, got per_class={per_class}, size={size}, classes={tuple(classes)}."
        )
    return dict(_sets(size, per_class, seed, tuple(classes)))


def class_lists(
    classes: tuple[int, int, int] = (64, 16, 20), seed: int = 0
) -> dict[str, tuple[ShapeClass, ...]]:
    """The classes of each split, in the order of their ids: sorted by identifier."""
    parts = attrshapes_classes(classes, seed)
    return {s: tuple(sorted(p, key=lambda kind: kind.wnid)) for s, p in zip(SPLITS, parts)}


def word_table(seed: int = 0) -> dict[str, str]:
    """The vector of each of the 20 words, N(0, 0.4**2) in 300 dimensions, as text."""
    numbers = generator(seed, "attrshapes/words").normal(0, _DEVIATION, (len(WORDS), DIMENSION))
    return {word: " ".join(f"{x:.{_DECIMALS}f}" for x in row) for word, row in zip(WORDS, numbers)}


def name_vectors(
    names: Sequence[str], seed: int = 0, policy: str = "zero"
) -> tuple[np.ndarray, Coverage]:
    """Vectors of any names made of the set's words, such as "lime dotted ring".

    Args:
        names: of classes, of the set or not.
        seed: which set.
        policy: for names without a known word: zero, random or error.

    Returns:
        float64 [names, 300] and which words were known.
    """
    table = {word: np.array(text.split(), float) for word, text in word_table(seed).items()}
    file = VectorFile(table, DIMENSION, {"file": "attrshapes"})
    return from_table(names, [words_of(name) for name in names], file, policy, seed)


@functools.lru_cache(maxsize=4)
def _sets(
    size: int, per_class: int, seed: int, classes: tuple[int, int, int]
) -> tuple[tuple[str, Split], ...]:
    drawn = drawn_classes(size, per_class, classes, seed)
    made = []
    for (split, kinds), images in zip(class_lists(classes, seed).items(), drawn):
        names = tuple(kind.name for kind in kinds)
        ordered = images.select(names)
        vectors, _ = name_vectors(names, seed, "error")
        arrays = ordered.images, ordered.class_of, vectors.astype(np.float32)
        for array in arrays:
            array.flags.writeable = False
        made.append((split, Split(arrays[0], arrays[1], names, arrays[2])))
    return tuple(made)
