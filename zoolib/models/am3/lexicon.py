"""Word vectors of names that are typed in: of the generated set, a file, or the data's classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from zoolib.data.attrshapes import DIMENSION, word_table
from zoolib.data.vector_text import VectorFile
from zoolib.data.word_vectors import class_vectors, from_table, words_of
from zoolib.errors import ConfigError
from zoolib.models.am3.sources import DATA_SEED


def rows(
    task: Any, names: Sequence[str] | None, vectors: np.ndarray | None, count: int
) -> tuple[np.ndarray, np.ndarray]:
    """Word vectors [C, E] and whether each is known, 1 or 0 [C].

    Args:
        task: whose network reads them.
        names: one per class, or None.
        vectors: to be taken instead of looking names up.
        count: classes.

    Raises:
        ConfigError: for vectors of another shape.
        DataError: for a word file that cannot be read.
    """
    width = task.source.words
    if vectors is not None:
        found = np.asarray(vectors, np.float32)
        if found.shape != (count, width) or not np.isfinite(found).all():
            raise ConfigError(
                f"vectors: expected finite numbers [{count}, {width}], got {list(found.shape)}"
            )
    elif names is None or not width:
        found = np.zeros((count, width), np.float32)
    else:
        found = lookup(task, names)
    return found, (found != 0.0).any(axis=1).astype(np.float32)


def lookup(task: Any, names: Sequence[str]) -> np.ndarray:
    """Vectors of names, zeros where no word of a name is known, float32 [names, E]."""
    config = task.config
    if config.word_file.lower() != "none":
        return class_vectors(names, config.word_file, dimension=task.source.words)[0].astype("f4")
    if config.datasource == "attrshapes":
        table = {w: np.array(text.split(), float) for w, text in word_table(DATA_SEED).items()}
        file = VectorFile(table, DIMENSION, {"file": "attrshapes"})
        return from_table(list(names), [words_of(n) for n in names], file)[0].astype(np.float32)
    found = np.zeros((len(names), task.source.words), np.float32)
    for split in task.source.sets.values():
        own = {_plain(name): row for name, row in zip(split.names, split.vectors)}
        for place, name in enumerate(names):
            found[place] = own.get(_plain(name), found[place])
    return found


def _plain(name: str) -> str:
    return " ".join(name.replace("_", " ").lower().split())
