"""A user's own pictures for semi-supervised learning: labelled ones, and a heap without labels.

Deviations from the published tools, which read *.jpg in one flat folder with the class in the file
name: a folder per class or a CSV table, any format the image library reads, any size.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Optional

import numpy as np
from PIL import Image

from zoolib.data.class_folders import SUFFIXES
from zoolib.data.image_classes import several
from zoolib.data.own_images import from_folders, from_table
from zoolib.data.pictures import Picture
from zoolib.data.record_plan import LabelledImages
from zoolib.data.semi_parts import Part
from zoolib.data.semi_sources import Origin, Source
from zoolib.errors import ConfigError, DataError


def own_images(
    name: str,
    labelled: Path,
    unlabelled: Optional[Path] = None,
    test: float = 0.2,
    seed: int = 0,
    size: Optional[int] = None,
) -> Origin:
    """Own pictures.

    Args:
        name: of the set; file names begin with it.
        labelled: a folder with one per class (or with `train` and `test`, each with these), or a
            CSV file with the columns path, label and perhaps split; see `own_images`.
        unlabelled: a folder with further pictures at any depth.
        test: share of each class to test with, where the folder or table does not say.
        seed: which ones.
        size: height and width in pixels; other pictures are squeezed to it. None: all must have
            one size.

    Raises:
        DataError, ConfigError: see `own_images.from_folders` and `from_table`.
    """
    if not name or any(letter in name for letter in "/\\. @"):
        raise ConfigError(f"name: expected a word without / \\ . @ and blanks, got {name!r}.")
    if size is not None and size < 1:
        raise ConfigError(f"size: expected at least 1, got {size}.")
    read = from_folders if labelled.is_dir() else from_table
    found = read(labelled, test, seed)
    heap = [] if unlabelled is None else _heap(unlabelled)
    pictures = {"train": found.splits["train"], "unlabeled": heap, "test": found.splits["val"]}
    digest = hashlib.sha256(f"{size}".encode())
    for part, rows in pictures.items():
        for row in rows:
            digest.update(f"{part}|{row.name}|{row.label}|".encode(errors="surrogateescape"))
            digest.update(hashlib.sha256(_content(row)).digest())
    return Origin(
        name, {"pictures": digest.hexdigest()}, lambda _near: _load(name, found, pictures, size)
    )


def _heap(folder: Path) -> list[Picture]:
    if not folder.is_dir():
        raise DataError(f"{folder}: expected a folder of pictures without label, found none.")
    paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
    if not paths:
        raise DataError(f"{folder}: expected pictures ({', '.join(SUFFIXES)}), found none.")
    return [Picture(p.relative_to(folder).as_posix(), str(p), -1, -1, -1) for p in paths]


def _content(picture: Picture) -> bytes:
    try:
        return picture.read()
    except OSError as error:
        raise DataError(f"{picture.path}: cannot be read ({error.strerror}).") from error


def _load(
    name: str,
    found: LabelledImages,
    pictures: dict[str, Sequence[Picture]],
    size: Optional[int],
) -> Source:
    parts = _decode(pictures, size)
    train = {part: parts[part] for part in ("train", "unlabeled") if part in parts}
    return Source(name, tuple(word for word, _ in found.classes), train, parts["test"])


def _decode(pictures: dict[str, Sequence[Picture]], size: Optional[int]) -> dict[str, Part]:
    """Pictures in memory, uint8; all of one size."""
    bad: list[str] = []
    sizes: dict[tuple[int, ...], str] = {}
    images: dict[str, list[np.ndarray]] = {part: [] for part in pictures}
    for part, rows in pictures.items():
        for row in rows:
            try:
                pixels = _pixels(_content(row), size)
            except Exception as error:  # decoders raise whatever they meet
                bad.append(f"{row.path} ({error})")
                continue
            sizes.setdefault(pixels.shape[:2], row.name)
            images[part].append(pixels)
    if bad:
        raise DataError(f"Expected pictures that can be read, but not: {several(bad)}.")
    if len(sizes) > 1:
        told = [f"{name} {h} x {w}" for (h, w), name in sizes.items()]
        raise DataError(
            f"Expected pictures of one size, found {several(told, 4)}. Give a size to bring them "
            "to, e.g. --size 32."
        )
    return {
        part: Part(np.stack(images[part]), np.array([row.label for row in rows], np.int32))
        for part, rows in pictures.items()
        if rows
    }


def _pixels(content: bytes, size: Optional[int]) -> np.ndarray:
    with Image.open(io.BytesIO(content)) as image:
        # Colour first: one-bit and palette images cannot be resampled smoothly.
        picture = image.convert("RGB")
    if size is not None and picture.size != (size, size):
        picture = picture.resize((size, size), Image.LANCZOS)
    return np.asarray(picture, np.uint8)
