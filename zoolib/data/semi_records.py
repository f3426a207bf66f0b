"""Record files of semi-supervised sets, written and read without TensorFlow.

A record is a `tf.train.Example` with `image` (a PNG) and `label`, as RealMix and MixMatch have
them; files that their tools wrote are read as well. An unknown class is written as label 0, as
there; which ones are unknown is said in the manifest.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import itertools
import os
import struct
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Optional

import numpy as np
from PIL import Image
from tqdm import tqdm

from zoolib.data.record_format import (
    FRAME,
    Record,
    decode_example,
    encode_example,
    frames,
    record_lengths,
)
from zoolib.data.semi_parts import Part
from zoolib.data.whole_files import writing
from zoolib.errors import DataError

_AT_ONCE = 512  # records between two writes


def encode(image: np.ndarray, label: int) -> bytes:
    """An Example with one image, uint8 [H, W, 3], and its label; -1 is written as 0."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return encode_example("reference", Record(file.getvalue(), max(int(label), 0), None))


def encoded(images: np.ndarray, labels: np.ndarray) -> Iterator[bytes]:
    """Examples of images uint8 [n, H, W, 3] and labels [n], made a few at a time."""
    for start in range(0, len(images), _AT_ONCE):
        # Copied piece by piece: sources are often views in another order of the axes.
        piece = np.ascontiguousarray(images[start : start + _AT_ONCE])
        for image, label in zip(piece, labels[start : start + _AT_ONCE]):
            yield encode(image, label)


def framed(records: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    """Records as they stand in a file, (how many, bytes) at a time."""
    rest = iter(records)
    while batch := list(itertools.islice(rest, _AT_ONCE)):
        yield len(batch), frames(batch)


def write_blocks(
    path: Path, blocks: Iterable[tuple[int, bytes]], count: int, progress: bool = False
) -> dict[str, Any]:
    """Write a file of framed records, whole or not at all.

    Args:
        path: the file.
        blocks: (how many records, their bytes).
        count: how many records are expected, for the bar.
        progress: show one on standard error.

    Returns:
        `records`, `bytes` and `sha256` of the file.

    Raises:
        StoreError: it cannot be written.
    """
    digest, total, written = hashlib.sha256(), 0, 0
    bar = tqdm(total=count, unit=" images", desc=path.name, disable=not progress, leave=False)
    with writing(path) as file, bar:
        for number, content in blocks:
            digest.update(content)
            total += file.write(content)
            written += number
            bar.update(number)
    return {"records": written, "bytes": total, "sha256": digest.hexdigest()}


class RecordFiles:
    """Records of several files, numbered through, to be copied as they are.

    Attributes:
        count: records of all files.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        """Look where the records are; contents are not read. Raises: as `record_lengths`."""
        self._paths = tuple(paths)
        lengths = [np.array(record_lengths(path), np.int64) + FRAME for path in paths]
        self._starts = [np.cumsum(part) - part for part in lengths]
        self._lengths = lengths
        self._first = np.cumsum([0, *map(len, lengths)])
        self.count = int(self._first[-1])

    def blocks(self, numbers: np.ndarray) -> Iterator[tuple[int, bytes]]:
        """Framed records in the order of their numbers, for `write_blocks`."""
        with contextlib.ExitStack() as stack:
            files = [stack.enter_context(path.open("rb")) for path in self._paths]
            for start in range(0, len(numbers), _AT_ONCE):
                batch = numbers[start : start + _AT_ONCE]
                yield len(batch), b"".join(self._read(files, int(n)) for n in batch)

    def _read(self, files: Sequence[BinaryIO], number: int) -> bytes:
        which = int(np.searchsorted(self._first, number, side="right")) - 1
        place = number - int(self._first[which])
        start, length = int(self._starts[which][place]), int(self._lengths[which][place])
        return os.pread(files[which].fileno(), length, start)


def read_frames(path: Path) -> Iterator[bytes]:
    """Contents of the records of a file, one after the other.

    Raises:
        DataError: it cannot be read, or ends within a record.
    """
    try:
        with path.open("rb") as file:
            number = 0
            while head := file.read(12):
                length = struct.unpack("<Q", head[:8])[0] if len(head) == 12 else -1
                content = file.read(length + FRAME - 12) if 0 <= length < 1 << 31 else b""
                if length < 0 or len(content) != length + FRAME - 12:
                    raise DataError(
                        f"{path}: expected whole records, but it ends within number {number + 1}, "
                        "or is no TFRecord file. Build it again."
                    )
                number += 1
                yield content[:length]
    except OSError as error:
        raise DataError(f"{path}: expected a file of records ({error.strerror}).") from error


def decode(path: Path, number: int, content: bytes) -> Record:
    """A record's encoded image and label.

    Raises:
        DataError: naming the file and the keys found.
    """
    try:
        record = decode_example(content)
    except DataError as error:
        raise DataError(f"{path}: record {number}: {error}") from error
    if not 0 <= record.label < 1 << 31:
        raise DataError(f"{path}: record {number}: expected a label from 0, found a negative one.")
    return record


def read_labels(path: Path) -> np.ndarray:
    """Labels of the records of a file, int32 [n]. Raises: as `read_part`."""
    labels = [decode(path, i, content).label for i, content in enumerate(read_frames(path))]
    return np.array(labels, np.int32)


def read_part(path: Path, classes: Optional[int] = None, progress: bool = False) -> Part:
    """All images of a file in memory.

    Args:
        path: the file.
        classes: how many there are; None: do not check.
        progress: show a bar on standard error.

    Raises:
        DataError: not such a file, no records, keys missing, images that cannot be decoded or of
            different sizes, a label outside the classes.
    """
    images, labels = [], []
    rows = tqdm(read_frames(path), unit=" images", disable=not progress, leave=False)
    for number, content in enumerate(rows):
        record = decode(path, number, content)
        if classes is not None and record.label >= classes:
            raise DataError(
                f"{path}: record {number}: expected a label from 0 to {classes - 1}, "
                f"found {record.label}."
            )
        images.append(_pixels(path, number, record.jpeg))
        if images[-1].shape != images[0].shape:
            raise DataError(
                f"{path}: record {number}: expected images of one size, found "
                f"{images[-1].shape[:2]} after {images[0].shape[:2]}. Make them again in one size."
            )
        labels.append(record.label)
    if not images:
        raise DataError(f"{path}: expected at least one record, found none. Build it again.")
    return Part(np.stack(images), np.array(labels, np.int32))


def _pixels(path: Path, number: int, content: bytes) -> np.ndarray:
    try:
        with Image.open(io.BytesIO(content)) as image:
            # Converting copies even what is RGB already.
            return np.asarray(image if image.mode == "RGB" else image.convert("RGB"), np.uint8)
    except Exception as error:  # decoders raise whatever they meet
        raise DataError(f"{path}: record {number}: expected an image ({error}).") from error
