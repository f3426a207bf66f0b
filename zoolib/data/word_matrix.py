"""Class vectors of your own: a matrix with a row per class, of any source and dimension.

* ``.npz`` with ``vectors`` (or ``features``) [classes, D] and ``names``, texts [classes];
* ``.npy`` [classes, D] with a ``.txt`` of the same name beside it, one class name per line;
* ``.csv``: a name and its numbers in each line; a first line without numbers is passed over.

Such as text embeddings of class descriptions, or attributes.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Optional

import numpy as np

from zoolib.data.draws import generator
from zoolib.data.image_classes import several
from zoolib.data.word_coverage import Coverage, check_policy
from zoolib.errors import DataError


def from_matrix(
    path: Path | str,
    names: Sequence[str],
    policy: str = "error",
    dimension: Optional[int] = None,
    seed: int = 0,
) -> tuple[np.ndarray, Coverage]:
    """The rows of some classes.

    Args:
        path: the matrix, see the module.
        names: the classes; capitals, underscores and spaces make no difference.
        policy: what a class that has no row gets: zeros ("zero"), uniform numbers in [-1, 1]
            ("random"); "error" refuses it.
        dimension: what D must be; None: whatever it is.
        seed: of "random".

    Returns:
        float64 [classes, D] and the report.

    Raises:
        ConfigError: no such policy.
        DataError: missing, of another form or dimension, names twice or missing.
    """
    check_policy(policy)
    place = Path(path)
    if not place.is_file():
        raise DataError(f"{place}: expected a matrix of word vectors, found no such file.")
    row_of, matrix = _checked(place, dimension)
    missing = [name for name in names if _key(name) not in row_of]
    if missing and policy == "error":
        raise DataError(
            f"{place}: expected a row for every class, found none for {several(missing)}."
        )
    rows = np.zeros((len(names), matrix.shape[1]))
    for row, name in zip(rows, names):
        if _key(name) in row_of:
            row[:] = matrix[row_of[_key(name)]]
        elif policy == "random":
            row[:] = generator(seed, f"words/unknown/{name}").uniform(-1, 1, len(row))
    source = {
        "file": place.name,
        "sha256": hashlib.sha256(place.read_bytes()).hexdigest(),
        "dimension": matrix.shape[1],
        "rows": len(matrix),
        "policy": policy,
    }
    found = tuple((n,) if _key(n) in row_of else () for n in names)
    lacking = tuple(() if _key(n) in row_of else (n,) for n in names)
    return rows, Coverage(tuple(names), found, lacking, policy, source)


def _checked(place: Path, dimension: Optional[int]) -> tuple[dict[str, int], np.ndarray]:
    """Row of each name, and the matrix."""
    known, matrix = _read(place)
    if matrix.ndim != 2 or matrix.dtype.kind not in "fiu" or len(matrix) != len(known):
        raise DataError(
            f"{place}: expected a row of numbers for each of {len(known)} names, got "
            f"{matrix.dtype} {list(matrix.shape)}."
        )
    if dimension is not None and matrix.shape[1] != dimension:
        raise DataError(
            f"{place}: expected vectors of {dimension} numbers, found {matrix.shape[1]}."
        )
    if not np.isfinite(matrix).all():
        raise DataError(f"{place}: expected finite numbers, found NaN or infinite ones.")
    row_of = {_key(name): number for number, name in enumerate(known)}
    if len(row_of) != len(known):
        raise DataError(f"{place}: expected every name once, found some twice.")
    return row_of, matrix


def _key(name: str) -> str:
    return " ".join(str(name).replace("_", " ").lower().split())


def _read(place: Path) -> tuple[list[str], np.ndarray]:
    """Names and matrix."""
    try:
        if place.suffix == ".npz":
            with np.load(place, allow_pickle=False) as stored:
                array = "vectors" if "vectors" in stored.files else "features"
                return [str(n) for n in stored["names"]], stored[array]
        if place.suffix == ".npy":
            beside = place.with_suffix(".txt").read_text(encoding="utf-8-sig")
            return beside.splitlines(), np.load(place, allow_pickle=False)
        if place.suffix == ".csv":
            return _read_csv(place)
    except (OSError, KeyError, ValueError, EOFError, csv.Error) as error:
        raise DataError(
            f"{place}: expected vectors and names of classes without Python objects ({error})."
        ) from error
    raise DataError(f"{place}: expected a matrix as .npz, .npy or .csv.")


def _read_csv(place: Path) -> tuple[list[str], np.ndarray]:
    with place.open(newline="", encoding="utf-8-sig") as file:
        lines = [line for line in csv.reader(file) if line]
    if lines and not _is_number(lines[0][-1]):
        lines = lines[1:]
    if not lines or len({len(line) for line in lines}) > 1 or len(lines[0]) < 2:
        raise ValueError("expected a name and equally many numbers in every line")
    return [line[0] for line in lines], np.array([[float(x) for x in line[1:]] for line in lines])


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
