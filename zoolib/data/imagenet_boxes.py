"""Boxes of the training images: XML files in folders or in an archive (specification, 4.2).

Deviation from the reference: a box with swapped corners is put right; there a repair that
overwrote its own input made such boxes empty, and they were dropped.
"""

from __future__ import annotations

import os
import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from xml.etree import ElementTree

import numpy as np

from zoolib.errors import DataError

CORNERS = ("xmin", "ymin", "xmax", "ymax")
Note = tuple[str, str, str]  # file, what is odd about it, what was done


def parse_boxes(content: bytes, wnid: str) -> np.ndarray:
    """The boxes of one XML file, float32 [n, 4]: xmin, ymin, xmax, ymax as shares of the image.

    Corners are put in order and clipped to [0, 1]; boxes of other things than `wnid`, and boxes
    without an area, are left out.

    Raises:
        ValueError: not the XML of an annotation.
    """
    try:
        root = ElementTree.fromstring(content)
        size = [float(root.findtext(f"size/{side}", "")) for side in ("width", "height")]
        found = [
            [float(thing.findtext(f"bndbox/{corner}", "")) for corner in CORNERS]
            for thing in root.findall("object")
            if (thing.findtext("name") or "").strip() == wnid
        ]
    except (ElementTree.ParseError, ValueError) as error:
        raise ValueError(f"not an annotation ({error})") from error
    if min(size) <= 0:
        raise ValueError(f"the size of the image is {size[0]:g} x {size[1]:g}")
    pixels = np.array(found, np.float64).reshape(-1, 2, 2)
    ordered = np.sort(pixels / np.array(size), axis=1).reshape(-1, 4)
    boxes = np.clip(ordered, 0.0, 1.0).astype(np.float32)
    return boxes[(boxes[:, 0] < boxes[:, 2]) & (boxes[:, 1] < boxes[:, 3])]


def read_boxes(place: Path) -> tuple[dict[str, np.ndarray], list[Note]]:
    """Boxes of every image that has any, by its name without ending, and the files left out.

    Args:
        place: a folder, or an archive (.tar, .tar.gz), with files <wnid>/<name>.xml at any depth.

    Raises:
        DataError: nothing there, or no such file in it.
    """
    found: dict[str, np.ndarray] = {}
    notes: list[Note] = []
    seen = False
    for wnid, name, content in _annotations(place):
        seen = True
        try:
            boxes = parse_boxes(content, wnid)
        except ValueError as error:
            notes.append((f"{wnid}/{name}.xml", str(error), "boxes left out"))
            continue
        if len(boxes):
            found[name] = boxes
    if not seen:
        raise DataError(f"{place}: expected boxes as <wnid>/<name>.xml, found none.")
    return found, notes


def _annotations(place: Path) -> Iterator[tuple[str, str, bytes]]:
    if place.is_dir():
        for folder, inside, files in os.walk(place):
            inside.sort()
            for file in sorted(files):
                if file.endswith(".xml"):
                    path = Path(folder, file)
                    yield path.parent.name, path.stem, path.read_bytes()
        return
    if not place.is_file():
        raise DataError(f"{place}: expected a folder or an archive of boxes, found none.")
    try:
        with tarfile.open(place) as archive:  # read in place, nothing is unpacked
            for member in archive:
                path = PurePosixPath(member.name)
                if member.isreg() and path.suffix == ".xml":
                    yield path.parent.name, path.stem, archive.extractfile(member).read()
    except (tarfile.TarError, OSError, EOFError) as error:
        raise DataError(f"{place}: expected an archive of boxes ({error}).") from error
