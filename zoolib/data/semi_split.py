"""Which images keep their labels: the published split, bit for bit, without TensorFlow.

RealMix and MixMatch (arXiv 1905.02249) share it. The records of the training files are numbered in
file order; class by class their numbers are shuffled by one legacy NumPy generator, and a greedy
rule takes the next number of the class that lags most behind its share. All other records follow
in file order through the same rule, so that any head of the unlabelled file has the classes in
proportion. Labelled images are not among the unlabelled.

Deviations: a class that has run out is passed over (the original stops with an index error), and
for STL-10 only images that do have a label can be chosen, whatever the seed.
"""

from __future__ import annotations

import json
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

import numpy as np

from zoolib.data.whole_files import read_json, writing
from zoolib.errors import ConfigError, DataError


@dataclass(frozen=True, eq=False)
class Split:
    """Numbers of records.

    Attributes:
        label: of the labelled ones, rising, int64.
        unlabel: of the others in the order in which they are written, int64.
    """

    label: np.ndarray
    unlabel: np.ndarray


@dataclass(frozen=True)
class SplitOptions:
    """How to split.

    Attributes:
        labels: how many records keep their labels.
        seed: of the shuffling; 0: none.
        eligible: only the first that many records can be chosen (the rest has no labels); None:
            all.
        class_balance: take the classes in turn, whatever their share.
        equal: treat all classes as equally frequent (STL-10, where most labels are invented).
        fold: numbers to take instead (STL-10's predefined folds).
    """

    labels: int
    seed: int = 0
    eligible: Optional[int] = None
    class_balance: bool = False
    equal: bool = False
    fold: Optional[tuple[int, ...]] = None

    def __post_init__(self) -> None:
        if self.labels < 1:
            raise ConfigError(f"labels: expected at least 1, got {self.labels}.")
        if not 0 <= self.seed < 2**32:
            raise ConfigError(f"seed: expected a number from 0 to 2**32 - 1, got {self.seed}.")


def split_records(labels: np.ndarray, options: SplitOptions) -> Split:
    """Split records by their labels.

    Args:
        labels: class id of every record in file order, int [n]; behind `eligible` they only
            serve to order the unlabelled file.
        options: how.

    Raises:
        ConfigError: more labels asked for than there are records to choose from.
        DataError: a class between 0 and the largest has no record.
    """
    eligible = len(labels) if options.eligible is None else options.eligible
    if options.labels > min(eligible, len(labels)):
        raise ConfigError(
            f"labels: expected at most {min(eligible, len(labels))}, as many as there are images "
            f"with a label, got {options.labels}."
        )
    classes = _by_class(labels[:eligible])
    counts = np.array([len(numbers) for numbers in classes], np.float64)
    ratios = np.ones_like(counts) if options.equal else counts / counts.max()
    if options.fold is not None:
        chosen = _fold(options, eligible)
    else:
        _shuffle(classes, options.seed)
        rule = turns(counts, options.labels) if options.class_balance else None
        order = greedy(ratios, options.labels, counts) if rule is None else rule
        chosen = tuple(classes[c].popleft() for c in order)
    keep = np.sort(np.array(chosen, np.int64))
    return Split(keep, _interleave(labels, keep, ratios))


def _by_class(labels: np.ndarray) -> list[deque[int]]:
    total = int(labels.max()) + 1
    classes = [deque(np.flatnonzero(labels == c).tolist()) for c in range(total)]
    missing = [c for c, numbers in enumerate(classes) if not numbers]
    if missing or labels.min() < 0:
        raise DataError(
            f"labels: expected every class from 0 to {total - 1} at least once and none below 0, "
            f"found none of {missing[:10]}."
        )
    return classes


def _shuffle(classes: list[deque[int]], seed: int) -> None:
    if seed:
        source = np.random.RandomState(seed)  # the legacy generator: its stream never changes
        for c, numbers in enumerate(classes):
            shuffled = np.array(numbers)
            source.shuffle(shuffled)
            classes[c] = deque(shuffled.tolist())


