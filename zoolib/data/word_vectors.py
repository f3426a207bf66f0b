"""Word vectors of class names, from the text files of GloVe, word2vec and fastText.

The file is read once, line by line, and only the words that are asked for are kept. A first line
"count dimension" (word2vec, fastText) is recognised; the last D fields of a line are the vector and
all before them is the word, which may contain spaces (GloVe 840B has such words). ``.gz`` and
``.zip`` are read as they are.

A class's vector is the mean over the words of its name that are known (AM3 specification, 4.2 to
4.4). Deviations from the original's builders, both of which leave words out silently: words are
also looked for in lower, upper and capitalised spelling, hyphenated ones also by their parts
(`fallback=False` for neither), and `Coverage` says for each class what was found.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Optional

import numpy as np

from zoolib.data.draws import generator
from zoolib.data.image_classes import several
from zoolib.data.vector_text import VectorFile, read_words
from zoolib.data.word_coverage import POLICIES, Coverage, check_policy
from zoolib.data.word_matrix import from_matrix
from zoolib.errors import ConfigError, DataError

__all__ = [
    "POLICIES",
    "RULES",
    "Coverage",
    "class_vectors",
    "from_matrix",
    "from_table",
    "spellings",
    "words_of",
]

RULES = ("plain", "tiered")
# Names whose second synonym tieredImageNet's builder takes (specification, 4.3).
_SECOND = ("limpkin", "otterhound", "barracouta", "lycaenid")
_log = logging.getLogger(__name__)


def words_of(name: str, rule: str = "plain") -> list[str]:
    """The words of a class name.

    Args:
        name: such as "house_finch" or, for `tiered`, "house finch, linnet, Carpodacus mexicanus".
        rule: "plain": lower case, split at underscores and spaces; "tiered": the first of the
            synonyms between commas (for four names the second), split at spaces, case kept.

    Raises:
        ConfigError: no such rule.
    """
    if rule not in RULES:
        raise ConfigError(f"rule: expected one of {', '.join(RULES)}, got {rule!r}.")
    if rule == "plain":
        return name.lower().replace("_", " ").split()
    synonyms = [part.strip() for part in name.split(",")]
    second = synonyms[0] in _SECOND and len(synonyms) > 1
    return synonyms[int(second)].split()


def spellings(word: str, fallback: bool = True) -> list[str]:
    """A word as it may stand in a file, the best first."""
    kinds = [word, word.lower(), word.capitalize(), word.title(), word.upper()]
    return list(dict.fromkeys(kinds)) if fallback else [word]


def class_vectors(
    names: Sequence[str],
    path: Path | str,
    rule: str = "plain",
    policy: str = "zero",
    dimension: Optional[int] = None,
    seed: int = 0,
    fallback: bool = True,
) -> tuple[np.ndarray, Coverage]:
    """One vector per class: the mean of the vectors of its words.

    Args:
        names: class names.
        path: a text file of word vectors, perhaps ``.gz`` or ``.zip``.
        rule: how a name becomes words, see `words_of`.
        policy: a class without any known word gets zeros ("zero", as the original's builder for
            miniImageNet), uniform numbers in [-1, 1] ("random", as its builder for tieredImageNet),
            or is refused ("error").
        dimension: what the vectors' length must be; None: whatever it is.
        seed: of "random".
        fallback: look for other spellings and for the parts of hyphenated words.

    Returns:
        float64 [classes, D] and the report.

    Raises:
        ConfigError: no such rule or policy.
        DataError: the file is missing or of another form or dimension; policy "error" and a class
            without known words.
    """
    check_policy(policy)
    words = [words_of(name, rule) for name in names]
    wanted = {s for w in words for word in w for s in _candidates(word, fallback)}
    file = read_words(path, wanted, dimension)
    told = {**file.source, "rule": rule, "policy": policy, "fallback": fallback}
    return from_table(names, words, file, policy, seed, fallback, told)


def from_table(
    names: Sequence[str],
    words: Sequence[Sequence[str]],
    file: VectorFile,
    policy: str = "zero",
    seed: int = 0,
    fallback: bool = True,
    source: Optional[Mapping[str, Any]] = None,
) -> tuple[np.ndarray, Coverage]:
    """Class vectors from words that have been read; see `class_vectors`."""
    hits = [[_find(word, file.vectors, fallback) for word in each] for each in words]
    found = [tuple(hit for part in each for hit in part[0]) for each in hits]
    missing = [tuple(miss for part in each for miss in part[1]) for each in hits]
    coverage = Coverage(tuple(names), tuple(found), tuple(missing), policy, source or file.source)
    if coverage.unknown and policy == "error":
        raise DataError(
            f"{file.source.get('file', 'word vectors')}: expected at least one known word for "
            f"every class, found none for {several(coverage.unknown)}. Rename these classes, or "
            "take the policy zero or random."
        )
    if coverage.unknown:
        _log.warning("Word vectors: %s", coverage.summary())
    rows = np.zeros((len(names), file.dimension))
    for row, name, known in zip(rows, names, found):
        if known:
            row[:] = np.mean([file.vectors[word] for word in known], axis=0)
        elif policy == "random":
            row[:] = generator(seed, f"words/unknown/{name}").uniform(-1, 1, file.dimension)
    return rows, coverage


def _candidates(word: str, fallback: bool) -> list[str]:
    parts = word.split("-") if fallback and "-" in word else []
    return [s for w in (word, *parts) if w for s in spellings(w, fallback)]


def _find(
    word: str, vectors: Mapping[str, np.ndarray], fallback: bool
) -> tuple[list[str], list[str]]:
    """Words found and words missing."""
    for spelling in spellings(word, fallback):
        if spelling in vectors:
            return [spelling], []
    parts = [part for part in word.split("-") if part] if fallback and "-" in word else []
    if not parts:
        return [], [word]
    each = [_find(part, vectors, fallback) for part in parts]
    found = [hit for part in each for hit in part[0]]
    return found, ([miss for part in each for miss in part[1]] if found else [word])
