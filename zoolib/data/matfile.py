"""MATLAB 5 files, as far as image sets need them: tables of numbers and words, and arrays.

`meta.mat` of the ILSVRC devkit holds one structure array, a row per synset; CIFAR and SVHN come as
arrays. Reading them with SciPy would make SciPy a dependency for a few files. Format: "MAT-File
Format", The MathWorks, chapter 1.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Union

import numpy as np

from zoolib.errors import DataError

Value = Union[str, float, np.ndarray, list]

_NUMBERS = dict(zip((1, 2, 3, 4, 5, 6, 7, 9, 12, 13), "i1 u1 i2 u2 i4 u4 f4 f8 i8 u8".split()))
_TEXT = {4: "utf-16", 16: "utf-8", 17: "utf-16", 18: "utf-32"}
_MATRIX, _COMPRESSED, _BYTES, _INTEGERS, _UNSIGNED, _DOUBLES = 14, 15, 1, 5, 6, 9
_CELL, _STRUCT, _CHAR, _DOUBLE, _BYTE = 1, 2, 4, 6, 9  # classes of a matrix
_HEADER = 128
_LARGEST = 1 << 32  # bytes of an unpacked variable; SVHN's largest has 1.6e9


def read_tables(content: bytes, name: str) -> dict[str, list[dict[str, Value]]]:
    """The structure arrays of a file: variable name -> rows, a row being field -> value.

    Args:
        content: the file.
        name: what to call it in errors.

    Returns:
        Values are text, a number, an array (column by column, flat) or a list (a cell array).

    Raises:
        DataError: not a little-endian MATLAB 5 file, or damaged.
    """
    return {
        variable: value
        for variable, value in _variables(content, name)
        if isinstance(value, list) and value and isinstance(value[0], dict)
    }


def read_arrays(content: bytes, name: str) -> dict[str, Value]:
    """The other variables of a file: variable name -> array in its shape, text, or list of texts.

    An array's elements are as the file holds them (small numbers of a double array may be stored
    in bytes); it is a view of the content with MATLAB's strides, first axis fastest.

    Raises:
        DataError: not a little-endian MATLAB 5 file, or damaged.
    """
    return {
        variable: value
        for variable, value in _variables(content, name, shaped=True)
        if not (isinstance(value, list) and value and isinstance(value[0], dict))
    }


def _variables(content: bytes, name: str, shaped: bool = False) -> list[tuple[str, Any]]:
    if len(content) < _HEADER or content[126:128] != b"IM":
        raise DataError(f"{name}: expected a MATLAB 5 file, found something else.")
    found = []
    try:
        for kind, part in _elements(memoryview(content)[_HEADER:]):
            if kind == _COMPRESSED:
                kind, part = next(_elements(memoryview(_inflate(part))))
            if kind == _MATRIX:
                found.append(_matrix(part, shaped))
    except (
        struct.error,
        zlib.error,
        ValueError,
        IndexError,
        StopIteration,
        KeyError,
        TypeError,
    ) as error:
        raise DataError(f"{name}: this MATLAB file is damaged ({error}).") from error
    return found


def _inflate(part: memoryview) -> bytes:
    unpacker = zlib.decompressobj()
    content = unpacker.decompress(part, _LARGEST)
    if unpacker.unconsumed_tail:
        raise ValueError(f"a variable has more than {_LARGEST} bytes")
    if not unpacker.eof:
        raise ValueError("it ends too early")
    return content


def _elements(data: memoryview) -> Iterator[tuple[int, memoryview]]:
    """(type, content) of elements that follow each other."""
    place = 0
    while place + 8 <= len(data):
        kind, length = struct.unpack_from("<II", data, place)
        if kind >> 16:  # the small form: type, length and up to four bytes in eight
            kind, length, start = kind & 0xFFFF, kind >> 16, place + 4
            place += 8
        else:
            start = place + 8
            # All but compressed elements fill up to a multiple of eight bytes.
            place = start + (length if kind == _COMPRESSED else -(-length // 8) * 8)
        if start + length > len(data):
            raise ValueError("it ends too early")
        yield kind, data[start : start + length]


def _matrix(data: memoryview, shaped: bool = False) -> tuple[str, Any]:
    """Name and value of a matrix; a structure array gives a list of rows.

    Unless it is `shaped`, an array is flat and one of a single element just that number.
    """
    parts = _elements(data)
    flags = np.frombuffer(next(parts)[1], "<u4")
    shape = np.frombuffer(next(parts)[1], "<i4")
    name = bytes(next(parts)[1]).decode()
    kind, count = int(flags[0]) & 0xFF, int(np.prod(shape))
    if kind == _STRUCT:
        width = int(np.frombuffer(next(parts)[1], "<i4")[0])
        packed = bytes(next(parts)[1])
        starts = range(0, len(packed), width)
        fields = [packed[i : i + width].split(b"\0")[0].decode() for i in starts]
        return name, [{f: _matrix(next(parts)[1])[1] for f in fields} for _ in range(count)]
    if kind == _CELL:
        return name, [_matrix(next(parts)[1])[1] for _ in range(count)]
    stored, content = next(parts)
    if kind == _CHAR:
        if stored in _TEXT:
            return name, bytes(content).decode(_TEXT[stored])
        return name, "".join(map(chr, np.frombuffer(content, f"<{_NUMBERS[stored]}")))
    numbers = np.frombuffer(content, f"<{_NUMBERS[stored]}")
    if shaped:
        return name, numbers.reshape(shape, order="F")
    return name, numbers[0].item() if count == 1 else numbers


def write_table(path: Path, variable: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write one structure array of texts and numbers; every row has the fields of the first."""
    fields = list(rows[0])
    width = max(map(len, fields)) + 1
    packed = b"".join(field.encode().ljust(width, b"\0") for field in fields)
    content = _label(_STRUCT, (len(rows), 1), variable)
    content += struct.pack("<HHI", _INTEGERS, 4, width) + _element(_BYTES, packed)
    for row in rows:
        content += b"".join(_element(_MATRIX, _value(row[field])) for field in fields)
    header = b"MATLAB 5.0 MAT-file".ljust(124) + struct.pack("<H2s", 0x0100, b"IM")
    packed = zlib.compress(_element(_MATRIX, content))
    path.write_bytes(header + struct.pack("<II", _COMPRESSED, len(packed)) + packed)


