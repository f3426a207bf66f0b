"""Few-shot tasks with queries from the pooled rest, as a pure function of (seed, purpose, place).

Sampling of AM3 and TADAM (AM3 specification, 3.1): C distinct classes; of each, K support images
without replacement, class after class; Q queries without replacement from all other images of the
C classes together, so that queries per class are random. `balanced` draws Q / C of each class.

For one place the classes do not depend on K and Q, and the first supports of a 5-shot task are
those of the 1-shot task: results at different shots are paired.
"""

from __future__ import annotations

import numpy as np

from zoolib.data.draws import uniforms
from zoolib.data.episode_arrays import Arrays, choose
from zoolib.data.fewshot import Split
from zoolib.data.image_classes import several
from zoolib.errors import ConfigError, DataError


class Episodes:
    """Draws tasks from one split.

    Attributes:
        ways: classes of a task, C.
        shots: support images of each class, K; 0 with word vectors only.
        queries: queries of a task, Q, all classes together.
        seed: key of the random numbers.
        balanced: the same number of queries of each class.
    """

    def __init__(
        self,
        split: Split,
        ways: int,
        shots: int,
        queries: int,
        seed: int,
        balanced: bool = False,
    ) -> None:
        """See the class.

        Raises:
            ConfigError: a number is too small, or queries cannot be balanced.
            DataError: too few classes, too few images in a class, no words for 0 shots.
        """
        if ways < 2 or shots < 0 or queries < 1:
            raise ConfigError(
                "Expected at least 2 ways, 0 shots and 1 query, got "
                f"ways={ways}, shots={shots}, queries={queries}."
            )
        if balanced and queries % ways:
            raise ConfigError(
                f"queries: expected a multiple of {ways} ways for balanced queries, got {queries}."
            )
        self.ways, self.shots, self.queries = ways, shots, queries
        self.seed, self.balanced = seed, balanced
        self._counts = split.counts
        self._order = np.argsort(split.class_of, kind="stable").astype(np.int32)
        self._starts = np.cumsum(self._counts) - self._counts
        self._check(split)

    def _check(self, split: Split) -> None:
        if len(split.names) < self.ways:
            raise DataError(
                f"Expected at least {self.ways} classes for {self.ways}-way tasks, found "
                f"{len(split.names)}. Ask for fewer ways or add classes."
            )
        if not self.shots and split.vectors is None:
            raise DataError(
                "0 shots: expected word vectors, which then are all that is known of a class, "
                "found none. Add them or ask for at least 1 shot."
            )
        least = self.shots + (self.queries // self.ways if self.balanced else 1)
        fewest = np.argsort(self._counts, kind="stable")
        told = [f"{split.names[i]} ({self._counts[i]})" for i in fewest if self._counts[i] < least]
        pool = int((self._counts[fewest[: self.ways]] - self.shots).sum())
        if not told and pool < self.queries:
            told = [f"{split.names[i]} ({self._counts[i]})" for i in fewest[: self.ways]]
            least = self.shots + -(-self.queries // self.ways)
        if told:
            raise DataError(
                f"Expected at least {least} images in a class for {self.shots} shots and "
                f"{self.queries} queries over {self.ways} classes, but fewer are in "
                f"{several(told)}. Add images, remove these classes, or ask for less."
            )

    def tasks(self, purpose: str, places: range) -> Arrays:
        """Tasks number `places` of a stream; each is the same whichever others are asked for.

        Args:
            purpose: the stream, such as "train" or "test"; streams are independent.
            places: consecutive numbers of tasks, a range of stride 1.

        Returns:
            int32 arrays: `classes` [n, C], all different, the order is the label; `support`
            [n, C*K], places in the split's images, class after class; `query` [n, Q], likewise,
            no image twice in a task; `query_labels` [n, Q], 0 to C - 1.
        """
        if places.step != 1:
            raise ValueError(f"places: expected a range of stride 1, got {places!r}.")
        classes = choose(self._draw(purpose, "classes", places, self.ways), len(self._counts))
        support = self._support(purpose, places, classes)
        labels, ranks = self._queries(purpose, places, classes)
        # A rank counts a class's images without the support: step over those, lowest first.
        rows = np.arange(len(places))[:, None]
        for taken in np.moveaxis(np.sort(support, axis=-1), -1, 0):
            ranks = ranks + (ranks >= taken[rows, labels])
        first = self._starts[classes]
        support = self._order[support + first[..., None]]
        arrays = {
            "classes": classes,
            "support": support.reshape(len(places), self.ways * self.shots),
            "query": self._order[ranks + first[rows, labels]],
            "query_labels": labels,
        }
        return {name: np.ascontiguousarray(a, dtype=np.int32) for name, a in arrays.items()}

    def _support(self, purpose: str, places: range, classes: np.ndarray) -> np.ndarray:
        """Ranks among each class's images, [n, C, K]."""
        drawn = np.zeros((*classes.shape, self.shots), np.float32)
        for shot in range(self.shots):  # a stream per shot: more shots leave the first as they are
            drawn[..., shot] = self._draw(purpose, f"support/{shot}", places, self.ways)
        return choose(drawn, self._counts[classes])

    def _queries(
        self, purpose: str, places: range, classes: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Labels and ranks among each class's other images, [n, Q] both."""
        left = self._counts[classes] - self.shots
        drawn = self._draw(purpose, "query", places, self.queries)
        if self.balanced:
            each = self.queries // self.ways
            ranks = choose(drawn.reshape(len(places), self.ways, each), left)
            labels = np.repeat(np.arange(self.ways), each)
            return np.broadcast_to(labels, drawn.shape), ranks.reshape(drawn.shape)
        ends = np.cumsum(left, axis=1)
        pooled = choose(drawn, ends[:, -1])
        labels = (pooled[..., None] >= ends[:, None, :-1]).sum(axis=-1)
        begin = np.take_along_axis(ends - left, labels, axis=1)
        return labels, pooled - begin

    def _draw(self, purpose: str, what: str, places: range, count: int) -> np.ndarray:
        return uniforms(self.seed, f"fewshot/{purpose}/{what}", places, count)
