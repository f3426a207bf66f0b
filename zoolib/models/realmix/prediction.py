"""What a trained network says of pictures: files, a folder of them, or arrays."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from zoolib.errors import DataError

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm")


@dataclasses.dataclass(frozen=True)
class Prediction:
    """What is on one picture.

    Attributes:
        picture: the file, or the array's number.
        names, probabilities: of all classes, best first.
        numbers: of those classes.
    """

    picture: str
    names: tuple[str, ...]
    probabilities: tuple[float, ...]
    numbers: tuple[int, ...]

    def __str__(self) -> str:
        told = ", ".join(f"{n} {p:.1%}" for n, p in list(zip(self.names, self.probabilities))[:5])
        return f"{self.picture}: {told}"


def predict(task: Any, images: Any, averaged: bool = True) -> list[Prediction]:
    """Classify pictures.

    Args:
        task: a trained `trainer.Trainer`.
        images: a folder (with its subfolders), a file, several files, or an array
            [N, height, width, 3] of bytes or of floats in [0, 1], of the network's size.
        averaged: by the averaged weights, as evaluations have them; else by the trained ones.

    Raises:
        DataError: for a folder without pictures, a file that is missing or no picture, or an array
            of another size.
    """
    labels, pictures = _pictures(images, task.image_shape)
    evaluator = task.evaluator
    with task.session.placement():
        if averaged:
            with evaluator.averaged():
                rows = evaluator.of(pictures)
        else:
            rows = evaluator.of(pictures)
    known, found = list(task.data.names), []
    for label, row in zip(labels, rows):
        order = [int(i) for i in np.argsort(-row, kind="stable") if i < len(known)]
        names = tuple(known[i] for i in order)
        found.append(Prediction(label, names, tuple(float(row[i]) for i in order), tuple(order)))
    return found


def _pictures(images: Any, shape: tuple[int, int, int]) -> tuple[list[str], np.ndarray]:
    if isinstance(images, np.ndarray):
        if images.ndim != 4 or images.shape[1:] != shape:
            told = ", ".join(map(str, shape))
            raise DataError(f"images: expected [N, {told}], got {list(images.shape)}")
        if images.dtype != np.uint8:
            images = np.clip(np.rint(images * 255.0), 0, 255).astype(np.uint8)
        return [str(i) for i in range(len(images))], images
    paths = [images] if isinstance(images, (str, os.PathLike)) else list(images)
    if len(paths) == 1 and Path(paths[0]).is_dir():
        folder = Path(paths[0])
        paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES)
        if not paths:
            raise DataError(f"{folder}: expected pictures ({', '.join(SUFFIXES)}), found none")
    pictures = np.zeros((len(paths), *shape), np.uint8)
    for place, path in enumerate(paths):
        pictures[place] = prepared(path, shape[:2])
    return [str(path) for path in paths], pictures


def prepared(path: str | Path, size: tuple[int, int]) -> np.ndarray:
    """A file as the network takes it: RGB bytes [height, width, 3], resized where it has to be.

    Raises:
        DataError: if it is missing or no picture.
    """
    try:
        with Image.open(path) as image:
            picture = ImageOps.exif_transpose(image).convert("RGB")
            if picture.size != (size[1], size[0]):
                picture = picture.resize((size[1], size[0]), Image.BILINEAR)
            return np.asarray(picture, np.uint8)
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(f"{path}: expected a picture ({error})") from None