def greedy(ratios: np.ndarray, count: int, limits: Optional[np.ndarray] = None) -> list[int]:
    """Classes in the order in which the greedy rule takes them.

    Args:
        ratios: frequency of each class relative to the most frequent, float64 [C].
        count: how many to take.
        limits: how many there are of each class; None: enough.
    """
    taken, order = np.zeros(len(ratios), np.int64), []
    for _ in range(count):
        lag = _lag(ratios, taken)
        if limits is not None:
            lag = np.where(taken < limits, lag, -np.inf)
        c = int(np.argmax(lag))
        taken[c] += 1
        order.append(c)
    return order


def _lag(ratios: np.ndarray, taken: np.ndarray) -> np.ndarray:
    """How far each class is behind its share; the first largest is the next to take."""
    return ratios - taken / max(taken.max(), 1)


def turns(counts: np.ndarray, count: int) -> list[int]:
    """Classes in turn, those that have run out passed over."""
    left, order = counts.astype(np.int64), []
    while len(order) < count:
        for c in np.flatnonzero(left > 0)[: count - len(order)]:
            left[c] -= 1
            order.append(int(c))
    return order


def _interleave(labels: np.ndarray, keep: np.ndarray, ratios: np.ndarray) -> np.ndarray:
    """The records not kept, streamed through the greedy rule; leftovers follow class by class."""
    chosen = np.zeros(len(labels), bool)
    chosen[keep] = True
    waiting: list[deque[int]] = [deque() for _ in ratios]
    taken, written = np.zeros(len(ratios), np.int64), []
    wanted = int(np.argmax(_lag(ratios, taken)))
    for number in np.flatnonzero(~chosen).tolist():
        waiting[labels[number]].append(number)
        while waiting[wanted]:
            written.append(waiting[wanted].popleft())
            taken[wanted] += 1
            wanted = int(np.argmax(_lag(ratios, taken)))
    for numbers in waiting:
        written += numbers
    return np.array(written, np.int64)


def _fold(options: SplitOptions, eligible: int) -> tuple[int, ...]:
    fold = options.fold or ()
    single = len(set(fold)) == len(fold) == options.labels
    if not single or min(fold) < 0 or max(fold) >= eligible:
        raise DataError(
            f"fold {options.seed}: expected {options.labels} different numbers below {eligible}, "
            f"found {len(set(fold))}."
        )
    return fold


def read_fold(text: str, seed: int, name: str) -> tuple[int, ...]:
    """Line `seed` of STL-10's fold_indices.txt: numbers of labelled training images.

    Raises:
        DataError: no such line, or something else than numbers.
    """
    lines = text.split("\n")
    try:
        return tuple(int(word) for word in lines[seed].split())
    except (IndexError, ValueError) as error:
        raise DataError(
            f"{name}: expected numbers in line {seed + 1} of 10 for seed {seed} ({error}). "
            "STL-10 has folds for the seeds 0 to 9."
        ) from error


def split_text(split: Split) -> bytes:
    """A map file's content: the published layout."""
    document = {"label": split.label.tolist(), "unlabel": split.unlabel.tolist()}
    return json.dumps(document, indent=2, sort_keys=True).encode()


def write_map(path: Path, split: Split) -> None:
    """Write a map file, whole or not at all."""
    with writing(path) as file:
        file.write(split_text(split))


def read_map(path: Path) -> Split:
    """Read a map file.

    Raises:
        DataError: missing, or of another form.
    """
    document = read_json(path)
    try:
        parts = [np.array(document[key], np.int64).reshape(-1) for key in ("label", "unlabel")]
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise DataError(
            f"{path}: expected lists of numbers under label and unlabel ({error!r}). "
            "Make the split again."
        ) from error
    return Split(*parts)
