"""The ILSVRC devkit: which class has which number, and the labels of the validation images.

Class ids are the devkit's ids minus one (specification, 4.2): kit fox, n02119789, is 0 and tench,
n01440764, is 448. This is *not* the sorted order that Keras and torchvision use.

Looked for, in this order, in the folder given, its `data` folder, or the devkit's archive:
`meta.mat`, as the devkit has it, else `synsets.txt`: a line per class in devkit order, the WordNet
id, then its words; with `ILSVRC2012_validation_ground_truth.txt` (a devkit id per line, line i for
validation image i).
"""

from __future__ import annotations

import re
import tarfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from zoolib.data.image_classes import several
from zoolib.data.matfile import read_tables
from zoolib.errors import DataError

TRUTH = "ILSVRC2012_validation_ground_truth.txt"
META, SYNSETS = "meta.mat", "synsets.txt"
CLASSES = 1000  # meta.mat also lists the inner nodes of the hierarchy, with larger ids
_KNOWN = {"n02119789": 0, "n01440764": 448}  # kit fox, tench
_WNID = re.compile(r"n\d{8}")


@dataclass(frozen=True)
class Devkit:
    """What the devkit says.

    Attributes:
        wnids: WordNet ids in the order of the class ids 0, 1, …
        words: names in that order, such as "kit fox, Vulpes macrotis".
        counts: training images of each class; 0 where not told.
        truth: class id of each validation image, in image order.
    """

    wnids: tuple[str, ...]
    words: tuple[str, ...]
    counts: tuple[int, ...]
    truth: tuple[int, ...]

    @property
    def ids(self) -> dict[str, int]:
        """WordNet id -> class id."""
        return {wnid: number for number, wnid in enumerate(self.wnids)}


def read_devkit(place: Path) -> Devkit:
    """Read a devkit folder or archive.

    Raises:
        DataError: a file is missing or damaged, the ids have gaps, or the order is not that of
            the devkit.
    """
    files = _files(place)
    if META in files:
        rows = _from_meta(files[META], f"{place}: {META}")
    elif SYNSETS in files:
        rows = _from_text(files[SYNSETS], f"{place}: {SYNSETS}")
    else:
        raise DataError(
            f"{place}: expected the devkit's {META}, or {SYNSETS} with a line per class in devkit "
            "order, found neither. It is part of ILSVRC2012_devkit_t12.tar.gz."
        )
    wnids, words, counts = zip(*rows)
    _check_order(place, wnids)
    if TRUTH not in files:
        raise DataError(f"{place}: expected {TRUTH} (labels of the validation images), found none.")
    return Devkit(wnids, words, counts, _truth(files[TRUTH], f"{place}: {TRUTH}", len(wnids)))


def _files(place: Path) -> dict[str, bytes]:
    wanted = (META, SYNSETS, TRUTH)
    if place.is_file():
        try:
            with tarfile.open(place) as archive:  # read in place, nothing is unpacked
                members = [m for m in archive if m.isreg() and PurePosixPath(m.name).name in wanted]
                return {PurePosixPath(m.name).name: archive.extractfile(m).read() for m in members}
        except (tarfile.TarError, OSError, EOFError) as error:
            raise DataError(f"{place}: expected the devkit's archive ({error}).") from error
    if not place.is_dir():
        raise DataError(f"{place}: expected the devkit's folder or archive, found none.")
    paths = [folder / name for folder in (place / "data", place) for name in wanted]
    return {path.name: path.read_bytes() for path in paths if path.is_file()}


def _from_meta(content: bytes, name: str) -> list[tuple[str, str, int]]:
    rows = read_tables(content, name).get("synsets")
    needed = ("ILSVRC2012_ID", "WNID", "words")
    if not rows or any(field not in rows[0] for field in needed):
        raise DataError(f"{name}: expected a table `synsets` with the fields {', '.join(needed)}.")
    leaves = sorted(
        (int(row["ILSVRC2012_ID"]), str(row["WNID"]), str(row["words"]), _count(row))
        for row in rows
        if int(row["ILSVRC2012_ID"]) <= CLASSES and not _has_children(row)
    )
    if [number for number, *_ in leaves] != list(range(1, len(leaves) + 1)):
        raise DataError(f"{name}: expected the ids 1 to {len(leaves)}, each once; some are amiss.")
    return [(wnid, words, count) for _, wnid, words, count in leaves]


def _count(row: dict) -> int:
    return int(row.get("num_train_images") or 0)


def _has_children(row: dict) -> bool:
    """An inner node of the hierarchy; a devkit of fewer than 1000 classes has them below 1001."""
    number = row.get("num_children", 0)
    return isinstance(number, (int, float)) and number > 0


def _from_text(content: bytes, name: str) -> list[tuple[str, str, int]]:
    lines = content.decode(errors="replace").splitlines()
    rows = []
    for number, line in enumerate((line.strip() for line in lines if line.strip()), 1):
        wnid, _, words = line.partition(" ")
        if not _WNID.fullmatch(wnid):
            raise DataError(f"{name}: line {number}: expected n and eight digits, got {wnid!r}.")
        rows.append((wnid, words.strip() or wnid, 0))
    if not rows:
        raise DataError(f"{name}: expected a line per class, found none.")
    return rows


def _check_order(place: Path, wnids: tuple[str, ...]) -> None:
    bad = [w for w in wnids if not _WNID.fullmatch(w)]
    twice = sorted({w for w in wnids if wnids.count(w) > 1}) if len(set(wnids)) < len(wnids) else []
    if bad or twice:
        raise DataError(f"{place}: WordNet ids malformed or twice: {several([*bad, *twice])}.")
    if len(wnids) != CLASSES or not set(_KNOWN) <= set(wnids):
        return
    for wnid, number in _KNOWN.items():
        if wnids.index(wnid) != number:
            raise DataError(
                f"{place}: expected devkit order ({wnid} has class id {number}), but it is at "
                f"{wnids.index(wnid)}: a sorted list of synsets numbers the classes otherwise. "
                f"Use {META} of the devkit."
            )


def _truth(content: bytes, name: str, classes: int) -> tuple[int, ...]:
    words = content.split()
    wrong = [w.decode(errors="replace") for w in words if not w.isdigit() or int(w) > classes]
    if wrong or b"0" in words:
        raise DataError(f"{name}: expected devkit ids 1 to {classes}, got {several(wrong or [0])}.")
    return tuple(int(word) - 1 for word in words)
