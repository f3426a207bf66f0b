"""The raw ILSVRC2012 images as they are distributed: folders or tar archives, never unpacked.

Training: `train/<wnid>/*.JPEG`, `train/<wnid>.tar`, or `ILSVRC2012_img_train.tar`, which holds an
archive per class. Validation: `val/*.JPEG` (also sorted into folders) or `ILSVRC2012_img_val.tar`;
the number in the name says which image it is.
"""

from __future__ import annotations

import re
from pathlib import Path

from zoolib.data.image_classes import several
from zoolib.data.pictures import Picture, folder_files, tar_members
from zoolib.errors import DataError

TRAIN_TAR, VALIDATION_TAR = "ILSVRC2012_img_train.tar", "ILSVRC2012_img_val.tar"
DEVKITS = ("ILSVRC2012_devkit_t12", "devkit", "ILSVRC2012_devkit_t12.tar.gz", ".")
_NUMBER = re.compile(r"_(\d{8})\.JPEG$")
_Place = tuple[str, str, int, int]  # file name, path, offset, size


def find_devkit(images: Path) -> Path:
    """The devkit next to the images.

    Raises:
        DataError: there is none.
    """
    for name in DEVKITS:
        place = images / name
        if place.is_file() or any((place / f).is_file() for f in ("data/meta.mat", "meta.mat")):
            return place
        if any((place / f).is_file() for f in ("data/synsets.txt", "synsets.txt")):
            return place
    raise DataError(
        f"{images}: expected the ILSVRC devkit there ({', '.join(DEVKITS[:3])}), found none. "
        "Name its place with --devkit."
    )


def training_pictures(images: Path, ids: dict[str, int]) -> list[Picture]:
    """Every training image, class after class in sorted order of the WordNet ids.

    Raises:
        DataError: a class of the devkit has no folder or no files, or there is a class that the
            devkit does not know.
    """
    found = _classes(images)
    unknown, missing = sorted(set(found) - set(ids)), sorted(set(ids) - set(found))
    if unknown or missing:
        amiss = [f"unknown to the devkit: {several(unknown)}"] if unknown else []
        amiss += [f"missing: {several(missing)}"] if missing else []
        raise DataError(
            f"{images}: expected the training images of the devkit's {len(ids)} classes; "
            f"{'; '.join(amiss)}."
        )
    empty = sorted(wnid for wnid, places in found.items() if not places)
    if empty:
        raise DataError(f"{images}: expected images of every class, found none of {several(empty)}")
    return [
        Picture(f"{wnid}/{name}", path, offset, size, ids[wnid])
        for wnid, places in sorted(found.items())
        for name, path, offset, size in places
    ]


def _classes(images: Path) -> dict[str, list[_Place]]:
    folder, archive = images / "train", images / TRAIN_TAR
    if folder.is_dir():
        found = {}
        for place in sorted(folder.iterdir()):
            if place.is_dir():
                found[place.name] = [
                    (name, str(place / name), -1, -1) for name in folder_files(place)
                ]
            elif place.suffix == ".tar":
                with place.open("rb") as file:
                    found[place.stem] = _in_tar(file, 0, place, place)
        return found
    if archive.is_file():
        return _nested(archive)
    raise DataError(
        f"{images}: expected the folder train with a folder per class, or {TRAIN_TAR}, found none."
    )


def _nested(archive: Path) -> dict[str, list[_Place]]:
    """Classes of an archive of archives."""
    found = {}
    with archive.open("rb") as file:
        members = list(tar_members(file, 0, archive))
        for name, offset, size in members:
            inner = _Part(file, offset, size)
            found[Path(name).stem] = _in_tar(inner, offset, archive, Path(f"{archive}: {name}"))
    return found


def _in_tar(file: object, start: int, archive: Path, place: Path) -> list[_Place]:
    members = tar_members(file, start, place)
    return sorted((name, str(archive), offset, size) for name, offset, size in members)


class _Part:
    """A stretch of an open file as a file of its own."""

    def __init__(self, file: object, start: int, size: int) -> None:
        self._file, self._start, self._size, self._at = file, start, size, 0

    def seek(self, place: int, whence: int = 0) -> int:
        self._at = place + (0, self._at, self._size)[whence]
        return self._at

    def tell(self) -> int:
        return self._at

    def read(self, count: int = -1) -> bytes:
        left = max(0, self._size - self._at)
        self._file.seek(self._start + self._at)
        content = self._file.read(left if count < 0 else min(count, left))
        self._at += len(content)
        return content


def validation_pictures(images: Path, truth: tuple[int, ...]) -> list[Picture]:
    """Every validation image in the order of the numbers in their names, with its label.

    Raises:
        DataError: labels without images, images without labels, or a number twice.
    """
    places: dict[int, _Place] = {}
    unnamed, twice = [], []
    for place in _flat(images):
        number = _NUMBER.search(place[0])
        if number is None:
            unnamed.append(place[0])
        elif int(number[1]) in places:
            twice.append(place[0])
        else:
            places[int(number[1])] = place
    missing = [f"image {i}" for i in range(1, len(truth) + 1) if i not in places]
    extra = [place[0] for number, place in sorted(places.items()) if not 0 < number <= len(truth)]
    for what, names in (
        ("labels without an image", missing),
        ("images without a label", extra),
        ("images twice", twice),
        ("files not named *_<8 digits>.JPEG", unnamed),
    ):
        if names:
            raise DataError(
                f"{images}: expected one validation image for each of the {len(truth)} labels of "
                f"the devkit; {what}: {several(names)}."
            )
    return [Picture(*places[i], truth[i - 1]) for i in range(1, len(truth) + 1)]


def _flat(images: Path) -> list[_Place]:
    folder, archive = images / "val", images / VALIDATION_TAR
    if folder.is_dir():
        inside = [folder, *sorted(place for place in folder.iterdir() if place.is_dir())]
        return [(name, str(f / name), -1, -1) for f in inside for name in folder_files(f)]
    if archive.is_file():
        with archive.open("rb") as file:
            return _in_tar(file, 0, archive, archive)
    raise DataError(f"{images}: expected the folder val, or {VALIDATION_TAR}, found none.")
