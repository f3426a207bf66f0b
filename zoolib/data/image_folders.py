"""Read image sets kept as class folders: Omniglot, miniImageNet, or a user's own.

Omniglot: ``alphabet/character/*.png`` (105 x 105, black ink on white), also below
``images_background`` and ``images_evaluation``. miniImageNet: ``train|val|test/class/*.jpg``.
A class is a folder that holds images; its name is its path below the root.

Decoding 30 000 files takes a while, so the result is kept in the folder as a hidden .npz. It is
used only while names, sizes and modification times of all files are the same as when it was made.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from zoolib.data.arrayfile import load_arrays, save_arrays
from zoolib.data.class_folders import list_classes
from zoolib.data.image_classes import ClassSplit, ImageClasses, several, split_omniglot
from zoolib.errors import DataError

__all__ = [
    "ClassSplit",
    "ImageClasses",
    "load_image_folders",
    "load_miniimagenet",
    "load_omniglot",
    "split_omniglot",
]

MINI_SPLITS = {"train": ("train", 64), "validation": ("val", 16), "test": ("test", 20)}
_FORMAT = 1  # of the cache; raise it when decoding changes
_MODES = {1: "L", 3: "RGB"}
_log = logging.getLogger(__name__)


def load_image_folders(
    root: str | os.PathLike[str],
    size: int,
    channels: int,
    invert: bool = False,
    classes: Sequence[str] | None = None,
    minimum: int = 1,
) -> ImageClasses:
    """Load every class folder below `root`.

    Args:
        root: the folder that holds the class folders, at one or more levels.
        size: height and width of the result in pixels; other sizes are resampled (Lanczos, which
            smooths before it shrinks). Images that are not square are squeezed.
        channels: 1 (grey) or 3 (RGB).
        invert: store 255 - p in place of p. Exact; do not invert again when scaling to [0, 1].
        classes: names of the wanted classes (their paths below the root); None for all.
        minimum: images each class needs, that is shots + queries.

    Returns:
        The images, with classes and, within a class, files in the sorted order of their names.

    Raises:
        DataError: folder missing or without classes, a class empty or below `minimum`, images and
            folders mixed in one folder, unknown class names, images that cannot be read.
    """
    if channels not in _MODES or size < 1:
        raise DataError(f"Expected channels 1 or 3 and size >= 1, got {channels} and {size}.")
    base = Path(root)
    files = _wanted(base, list_classes(base), classes)
    _check_minimum(base, files, minimum)
    fingerprint = _fingerprint(base, files, size, channels, invert)
    cache = base / _cache_name(size, channels, invert, classes)
    cached = _read_cache(cache, fingerprint)
    if cached is not None:
        return cached
    loaded = _decode(files, size, channels, invert)
    _write_cache(cache, fingerprint, loaded)
    return loaded


def load_omniglot(root: str | os.PathLike[str], size: int = 28, minimum: int = 1) -> ImageClasses:
    """Load Omniglot as white ink on black (inverted), grey, `size` x `size`."""
    base = Path(root)
    if not base.is_dir():
        raise DataError(
            f"Omniglot: expected the folder {base}, found none. Put the unpacked images there as "
            "alphabet/character/*.png (images_background and images_evaluation may stay as they "
            "are): 1623 characters with 20 images each."
        )
    return load_image_folders(base, size, channels=1, invert=True, minimum=minimum)


def load_miniimagenet(
    root: str | os.PathLike[str], split: str, size: int = 84, minimum: int = 1
) -> ImageClasses:
    """Load one split of miniImageNet in colour.

    Args:
        root: the folder that holds the folders train, val and test.
        split: "train", "validation" (folder val) or "test".
        size, minimum: as in `load_image_folders`.

    Raises:
        DataError: as `load_image_folders`; also an unknown split, a missing split folder, or a
            class that is in two splits.
    """
    if split not in MINI_SPLITS:
        raise DataError(f"miniImageNet: expected split in {list(MINI_SPLITS)}, got {split!r}.")
    base, (folder, count) = Path(root), MINI_SPLITS[split]
    if not (base / folder).is_dir():
        here = sorted(p.name for p in base.iterdir() if p.is_dir()) if base.is_dir() else []
        found = f"found the folders {several(here)}" if here else "found no folders there"
        raise DataError(
            f"miniImageNet: expected the folder {base / folder}, {found}. Put the images "
            f"into {base} as train/class/*.jpg (64 classes), val/class/*.jpg (16) and "
            "test/class/*.jpg (20), 600 images per class."
        )
    _check_disjoint(base, folder)
    loaded = load_image_folders(base / folder, size, channels=3, minimum=minimum)
    if len(loaded.names) != count:
        _log.warning("%s: %d classes, not %d.", base / folder, len(loaded.names), count)
    return loaded


def _check_disjoint(base: Path, folder: str) -> None:
    names = sorted(p.name for p in (base / folder).iterdir() if p.is_dir())
    for other in {name for name, _ in MINI_SPLITS.values()} - {folder}:
        shared = [name for name in names if (base / other / name).is_dir()]
        if shared:
            raise DataError(
                f"{base}: expected {folder} and {other} to have no class in common, but both have "
                f"{several(shared)}: results would be too good. Remove them from one."
            )


def _wanted(
    base: Path, files: dict[str, list[Path]], classes: Sequence[str] | None
) -> dict[str, list[Path]]:
    if classes is None:
        return files
    unknown = [name for name in classes if name not in files]
    if unknown or not classes:
        raise DataError(
            f"{base}: expected class names such as {several(list(files), 3)}; "
            f"{'unknown: ' + several(unknown) if unknown else 'the list of names is empty'}."
        )
    return {name: files[name] for name in sorted(set(classes))}


def _check_minimum(base: Path, files: dict[str, list[Path]], minimum: int) -> None:
    few = [f"{name} ({len(paths)})" for name, paths in files.items() if len(paths) < minimum]
    if few:
        raise DataError(
            f"{base}: expected at least {minimum} images in every class (shots + queries), but "
            f"fewer are in {several(few)}. Add images, remove these folders, or ask for less."
        )


def _fingerprint(base: Path, files: dict[str, list[Path]], *settings: object) -> str:
    """What the cache depends on: format, settings, and name, size and time of every file."""
    digest = hashlib.sha256(json.dumps([_FORMAT, *settings]).encode())
    for path in (path for paths in files.values() for path in paths):
        try:
            stat = path.stat()
            size, time = stat.st_size, stat.st_mtime_ns
        except OSError:  # a dangling link; decoding reports it by name
            size, time = -1, -1
        digest.update(f"{path.relative_to(base).as_posix()}|{size}|{time}\n".encode())
    return digest.hexdigest()


def _cache_name(size: int, channels: int, invert: bool, classes: Sequence[str] | None) -> str:
    name = f".zoolib-{size}x{size}x{channels}{'-inverted' if invert else ''}"
    if classes is not None:
        name += "-" + hashlib.sha256("\n".join(sorted(set(classes))).encode()).hexdigest()[:8]
    return name + ".npz"


def _read_cache(cache: Path, fingerprint: str) -> ImageClasses | None:
    """The cached images, or None if there are none, they are out of date, or they are damaged."""
    if not cache.is_file():
        return None
    try:
        arrays, about = load_arrays(cache)
        if about["fingerprint"] != fingerprint:
            return None
        return ImageClasses(
            arrays["images"], arrays["class_of"], tuple(about["names"]), about["checksum"]
        )
    except (DataError, KeyError, TypeError) as error:
        _log.warning("Decoding the images again: %s", error)
        return None


def _write_cache(cache: Path, fingerprint: str, loaded: ImageClasses) -> None:
    about = {"fingerprint": fingerprint, "names": loaded.names, "checksum": loaded.checksum}
    try:
        save_arrays(cache, {"images": loaded.images, "class_of": loaded.class_of}, about)
    except OSError as error:
        _log.warning("%s is not kept (%s): the images are decoded every time.", cache, error)


def _decode(files: dict[str, list[Path]], size: int, channels: int, invert: bool) -> ImageClasses:
    counts = [len(paths) for paths in files.values()]
    images = np.empty((sum(counts), size, size, channels), dtype=np.uint8)
    identity = hashlib.sha256(json.dumps([size, channels, invert]).encode())
    bad: list[str] = []
    listing = [(name, path) for name, paths in files.items() for path in paths]
    for place, (name, path) in enumerate(listing):
        try:
            content = path.read_bytes()
            if not content:
                raise ValueError("the file is empty, 0 bytes")
            images[place] = _pixels(content, size, channels)
        except Exception as error:  # decoders raise whatever they meet
            bad.append(f"{path} ({error})")
            continue
        identity.update(f"{name}|{path.name}|".encode() + hashlib.sha256(content).digest())
    if bad:
        raise DataError(
            f"Expected images that can be read, but {len(bad)} of {len(listing)} cannot: "
            f"{several(bad)}. Replace or delete these files."
        )
    if invert:
        np.subtract(255, images, out=images)
    class_of = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
    return ImageClasses(images, class_of, tuple(files), identity.hexdigest())


def _pixels(content: bytes, size: int, channels: int) -> np.ndarray:
    """One decoded image, uint8 [size, size, channels]."""
    with Image.open(io.BytesIO(content)) as image:
        # Grey or colour first: one-bit and palette images cannot be resampled smoothly.
        picture = image.convert(_MODES[channels])
    if picture.size != (size, size):
        picture = picture.resize((size, size), Image.LANCZOS)
    return np.asarray(picture, dtype=np.uint8).reshape(size, size, channels)
