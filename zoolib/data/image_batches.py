"""Batches of images as a pure function of (seed, step), whatever they are read from.

Training images come from an endless stream (`streams`): nothing but the step needs to be saved to
go on, and R ranks with batches of B see what one device sees with batches of R*B.

Evaluation takes every image exactly once: rank r has images r, r + R, …; all ranks have the same
number of batches, and what fills up the last ones has weight 0.
"""

from __future__ import annotations

import abc
from collections.abc import Iterator

import numpy as np

from zoolib.data.augmentation import (
    Augmentation,
    apply,
    central,
    choose,
    resize,
    shorter_side,
)
from zoolib.data.draws import words
from zoolib.data.image_classes import ImageClasses
from zoolib.data.streams import Stream, places_of
from zoolib.errors import ConfigError, DataError

Arrays = dict[str, np.ndarray]


class ImageBatches(abc.ABC):
    """Images with labels, in batches.

    Attributes:
        count: images.
        classes: names by class id; empty if unknown.
        size: height and width of what is given out, pixels.
        batch_size: images per rank and step.
        seed: of order and augmentation.
        rank, ranks: which share is given out.
        augmentation: of training images.
    """

    def __init__(
        self,
        count: int,
        classes: tuple[str, ...],
        size: int,
        batch_size: int,
        seed: int,
        rank: int,
        ranks: int,
        augmentation: Augmentation,
    ) -> None:
        if size < 1 or batch_size < 1:
            raise ConfigError(
                f"Expected image and batch sizes of at least 1, got {size} and {batch_size}."
            )
        if not 0 <= rank < ranks:
            raise ConfigError(f"Expected a rank from 0 to {ranks - 1}, got {rank}.")
        if not count:
            raise DataError("Expected at least one image, found none.")
        self.count, self.classes, self.size, self.batch_size = count, classes, size, batch_size
        self.seed, self.rank, self.ranks, self.augmentation = seed, rank, ranks, augmentation
        self._order_stream = Stream(count, self._order)

    @property
    def steps_per_epoch(self) -> int:
        """Whole steps of all ranks together in one pass over the images, at least 1."""
        return max(1, self.count // (self.batch_size * self.ranks))

    @property
    def evaluation_batches(self) -> int:
        """Batches of one evaluation, the same on every rank."""
        largest_share = (self.count + self.ranks - 1) // self.ranks
        return (largest_share + self.batch_size - 1) // self.batch_size

    def places(self, step: int) -> range:
        """This rank's places in the stream at a step."""
        return places_of(step, self.batch_size, self.rank, self.ranks)

    def indices(self, places: range) -> np.ndarray:
        """Which images stand at consecutive places of the stream, int64 [n]."""
        return self._order_stream.indices(places)

    def _order(self, epoch: int) -> np.ndarray:
        """Order of the images in an epoch, int64 [count]."""
        return np.argsort(self._lots("order", epoch, self.count), kind="stable")

    def _lots(self, purpose: str, epoch: int, count: int) -> np.ndarray:
        return words(self.seed, f"images/{purpose}", range(epoch, epoch + 1), count)[0]

    def share(self, batch: int) -> tuple[np.ndarray, np.ndarray]:
        """Images of this rank's batch of an evaluation: int64 [B], and weights float32 [B]."""
        numbers = np.arange(batch * self.batch_size, (batch + 1) * self.batch_size)
        index = numbers * self.ranks + self.rank
        there = index < self.count
        return np.where(there, index, 0), there.astype(np.float32)

    @abc.abstractmethod
    def batch(self, steps: range) -> Arrays:
        """Training batches of consecutive steps.

        Returns:
            `images` float32 [steps, B, size, size, 3] in [0, 1], `labels` int32 [steps, B].
        """

    @abc.abstractmethod
    def evaluation(self) -> Iterator[Arrays]:
        """This rank's batches: `images` and `labels` as in training, `weights` float32 [B]."""


class MemoryImages(ImageBatches):
    """A small set held in memory as uint8, augmented on the host with NumPy."""

    def __init__(
        self,
        images: ImageClasses,
        batch_size: int,
        size: int | None = None,
        seed: int = 0,
        rank: int = 0,
        ranks: int = 1,
        augmentation: Augmentation | None = None,
        boxes: np.ndarray | None = None,
    ) -> None:
        """See `ImageBatches`; `size` is that of the images unless told, `boxes` [N, 4] one each.

        Images of just that size are evaluated as they are, others as the records are: resized,
        then their middle.
        """
        super().__init__(
            len(images.images),
            images.names,
            images.images.shape[1] if size is None else size,
            batch_size,
            seed,
            rank,
            ranks,
            Augmentation() if augmentation is None else augmentation,
        )
        if images.images.shape[-1] != 3:
            raise DataError(
                f"Expected images with 3 channels, found {images.images.shape[-1]}. "
                "Load them in colour."
            )
        self._boxes = boxes
        self._images, self._labels = images.images, images.class_of.astype(np.int32)

    def batch(self, steps: range) -> Arrays:
        """See `ImageBatches.batch`."""
        every = [self._training(step) for step in steps]
        return {key: np.stack([one[key] for one in every]) for key in every[0]}

    def _training(self, step: int) -> Arrays:
        places = self.places(step)
        index = self.indices(places)
        sizes = np.tile(self._images.shape[1:3], (len(index), 1))
        boxes = [None if self._boxes is None else self._boxes[i : i + 1] for i in index]
        choices = choose(self.augmentation, self.seed, places, sizes, boxes)
        images = apply(self._images[index], choices, self.size)
        return {"images": images, "labels": self._labels[index]}

    def evaluation(self) -> Iterator[Arrays]:
        """See `ImageBatches.evaluation`."""
        for number in range(self.evaluation_batches):
            index, weights = self.share(number)
            images = self._views(index)
            yield {"images": images, "labels": self._labels[index], "weights": weights}

    def _views(self, index: np.ndarray) -> np.ndarray:
        chosen, full = self._images[index], np.float32(1 / 255)
        if chosen.shape[1:3] == (self.size, self.size):
            return chosen.astype(np.float32) * full
        size = short_sizes(*chosen.shape[1:3], shorter_side(self.size))
        top, left = central(*size, self.size)
        whole = np.stack([resize(image, size) for image in chosen])
        return whole[:, top : top + self.size, left : left + self.size] * full


def short_sizes(height: int, width: int, short: int) -> tuple[int, int]:
    """Height and width after the shorter side is made `short`, rounded half to even."""
    least = min(height, width)
    return round(height * short / least), round(width * short / least)
