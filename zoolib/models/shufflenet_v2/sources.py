"""The images a config names: generated shapes, noise, or records on disk."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from zoolib.data.augmentation import Augmentation
from zoolib.data.draws import generator
from zoolib.data.image_batches import Arrays, ImageBatches, MemoryImages
from zoolib.data.record_manifest import MANIFEST, read_manifest
from zoolib.data.shapes_files import VALIDATION, shapes_arrays
from zoolib.errors import ConfigError, DataError

if TYPE_CHECKING:
    from zoolib.models.shufflenet_v2.config import ShuffleNetConfig

_DATA_SEED = 0  # the shapes are the same for every seed of a run
_AUGMENTATIONS = {
    "reference": Augmentation(),
    "mild": Augmentation(area=(0.6, 1.0), shift=0.0, grey=0.0),
    "none": Augmentation(
        aspect=(1.0, 1.0), area=(1.0, 1.0), attempts=1, flip=0.0, shift=0.0, grey=0.0
    ),
}


@dataclasses.dataclass(frozen=True)
class Source:
    """Training and test images.

    Attributes:
        train, test: in batches, this rank's part.
        names: of the classes, by number.
        wnids: WordNet's identifiers of the classes; empty where there are none.
    """

    train: ImageBatches
    test: ImageBatches
    names: tuple[str, ...]
    wnids: tuple[str, ...] = ()


def make(config: ShuffleNetConfig, rank: int = 0, ranks: int = 1) -> Source:
    """The images a config names.

    Raises:
        ConfigError: if a step needs more images than there are.
        DataError: if there are no records, or they have other classes.
    """
    kinds = {"shapes": _shapes, "records": _records, "synthetic": _noise}
    source = kinds[config.datasource](config, rank, ranks)
    if source.train.count < config.batch_size * ranks:
        raise ConfigError(
            f"batch_size: expected at most {source.train.count // ranks} for {source.train.count} "
            f"training images and {ranks} device(s), got {config.batch_size}"
        )
    return source


def _shapes(config: ShuffleNetConfig, rank: int, ranks: int) -> Source:
    from zoolib.data.shapes import catalogue

    drawn = shapes_arrays(
        config.image_size, config.num_classes, config.shapes_per_class, VALIDATION, _DATA_SEED
    )
    common = (config.image_size, config.seed, rank, ranks)
    chosen = _AUGMENTATIONS[config.augment]
    train = MemoryImages(drawn.train, config.batch_size, *common, chosen, drawn.boxes)
    test = MemoryImages(drawn.validation, config.eval_batch_size, *common)
    kinds = catalogue(config.num_classes, _DATA_SEED)
    return Source(train, test, tuple(k.name for k in kinds), tuple(k.wnid for k in kinds))


def _records(config: ShuffleNetConfig, rank: int, ranks: int) -> Source:
    from zoolib.data.image_records import ImageRecords

    root, classes = Path(config.data_dir), config.num_classes
    common = (config.image_size, config.seed, rank, ranks)
    train = ImageRecords(
        root,
        "train",
        config.batch_size,
        *common,
        _AUGMENTATIONS[config.augment],
        num_classes=classes,
    )
    test = ImageRecords(root, "val", config.eval_batch_size, *common, num_classes=classes)
    if not train.classes:  # foreign shards tell numbers only
        return Source(train, test, tuple(str(i) for i in range(classes)))
    if len(train.classes) != classes:
        raise DataError(
            f"num_classes: expected {len(train.classes)}, as the records in {root} have, "
            f"got {classes}"
        )
    wnids = ()
    if (root / MANIFEST).exists():
        wnids = tuple(str(identity) for identity, _ in read_manifest(root)["classes"])
    return Source(train, test, train.classes, wnids)


def _noise(config: ShuffleNetConfig, rank: int, ranks: int) -> Source:
    common = (config.image_size, config.num_classes, config.seed, rank, ranks)
    train, test = Noise(config.batch_size, *common), Noise(config.eval_batch_size, *common)
    return Source(train, test, train.classes)


class Noise(ImageBatches):
    """One batch of noise with random labels, over and over: how fast training can be."""

    def __init__(
        self, batch_size: int, size: int, num_classes: int, seed: int, rank: int, ranks: int
    ) -> None:
        names = tuple(str(i) for i in range(num_classes))
        count = batch_size * ranks
        super().__init__(count, names, size, batch_size, seed, rank, ranks, _AUGMENTATIONS["none"])
        source = generator(seed, f"shufflenet_v2/noise/{rank}")
        self._images = source.random((batch_size, size, size, 3), np.float32)
        self._labels = source.integers(0, num_classes, batch_size).astype(np.int32)

    def batch(self, steps: range) -> Arrays:
        """The same images at every step."""
        repeat = [0] * len(steps)
        return {"images": self._images[None][repeat], "labels": self._labels[None][repeat]}

    def evaluation(self) -> Iterator[Arrays]:
        """One batch."""
        weights = np.ones(self.batch_size, np.float32)
        yield {"images": self._images, "labels": self._labels, "weights": weights}
