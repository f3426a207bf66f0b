"""What the builders of few-shot sets share: order, decoding, words, the files at the end."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

import numpy as np
from PIL import Image
from tqdm import tqdm

from zoolib.data.fewshot_store import SPLITS, Build
from zoolib.data.image_classes import several
from zoolib.data.npz_files import Pieces
from zoolib.data.whole_files import locked
from zoolib.data.word_source import NO_WORDS, Words
from zoolib.errors import ConfigError, DataError

SHUFFLE = 2039  # the seed of the original's builder, 2017 + 5 + 17
_ORDER = ("val", "test", "train")  # in which it shuffles
_AT_ONCE = 256  # pictures decoded before they are written
_MODE = "RGB"


@dataclass(frozen=True, eq=False)
class Source:
    """One split before it is decoded, in the order in which it will be stored.

    Attributes:
        class_of: class ids [n].
        names: what the classes are called, all different in all splits.
        spoken: what their words are taken from; the names unless told.
        read: gives the bytes of picture number i.
        label: gives what to call picture number i in errors.
    """

    class_of: np.ndarray
    names: tuple[str, ...]
    read: Callable[[int], bytes]
    label: Callable[[int], str]
    spoken: Optional[tuple[str, ...]] = None


def shuffles(counts: Mapping[str, int], seed: int = SHUFFLE) -> dict[str, np.ndarray]:
    """A random order for each split, from one stream, in the original's order of splits."""
    # RandomState's permutations are frozen for all time, as the stored order should be.
    stream = np.random.RandomState(seed)
    return {split: stream.permutation(counts[split]) for split in _ORDER if split in counts}


def decode(content: bytes, size: int) -> np.ndarray:
    """One picture, uint8 [size, size, 3]: the square in its centre, resized linearly.

    As the original: RGB, as high and wide as the shorter side, PIL's bilinear filter. A picture
    that has the size is left as it is.
    """
    with Image.open(io.BytesIO(content)) as image:
        picture = image.convert(_MODE)
    width, height = picture.size
    side = min(width, height)
    if width != height:
        left, top = (width - side) // 2, (height - side) // 2
        picture = picture.crop((left, top, left + side, top + side))
    if side != size:
        picture = picture.resize((size, size), Image.BILINEAR)
    return np.asarray(picture, np.uint8)


def build(
    to: Path,
    data: str,
    sources: Mapping[str, Source],
    settings: Mapping[str, Any],
    words: Words = NO_WORDS,
    size: int = 84,
    rule: str = "plain",
    reverse: bool = False,
    progress: bool = False,
) -> dict[str, Any]:
    """Decode and write a set; started again, it goes on with the splits that are missing.

    Args:
        to: folder, made if missing.
        data: name of the set.
        sources: the splits.
        settings: what the manifest says besides size and words.
        words: where word vectors come from.
        size: height and width in pixels.
        rule: how names become words.
        reverse: store blue, green, red.
        progress: show a bar on standard error.

    Returns:
        The manifest.

    Raises:
        ConfigError: size below 8.
        DataError: a class in two splits, pictures that cannot be read, words missing with the
            policy "error", or other files there.
    """
    if size < 8:
        raise ConfigError(f"size: expected at least 8 pixels, got {size}.")
    _check_disjoint(data, sources)
    told = {**settings, "image_size": size, "words": words.settings()}
    with locked(to):
        work = Build(to, data, told)
        _write(work, sources, words, size, rule, reverse, progress)
        return work.finish()


def _write(
    work: Build,
    sources: Mapping[str, Source],
    words: Words,
    size: int,
    rule: str,
    reverse: bool,
    progress: bool,
) -> None:
    """The splits that are not there yet."""
    todo = [split for split in SPLITS if split in sources and not work.done(split)]
    spoken = {split: sources[split].spoken or sources[split].names for split in todo}
    # All words first: a pass over millions of lines for all splits, and errors before the work.
    rows = _words(words, [(sources[s].names, spoken[s]) for s in todo], rule)
    with tqdm(total=sum(len(sources[s].class_of) for s in todo), disable=not progress) as bar:
        for split, (vectors, report) in zip(todo, rows):
            source = sources[split]
            shape = (len(source.class_of), size, size, 3)
            parts = _decoded(source, size, reverse, bar.update)
            images = Pieces(shape, np.dtype(np.uint8), parts)
            work.add(split, images, source.class_of, source.names, vectors, report)


def _words(
    words: Words, classes: Sequence[tuple[Sequence[str], Sequence[str]]], rule: str
) -> list[tuple[Optional[np.ndarray], Optional[dict[str, Any]]]]:
    """Vectors and report of each split."""
    names = [name for each, _ in classes for name in each]
    vectors, coverage = words.read([n for _, spoken in classes for n in spoken], rule, names)
    if vectors is None or coverage is None:
        return [(None, None) for _ in classes]
    every, ends = coverage.rows(), np.cumsum([0, *(len(each) for each, _ in classes)]).tolist()
    return [
        (vectors[start:end], {"source": dict(coverage.source), "classes": every[start:end]})
        for start, end in zip(ends, ends[1:])
    ]


def _check_disjoint(data: str, sources: Mapping[str, Source]) -> None:
    owner: dict[str, str] = {}
    for split, source in sources.items():
        shared = sorted(name for name in source.names if name in owner)
        if shared:
            raise DataError(
                f"{data}: expected {owner[shared[0]]} and {split} to have no class in common, but "
                f"both have {several(shared)}: results would be too good. Remove these from one."
            )
        owner.update(dict.fromkeys(source.names, split))
        if len(set(source.names)) != len(source.names):
            twice = sorted({name for name in source.names if source.names.count(name) > 1})
            raise DataError(f"{data}: {split}: several classes are called {several(twice)}.")


def _decoded(
    source: Source, size: int, reverse: bool, tell: Callable[[int], Any]
) -> Iterator[np.ndarray]:
    """Pictures in pieces; those that cannot be read are all named at the end."""
    bad: list[str] = []
    total = len(source.class_of)
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # decoders let other threads run
        for start in range(0, total, _AT_ONCE):
            places = range(start, min(start + _AT_ONCE, total))
            piece = np.zeros((len(places), size, size, 3), np.uint8)
            contents = [_attempt(source.read, i) for i in places]
            found = pool.map(
                lambda c: c if isinstance(c, str) else _attempt(decode, c, size), contents
            )
            for i, picture in enumerate(found):
                if isinstance(picture, str):
                    bad.append(f"{source.label(places[i])} ({picture})")
                else:
                    piece[i] = picture
            tell(len(places))
            yield piece[..., ::-1] if reverse else piece
    if bad:
        raise DataError(
            f"Expected pictures that can be read, but {len(bad)} of {total} cannot: "
            f"{several(bad)}. Replace or remove them."
        )


def _attempt(work: Callable[..., Any], *arguments: Any) -> Any:
    """The result, or what went wrong as text."""
    try:
        return work(*arguments)
    except DataError:
        raise
    except Exception as error:  # decoders raise whatever they meet
        return str(error) or type(error).__name__
