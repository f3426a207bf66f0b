"""Where the records of a part are: files, and the place and length of every record in them."""

from __future__ import annotations

import itertools
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from zoolib.data.image_classes import several
from zoolib.data.record_format import FRAME, record_lengths
from zoolib.data.record_manifest import MANIFEST, PLAN, read_manifest
from zoolib.data.record_plan import FOLDERS
from zoolib.data.whole_files import read_json
from zoolib.errors import DataError

# Where the reference, its port, and Inception-style tools put their shards, by part.
_FOREIGN = {
    "train": ("train_shards/*.tfrecords", "train/*.tfrecords", "train-*"),
    "val": ("val_shards/*.tfrecords", "eval_shards/*.tfrecords", "val/*.tfrecords", "validation-*"),
}


@dataclass(frozen=True)
class RecordIndex:
    """Every record of a part.

    Attributes:
        root, split: where from.
        files: shards, by name.
        shard_of: shard of each record, int32 [n].
        starts, lengths: place of each record's content in its file and its bytes, int64 [n].
        classes: names by class id; empty for foreign shards.
    """

    root: Path
    split: str
    files: tuple[Path, ...]
    shard_of: np.ndarray
    starts: np.ndarray
    lengths: np.ndarray
    classes: tuple[str, ...]

    def read(self, number: int) -> bytes:
        """Content of one record.

        Raises:
            DataError: it is not there any more.
        """
        path, length = self.files[self.shard_of[number]], int(self.lengths[number])
        try:
            handle = os.open(path, os.O_RDONLY)
            try:
                content = os.pread(handle, length, int(self.starts[number]))
            finally:
                os.close(handle)
        except OSError as error:
            raise DataError(f"{path}: cannot be read ({error.strerror}).") from error
        if len(content) != length:
            raise DataError(f"{path}: ends too early; it was changed. Build it again.")
        return content


def open_index(root: Path, split: str) -> RecordIndex:
    """Find the records of a part: "train" or "val".

    Raises:
        DataError: none there, a build that is not finished, or shards of another length than the
            manifest tells. Contents are not read; `check_records` does that.
    """
    if split not in FOLDERS:
        raise DataError(f"Expected a part in {list(FOLDERS)}, got {split!r}.")
    if not root.is_dir():
        raise DataError(f"{root}: expected a folder of records, found none.")
    if (root / MANIFEST).exists() or (root / PLAN).exists():
        return _built(root, split)
    patterns = _FOREIGN[split]
    found = next((files for p in patterns if (files := sorted(root.glob(p)))), [])
    files = [path for path in found if path.is_file() and path.stat().st_size]
    if not files:
        raise DataError(
            f"{root}: expected records in one of {', '.join(patterns)}, found none. "
            "Make them with: zoolib data build."
        )
    return _index(root, split, files, [record_lengths(path) for path in files], ())


def _built(root: Path, split: str) -> RecordIndex:
    manifest = read_manifest(root)
    shards = manifest["splits"][split]["shards"]
    files = [root / shard["file"] for shard in shards]
    wrong = [
        shard["file"]
        for path, shard in zip(files, shards)
        if not path.is_file() or path.stat().st_size != shard["bytes"]
    ]
    if wrong:
        raise DataError(
            f"{root}: expected the shards of the manifest; missing or of another length: "
            f"{several(wrong)}. Run the same build again."
        )
    lengths = [read_json(path.with_suffix(".json"))["lengths"] for path in files]
    names = tuple(f"{words}" for _, words in manifest["classes"])
    return _index(root, split, files, lengths, names)


def _index(
    root: Path, split: str, files: list[Path], lengths: list[list[int]], classes: tuple[str, ...]
) -> RecordIndex:
    counts = [len(part) for part in lengths]
    starts = [np.cumsum([0, *(n + FRAME for n in part[:-1])]) + 12 for part in lengths if part]
    return RecordIndex(
        root,
        split,
        tuple(files),
        np.repeat(np.arange(len(files), dtype=np.int32), counts),
        np.concatenate(starts).astype(np.int64),
        np.array(list(itertools.chain(*lengths)), np.int64),
        classes,
    )
