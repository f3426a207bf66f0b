"""Files that are written whole or not at all, never over something else; and .npz files as such.

An .npz is written piece by piece, so a set of 10 GB takes no memory, and with fixed dates and
headers, so the same arrays give the same bytes (of the zip's own fields, some differ between
versions of Python). It can be read without taking memory, too.
"""

from __future__ import annotations

import hashlib
import os
import struct
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, Union

import numpy as np

from zoolib.data.whole_files import writing
from zoolib.errors import DataError

_CHUNK = 1 << 20  # bytes read at once for a checksum


class Pieces(NamedTuple):
    """An array that is made while it is written.

    Attributes:
        shape, dtype: of the whole.
        parts: consecutive rows.
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    parts: Iterable[np.ndarray]


Member = Union[np.ndarray, Pieces]


def write_npz(path: Path, members: Mapping[str, Member]) -> dict[str, Any]:
    """Write arrays as `numpy.savez` does, the same bytes for the same arrays.

    Returns:
        bytes and sha256.

    Raises:
        DataError: the file is there and holds something else.
    """
    draft = path.with_name(f".{path.name}.new")
    with writing(draft) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, array in members.items():
            label = zipfile.ZipInfo(f"{name}.npy", (1980, 1, 1, 0, 0, 0))
            with archive.open(label, "w", force_zip64=True) as member:
                _write_array(member, array, path)
    return _keep(draft, path)


def write_once(path: Path, content: bytes) -> dict[str, Any]:
    """Write a small file; see `write_npz`."""
    draft = path.with_name(f".{path.name}.new")
    with writing(draft) as file:
        file.write(content)
    return _keep(draft, path)


def _write_array(file: BinaryIO, array: Member, path: Path) -> None:
    shape = tuple(int(length) for length in array.shape)
    text = f"{{'descr': {array.dtype.str!r}, 'fortran_order': False, 'shape': {shape}, }}"
    text += (
        " " * (-(len(text) + 11) % 64) + "\n"
    )  # magic, version, length, text: 64 bytes' multiple
    file.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode("latin-1"))
    rows = 0
    for part in [array] if isinstance(array, np.ndarray) else array.parts:
        rows += len(part)
        file.write(np.ascontiguousarray(part, array.dtype).reshape(-1).view(np.uint8).data)
    if rows != shape[0]:
        raise DataError(f"{path}: expected {shape[0]} rows to write, got {rows}.")


def _keep(draft: Path, path: Path) -> dict[str, Any]:
    """Give a file its name, unless another has it."""
    told = fingerprint(draft)
    if not path.exists():
        os.replace(draft, path)
        return told
    same = path.stat().st_size == told["bytes"] and fingerprint(path) == told
    draft.unlink()
    if not same:
        raise DataError(
            f"{path}: is there already and holds something else; nothing was overwritten. Take "
            "another folder, or delete this one."
        )
    return told


def fingerprint(path: Path) -> dict[str, Any]:
    """Size and SHA-256 of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        for chunk in iter(lambda: file.read(_CHUNK), b""):
            digest.update(chunk)
    return {"bytes": path.stat().st_size, "sha256": digest.hexdigest()}


def mapped(path: Path, member: str) -> np.ndarray:
    """An array of an .npz as a view of the file, read-only: no memory, read as it is needed.

    Raises:
        DataError: it is compressed, damaged or holds objects.
    """
    with zipfile.ZipFile(path) as archive, path.open("rb") as file:
        about = archive.getinfo(f"{member}.npy")
        file.seek(about.header_offset + 26)  # the local header: 30 bytes, two lengths at its end
        begin = file.tell() + 4 + sum(struct.unpack("<HH", file.read(4)))
        file.seek(begin)
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else _read_header_2
        shape, fortran, kind = read(file)
        start = file.tell()
    whole = start - begin + kind.itemsize * int(np.prod(shape)) == about.file_size
    if kind.hasobject or fortran or not whole or about.compress_type != zipfile.ZIP_STORED:
        raise DataError(f"{path}: {member}: expected numbers row by row, stored uncompressed.")
    return np.asarray(np.memmap(path, kind, "r", start, shape))


def _read_header_2(file: BinaryIO) -> tuple[tuple[int, ...], bool, np.dtype]:
    return np.lib.format.read_array_header_2_0(file)


def is_stored(path: Path, member: str) -> bool:
    """Whether a member of an .npz is there and not compressed."""
    with zipfile.ZipFile(path) as archive:
        found = {about.filename: about.compress_type for about in archive.infolist()}
    return found.get(f"{member}.npy") == zipfile.ZIP_STORED
