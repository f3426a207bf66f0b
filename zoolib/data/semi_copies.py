"""Copies of the unlabelled images with random views, written once ("aug50": fifty of each).

Training makes views as it goes, so this is for comparison with the published procedure only; it
takes as many times the room. The file begins with the validation images as they are; of these
there are no copies.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from zoolib.data.draws import words
from zoolib.data.semi_manifest import split_files
from zoolib.data.semi_parts import Part
from zoolib.data.semi_records import encoded, framed, read_part, write_blocks
from zoolib.data.semi_split import Split, read_map, write_map
from zoolib.data.semi_splitting import begin, claim, finish
from zoolib.data.views import Views
from zoolib.errors import ConfigError

_AT_ONCE = 512  # views made together
_SEED = 1  # of the order, as published, and of the views


@dataclass(frozen=True)
class Copies:
    """How copies are made.

    Attributes:
        count: of each image.
        augment: what a copy is, see `views`.
        validation: images at the head of the file of which there are none.
    """

    count: int
    augment: str
    validation: int


def copy_name(name: str, count: int) -> str:
    """What a set with copies is called."""
    return f"{name}_aug{count}"


def make_copies(
    to: Path,
    manifest: Mapping[str, Any],
    split: Mapping[str, Any],
    copies: Copies,
    progress: bool = False,
) -> dict[str, Any]:
    """The manifest of a split with copies, its files made if they are not there.

    Args:
        to: folder of the records.
        manifest: of the set.
        split: manifest of the split.
        copies: which.
        progress: show bars on standard error.

    Raises:
        ConfigError: more validation images than there are with a known class.
        DataError: files that are there were made otherwise.
    """
    name = copy_name(manifest["data"], copies.count)
    which = split["seed"], split["labels"]
    own, files = split_files(manifest["data"], *which), split_files(name, *which)
    plan = {key: split[key] for key in ("labels", "seed", "class_balance")}
    plan["copies"] = asdict(copies)
    there = begin(to, manifest, files, plan)
    if there is not None:
        return there
    claim(to, manifest, files, plan)
    original, images = read_map(to / own.map), read_part(to / own.unlabel, progress=progress)
    inside = np.flatnonzero(original.unlabel < manifest["known"])
    if copies.validation > len(inside):
        raise ConfigError(
            f"validation: expected at most {len(inside)} images, as many as are left with a known "
            f"class, got {copies.validation}."
        )
    held = inside[: copies.validation]
    rest = np.setdiff1d(np.arange(len(images)), held, assume_unique=True)
    lots = words(_SEED, "copies/order", range(1), len(rest) * copies.count)[0]
    order = rest[np.argsort(lots, kind="stable") // copies.count]
    total = len(held) + len(order)
    blocks = framed(_views(images, held, order, copies.augment))
    written = {files.unlabel: write_blocks(to / files.unlabel, blocks, total, progress)}
    write_map(to / files.map, Split(original.label, original.unlabel[np.append(held, order)]))
    test = f"{name}-test.tfrecord"
    for source, target in ((own.label, files.label), (manifest["test"], test)):
        _link(to / source, to / target)
    written[files.label] = split["files"][own.label]
    written[test] = manifest["files"][manifest["test"]]
    return finish(to, manifest, files, plan, written, test, np.arange(len(held)))


def _views(images: Part, held: np.ndarray, order: np.ndarray, augment: str) -> Iterator[bytes]:
    """The validation images as they are, then views of the others in the given order."""
    yield from encoded(images.images[held], images.labels[held])
    views = Views(augment)
    for start in range(0, len(order), _AT_ONCE):
        index = order[start : start + _AT_ONCE]
        places = range(start, start + len(index))
        made = views.apply(images.images[index], _SEED, "copies", places)
        yield from encoded(made, images.labels[index])


def _link(source: Path, target: Path) -> None:
    """The same file under another name; a copy where the disk has no links."""
    with contextlib.suppress(FileNotFoundError):
        target.unlink()
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
