"""What a trained network says of pictures: files, or arrays."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any, Callable

import numpy as np
import tensorflow as tf
from PIL import Image, ImageOps

from zoolib.errors import DataError
from zoolib.models.shufflenet_v2 import evaluation

_MARGIN = 256 / 224  # the shorter side before the cut, as a share of the network's input


@dataclasses.dataclass(frozen=True)
class Prediction:
    """What is on one picture.

    Attributes:
        picture: the file, or the array's number.
        names, probabilities: of the five most probable classes, best first.
        numbers: of those classes.
    """

    picture: str
    names: tuple[str, ...]
    probabilities: tuple[float, ...]
    numbers: tuple[int, ...]

    def __str__(self) -> str:
        told = ", ".join(f"{n} {p:.1%}" for n, p in zip(self.names, self.probabilities))
        return f"{self.picture}: {told}"


def predict(task: Any, images: Any) -> list[Prediction]:
    """Classify pictures with the weights that evaluations use.

    Args:
        task: a :class:`~zoolib.models.shufflenet_v2.task.Classification`.
        images: a file or several; or an array [N, size, size, 3], bytes or floats in [0, 1].

    Raises:
        DataError: for a file that is missing or no picture, or an array of another size.
    """
    size = task.config.image_size
    if isinstance(images, np.ndarray):
        if images.ndim != 4 or images.shape[1:] != (size, size, 3):
            raise DataError(f"images: expected [N, {size}, {size}, 3], got {list(images.shape)}")
        labels, pictures = [str(i) for i in range(len(images))], images
        if images.dtype == np.uint8:
            pictures = images.astype(np.float32) / 255.0
    else:
        paths = [images] if isinstance(images, (str, os.PathLike)) else list(images)
        labels = [str(path) for path in paths]
        pictures = np.zeros((len(paths), size, size, 3), np.float32)
        for place, path in enumerate(paths):
            pictures[place] = prepared(path, size)
    found = []
    for label, row in zip(labels, probabilities(task, pictures)):
        order = np.argsort(-row, kind="stable")[:5]
        names = tuple(task.source.names[i] for i in order)
        found.append(
            Prediction(label, names, tuple(map(float, row[order])), tuple(map(int, order)))
        )
    return found


def prepared(path: str | Path, size: int) -> np.ndarray:
    """A file as evaluations see it (spec 4.5): float32 [size, size, 3] in [0, 1].

    The shorter side is brought to 256 / 224 of the size with TensorFlow 1's bilinear kernel, then
    the middle is cut out.

    Raises:
        DataError: if it is missing or no picture.
    """
    try:
        with Image.open(path) as image:
            pixels = np.asarray(ImageOps.exif_transpose(image).convert("RGB"), np.float32)
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(f"{path}: expected a picture ({error})") from None
    shorter = round(size * _MARGIN)
    scale = shorter / min(pixels.shape[:2])
    height, width = (max(round(n * scale), shorter) for n in pixels.shape[:2])
    resized = tf.compat.v1.image.resize_bilinear(pixels[None] / 255.0, [height, width])[0].numpy()
    top, left = (height - size) // 2, (width - size) // 2
    return resized[top : top + size, left : left + size]


def probabilities(task: Any, images: np.ndarray) -> np.ndarray:
    """Softmax outputs [N, classes] of images [N, size, size, 3], in batches of one size."""
    size, rows = task.config.eval_batch_size, []
    with task.session.placement(), evaluation.averaged(task):
        call = task.cached("probabilities", lambda: _forward(task))
        for start in range(0, len(images), size):
            part = images[start : start + size]
            full = np.zeros((size, *part.shape[1:]), part.dtype)
            full[: len(part)] = part
            rows.append(call(tf.constant(full)).numpy()[: len(part)])
    return np.concatenate(rows) if rows else np.zeros((0, task.config.num_classes), np.float32)


def confusion(task: Any) -> np.ndarray:
    """How many test images of each class got which guess, int [label, guess]; this rank's part."""
    classes = task.config.num_classes
    table = np.zeros((classes, classes), int)
    for batch in task.source.test.evaluation():
        guesses, there = probabilities(task, batch["images"]).argmax(axis=1), batch["weights"] > 0
        np.add.at(table, (batch["labels"][there], guesses[there]), 1)
    return table


def _forward(task: Any) -> Callable:
    return lambda images: tf.nn.softmax(task.network(images))
