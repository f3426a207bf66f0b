"""tieredImageNet from its pickles, as few-shot files (AM3 specification, 4.3).

For each split ``SPLIT_images_png.pkl``, a list of PNG files as bytes or byte arrays, and
``SPLIT_labels.pkl``, a dictionary with ``label_specific``, an id for each picture, and
``label_specific_str``, the names by id. They are read without running anything (`safe_pickle`).

The original decodes with OpenCV and never converts, so its files hold blue, green, red, while
those of miniImageNet hold red, green, blue. That is the default here; ``channels="RGB"`` converts,
and the manifest says which it is. The order is that of the pickles.

A pickle of pictures is read whole, so the largest takes its size (about 10 GB) in memory.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from zoolib.data import safe_pickle
from zoolib.data.fewshot_build import Source, build
from zoolib.data.fewshot_store import SPLITS
from zoolib.data.word_source import NO_WORDS, Words
from zoolib.data.word_vectors import words_of
from zoolib.errors import ConfigError, DataError

CHANNELS = ("BGR", "RGB")


def build_tieredimagenet(
    pickles: Path,
    to: Path,
    words: Words = NO_WORDS,
    channels: str = "BGR",
    size: int = 84,
    progress: bool = False,
) -> dict[str, Any]:
    """Write the three splits.

    Args:
        pickles: folder of the six files.
        to: folder of the result.
        words: where word vectors come from; the policy is random unless told.
        channels: "BGR", as the original stores it, or "RGB".
        size: height and width in pixels; the pictures have 84.
        progress: show a bar on standard error.

    Returns:
        The manifest.

    Raises:
        ConfigError: other channels.
        DataError: a file is missing, hostile, or of another form.
    """
    if channels not in CHANNELS:
        raise ConfigError(f"channels: expected {' or '.join(CHANNELS)}, got {channels!r}.")
    labels = {split: _labels(pickles / f"{split}_labels.pkl") for split in SPLITS}
    called = Counter(_called(text) for _, texts in labels.values() for text in texts)
    sources = {}
    for split, (class_of, texts) in labels.items():
        names = [_called(text) for text in texts]
        # ImageNet uses two names twice (crane, maillot).
        unique = [f"{n} ({split} {i})" if called[n] > 1 else n for i, n in enumerate(names)]
        sources[split] = _source(pickles / f"{split}_images_png.pkl", class_of, unique, texts)
    _check_twice(pickles, labels)
    sizes = {p.name: p.stat().st_size for p in sorted(pickles.glob("*_images_png.pkl"))}
    settings = {"channels": channels, "pickles": sizes}
    reverse = channels == "BGR"
    return build(to, "tieredimagenet", sources, settings, words, size, "tiered", reverse, progress)


def _called(text: str) -> str:
    """The synonym whose words are used, as a name."""
    return " ".join(words_of(text, "tiered"))


def _check_twice(pickles: Path, labels: Mapping[str, tuple[np.ndarray, tuple[str, ...]]]) -> None:
    """Whole synonym lists, unlike first synonyms, are the same for one class only."""
    known = ("crane", "maillot")
    owner: dict[str, str] = {}
    for split, (_, texts) in labels.items():
        for text in texts:
            if owner.setdefault(text, split) != split and text not in known:
                raise DataError(
                    f"{pickles}: expected {owner[text]} and {split} to have no class in common, "
                    f"but both have {text!r}: results would be too good. Remove it from one."
                )


def _labels(path: Path) -> tuple[np.ndarray, tuple[str, ...]]:
    """Class ids int32 [n] and the names' texts by id."""
    found = safe_pickle.load(path)
    table = {_text(key): value for key, value in found.items()} if isinstance(found, dict) else {}
    if not {"label_specific", "label_specific_str"} <= set(table):
        raise DataError(
            f"{path}: expected a dictionary with label_specific and label_specific_str, found "
            f"{', '.join(map(str, table)) or type(found).__name__}."
        )
    numbers = np.asarray(table["label_specific"])
    names = tuple(_text(text).strip() for text in table["label_specific_str"])
    whole = numbers.ndim == 1 and numbers.dtype.kind in "iu" and len(numbers) > 0
    if not whole or not np.array_equal(np.unique(numbers), np.arange(len(names))):
        raise DataError(
            f"{path}: expected a whole number from 0 to {len(names) - 1} for each picture, as "
            f"there are {len(names)} names; got {numbers.dtype} {list(numbers.shape)}."
        )
    if not all(names):
        raise DataError(f"{path}: expected names that are not empty.")
    return numbers.astype(np.int32), names


def _text(value: Any) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def _source(path: Path, class_of: np.ndarray, names: list[str], texts: tuple[str, ...]) -> Source:
    """Pictures are read from their pickle with the first of them, and dropped with the last."""
    held: list[Any] = []

    def read(number: int) -> bytes:
        if not held:
            held.append(_pictures(path, len(class_of)))
        content = held[0][number]
        if number == len(class_of) - 1:
            held.clear()
        if isinstance(content, str):  # Python 2's bytes, read as Latin-1
            return content.encode("latin-1")
        return content if isinstance(content, bytes) else np.asarray(content, np.uint8).tobytes()

    return Source(class_of, tuple(names), read, lambda i: f"{path.name}[{i}]", texts)


def _pictures(path: Path, count: int) -> list[Any]:
    found = safe_pickle.load(path)
    if not isinstance(found, (list, tuple)) or len(found) != count:
        raise DataError(
            f"{path}: expected a list of {count} PNG files, one for each label, found "
            f"{type(found).__name__} of {len(found) if hasattr(found, '__len__') else 'no'} items."
        )
    return list(found)
