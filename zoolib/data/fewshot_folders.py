"""Your own pictures as few-shot files: a folder per class, or a table, and what classes are called.

Classes, not pictures, are split: no class is in two splits.

* Folders ``train``, ``val`` and ``test`` with a folder per class in each; or class folders only,
  split by a table of classes or by the seed. A class may be folders deep.
* A table with the columns path, label and split (train, val, test); without split, by the seed.

Names come from a file: in each line a class (its folder or label) and its name, with a tab or comma
between them, or a label dictionary as of miniImageNet. Without a file a class is called as its
folder. Pictures are cut square and resized as those of miniImageNet.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Optional

import numpy as np

from zoolib.data.class_folders import list_classes
from zoolib.data.draws import words as random_words
from zoolib.data.fewshot_build import SHUFFLE, Source, build, shuffles
from zoolib.data.fewshot_store import SPLITS
from zoolib.data.image_classes import several
from zoolib.data.miniimagenet import read_labels
from zoolib.data.own_images import read_table
from zoolib.data.word_source import NO_WORDS, Words
from zoolib.errors import ConfigError, DataError

SHARES = (0.64, 0.16, 0.2)  # of the classes, as of miniImageNet
_FOLDERS = {"train": "train", "training": "train", "val": "val", "validation": "val"}
_FOLDERS["test"] = "test"
Classes = dict[str, list[Path]]  # class -> its pictures


def build_fewshot(
    to: Path,
    folders: Optional[Path] = None,
    table: Optional[Path] = None,
    names: Optional[Path] = None,
    splits: Optional[Path] = None,
    words: Words = NO_WORDS,
    shares: tuple[float, float, float] = SHARES,
    seed: int = 0,
    size: int = 84,
    progress: bool = False,
) -> dict[str, Any]:
    """Write the three splits.

    Args:
        to: folder of the result.
        folders: folder of class folders, perhaps below train, val and test.
        table: CSV file in place of folders.
        names: file of class names.
        splits: file with a class and its split in each line, tab or comma between them.
        words: where word vectors come from.
        shares: of the classes, where neither folders nor files say the split.
        seed: of that split.
        size: height and width in pixels.
        progress: show a bar on standard error.

    Returns:
        The manifest.

    Raises:
        ConfigError: neither or both of folders and table, or bad shares.
        DataError: classes, names or pictures missing, or a class in two splits.
    """
    if (folders is None) == (table is None):
        raise ConfigError("fewshot: expected folders or a table, one of the two.")
    if table is not None:
        found = _from_table(table, splits, shares, seed)
    else:
        found = _from_folders(Path(folders or "."), splits, shares, seed)
    called = _called(found, names)
    orders = shuffles({split: sum(map(len, part.values())) for split, part in found.items()})
    sources = {s: _source(part, orders[s], called) for s, part in found.items()}
    settings: dict[str, Any] = {"shuffle": SHUFFLE, "channels": "RGB", "seed": seed}
    settings["pictures"] = _identity(found)
    return build(to, "fewshot", sources, settings, words, size, progress=progress)


def _source(part: Classes, order: np.ndarray, called: Mapping[str, str]) -> Source:
    paths = [path for files in part.values() for path in files]
    class_of = np.repeat(np.arange(len(part), dtype=np.int32), [len(f) for f in part.values()])
    return Source(
        class_of=class_of[order],
        names=tuple(called[name] for name in part),
        read=lambda i: paths[order[i]].read_bytes(),
        label=lambda i: str(paths[order[i]]),
    )


def _identity(found: Mapping[str, Classes]) -> str:
    """Which pictures are in which class of which split, as a checksum."""
    listed = {
        split: {name: [(f.name, f.stat().st_size) for f in files] for name, files in part.items()}
        for split, part in found.items()
    }
    return hashlib.sha256(json.dumps(listed, sort_keys=True).encode()).hexdigest()


def _from_folders(
    base: Path, splits: Optional[Path], shares: Sequence[float], seed: int
) -> dict[str, Classes]:
    inside = [p for p in sorted(base.iterdir()) if p.is_dir()] if base.is_dir() else []
    parts = {_FOLDERS[p.name]: p for p in inside if p.name in _FOLDERS}
    if splits is None and len(parts) == len(SPLITS) == len(inside):
        found = {split: list_classes(parts[split]) for split in SPLITS}
        _check_disjoint(base, found)
        return found
    return _divide(list_classes(base), base, splits, shares, seed)


def _check_disjoint(place: Path, found: Mapping[str, Classes]) -> None:
    owners = Counter(name for part in found.values() for name in part)
    shared = sorted(name for name, count in owners.items() if count > 1)
    if shared:
        raise DataError(
            f"{place}: expected every class in one split only, found {several(shared)} in several: "
            "results would be too good. Remove them from all but one."
        )


def _from_table(
    table: Path, splits: Optional[Path], shares: Sequence[float], seed: int
) -> dict[str, Classes]:
    rows, listed = read_table(table)
    missing = [str(path) for _, path, _ in rows if not path.is_file()]
    if missing:
        raise DataError(f"{table}: expected every file to be there; missing: {several(missing)}.")
    classes: Classes = {}
    for _, path, label in rows:
        classes.setdefault(label, []).append(path)
    classes = dict(sorted(classes.items()))
    if splits is not None or not listed:
        return _divide(classes, table, splits, shares, seed)
    return _assigned(classes, [(label, s) for (_, _, label), s in zip(rows, listed)], table)


def _assigned(
    classes: Classes, pairs: Sequence[tuple[str, str]], place: Path
) -> dict[str, Classes]:
    """Classes by the split that (class, split) pairs give them."""
    split_of: dict[str, str] = {}
    for name, split in pairs:
        if split not in _FOLDERS:
            raise DataError(f"{place}: split: expected train, val or test, got {split!r}.")
        if split_of.setdefault(name, _FOLDERS[split]) != _FOLDERS[split]:
            raise DataError(
                f"{place}: expected every class in one split only, found {name} in "
                f"{split_of[name]} and {_FOLDERS[split]}: results would be too good."
            )
    without = [name for name in classes if name not in split_of]
    unknown = sorted(set(split_of) - set(classes))
    if without or unknown:
        raise DataError(
            f"{place}: expected a split for every class; "
            + (f"none for {several(without)}." if without else f"no such: {several(unknown)}.")
        )
    found = {s: {n: f for n, f in classes.items() if split_of[n] == s} for s in SPLITS}
    empty = [split for split, part in found.items() if not part]
    if empty:
        raise DataError(f"{place}: expected classes in train, val and test, none in {empty[0]}.")
    return found


def _divide(
    classes: Classes, place: Path, splits: Optional[Path], shares: Sequence[float], seed: int
) -> dict[str, Classes]:
    """By a file, or by the seed."""
    if splits is not None:
        return _assigned(classes, list(_pairs(splits, "train, val or test").items()), splits)
    if len(shares) != len(SPLITS) or min(shares) <= 0:
        raise ConfigError(f"shares: expected three numbers above 0, got {tuple(shares)}.")
    if len(classes) < len(SPLITS):
        raise DataError(f"{place}: expected at least 3 classes to split, found {len(classes)}.")
    draws = random_words(seed, "fewshot/split", range(1), len(classes))[0]
    order = np.argsort(draws, kind="stable")
    ends = np.rint(np.cumsum(shares) / sum(shares) * len(classes)).astype(int)
    first = min(max(1, ends[0]), len(classes) - 2)
    second = min(max(first + 1, ends[1]), len(classes) - 1)
    names = list(classes)
    pairs = [
        (names[n], SPLITS[int(i >= first) + int(i >= second)]) for i, n in enumerate(order.tolist())
    ]
    return _assigned(classes, pairs, place)


def _called(found: Mapping[str, Classes], names: Optional[Path]) -> dict[str, str]:
    """Class -> what it is called, all different."""
    classes = [name for part in found.values() for name in part]
    if names is None:
        last = {name: name.split("/")[-1].replace("_", " ") for name in classes}
        often = Counter(last.values())
        return {n: called if often[called] == 1 else n for n, called in last.items()}
    listed = _pairs(names, "its name")
    missing = [name for name in classes if name not in listed]
    if missing:
        raise DataError(f"{names}: expected a name for every class, none for {several(missing)}.")
    called = {name: listed[name].replace("_", " ") for name in classes}
    twice = [name for name, count in Counter(called.values()).items() if count > 1]
    if twice:
        raise DataError(f"{names}: expected different names; several are called {several(twice)}.")
    return called


def _pairs(path: Path, what: str) -> dict[str, str]:
    """A class and something about it in each line."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: expected a text file in UTF-8 ({error}).") from error
    lines = [line for line in lines if line.strip()]
    mark = next((m for m in "\t," if lines and all(m in line for line in lines)), None)
    if mark is None:
        return read_labels(path)
    fields = [[part.strip() for part in line.split(mark, 1)] for line in lines]
    twice = [name for name, n in Counter(name for name, _ in fields).items() if n > 1]
    if twice or not all(all(pair) for pair in fields):
        raise DataError(
            f"{path}: expected a class and {what} in every line, each class once; "
            + (f"twice: {several(twice)}." if twice else "some are empty.")
        )
    return {name: value for name, value in fields}
