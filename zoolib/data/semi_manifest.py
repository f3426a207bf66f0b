"""What finished semi-supervised records say of themselves, and whether they are still so.

`<name>-manifest.json` tells of the training and test files, `SSL/<split>-manifest.json` of a split
and of the training files it was made from (by checksum, so a split of other data is noticed).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Optional

import numpy as np

from zoolib.data.archives import digests
from zoolib.data.image_classes import several
from zoolib.data.record_format import record_lengths
from zoolib.data.semi_split import Split, read_map
from zoolib.data.whole_files import read_json
from zoolib.errors import DataError

FORMAT = 1
SPLITS = "SSL"  # folder of the splits, as published
MANIFEST = "-manifest.json"
NAMES = "_class_mappings.json"


class SplitFiles(NamedTuple):
    """Files of a split, below the records' folder."""

    label: str
    unlabel: str
    map: str
    manifest: str


def split_files(name: str, seed: int, labels: int) -> SplitFiles:
    """Names of a split's files, as published: `SSL/<name>.<seed>@<labels>-…`."""
    stem = f"{SPLITS}/{name}.{seed}@{labels}"
    return SplitFiles(
        f"{stem}-label.tfrecord", f"{stem}-unlabel.tfrecord", f"{stem}-map.json", stem + MANIFEST
    )


def read_manifest(path: Path) -> dict[str, Any]:
    """A manifest of a set or of a split.

    Raises:
        DataError: none there, or of another format.
    """
    if not path.is_file():
        raise DataError(
            f"{path}: expected finished records with this manifest, found none. Build them, or run "
            "the same build again to finish it."
        )
    manifest = read_json(path)
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise DataError(f"{path}: expected a manifest of format {FORMAT}. Build the records again.")
    return manifest


def same_size(to: Path, files: Mapping[str, Mapping[str, Any]]) -> bool:
    """Whether all files are there in the length they had; their contents are not read."""
    return all((to / f).is_file() and (to / f).stat().st_size == files[f]["bytes"] for f in files)


def differences(to: Path, files: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """What is wrong with files, one entry each; contents are read."""
    wrong = []
    for name, about in files.items():
        path = to / name
        if not path.is_file():
            wrong.append(f"{name} (missing)")
        elif path.stat().st_size != about["bytes"]:
            wrong.append(f"{name} ({path.stat().st_size} bytes, expected {about['bytes']})")
        elif digests(path, "sha256")[0] != about["sha256"]:
            wrong.append(f"{name} (checksum)")
        elif "records" in about and len(record_lengths(path)) != about["records"]:
            wrong.append(f"{name} (count)")
    return wrong


def check_sources(to: Path, split: Mapping[str, Any], manifest: str) -> None:
    """Refuse a split that was made from other training files than there are now.

    Raises:
        DataError: a training file is missing or has another checksum.
    """
    for file, expected in split["train"].items():
        path = to / file
        found = digests(path, "sha256")[0] if path.is_file() else "none"
        if found != expected:
            raise DataError(
                f"{to / manifest}: this split was made from another {file} (checksum "
                f"{expected[:12]}…, found {found[:12]}…). Delete the split and make it again."
            )


def check_finished(to: Path, split: Mapping[str, Any], manifest: str) -> None:
    """Refuse a split whose build was stopped.

    Raises:
        DataError: its manifest tells of no files yet.
    """
    if not split["files"]:
        raise DataError(f"{to / manifest}: this split is not finished. Run the same build again.")


def check_semisup(to: Path, names: Optional[Iterable[str]] = None) -> dict[str, int]:
    """Read all files of sets and splits and compare them with their manifests.

    Args:
        to: folder of the records.
        names: sets that may be there; None: any.

    Returns:
        Records by part: "train", "test" and so on, and "<split> labelled", "<split> unlabelled".

    Raises:
        DataError: other sets, or files that are missing or differ, or a map that does not part
            the training records.
    """
    found = [p for p in sorted(to.glob(f"*{MANIFEST}")) if names is None or _set(p) in names]
    if not found:
        here = [_set(p) for p in sorted(to.glob(f"*{MANIFEST}"))]
        raise DataError(
            f"{to}: expected records of {' or '.join(names or ('a set',))}, "
            f"found {several(here) or 'none'}."
        )
    counts: dict[str, int] = {}
    for path in found:
        manifest = read_manifest(path)
        wrong = differences(to, manifest["files"])
        missing = [f for f in (*manifest["train"], manifest["test"]) if f not in manifest["files"]]
        _report(to, wrong + [f"{file} (not written)" for file in missing])
        for file, about in manifest["files"].items():
            if file.endswith(".tfrecord"):
                counts[file.rpartition("-")[2].partition(".")[0]] = about["records"]
        for split in sorted((to / SPLITS).glob(f"{_set(path)}*{MANIFEST}")):
            counts.update(_check_split(to, split, _set(path)))
    return counts


def _set(path: Path) -> str:
    return path.name[: -len(MANIFEST)]


def _check_split(to: Path, path: Path, name: str) -> dict[str, int]:
    split = read_manifest(path)
    if split["data"] != name:  # another set whose name begins in the same way
        return {}
    file = f"{SPLITS}/{path.name}"
    check_sources(to, split, file)
    check_finished(to, split, file)
    _report(to, differences(to, split["files"]))
    stem = file[: -len(MANIFEST)]
    check_map(to / f"{stem}-map.json", split["records"], split["copies"])
    told = _set(path)
    files = split["files"]
    return {
        f"{told} labelled": files[f"{stem}-label.tfrecord"]["records"],
        f"{told} unlabelled": files[f"{stem}-unlabel.tfrecord"]["records"],
    }


def check_map(path: Path, records: int, copies: Optional[Mapping[str, Any]] = None) -> Split:
    """A split whose numbers part the training records, or make copies of some.

    Raises:
        DataError: a number is both labelled and unlabelled, missing, twice, or too large.
    """
    split = read_map(path)
    inside = np.concatenate([split.label, np.unique(split.unlabel)])
    single = len(np.unique(inside)) == len(inside)
    whole = copies is not None or len(np.unique(split.unlabel)) == len(split.unlabel)
    if not (single and whole and np.array_equal(np.sort(inside), np.arange(records))):
        raise DataError(
            f"{path}: expected every number from 0 to {records - 1} once, labelled or unlabelled; "
            "this map says otherwise. Delete the split and make it again."
        )
    return split


def _report(to: Path, wrong: list[str]) -> None:
    if wrong:
        raise DataError(
            f"{to}: {len(wrong)} files differ from the manifest: {several(wrong)}. Delete these "
            "and run the same build again."
        )
