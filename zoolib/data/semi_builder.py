"""Records for semi-supervised training in one command, which can be run again at any time.

The steps: records of the training and test images; splits with their map; if asked for, copies
with random views of every unlabelled image; a count of pictures that are in more than one part.
What is there already is kept, what is missing is made, other data is never overwritten.

This replaces the seed document's `predata.py`, which does not exist, and four published tools.
Deviations of the copies from these tools: one image's views are independent (there, erasing was
decided once for all), colours stay in range, and the validation images are neither copied nor
changed, so that no copy of them is trained on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from zoolib.data.semi_copies import Copies, copy_name, make_copies
from zoolib.data.semi_manifest import FORMAT, MANIFEST, NAMES, read_manifest, same_size, split_files
from zoolib.data.semi_records import encoded, framed, read_labels, write_blocks
from zoolib.data.semi_sources import Origin, Source
from zoolib.data.semi_splitting import make_split
from zoolib.data.views import Views
from zoolib.data.whole_files import locked, write_json, writing
from zoolib.errors import ConfigError, DataError


@dataclass(frozen=True)
class BuildOptions:
    """What to make besides the records.

    Attributes:
        labels, seeds: of the splits, every combination.
        class_balance: choose as many labelled images of every class, whatever its share.
        validation: images to validate with, for copies and for the report on overlaps.
        copies: of each unlabelled image; 0: none.
        augment: what a copy is, see `views`.
    """

    labels: tuple[int, ...] = ()
    seeds: tuple[int, ...] = (1,)
    class_balance: bool = False
    validation: int = 500
    copies: int = 0
    augment: str = "cutout"

    def __post_init__(self) -> None:
        if self.validation < 0 or self.copies < 0:
            raise ConfigError(
                "Expected numbers of validation images and copies of 0 or more, got "
                f"{self.validation} and {self.copies}."
            )
        Views(self.augment)  # refuses an unknown kind before any work


def build_semisup(
    origin: Origin, to: Path, options: BuildOptions, progress: bool = False
) -> dict[str, Any]:
    """Make records and splits, or what is missing of them.

    Args:
        origin: the set, already checked by its checksum.
        to: folder of the records, made if missing.
        options: which splits, and whether copies.
        progress: show bars on standard error.

    Returns:
        A summary: counts of every part and split, pictures in more than one part.

    Raises:
        DataError: the folder holds another set under this name, or a split made otherwise.
        ConfigError: more labels than images.
        StoreError: it cannot be written.
    """
    with locked(to):
        manifest = _records(origin, to, max(options.labels, default=0), progress)
        told: dict[str, Any] = {"data": origin.name, "folder": str(to)}
        told["classes"] = len(manifest["classes"])
        for file in (*manifest["train"], manifest["test"]):
            told[file.rpartition("-")[2].partition(".")[0]] = manifest["files"][file]["records"]
        if options.labels:
            labels = np.concatenate([read_labels(to / file) for file in manifest["train"]])
        for count in options.labels:
            for seed in options.seeds:
                about = make_split(
                    to,
                    manifest,
                    labels,
                    (count, seed, options.class_balance),
                    options.validation,
                    progress,
                )
                told.update(_summary(origin.name, count, seed, about))
                if options.copies:
                    copies = Copies(options.copies, options.augment, options.validation)
                    about = make_copies(to, manifest, about, copies, progress)
                    name = copy_name(origin.name, options.copies)
                    told.update(_summary(name, count, seed, about))
        return told


def _summary(name: str, labels: int, seed: int, about: Mapping[str, Any]) -> dict[str, Any]:
    files, stem = split_files(name, seed, labels), f"{name}.{seed}@{labels}"
    shared = {pair: count for pair, count in about["overlap"].items() if count}
    return {
        f"{stem} labelled": about["files"][files.label]["records"],
        f"{stem} unlabelled": about["files"][files.unlabel]["records"],
        f"{stem} in two parts": shared or "no picture",
    }


def _records(origin: Origin, to: Path, labels: int, progress: bool) -> dict[str, Any]:
    """The set's manifest, its records written if they are not there."""
    path = to / f"{origin.name}{MANIFEST}"
    if path.exists():
        manifest = read_manifest(path)
        if manifest["sources"] != dict(origin.files):
            raise DataError(
                f"{path}: holds {origin.name} made from other files "
                f"({_short(manifest['sources'])} there, {_short(origin.files)} now). Take another "
                "folder, or delete this one."
            )
        every = {*manifest["train"], manifest["test"]} <= set(manifest["files"])
        if every and same_size(to, manifest["files"]):
            return manifest
    elif others := sorted(to.glob(f"{origin.name}-*.tfrecord")):
        raise DataError(
            f"{to}: expected an empty folder or a build to go on with, found {others[0].name} of "
            "unknown origin. Take another folder, or delete these files."
        )
    source = origin.load(to)
    manifest = _describe(source, origin)
    if labels > manifest["known"]:  # said before anything is written
        raise ConfigError(
            f"labels: expected at most {manifest['known']}, as many as there are training images "
            f"with a label, got {labels}."
        )
    parts = {_file(source, part): images for part, images in source.train.items()}
    parts[manifest["test"]] = source.test
    write_json(path, manifest)
    if source.folds is not None:
        with writing(to / manifest["folds"]) as file:
            file.write(source.folds.encode())
    write_json(to / f"{source.name}{NAMES}", dict(enumerate(source.classes)))
    for name, part in parts.items():
        blocks = framed(encoded(part.images, part.labels))
        manifest["files"][name] = write_blocks(to / name, blocks, len(part), progress)
        write_json(path, manifest)
    return manifest


def _short(files: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {mark[:12]}…" for name, mark in files.items())


def _file(source: Source, part: str) -> str:
    stem = "svhn" if part == "extra" else source.name
    return f"{stem}-{part}.tfrecord"


def _describe(source: Source, origin: Origin) -> dict[str, Any]:
    labels = np.concatenate([part.labels for part in source.train.values()])
    known = int((labels >= 0).sum())
    images = [*source.train.values(), source.test]
    sizes = {part.images.shape[1:3] for part in images}
    if len(sizes) > 1 or not all(map(len, images)) or (labels[:known] < 0).any():
        raise DataError(
            f"{origin.name}: expected images of one size in every part, labelled ones first, "
            f"found sizes {sorted(sizes)} and {[len(part) for part in images]} images."
        )
    return {
        "format": FORMAT,
        "data": source.name,
        "sources": dict(origin.files),
        "classes": list(source.classes),
        "size": list(next(iter(sizes))),
        "known": known,
        "equal": source.equal,
        "folds": None if source.folds is None else f"{source.name}_fold_indices.txt",
        "train": [_file(source, part) for part in source.train],
        "test": f"{source.name}-test.tfrecord",
        "files": {},
    }
