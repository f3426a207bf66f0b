"""A split as files: labelled and unlabelled records, their map, and a manifest that vouches."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Optional

import numpy as np

from zoolib.data.archives import digests
from zoolib.data.semi_manifest import (
    FORMAT,
    SplitFiles,
    check_sources,
    read_manifest,
    same_size,
    split_files,
)
from zoolib.data.semi_records import RecordFiles, decode, read_frames, write_blocks
from zoolib.data.semi_split import SplitOptions, read_fold, split_records, write_map
from zoolib.data.whole_files import write_json
from zoolib.errors import DataError

_STL_FOLD = 1000  # with so many labels STL-10's splits are predefined


def make_split(
    to: Path,
    manifest: Mapping[str, Any],
    labels: np.ndarray,
    which: tuple[int, int, bool],
    validation: int,
    progress: bool = False,
) -> dict[str, Any]:
    """A split's manifest, its files written if they are not there.

    Args:
        to: folder of the records.
        manifest: of the set.
        labels: of all training records, int [n].
        which: number of labels, seed, and whether the classes are taken in turn.
        validation: how many images count as validation images in the report on overlaps.
        progress: show bars on standard error.

    Raises:
        DataError: files that are there were made otherwise.
        ConfigError: more labels than images.
    """
    count, seed, balance = which
    files = split_files(manifest["data"], seed, count)
    plan = {"labels": count, "seed": seed, "class_balance": balance, "copies": None}
    there = begin(to, manifest, files, plan)
    if there is not None:
        return there
    known = manifest["known"] if manifest["known"] < len(labels) else None
    fold = _fold(to, manifest, count, seed)
    options = SplitOptions(count, seed, known, balance, manifest["equal"], fold)
    split = split_records(labels, options)
    claim(to, manifest, files, plan)
    records = RecordFiles([to / file for file in manifest["train"]])
    written = {
        name: write_blocks(to / name, records.blocks(numbers), len(numbers), progress)
        for name, numbers in ((files.label, split.label), (files.unlabel, split.unlabel))
    }
    write_map(to / files.map, split)
    held = np.flatnonzero(split.unlabel < manifest["known"])[:validation]
    return finish(to, manifest, files, plan, written, manifest["test"], held)


def _fold(
    to: Path, manifest: Mapping[str, Any], count: int, seed: int
) -> Optional[tuple[int, ...]]:
    if manifest["folds"] is None or count != _STL_FOLD:
        return None
    path = to / manifest["folds"]
    return read_fold(path.read_text(encoding="utf-8"), seed, path.name)


def begin(
    to: Path, manifest: Mapping[str, Any], files: SplitFiles, plan: Mapping[str, Any]
) -> Optional[dict[str, Any]]:
    """The manifest of a split that is there and finished; None if it has to be made.

    Raises:
        DataError: it was made from other data or in another way, or by somebody else.
    """
    if not (to / files.manifest).exists():
        others = [name for name in files if (to / name).exists()]
        if others:
            raise DataError(
                f"{to / others[0]}: expected no split or one to go on with, found this file of "
                "unknown origin. Take another folder, or delete the split."
            )
        return None
    about = read_manifest(to / files.manifest)
    check_sources(to, about, files.manifest)
    different = [key for key in plan if about[key] != plan[key]]
    if different:
        told = "; ".join(f"{key} {about[key]} there, {plan[key]} now" for key in different)
        raise DataError(
            f"{to / files.manifest}: this split was made otherwise ({told}). Take another folder, "
            "or delete the split."
        )
    return about if about["files"] and same_size(to, about["files"]) else None


def claim(
    to: Path, manifest: Mapping[str, Any], files: SplitFiles, plan: Mapping[str, Any]
) -> dict[str, Any]:
    """Write a manifest without files: a build that is stopped now can be taken up again."""
    about = {
        "format": FORMAT,
        "data": manifest["data"],
        **plan,
        "train": {file: manifest["files"][file]["sha256"] for file in manifest["train"]},
        "records": sum(manifest["files"][file]["records"] for file in manifest["train"]),
        "files": {},
    }
    (to / files.manifest).parent.mkdir(parents=True, exist_ok=True)
    write_json(to / files.manifest, about)
    return about


def finish(
    to: Path,
    manifest: Mapping[str, Any],
    files: SplitFiles,
    plan: Mapping[str, Any],
    written: Mapping[str, Any],
    test: str,
    held: np.ndarray,
) -> dict[str, Any]:
    """Complete the manifest, last of all: only with it the split counts.

    `held` are the places of the validation images in the unlabelled file.
    """
    mark = digests(to / files.map, "sha256")[0]
    maps = {files.map: {"bytes": (to / files.map).stat().st_size, "sha256": mark}}
    about = {
        **claim(to, manifest, files, plan),
        "files": {**written, **maps},
        "overlap": overlaps(to / files.label, to / files.unlabel, to / test, held),
    }
    write_json(to / files.manifest, about)
    return about


def overlaps(label: Path, unlabel: Path, test: Path, held: np.ndarray) -> dict[str, int]:
    """How many different pictures two parts have in common, for every pair of parts.

    Pictures are compared by their encoded bytes; all were encoded by one program. Sets do contain
    pictures twice, so this is told, not refused.

    Args:
        label, unlabel, test: record files.
        held: which records of `unlabel` are validation images.
    """
    rest, chosen = _marks(unlabel), frozenset(held.tolist())
    parts = {
        "labelled": set(_marks(label)),
        "validation": {mark for i, mark in enumerate(rest) if i in chosen},
        "unlabelled": {mark for i, mark in enumerate(rest) if i not in chosen},
        "test": set(_marks(test)),
    }
    names = list(parts)
    pairs = [(a, b) for i, a in enumerate(names) for b in names[i + 1 :]]
    return {f"{a}/{b}": len(parts[a] & parts[b]) for a, b in pairs}


def _marks(path: Path) -> list[bytes]:
    records = enumerate(read_frames(path))
    return [hashlib.sha256(decode(path, i, r).jpeg).digest() for i, r in records]
