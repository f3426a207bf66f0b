"""Read a split from record files into memory."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, Optional, Union

import numpy as np

from zoolib.data.image_classes import several
from zoolib.data.mismatch import Mismatch, animals
from zoolib.data.semi_manifest import (
    MANIFEST,
    NAMES,
    SPLITS,
    SplitFiles,
    check_finished,
    check_map,
    check_sources,
    differences,
    read_manifest,
    split_files,
)
from zoolib.data.semi_parts import Part, SemiSupervised, assemble
from zoolib.data.semi_records import RecordFiles, read_frames, read_part
from zoolib.data.whole_files import read_json
from zoolib.errors import ConfigError, DataError

_FURTHER = ("extra", "unlabeled")  # endings of further training files


class _About(NamedTuple):
    """What must be known besides the records: class names, and how many records have a class."""

    names: Optional[tuple[str, ...]]
    known: int


def from_records(
    folder: Union[str, os.PathLike],
    name: str,
    seed: int,
    labels: int,
    validation: int,
    mismatch: Optional[Mismatch] = None,
    progress: bool = False,
) -> SemiSupervised:
    """A split made by `zoolib data build`, or by the published tools, in memory as uint8.

    Args:
        folder: of the record files.
        name: of the set, e.g. "cifar10", or "cifar10_aug50" for the one with copies.
        seed, labels: which split.
        validation: how many of its unlabelled images to validate with instead.
        mismatch: see `mismatch`; on CIFAR-10 the animals have labels unless it says otherwise.
        progress: show bars on standard error.

    Raises:
        DataError: no such split; one made from other training files; files that are damaged or
            lack the expected keys; a label outside the classes; images of different sizes.
        ConfigError: more validation images than there are.
    """
    root, files = Path(folder), split_files(name, seed, labels)
    if not (root / files.label).is_file() or not (root / files.unlabel).is_file():
        raise _no_split(root, name, files)
    if (root / files.manifest).exists():
        about, base = _ours(root, files, validation)
    else:
        about, base = _theirs(root, name, files), name.partition("_aug")[0]
    count = None if about.names is None else len(about.names)
    test = root / f"{name}-test.tfrecord"
    parts = [read_part(root / f, count, progress) for f in (files.label, files.unlabel)]
    parts.append(read_part(test if test.exists() else root / f"{base}-test.tfrecord", count))
    names = about.names
    if names is None:
        names = tuple(str(c) for c in range(1 + max(int(part.labels.max()) for part in parts)))
    unlabel = np.array(read_json(root / files.map)["unlabel"])
    hidden = np.where(unlabel < about.known, parts[1].labels, -1).astype(np.int32)
    parts[1] = Part(parts[1].images, hidden)
    return assemble(*parts, names, validation, _fitting(mismatch, base))


def _fitting(mismatch: Optional[Mismatch], base: str) -> Optional[Mismatch]:
    if mismatch is not None and mismatch.labelled is None and base == "cifar10":
        usual = animals(0)
        return replace(
            mismatch, labelled=usual.labelled, inside=usual.inside, outside=usual.outside
        )
    return mismatch


def _no_split(root: Path, name: str, files: SplitFiles) -> DataError:
    ending = "-label.tfrecord"
    here = sorted(p.name[: -len(ending)] for p in (root / SPLITS).glob(f"{name}.*{ending}"))
    return DataError(
        f"{root / files.label}: expected this split, found {several(here) or 'none'} of {name}. "
        "Make it: zoolib data build, with --labels and --seeds."
    )


def _ours(root: Path, files: SplitFiles, validation: int) -> tuple[_About, str]:
    """Check a split that has a manifest."""
    split = read_manifest(root / files.manifest)
    check_sources(root, split, files.manifest)
    check_finished(root, split, files.manifest)
    wrong = differences(root, split["files"])
    if wrong:
        raise DataError(
            f"{root}: expected the files of {files.manifest}; they differ: {several(wrong)}. "
            "Delete them and run the same build again."
        )
    copies: Any = split["copies"]
    if copies is not None and copies["validation"] != validation:
        raise ConfigError(
            f"validation: expected {copies['validation']}, as the copies were made with it (of "
            f"those images there are none), got {validation}."
        )
    manifest = read_manifest(root / f"{split['data']}{MANIFEST}")
    return _About(tuple(manifest["classes"]), manifest["known"]), split["data"]


def _theirs(root: Path, name: str, files: SplitFiles) -> _About:
    """Check a split of the published tools, which have no checksums, by its map."""
    sources = [root / f"{name}-{part}.tfrecord" for part in ("train", *_FURTHER)]
    sources = [path for path in sources if path.is_file()]
    if not sources or not (root / files.map).is_file():
        raise DataError(
            f"{root / files.label}: expected {files.map} and {name}-train.tfrecord beside it, to "
            "see whether the split belongs to the data; not there. Make the split again."
        )
    records = RecordFiles(sources)
    split = check_map(root / files.map, records.count)
    for path, numbers in ((files.label, split.label), (files.unlabel, split.unlabel)):
        _compare(root / path, records, numbers)
    known = RecordFiles(sources[:1]).count if "unlabeled" in sources[-1].name else records.count
    path = root / f"{name}{NAMES}"
    if not path.is_file():
        return _About(None, known)
    names = read_json(path)
    return _About(tuple(names[key] for key in sorted(names, key=int)), known)


def _compare(path: Path, records: RecordFiles, numbers: np.ndarray) -> None:
    """Whether a split's file holds those training records: all lengths, and some contents."""
    contents = list(read_frames(path))
    some = np.unique(np.linspace(0, len(numbers) - 1, 256).astype(int))
    same = len(contents) == len(numbers)
    if same:
        wanted = b"".join(block for _, block in records.blocks(numbers[some]))
        place = 0
        for i in some:
            place += 12
            same &= wanted[place : place + len(contents[i])] == contents[i]
            place += len(contents[i]) + 4
    if not same:
        raise DataError(
            f"{path}: this split was made from other training records than those beside it. "
            "Delete the split and make it again."
        )
