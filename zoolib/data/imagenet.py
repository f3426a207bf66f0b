"""ImageNet (ILSVRC2012) as labelled images: the explore step that records are built from.

The reference has it as a notebook only and its port names a script that exists nowhere
(specification, 4.2). It writes what that script was to write: `training_metadata.csv`,
`validation_metadata.csv`, `integer_encoding.json`, `wordnet_decoder.json` and the boxes, as arrays
in `boxes.npz` in place of a pickled dictionary.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Optional

import numpy as np

from zoolib.data.arrayfile import load_arrays, save_arrays
from zoolib.data.imagenet_boxes import read_boxes
from zoolib.data.imagenet_devkit import read_devkit
from zoolib.data.imagenet_layout import find_devkit, training_pictures, validation_pictures
from zoolib.data.pictures import Picture
from zoolib.data.record_plan import LabelledImages, Note, just_name
from zoolib.data.whole_files import write_json, writing
from zoolib.errors import DataError

BOXES = "boxes.npz"


def explore_imagenet(
    images: Path,
    devkit: Optional[Path] = None,
    boxes: Optional[Path] = None,
    name: str = "imagenet",
) -> LabelledImages:
    """Find every image, its label and its boxes; no image is opened.

    Args:
        images: folder with `train` and `val`, or with the tar archives of the same content.
        devkit: folder or archive of the devkit; None: looked for next to the images.
        boxes: folder or archive of XML files; None: no boxes.
        name: of the data set.

    Raises:
        DataError: something is missing, empty, or does not agree with the devkit.
    """
    if not images.is_dir():
        raise DataError(f"{images}: expected the folder of the images, found none.")
    kit = read_devkit(devkit or find_devkit(images))
    train, odd = _named(training_pictures(images, kit.ids))
    wrong = _miscounted(train, kit.counts)
    found, notes = read_boxes(boxes) if boxes is not None else (None, [])
    return LabelledImages(
        name=name,
        classes=tuple(zip(kit.wnids, kit.words)),
        splits={"train": train, "val": validation_pictures(images, kit.truth)},
        boxes=found,
        notes=(*odd, *_count_notes(kit.wnids, wrong), *notes),
    )


def _count_notes(wnids: Sequence[str], wrong: Mapping[int, tuple[int, int]]) -> list[Note]:
    """Notes on classes with another number of images than the devkit tells."""
    return [
        (wnids[label], f"{have} training images, the devkit tells of {told}", "used as they are")
        for label, (have, told) in sorted(wrong.items())
    ]


def _named(pictures: Sequence[Picture]) -> tuple[list[Picture], list[Note]]:
    """Pictures whose names end in .JPEG, and notes on the other files."""
    good = [p for p in pictures if p.name.endswith(".JPEG")]
    odd = [p.name for p in pictures if not p.name.endswith(".JPEG")]
    return good, [(name, "name does not end in .JPEG", "left out") for name in odd]


def _miscounted(pictures: Sequence[Picture], counts: Sequence[int]) -> dict[int, tuple[int, int]]:
    have = np.bincount([p.label for p in pictures], minlength=len(counts))
    return {
        label: (int(here), told)
        for label, (here, told) in enumerate(zip(have, counts))
        if told and here != told
    }


def write_exploration(found: LabelledImages, to: Path) -> None:
    """Write the explore step's files into a folder, made if missing."""
    to.mkdir(parents=True, exist_ok=True)
    wnids = [wnid for wnid, _ in found.classes]
    write_json(to / "integer_encoding.json", {wnid: i for i, wnid in enumerate(wnids)})
    write_json(to / "wordnet_decoder.json", dict(found.classes))
    train = [(p.path, wnids[p.label], just_name(p.name)) for p in found.splits["train"]]
    _table(to / "training_metadata.csv", ("path", "wordnet_id", "just_name"), train)
    val = [(p.path, wnids[p.label]) for p in found.splits["val"]]
    _table(to / "validation_metadata.csv", ("path", "wordnet_id"), val)
    if found.boxes is not None:
        save_boxes(to / BOXES, found.boxes)


def _table(path: Path, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(header)
    table.writerows(rows)
    with writing(path) as file:
        file.write(text.getvalue().encode(errors="surrogateescape"))


def save_boxes(path: Path, boxes: Mapping[str, np.ndarray]) -> None:
    """Boxes by name as arrays: `names` [n], `counts` [n], `boxes` [sum of counts, 4]."""
    names = sorted(boxes)
    arrays = {
        "names": np.array(names, dtype=np.str_),
        "counts": np.array([len(boxes[name]) for name in names], np.int64),
        "boxes": np.concatenate([np.zeros((0, 4), np.float32), *(boxes[n] for n in names)]),
    }
    save_arrays(path, arrays, {"corners": ["xmin", "ymin", "xmax", "ymax"]})


def load_boxes(path: Path) -> dict[str, np.ndarray]:
    """What `save_boxes` wrote.

    Raises:
        DataError: missing or damaged.
    """
    arrays, _ = load_arrays(path)
    parts = np.split(arrays["boxes"], np.cumsum(arrays["counts"])[:-1])
    return {str(name): part for name, part in zip(arrays["names"], parts)}
