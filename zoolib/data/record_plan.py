"""What a set of records is made from, before any is written: pictures, classes, boxes, shards."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Optional

import numpy as np

from zoolib.data.draws import words
from zoolib.data.pictures import Picture
from zoolib.data.record_format import SCHEMAS
from zoolib.data.record_images import ODD
from zoolib.errors import ConfigError, DataError

PER_SHARD = {"train": 1282, "val": 500}  # so ImageNet has 1000 and 100 shards, as the reference
FOLDERS = {"train": "train_shards", "val": "val_shards"}
Note = tuple[str, str, str]  # file, what is odd about it, what was done


@dataclass(frozen=True)
class LabelledImages:
    """Pictures with labels, in two parts.

    Attributes:
        name: of the data set.
        classes: of every class id, in order: (identifier, words).
        splits: "train" and "val" -> pictures.
        boxes: of training pictures, by file name without folder and ending; None: none are told.
        notes: files that were found odd before any picture was opened.
    """

    name: str
    classes: tuple[tuple[str, str], ...]
    splits: Mapping[str, Sequence[Picture]]
    boxes: Optional[Mapping[str, np.ndarray]] = None
    notes: tuple[Note, ...] = ()


@dataclass(frozen=True)
class RecordOptions:
    """How records are written.

    Attributes:
        schema: "reference" or "inception", see `record_format`.
        shards: files of each part; None: about 1282 training and 500 validation pictures each.
        seed: of the order of the pictures.
        odd: "skip" or "convert", see `record_images`.
    """

    schema: str = "reference"
    shards: Mapping[str, Optional[int]] = field(default_factory=dict)
    seed: int = 0
    odd: str = "skip"

    def __post_init__(self) -> None:
        if self.schema not in SCHEMAS:
            raise ConfigError(f"schema: expected one of {', '.join(SCHEMAS)}, got {self.schema!r}.")
        if self.odd not in ODD:
            raise ConfigError(f"odd: expected one of {', '.join(ODD)}, got {self.odd!r}.")
        if self.seed < 0:
            raise ConfigError(f"seed: expected 0 or more, got {self.seed}.")
        for split, number in self.shards.items():
            if number is not None and number < 1:
                raise ConfigError(f"shards: expected at least 1 for {split}, got {number}.")


@dataclass(frozen=True)
class ShardJob:
    """All that a process needs to write one shard.

    Attributes:
        plan: identity of the plan; a finished shard of another one is not used.
        split, number: which shard.
        pictures, boxes, synsets, words: of each record; boxes None in parts without boxes.
    """

    plan: str
    split: str
    number: int
    schema: str
    odd: str
    pictures: tuple[Picture, ...]
    boxes: Optional[tuple[np.ndarray, ...]]
    synsets: tuple[str, ...]
    words: tuple[str, ...]

    @property
    def file(self) -> str:
        """Name of the shard below the records' root."""
        return f"{FOLDERS[self.split]}/shard-{self.number:04d}.tfrecords"


def jobs(images: LabelledImages, options: RecordOptions) -> tuple[dict[str, Any], list[ShardJob]]:
    """The plan as a document (JSON types), and its shards.

    The pictures of a part are shuffled by the seed and dealt to shards of equal size, give or
    take one; pictures left out make a shard shorter and move nothing.

    Raises:
        DataError: a part without pictures.
    """
    shuffled = {split: _shuffle(images, split, options.seed) for split in images.splits}
    document: dict[str, Any] = {
        "data": images.name,
        "schema": options.schema,
        "seed": options.seed,
        "odd": options.odd,
        "classes": [list(row) for row in images.classes],
        "pictures": {split: len(rows) for split, rows in shuffled.items()},
        "shards": {},
        "content": _content(images, shuffled),
    }
    for split, rows in shuffled.items():
        asked = options.shards.get(split) or -(-len(rows) // PER_SHARD[split])
        document["shards"][split] = min(asked, len(rows))
    plan = hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()
    every = []
    for split, rows in shuffled.items():
        cuts = np.linspace(0, len(rows), document["shards"][split] + 1).round().astype(int)
        for number, (start, stop) in enumerate(zip(cuts[:-1], cuts[1:])):
            every.append(_job(images, options, plan, split, number, rows[start:stop]))
    return document, every


def _job(
    images: LabelledImages,
    options: RecordOptions,
    plan: str,
    split: str,
    number: int,
    rows: Sequence[Picture],
) -> ShardJob:
    boxes = None
    if images.boxes is not None and split == "train":
        none = np.zeros((0, 4), np.float32)
        boxes = tuple(images.boxes.get(just_name(row.name), none) for row in rows)
    synsets, words_ = zip(*(images.classes[row.label] for row in rows))
    return ShardJob(
        plan, split, number, options.schema, options.odd, tuple(rows), boxes, synsets, words_
    )


def just_name(name: str) -> str:
    """A file name without its folder and its ending."""
    return name.rpartition("/")[2].rpartition(".")[0]


def _shuffle(images: LabelledImages, split: str, seed: int) -> list[Picture]:
    rows = images.splits[split]
    if not rows:
        raise DataError(f"{images.name}: expected pictures to {split} with, found none.")
    order = np.argsort(words(seed, f"records/{split}", range(1), len(rows))[0], kind="stable")
    return [rows[i] for i in order]


def _content(images: LabelledImages, shuffled: Mapping[str, Sequence[Picture]]) -> str:
    """Identity of names, labels, places within archives, and boxes; no picture is opened."""
    digest = hashlib.sha256()
    for split, rows in shuffled.items():
        for row in rows:
            line = f"{split}|{row.name}|{row.offset}|{row.size}|{row.label}\n"
            digest.update(line.encode(errors="surrogateescape"))
    for name in sorted(images.boxes or ()):
        digest.update(name.encode() + images.boxes[name].tobytes())
    return digest.hexdigest()
