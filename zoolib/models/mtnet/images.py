"""Few-shot classification tasks for MT-net: Omniglot, miniImageNet, and generated glyphs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tensorflow as tf

from zoolib.data.episodes import EpisodeSampler, fixed_episodes, gather
from zoolib.data.fixtures import stroke_glyphs
from zoolib.data.image_classes import ClassSplit, ImageClasses, split_omniglot
from zoolib.data.image_folders import load_miniimagenet, load_omniglot
from zoolib.models.mtnet.config import MTNetConfig

Arrays = dict[str, np.ndarray]


class ImageSource:
    """Episodes of images; class-major, labels are places in the episode.

    Attributes:
        inputs: unused for images, kept for the common interface.
    """

    inputs = 0

    def __init__(self, config: MTNetConfig) -> None:
        self.config = config
        train, self._held_out = _classes(config)
        if config.num_train_classes != -1:
            train = train.select(train.names[: config.num_train_classes])
        self._train = self._sampler(train, config.shots, "train")
        self._test: dict[int, tuple[Arrays, ImageClasses]] = {}

    def train_tasks(self, steps: range) -> Arrays:
        """Episodes of the given steps, images uint8 [steps, B, examples, H, W, C]."""
        return self._train.batch(steps, self.config.meta_batch_size)

    def test_part(self, places: np.ndarray, shots: int | None = None) -> Arrays:
        """Some of the stored test episodes, [len(places), examples, …]."""
        shots = shots or self.config.shots
        if shots not in self._test:
            sampler = self._sampler(self._held_out, shots, self.config.eval_split)
            self._test[shots] = (
                fixed_episodes(sampler, self.config.test_tasks).index,
                self._held_out,
            )
        index, classes = self._test[shots]
        return gather(classes.images, {name: values[places] for name, values in index.items()})

    def inputs_of(self, x: tf.Tensor) -> tf.Tensor:
        """Pixels from 0..255 to 0..1."""
        return tf.cast(x, tf.float32) * (1.0 / 255.0)

    def _sampler(self, classes: ImageClasses, shots: int, split: str) -> EpisodeSampler:
        config = self.config
        turns = config.datasource != "miniimagenet"
        return EpisodeSampler(
            classes, config.num_classes, shots, config.queries, turns, config.seed, split
        )


def _classes(config: MTNetConfig) -> tuple[ImageClasses, ImageClasses]:
    """Training classes, and those of the split evaluated on."""
    folder, minimum = Path(config.data_dir) / config.datasource, config.shots + config.queries
    if config.datasource == "miniimagenet":
        parts = [
            load_miniimagenet(folder, s, minimum=minimum) for s in ("train", config.eval_split)
        ]
        return parts[0], parts[1]
    if config.datasource == "omniglot":
        split = split_omniglot(load_omniglot(folder, minimum=minimum))
    else:
        split = _glyphs()
    return split.train, split.test if config.eval_split == "test" else split.validation


def _glyphs() -> ClassSplit:
    """100 generated characters of 20 hands each: 60 to train, 15 to validate, 25 to test."""
    classes = stroke_glyphs(100, 20)
    names = classes.names
    return ClassSplit(*(classes.select(p) for p in (names[:60], names[60:75], names[75:])))
