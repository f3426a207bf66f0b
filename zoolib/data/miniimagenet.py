"""miniImageNet from its split tables and pictures, as few-shot files (AM3 specification, 4.2).

``train.csv``, ``val.csv``, ``test.csv`` (columns filename, label; the label is a WordNet id), the
pictures in a zip (below ``images/``) or a folder, and, for names, a label dictionary: lines of a
WordNet id, a number and a name with underscores.

Class ids follow the sorted WordNet ids of a split. Two names that ImageNet uses twice (crane,
maillot) get their WordNet id behind them.

The folders ``train/class/*.jpg`` that MT-net reads are the builder `fewshot_folders`' business.
"""

from __future__ import annotations

import csv
import zipfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Optional

import numpy as np

from zoolib.data.fewshot_build import SHUFFLE, Source, build, shuffles
from zoolib.data.fewshot_store import SPLITS
from zoolib.data.image_classes import several
from zoolib.data.npz_files import fingerprint
from zoolib.data.word_source import NO_WORDS, Words
from zoolib.errors import DataError

Rows = list[tuple[str, str]]  # file name, WordNet id


def build_miniimagenet(
    tables: Path,
    images: Path,
    to: Path,
    labels: Optional[Path] = None,
    words: Words = NO_WORDS,
    size: int = 84,
    progress: bool = False,
) -> dict[str, Any]:
    """Write the three splits.

    Args:
        tables: folder with ``train.csv``, ``val.csv`` and ``test.csv``.
        images: zip or folder of pictures.
        to: folder of the result.
        labels: label dictionary; without it classes are called by their WordNet ids.
        words: where word vectors come from.
        size: height and width in pixels.
        progress: show a bar on standard error.

    Returns:
        The manifest.

    Raises:
        DataError: files or pictures are missing, not readable or do not fit each other.
    """
    rows = {split: _read_table(tables / f"{split}.csv") for split in SPLITS}
    spoken = read_labels(labels) if labels is not None else None
    used = {wnid for each in rows.values() for _, wnid in each}
    names = class_names(used, spoken, labels)
    orders = shuffles({split: len(each) for split, each in rows.items()})
    settings: dict[str, Any] = {"shuffle": SHUFFLE, "channels": "RGB"}
    for split in SPLITS:
        settings[f"{split}.csv"] = fingerprint(tables / f"{split}.csv")["sha256"]
    settings["labels"] = fingerprint(labels)["sha256"] if labels is not None else None
    with Pictures(images) as pictures:
        pictures.check([name for each in rows.values() for name, _ in each])
        sources = {
            split: _source(each, orders[split], names, spoken, pictures.read)
            for split, each in rows.items()
        }
        return build(to, "miniimagenet", sources, settings, words, size, progress=progress)


def _source(
    rows: Rows,
    order: np.ndarray,
    names: Mapping[str, str],
    spoken: Optional[Mapping[str, str]],
    read: Callable[[str], bytes],
) -> Source:
    ids = sorted({wnid for _, wnid in rows})
    number = {wnid: i for i, wnid in enumerate(ids)}
    files = [rows[i][0] for i in order]
    return Source(
        class_of=np.array([number[rows[i][1]] for i in order], np.int32),
        names=tuple(names[wnid] for wnid in ids),
        read=lambda i: read(files[i]),
        label=lambda i: files[i],
        spoken=None if spoken is None else tuple(spoken[wnid] for wnid in ids),
    )


