"""Text files of word vectors: one word and its D numbers per line, read as a stream."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import itertools
import zipfile
from collections import Counter
from collections.abc import Iterator, Set
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, Optional

import numpy as np

from zoolib.data.image_classes import several
from zoolib.errors import DataError

_LINE = 1 << 20  # bytes; no line of a text file is longer
_MARK = b"\xef\xbb\xbf"  # some editors begin UTF-8 with it
_FIRST = 200  # lines that tell the dimension of a file without a header


class VectorFile(NamedTuple):
    """What was found in a file.

    Attributes:
        vectors: word -> float64 [D]; of a word that comes twice the first.
        dimension: D.
        source: file name, SHA-256 of the text, dimension, header, lines, duplicates.
    """

    vectors: dict[str, np.ndarray]
    dimension: int
    source: dict[str, Any]


def read_words(path: Path | str, wanted: Set[str], dimension: Optional[int] = None) -> VectorFile:
    """Read the vectors of some words.

    Args:
        path: text, or text in a ``.gz`` or ``.zip``. If an archive holds several files, the one
            with ``.<dimension>d.`` in its name, as those of GloVe.
        wanted: the words.
        dimension: what D must be; None: whatever it is.

    Raises:
        DataError: missing, not text, no vectors, another dimension, numbers that are none.
    """
    place = Path(path)
    with _opened(place, dimension) as file:
        try:
            return _read(_lines(file, place), place, frozenset(wanted), dimension)
        except (OSError, EOFError, zipfile.BadZipFile, gzip.zlib.error) as error:
            raise DataError(f"{place}: damaged or incomplete ({error}). Fetch it again.") from error


@contextlib.contextmanager
def _opened(place: Path, dimension: Optional[int]) -> Iterator[BinaryIO]:
    if not place.is_file():
        raise DataError(
            f"{place}: expected a file of word vectors, found none. Fetch one, such as "
            "glove.840B.300d or crawl-300d-2M, from its owner."
        )
    if place.suffix == ".gz":
        with gzip.open(place) as file:
            yield file
    elif place.suffix == ".zip":
        try:
            with zipfile.ZipFile(place) as archive:
                with archive.open(_member(archive, place, dimension)) as file:
                    yield file
        except zipfile.BadZipFile as error:
            raise DataError(f"{place}: expected a zip archive ({error}).") from error
    else:
        with place.open("rb") as file:
            yield file


def _member(archive: zipfile.ZipFile, place: Path, dimension: Optional[int]) -> str:
    names = [n for n in archive.namelist() if not n.endswith("/") and "__MACOSX" not in n]
    if len(names) > 1 and dimension:
        names = [name for name in names if f".{dimension}d." in name] or names
    if len(names) != 1:
        raise DataError(
            f"{place}: expected one file of word vectors in it, found {several(names) or 'none'}. "
            "Unpack the one you want, or say its dimension."
        )
    return names[0]


def _lines(file: BinaryIO, place: Path) -> Iterator[bytes]:
    while True:
        line = file.readline(_LINE)
        if not line:
            return
        if len(line) == _LINE or b"\0" in line:
            raise DataError(
                f"{place}: expected text, a word and its numbers in each line; this is something "
                "else, perhaps word2vec's binary form. Convert it to text first."
            )
        yield line


def _read(
    lines: Iterator[bytes], place: Path, wanted: frozenset[str], dimension: Optional[int]
) -> VectorFile:
    digest = hashlib.sha256()
    first = list(itertools.islice(lines, _FIRST))
    if first:
        digest.update(first[0][:3] if first[0].startswith(_MARK) else b"")
        first[0] = first[0].removeprefix(_MARK)
    header = _header(first[0]) if first else None
    width = _dimension(first, header, place, dimension)
    keys = {word.encode() for word in wanted}
    starts = {key.split()[0] for key in keys if key.split()}
    vectors: dict[str, np.ndarray] = {}
    count = duplicates = 0
    for number, line in enumerate(itertools.chain(first, lines), 1):
        digest.update(line)
        if number == 1 and header:
            continue
        count += 1
        # Cheap test first: a file has millions of lines, of which a few hundred are wanted.
        start = line.split(None, 1)
        if not start or start[0] not in starts:
            continue
        fields = line.rsplit(None, width)
        if len(fields) != width + 1 or fields[0].strip() not in keys:
            _check_short(line, width, place, number)
            continue
        word = fields[0].strip().decode()
        if word in vectors:
            duplicates += 1
            continue
        vectors[word] = _numbers(fields[1:], place, number)
    source = {
        "file": place.name,
        "sha256": digest.hexdigest(),
        "dimension": width,
        "header": list(header) if header else None,
        "lines": count,
        "duplicates": duplicates,
    }
    if header and count < header[0]:
        raise DataError(
            f"{place}: its first line says {header[0]} words, found {count}. Fetch it again."
        )
    return VectorFile(vectors, width, source)


def _header(line: bytes) -> Optional[tuple[int, int]]:
    fields = line.split()
    if len(fields) == 2 and all(field.isdigit() for field in fields):
        return int(fields[0]), int(fields[1])
    return None


def _dimension(
    first: list[bytes],
    header: Optional[tuple[int, int]],
    place: Path,
    expected: Optional[int],
) -> int:
    """What most of the first lines have behind one word; a header must say the same."""
    lengths = Counter(len(line.split()) - 1 for line in first[bool(header) :] if line.strip())
    found = lengths.most_common(1)[0][0] if lengths else 0
    if header and found and found != header[1]:
        raise DataError(
            f"{place}: its first line says {header[1]} numbers a word, the next ones have {found}. "
            "The file is damaged; fetch it again."
        )
    if found < 1:
        raise DataError(f"{place}: expected a word and its numbers in each line, found none.")
    if expected is not None and found != expected:
        raise DataError(
            f"{place}: expected vectors of {expected} numbers, found {found}. Take the file of "
            f"that dimension, or ask for {found}."
        )
    return found


def _check_short(line: bytes, width: int, place: Path, number: int) -> None:
    """Raise if a line has too few fields; a longer one is a word with spaces."""
    fields = len(line.split())
    if 0 < fields < width + 1:
        raise DataError(
            f"{place}: line {number}: expected a word and {width} numbers, found {fields - 1} "
            "numbers. The file is damaged, or of another dimension."
        )


def _numbers(fields: list[bytes], place: Path, number: int) -> np.ndarray:
    try:
        vector = np.array([float(field) for field in fields])
    except ValueError:
        vector = np.array([np.nan])
    if not np.isfinite(vector).all():
        raise DataError(
            f"{place}: line {number}: expected {len(fields)} finite numbers behind the word. The "
            "file is damaged, or of another dimension."
        )
    return vector
