"""The images and names a config means, as tasks of consecutive steps."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from zoolib.data.attrshapes import attrshapes
from zoolib.data.draws import generator, words
from zoolib.data.fewshot import Split, read_sets
from zoolib.data.fewshot_episodes import Episodes
from zoolib.errors import ConfigError, DataError
from zoolib.models.am3.augment import augmented

if TYPE_CHECKING:
    from zoolib.models.am3.config import AM3Config

Arrays = dict[str, np.ndarray]
DATA_SEED = 0  # generated pictures are the same for every seed of a run
_AUXILIARY = 0.9  # share of the training images an auxiliary batch is drawn from


class Source:
    """Splits of a few-shot set, with what a method reads of their names.

    Attributes:
        sets: train, val and test.
        words: length of the word vectors; 0 where names are not read.
        aux_classes: outputs of the auxiliary head; 0 without.
    """

    def __init__(self, config: AM3Config, sets: dict[str, Split]) -> None:
        self.config, self.sets = config, sets
        self._check()
        reads = config.semantic and config.mixing != "visual"
        self.words = sets["train"].vectors.shape[1] if reads else 0
        self._vectors = {name: self._rows(name, split) for name, split in sets.items()}
        train = sets["train"]
        self.aux_classes = config.aux_classes or len(train.names) if config.co_trained else 0
        order = generator(config.seed, "am3/auxiliary images").permutation(len(train.images))
        self._auxiliary = order[: max(int(_AUXILIARY * len(order)), 1)]
        self._episodes = Episodes(
            train, config.ways, config.shots, config.queries, config.seed, config.balanced
        )

    def _check(self) -> None:
        config = self.config
        for name, split in self.sets.items():
            height, width = split.images.shape[1:3]
            if (height, width) != (config.image_size, config.image_size):
                raise DataError(
                    f"{name}: expected pictures of {config.image_size} x {config.image_size} "
                    f"pixels (image_size), found {height} x {width}"
                )
            if config.semantic and split.vectors is None:
                raise DataError(
                    f"{name}: expected word vectors for {config.variant}, found none. Build them "
                    "with `zoolib data build`, or take protonet++ or tadam"
                )
        classes = len(self.sets["train"].names)
        if config.co_trained and 0 < config.aux_classes < classes:
            raise ConfigError(
                f"aux_classes: expected at least {classes}, as there are training classes, or 0; "
                f"got {config.aux_classes}"
            )

    def _rows(self, name: str, split: Split) -> np.ndarray:
        """Word vectors [classes, E] as the run reads them; shuffled if it is to."""
        if not self.words:
            return np.zeros((len(split.names), 0), np.float32)
        if self.config.class_names == "true":
            return split.vectors
        # One cycle through all classes: no class keeps its own name.
        order = generator(self.config.seed, f"am3/shuffled/{name}").permutation(len(split.names))
        rows = np.empty_like(split.vectors)
        rows[order] = split.vectors[np.roll(order, -1)]
        return rows

    def vectors(self, split: str, classes: np.ndarray) -> Arrays:
        """What is known of classes' names: ``words`` [..., E], ``known`` 1 or 0 [...].

        A row of zeros is what a class without any known word has.
        """
        if not self.words:
            return {}
        rows = self._vectors[split]
        known = (rows != 0.0).any(axis=1).astype(np.float32)
        return {"words": rows[classes], "known": known[classes]}

    def training(self, steps: range, mine: slice) -> Arrays:
        """This rank's tasks of consecutive steps, each array [steps, tasks, ...]."""
        tasks = self.config.tasks
        found = self._episodes.tasks("train", range(steps.start * tasks, steps.stop * tasks))
        cut = {k: v.reshape(len(steps), tasks, -1)[:, mine] for k, v in found.items()}
        views = functools.partial(self._views, steps=steps, rows=tasks, mine=mine)
        return {
            "support": views("support", cut["support"]),
            "query": views("query", cut["query"]),
            "labels": cut["query_labels"],
            **self.vectors("train", cut["classes"]),
        }

    def auxiliary(self, steps: range, mine: slice) -> Arrays:
        """This rank's share of auxiliary batches, drawn with replacement, [steps, images, ...]."""
        drawn = words(self.config.seed, "am3/auxiliary batch", steps, self.config.aux_batch)
        places = self._auxiliary[(drawn % np.uint32(len(self._auxiliary))).astype(np.int64)]
        rows = self.config.aux_batch
        return {
            "aux_images": self._views("auxiliary", places[:, mine], steps, rows, mine),
            "aux_labels": self.sets["train"].class_of[places[:, mine]],
        }

    def _views(
        self, purpose: str, places: np.ndarray, steps: range, rows: int, mine: slice
    ) -> np.ndarray:
        """Training pictures at ``places`` [steps, this rank's rows, ...], augmented if asked."""
        images, config = self.sets["train"].images[places], self.config
        return augmented(images, config.augment, config.seed, purpose, steps, rows, mine)

    def remarks(self) -> list[str]:
        """Classes whose names say nothing."""
        told = []
        for name, rows in self._vectors.items():
            unknown = int((~(rows != 0.0).any(axis=1)).sum()) if self.words else 0
            if unknown:
                told.append(f"{unknown} {name} classes have no known word: only pictures count")
        return told


def make(config: AM3Config) -> Source:
    """The data a config names.

    Raises:
        ConfigError, DataError: for data that is missing or does not fit.
    """
    if config.datasource == "attrshapes":
        sets = attrshapes(config.image_size, config.per_class, DATA_SEED, config.drawn_classes)
    else:
        sets = _read(str(Path(config.data_dir)), config.semantic)
    return Source(config, sets)


@functools.lru_cache(maxsize=1)
def _read(folder: str, with_words: bool) -> dict[str, Split]:
    return read_sets(folder, with_words)