def _read_table(path: Path) -> Rows:
    if not path.is_file():
        raise DataError(
            f"{path}: expected the split tables train.csv, val.csv and test.csv with the columns "
            "filename and label, found none."
        )
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            columns = reader.fieldnames or []
            if not {"filename", "label"} <= set(columns):
                raise DataError(
                    f"{path}: expected the columns filename and label in its first line, found "
                    f"{', '.join(columns) or 'none'}."
                )
            rows = [((r["filename"] or "").strip(), (r["label"] or "").strip()) for r in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: expected a CSV file in UTF-8 ({error}).") from error
    empty = [f"line {i}" for i, row in enumerate(rows, 2) if not all(row)]
    twice = [name for name, count in Counter(name for name, _ in rows).items() if count > 1]
    if empty or not rows:
        raise DataError(
            f"{path}: expected a file and a label in every line; "
            f"{'empty: ' + several(empty) if empty else 'there are no lines'}."
        )
    if twice:
        raise DataError(f"{path}: expected every file once; twice or more: {several(twice)}.")
    return rows


def read_labels(path: Path) -> dict[str, str]:
    """A label dictionary: identifier -> name. Lines of identifier, number, name.

    Raises:
        DataError: missing, of another form, or an identifier twice.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: expected a label dictionary in UTF-8 ({error}).") from error
    fields = [line.split(None, 2) for line in lines if line.strip()]
    odd = [repr(" ".join(f)) for f in fields if len(f) != 3 or not f[1].isdigit()]
    if odd or not fields:
        raise DataError(
            f"{path}: expected an identifier, a number and a name in every line, such as "
            f"`n01532829 5 house_finch`; found {several(odd, 3) or 'no lines'}."
        )
    if len({f[0] for f in fields}) != len(fields):
        raise DataError(f"{path}: expected every identifier once, found some twice.")
    return {wnid: name.strip() for wnid, _, name in fields}


def class_names(
    used: set[str], spoken: Optional[Mapping[str, str]], place: Optional[Path]
) -> dict[str, str]:
    """What classes are called: spaces for underscores, the identifier behind what comes twice.

    Raises:
        DataError: the dictionary misses some.
    """
    if spoken is None:
        return {wnid: wnid for wnid in used}
    missing = sorted(used - set(spoken))
    if missing:
        raise DataError(f"{place}: expected a name for every class, none for {several(missing)}.")
    plain = {wnid: spoken[wnid].replace("_", " ") for wnid in used}
    often = Counter(plain.values())
    return {w: f"{name} ({w})" if often[name] > 1 else name for w, name in plain.items()}


class Pictures:
    """Pictures by file name, in a zip or below a folder; nothing is unpacked."""

    def __init__(self, place: Path) -> None:
        """See the class.

        Raises:
            DataError: no such folder, no zip, or two files of one name.
        """
        self._place = place
        self._zip: Optional[zipfile.ZipFile] = None
        if place.is_dir():
            paths = sorted(p for p in place.rglob("*") if p.is_file())
            listed: Sequence[Any] = [(p.name, p) for p in paths]
        else:
            try:
                self._zip = zipfile.ZipFile(place)
            except (OSError, zipfile.BadZipFile) as error:
                raise DataError(
                    f"{place}: expected a folder or a zip of pictures ({error})."
                ) from error
            members = [n for n in self._zip.namelist() if not n.startswith("__MACOSX")]
            listed = [(PurePosixPath(n).name, n) for n in members]
        self._at = dict(listed)
        self._double = Counter(name for name, _ in listed)

    def __enter__(self) -> Pictures:
        return self

    def __exit__(self, *_: object) -> None:
        if self._zip is not None:
            self._zip.close()

    def check(self, names: Sequence[str]) -> None:
        """Raise if some are not there, or are there twice."""
        missing = [name for name in names if PurePosixPath(name).name not in self._at]
        if missing:
            raise DataError(
                f"{self._place}: expected all {len(names)} pictures of the tables, missing: "
                f"{several(missing)}."
            )
        twice = [name for name in names if self._double[PurePosixPath(name).name] > 1]
        if twice:
            raise DataError(
                f"{self._place}: several files are called {several(twice)}; expected one."
            )

    def read(self, name: str) -> bytes:
        """The content of a file."""
        found = self._at[PurePosixPath(name).name]
        return found.read_bytes() if self._zip is None else self._zip.read(found)