def write_arrays(path: Path, variables: Mapping[str, Union[np.ndarray, Sequence[str]]]) -> None:
    """Write arrays of bytes or doubles, and lists of texts as cell arrays, each compressed."""
    header = b"MATLAB 5.0 MAT-file".ljust(124) + struct.pack("<H2s", 0x0100, b"IM")
    elements = [header]
    for name, value in variables.items():
        if isinstance(value, np.ndarray):
            kind, stored = (_BYTE, 2) if value.dtype == np.uint8 else (_DOUBLE, _DOUBLES)
            content = np.asarray(value, "u1" if stored == 2 else "<f8").tobytes(order="F")
            matrix = _label(kind, value.shape, name) + _element(stored, content)
        else:
            matrix = _label(_CELL, (len(value), 1), name)
            matrix += b"".join(_element(_MATRIX, _value(text)) for text in value)
        packed = zlib.compress(_element(_MATRIX, matrix))
        elements.append(struct.pack("<II", _COMPRESSED, len(packed)) + packed)
    path.write_bytes(b"".join(elements))


def _element(kind: int, content: bytes) -> bytes:
    return struct.pack("<II", kind, len(content)) + content + b"\0" * (-len(content) % 8)


def _label(kind: int, shape: tuple[int, ...], name: str = "") -> bytes:
    flags = _element(_UNSIGNED, struct.pack("<II", kind, 0))
    size = _element(_INTEGERS, struct.pack(f"<{len(shape)}i", *shape))
    return flags + size + _element(_BYTES, name.encode())


def _value(value: Any) -> bytes:
    if isinstance(value, str):
        text = np.array([ord(c) for c in value], "<u2").tobytes()
        return _label(_CHAR, (1, len(value))) + _element(4, text)
    return _label(_DOUBLE, (1, 1)) + _element(_DOUBLES, struct.pack("<d", value))
