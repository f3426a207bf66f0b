"""Images from TFRecord shards, decoded and augmented on the host.

Reads what `record_builder` writes and foreign shards of both sets of keys. The pictures of a step
are a function of (seed, step), so records are fetched by their places in the files: no stream has
to be wound forward after a resume. Each epoch has its own order of shards; those of a window of
shards at a time are mixed (an endless order over all is had with `window=0`).

Deviations from the reference's pipeline (specification, 4.4): a shuffle of whole windows in place
of a buffer of 10,000; and a thread of our own in place of tf.data, which has no reads by place: a
Python function within its graph can keep a process from ending.
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from zoolib.data.ahead import ahead
from zoolib.data.augmentation import LUMA, Augmentation, choose, shorter_side
from zoolib.data.image_batches import Arrays, ImageBatches
from zoolib.data.image_classes import ImageClasses
from zoolib.data.record_format import Record, decode_example
from zoolib.data.record_index import open_index
from zoolib.errors import DataError

_AT_ONCE = 4  # batches being made: while one is joined and scaled, others are decoded
_NO_FRAME = (0xC4, 0xC8, 0xCC)  # among the markers 0xC0 to 0xCF: tables, not a frame's head


class ImageRecords(ImageBatches):
    """A part of a set of records, in batches.

    Attributes:
        index: where the records are.
    """

    def __init__(
        self,
        root: Path,
        split: str,
        batch_size: int,
        size: int = 224,
        seed: int = 0,
        rank: int = 0,
        ranks: int = 1,
        augmentation: Augmentation | None = None,
        window: int = 64,
        num_classes: int | None = None,
    ) -> None:
        """Open the shards of a part.

        Args:
            root: folder of the records.
            split: "train" or "val".
            batch_size, size, seed, rank, ranks, augmentation: see `ImageBatches`.
            window: shards that are mixed at a time; 0: all.
            num_classes: how many classes labels may name; as the manifest has it unless told.

        Raises:
            DataError: no records there, unfinished ones, or shards that differ from the manifest.
        """
        index = open_index(root, split)
        chosen = Augmentation() if augmentation is None else augmentation
        known = (index.classes, size, batch_size, seed, rank, ranks, chosen)
        super().__init__(len(index.lengths), *known)
        self.index = index
        self._window = window or max(1, len(index.files))
        self._limit = num_classes or len(index.classes) or None
        self._stream: Iterator[Arrays] | None = None
        self._next = 0

    def batch(self, steps: range) -> Arrays:
        """See `ImageBatches.batch`; consecutive calls go on with what is being fetched already."""
        if self._stream is None or self._next != steps.start:
            self._stream = self.training(steps.start)
        self._next = steps.stop
        every = [next(self._stream) for _ in steps]
        return {key: np.stack([one[key] for one in every]) for key in every[0]}

    def training(self, start: int = 0) -> Iterator[Arrays]:
        """Training batches from a step on, without end, fetched ahead."""
        count = self.batch_size
        signature = [
            tf.TensorSpec((count,), tf.string),
            tf.TensorSpec((count, 4), tf.int32),
            tf.TensorSpec((count,), tf.bool),
            tf.TensorSpec((count, 3), tf.float32),
            tf.TensorSpec((count,), tf.bool),
        ]
        decode = self._each(self._augmented, signature, tf.float32)

        def fetch(step: int) -> Arrays:
            places = self.places(step)
            records = [self._record(i) for i in self.indices(places)]
            sizes = np.array([jpeg_size(record.jpeg) for record in records])
            boxes = [record.boxes for record in records]
            choices = choose(self.augmentation, self.seed, places, sizes, boxes)
            images = decode(_strings(records), *choices)
            return {"images": scaled(images), "labels": _labels(records)}

        def scaled(images: tf.Tensor) -> np.ndarray:
            # Reading the tensor's own memory: `numpy()` would copy it first.
            return np.multiply(memoryview(images), np.float32(1 / 255))

        return self._ahead(fetch, itertools.count(start))

    def evaluation(self) -> Iterator[Arrays]:
        """See `ImageBatches.evaluation`."""
        return self._evaluated(shorter_side(self.size), tf.float32)

    def in_memory(self, size: int | None = None) -> ImageClasses:
        """All images, their shorter side made `size` and their middle taken, in memory.

        Their order is by class. For sets that fit; `MemoryImages` takes it from there.
        """
        one = ImageRecords(self.index.root, self.index.split, self.batch_size, size or self.size)
        batches = list(one._evaluated(one.size, tf.uint8))
        images = np.concatenate([b["images"] for b in batches])[: self.count]
        labels = np.concatenate([b["labels"] for b in batches])[: self.count]
        names = self.classes or tuple(str(i) for i in range(int(labels.max()) + 1))
        return ImageClasses.from_arrays(images, labels, names)

    def _evaluated(self, short: int, kind: Any) -> Iterator[Arrays]:
        def middle(jpeg: tf.Tensor) -> tf.Tensor:
            return self._middle(jpeg, short, kind)

        decode = self._each(middle, [tf.TensorSpec((self.batch_size,), tf.string)], kind)

        def fetch(number: int) -> Arrays:
            index, weights = self.share(number)
            records = [self._record(i) for i in index]
            labels = _labels(records)
            images = decode(_strings(records)).numpy()
            return {"images": images, "labels": labels, "weights": weights}

        return self._ahead(fetch, range(self.evaluation_batches))

    def _each(self, one: Any, signature: list, kind: Any) -> Any:
        """A compiled function of a batch that treats its images side by side."""
        result = tf.TensorSpec((self.size, self.size, 3), kind)

        def every(*parts: tf.Tensor) -> tf.Tensor:
            return tf.map_fn(
                lambda part: one(*part),
                parts,
                fn_output_signature=result,
                parallel_iterations=self.batch_size,
            )

        return tf.function(every, input_signature=signature)

    def _ahead(self, fetch: Any, numbers: Iterable[int]) -> Iterator[Arrays]:
        def on_the_host(number: int) -> Arrays:
            try:
                with tf.device("/CPU:0"):
                    return fetch(number)
            except (DataError, tf.errors.OpError) as error:
                raise DataError(
                    f"{self.index.root}: a record cannot be used: "
                    f"{getattr(error, 'message', error)} "
                    "Check the records (zoolib data check), or build them again."
                ) from error

        return ahead(on_the_host, numbers, _AT_ONCE)

    def _record(self, number: int) -> Record:
        record = decode_example(self.index.read(int(number)))
        if record.label < 0 or (self._limit and record.label >= self._limit):
            raise DataError(
                f"Expected labels from 0 to {(self._limit or 0) - 1}, found {record.label}: these "
                "records have other classes."
            )
        return record

    def _order(self, epoch: int) -> np.ndarray:
        """Shards in random order; the records of a window of them mixed."""
        shards = np.argsort(self._lots("shards", epoch, len(self.index.files)), kind="stable")
        windows = np.empty(len(shards), np.int64)
        windows[shards] = np.arange(len(shards)) // self._window
        lots = self._lots("order", epoch, self.count)
        return np.lexsort((lots, windows[self.index.shard_of]))

    def _augmented(self, jpeg: Any, crop: Any, flip: Any, shift: Any, grey: Any) -> Any:
        """A training image, float32 from 0 to 255."""
        # On the host a branch not taken costs nothing, and most images take none.
        piece = tf.io.decode_and_crop_jpeg(jpeg, crop, channels=3)
        piece = tf.cond(flip, lambda: tf.reverse(piece, [1]), lambda: piece)
        image = _resized(piece, [self.size] * 2)

        def shifted() -> tf.Tensor:
            return tf.clip_by_value(image + 255.0 * shift, 0.0, 255.0)

        def pale() -> tf.Tensor:
            luma = tf.reduce_sum(coloured * tf.constant(LUMA), axis=-1, keepdims=True)
            return tf.broadcast_to(luma, (self.size, self.size, 3))

        coloured = tf.cond(tf.reduce_any(shift != 0.0), shifted, lambda: image)
        image = tf.cond(grey, pale, lambda: coloured)
        return tf.ensure_shape(image, (self.size, self.size, 3))

    def _middle(self, jpeg: tf.Tensor, short: int, kind: Any) -> tf.Tensor:
        """The middle of an image whose shorter side was made `short` (specification, 4.5)."""
        image = tf.io.decode_jpeg(jpeg, channels=3)
        sides = tf.cast(tf.shape(image)[:2], tf.float64)
        sides = tf.cast(tf.round(sides * short / tf.reduce_min(sides)), tf.int32)
        image = _resized(image, sides)
        start = (sides - self.size) // 2
        image = tf.slice(image, [start[0], start[1], 0], [self.size, self.size, 3])
        return tf.cast(tf.round(image), tf.uint8) if kind == tf.uint8 else image / 255.0


def _labels(records: list[Record]) -> np.ndarray:
    return np.array([record.label for record in records], np.int32)


def _strings(records: list[Record]) -> np.ndarray:
    result = np.empty(len(records), object)
    result[:] = [record.jpeg for record in records]
    return result


def _resized(image: tf.Tensor, size: Any) -> tf.Tensor:
    """Bilinear in the kernel of TensorFlow 1, float32 from 0 to 255."""
    return tf.raw_ops.ResizeBilinear(images=image[None], size=size)[0]


def jpeg_size(content: bytes) -> tuple[int, int]:
    """Height and width from a JPEG's header.

    Raises:
        DataError: not a JPEG.
    """
    place, end = 2, len(content) - 9
    while content[:2] == b"\xff\xd8" and place <= end and content[place] == 0xFF:
        marker = content[place + 1]
        if marker == 0xFF:  # filling
            place += 1
            continue
        if 0xC0 <= marker <= 0xCF and marker not in _NO_FRAME:
            return struct.unpack_from(">HH", content, place + 5)
        place += 2 + struct.unpack_from(">H", content, place + 2)[0]
    raise DataError(f"Expected a JPEG in a record, found {content[:4]!r}.")
