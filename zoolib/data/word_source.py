"""Where the word vectors of a few-shot set come from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Optional

import numpy as np

from zoolib.data.word_coverage import Coverage, check_policy
from zoolib.data.word_vectors import class_vectors, from_matrix
from zoolib.errors import ConfigError


@dataclass(frozen=True)
class Words:
    """Where the word vectors of a set come from; nowhere if neither file is given.

    Attributes:
        vectors: text file of GloVe, word2vec or fastText.
        matrix: a matrix of your own, one row per class; see `word_matrix`.
        policy: of classes without a known word: zero, random or error. None: what the original
            does (random for tieredImageNet, else zero); for a matrix, error.
        dimension: what D must be; None: whatever it is.
        seed: of the policy random.
        fallback: look for other spellings and the parts of hyphenated words.
    """

    vectors: Optional[Path] = None
    matrix: Optional[Path] = None
    policy: Optional[str] = None
    dimension: Optional[int] = None
    seed: int = 0
    fallback: bool = True

    def __post_init__(self) -> None:
        if self.policy is not None:
            check_policy(self.policy)
        if self.vectors is not None and self.matrix is not None:
            raise ConfigError("words: expected a vector file or a matrix, got both.")

    def settings(self) -> dict[str, Any]:
        """JSON for the manifest: names of the files, not their places."""
        told = asdict(self)
        for key in ("vectors", "matrix"):
            told[key] = None if told[key] is None else Path(told[key]).name
        return told

    def read(
        self, names: Sequence[str], rule: str = "plain", labels: Optional[Sequence[str]] = None
    ) -> tuple[Optional[np.ndarray], Optional[Coverage]]:
        """Vectors float64 [classes, D] and the report; None, None if there is no file.

        Args:
            names: what a vector file is asked for, by `rule`.
            labels: what a matrix is asked for; the names unless told.
        """
        if self.vectors is not None:
            return class_vectors(
                names,
                self.vectors,
                rule,
                self.policy or ("random" if rule == "tiered" else "zero"),
                self.dimension,
                self.seed,
                self.fallback,
            )
        if self.matrix is not None:
            policy = self.policy or "error"
            return from_matrix(self.matrix, labels or names, policy, self.dimension, self.seed)
        return None, None


NO_WORDS = Words()  # a set without word vectors
