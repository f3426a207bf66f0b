"""The set `shapes` as files in ImageNet's own layout, so that the whole path runs on it.

JPEG files of different sizes in folders named by synset, validation images flat with their labels
in the devkit, XML boxes, and a devkit whose class order is not the sorted one.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple
from xml.sax.saxutils import escape

import numpy as np
from PIL import Image
from tqdm import tqdm

from zoolib.data.draws import uniforms
from zoolib.data.image_classes import ImageClasses
from zoolib.data.imagenet_devkit import META, TRUTH
from zoolib.data.matfile import write_table
from zoolib.data.record_images import encode
from zoolib.data.shapes import ShapeClass, Style, catalogue, draw, draw_classes
from zoolib.data.whole_files import read_json, write_json
from zoolib.errors import ConfigError, DataError

CLASSES, TRAIN, VALIDATION = 16, 250, 50  # classes, and images of each
SIZE = 96  # longest side of the files
_DONE = "complete.json"


class ShapesArrays(NamedTuple):
    """The set in memory.

    Attributes:
        train, validation: images uint8 [N, size, size, 3].
        boxes: of the training images, float32 [N, 4]: xmin, ymin, xmax, ymax in [0, 1].
    """

    train: ImageClasses
    validation: ImageClasses
    boxes: np.ndarray


def shapes_arrays(
    size: int = 64,
    classes: int = CLASSES,
    train: int = TRAIN,
    validation: int = VALIDATION,
    seed: int = 0,
) -> ShapesArrays:
    """The set in memory, drawn at `size` pixels (the files are larger and of other shapes)."""
    kinds = catalogue(classes, seed)
    images, boxes = draw_classes(kinds, train, size, Style(), seed, "train")
    return ShapesArrays(
        images, draw_classes(kinds, validation, size, Style(), seed, "val")[0], boxes
    )


def write_shapes(
    to: Path,
    classes: int = CLASSES,
    train: int = TRAIN,
    validation: int = VALIDATION,
    size: int = SIZE,
    seed: int = 0,
    progress: bool = False,
) -> None:
    """Write the set as files: `train`, `val`, `annotations`, `devkit`. Nothing if it is there.

    Args:
        to: folder, made if missing.
        classes: how many, at most 256.
        train, validation: images of each class.
        size: pixels of the longer side; the shorter one is up to a quarter shorter.
        seed: which set.
        progress: show a bar on standard error.

    Raises:
        ConfigError: a number is too small.
        DataError: the folder holds a set made with other numbers.
    """
    if min(train, validation) < 1 or size < 16:
        raise ConfigError(
            "shapes: expected at least one image of each class and part and 16 pixels, got "
            f"train={train}, validation={validation}, size={size}."
        )
    kinds = catalogue(classes, seed)
    settings = {"classes": classes, "train": train, "validation": validation}
    settings.update(size=size, seed=seed)
    if (to / _DONE).is_file():
        if read_json(to / _DONE) != settings:
            raise DataError(
                f"{to}: holds shapes made with {read_json(to / _DONE)}, not {settings}. "
                "Take another folder, or delete this one."
            )
        return
    with tqdm(total=classes, unit=" classes", disable=not progress) as bar:
        for kind in kinds:
            _write_training(to, kind, train, size, seed)
            bar.update(1)
    truth = _write_validation(to / "val", kinds, validation, size, seed)
    _write_devkit(to / "devkit" / "data", kinds, train, truth)
    write_json(to / _DONE, settings)


def _cut(
    images: np.ndarray, boxes: np.ndarray, seed: int, place: int, split: str
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Take up to a quarter off one pair of sides, none of the thing itself: sizes differ."""
    size, cut = images.shape[1], []
    chance = uniforms(seed, f"shapes/{split}/cut", range(place, place + len(images)), 3)
    for image, box, (axis, share, where) in zip(images, np.rint(boxes * size).astype(int), chance):
        side = int(axis * 2)  # 0: left and right, 1: top and bottom
        low, high = box[side], size - box[side + 2]
        total = min(int(share * (size // 4 + 1)), low + high)
        before = min(max(int(where * (total + 1)), total - high), low)
        keep = slice(before, before + size - total)
        image = image[:, keep] if side == 0 else image[keep]
        box = box.copy()
        box[[side, side + 2]] -= before
        cut.append((image, box))
    return cut


def _write_training(to: Path, kind: ShapeClass, count: int, size: int, seed: int) -> None:
    folder, notes = to / "train" / kind.wnid, to / "annotations" / kind.wnid
    folder.mkdir(parents=True, exist_ok=True)
    notes.mkdir(parents=True, exist_ok=True)
    images, boxes = draw(kind, range(count), size, Style(), seed, "train")
    for i, (image, box) in enumerate(_cut(images, boxes, seed, kind.code << 20, "train")):
        name = f"{kind.wnid}_{i}"
        (folder / f"{name}.JPEG").write_bytes(encode(Image.fromarray(image)))
        (notes / f"{name}.xml").write_text(_xml(kind.wnid, name, image.shape, box))


def _xml(wnid: str, name: str, shape: Sequence[int], box: np.ndarray) -> str:
    corners = "".join(
        f"<{tag}>{value}</{tag}>" for tag, value in zip(("xmin", "ymin", "xmax", "ymax"), box)
    )
    return (
        f"<annotation>\n<folder>{wnid}</folder>\n<filename>{escape(name)}</filename>\n"
        f"<size><width>{shape[1]}</width><height>{shape[0]}</height><depth>3</depth></size>\n"
        f"<object><name>{wnid}</name><bndbox>{corners}</bndbox></object>\n</annotation>\n"
    )


def _write_validation(
    folder: Path, kinds: Sequence[ShapeClass], each: int, size: int, seed: int
) -> list[int]:
    """Flat and mixed; returns the class id of each image, in the order of their numbers."""
    folder.mkdir(parents=True, exist_ok=True)
    order = np.argsort(uniforms(seed, "shapes/val/order", range(1), each * len(kinds))[0])
    number_of = np.empty(len(order), np.int64)
    number_of[order] = np.arange(len(order))
    truth = [0] * len(order)
    for label, kind in enumerate(kinds):
        images, boxes = draw(kind, range(each), size, Style(), seed, "val")
        for i, (image, _) in enumerate(_cut(images, boxes, seed, kind.code << 20, "val")):
            number = int(number_of[label * each + i])
            truth[number] = label
            path = folder / f"ILSVRC2012_val_{number + 1:08d}.JPEG"
            path.write_bytes(encode(Image.fromarray(image)))
    return truth


def _write_devkit(
    folder: Path, kinds: Sequence[ShapeClass], train: int, truth: Sequence[int]
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    rows = [
        {
            "ILSVRC2012_ID": number,
            "WNID": kind.wnid,
            "words": kind.name,
            "gloss": kind.description,
            "num_children": 0,
            "num_train_images": train,
        }
        for number, kind in enumerate(kinds, 1)
    ]
    write_table(folder / META, "synsets", rows)
    (folder / TRUTH).write_text("".join(f"{label + 1}\n" for label in truth))
