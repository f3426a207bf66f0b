"""A user's own pictures as labelled images: a folder per class, or a table of files and labels."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from zoolib.data.class_folders import list_classes
from zoolib.data.draws import words
from zoolib.data.image_classes import several
from zoolib.data.pictures import Picture
from zoolib.data.record_plan import LabelledImages
from zoolib.errors import ConfigError, DataError

VALIDATION_NAMES = ("val", "validation", "test")
_TRAIN = ("train", "training")
_Row = tuple[str, Path, str]  # name in reports, file, label


def from_folders(folder: Path, validation: float = 0.1, seed: int = 0) -> LabelledImages:
    """Pictures in a folder per class; ids in the sorted order of the classes' names.

    A folder that holds just `train` and `val` (or `validation`, or `test`), each with the class
    folders, is split as it says; any other by the seed.

    Args:
        folder: the folder.
        validation: share of each class's pictures to validate with.
        seed: which ones.

    Raises:
        DataError: no classes, empty classes, other classes in `train` than in `val`.
        ConfigError: `validation` is not between 0 and 1.
    """
    parts = _parts(folder)
    if parts is None:
        files = list_classes(folder)
        return _labelled(_split(_rows(files), folder, validation, seed))
    train, val = (list_classes(part) for part in parts)
    differ = sorted(set(train) ^ set(val))
    if differ:
        raise DataError(
            f"{folder}: expected the same classes in {parts[0].name} and {parts[1].name}; only in "
            f"one of them: {several(differ)}."
        )
    return _labelled({"train": _rows(train), "val": _rows(val)})


def _rows(files: Mapping[str, Sequence[Path]]) -> list[_Row]:
    return [(f"{name}/{p.name}", p, name) for name, paths in files.items() for p in paths]


def _parts(folder: Path) -> tuple[Path, Path] | None:
    inside = [p.name for p in folder.iterdir() if p.is_dir()] if folder.is_dir() else []
    train = [name for name in _TRAIN if name in inside]
    val = [name for name in VALIDATION_NAMES if name in inside]
    if len(inside) == 2 and train and val:
        return folder / train[0], folder / val[0]
    return None


def from_table(table: Path, validation: float = 0.1, seed: int = 0) -> LabelledImages:
    """Pictures in a CSV file with the columns `path` and `label`, and perhaps `split`.

    Paths are relative to the file's folder; labels are words or numbers; `split` is train or val.
    Without that column the seed splits. Ids are in the sorted order of the labels, numbers before
    words and by value.

    Raises:
        DataError: columns are missing, values empty, files not there or named twice.
        ConfigError: `validation` is not between 0 and 1.
    """
    rows, named = read_table(table)
    missing = [str(path) for _, path, _ in rows if not path.is_file()]
    if missing:
        raise DataError(f"{table}: expected every file to be there; missing: {several(missing)}.")
    twice = _twice([str(path) for _, path, _ in rows])
    if twice:
        raise DataError(f"{table}: expected every file once; twice or more: {several(twice)}.")
    if not named:
        return _labelled(_split(rows, table, validation, seed))
    splits: dict[str, list] = {"train": [], "val": []}
    for row, split in zip(rows, named):
        if split not in (*_TRAIN, *VALIDATION_NAMES):
            raise DataError(f"{table}: split: expected train or val, got {split!r}.")
        splits["train" if split in _TRAIN else "val"].append(row)
    return _labelled(splits)


def read_table(table: Path) -> tuple[list[_Row], list[str]]:
    """Rows of a table (path as written, file, label), and the splits if it has that column.

    Raises:
        DataError: columns are missing, or values empty.
    """
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            columns = [c.strip() for c in reader.fieldnames or ()]
            reader.fieldnames = columns
            if not {"path", "label"} <= set(columns):
                raise DataError(
                    f"{table}: expected the columns path and label (and perhaps split) in its "
                    f"first line, found {', '.join(columns) or 'none'}."
                )
            lines = [{k: (v or "").strip() for k, v in row.items() if k} for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{table}: expected a CSV file in UTF-8 ({error}).") from error
    empty = [f"line {i}" for i, row in enumerate(lines, 2) if not (row["path"] and row["label"])]
    if empty or not lines:
        raise DataError(
            f"{table}: expected a path and a label in every line; "
            f"{'empty: ' + several(empty) if empty else 'there are no lines'}."
        )
    rows = [(row["path"], table.parent / row["path"], row["label"]) for row in lines]
    return rows, [row["split"] for row in lines] if "split" in columns else []


def _twice(names: Sequence[str]) -> list[str]:
    seen: set[str] = set()
    return sorted({name for name in names if name in seen or seen.add(name)})


def _split(
    rows: Sequence[_Row], place: Path, validation: float, seed: int
) -> Mapping[str, list[_Row]]:
    """A share of every class to validate with, at least one picture and never all."""
    if not 0 < validation < 1:
        raise ConfigError(f"validation: expected a share between 0 and 1, got {validation}.")
    classes: dict[str, list[int]] = {}
    for number, (_, _, label) in enumerate(rows):
        classes.setdefault(label, []).append(number)
    single = sorted(label for label, numbers in classes.items() if len(numbers) < 2)
    if single:
        raise DataError(
            f"{place}: expected at least 2 pictures of every class, one to train and one to "
            f"validate with; fewer of {several(single)}."
        )
    draws = words(seed, "own images/split", range(1), len(rows))[0]
    held: set[int] = set()
    for numbers in classes.values():
        count = min(max(1, round(validation * len(numbers))), len(numbers) - 1)
        order = np.argsort(draws[numbers], kind="stable")
        held |= {numbers[i] for i in order[:count]}
    return {
        "train": [row for i, row in enumerate(rows) if i not in held],
        "val": [row for i, row in enumerate(rows) if i in held],
    }


def _labelled(splits: Mapping[str, Sequence[_Row]]) -> LabelledImages:
    labels = {label for rows in splits.values() for _, _, label in rows}
    ordered = sorted(labels, key=lambda t: (0, int(t), t) if t.isdecimal() else (1, 0, t))
    ids = {label: number for number, label in enumerate(ordered)}
    return LabelledImages(
        name="images",
        classes=tuple((label, label) for label in ordered),
        splits={
            split: [Picture(name, str(path), -1, -1, ids[label]) for name, path, label in rows]
            for split, rows in splits.items()
        },
    )
