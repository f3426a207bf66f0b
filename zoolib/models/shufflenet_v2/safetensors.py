"""Read a .safetensors file: a length, a table in JSON, raw numbers. Nothing in it can run."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

import numpy as np

from zoolib.errors import DataError

_LONGEST = 100 * 2**20  # bytes of the table; the format's own limit
_TYPES = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "BF16": "<u2",
    "I64": "<i8",
    "I32": "<i4",
    "I16": "<i2",
    "I8": "<i1",
    "U8": "<u1",
    "BOOL": "|b1",
}


def read_safetensors(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """Every array of a file by name; bfloat16 becomes float32.

    Raises:
        DataError: if it cannot be read, or its table and its content do not agree.
    """
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None
    length = int.from_bytes(content[:8], "little") if len(content) >= 8 else _LONGEST + 1
    if length > min(_LONGEST, len(content) - 8):
        raise DataError(f"{path}: expected a .safetensors file, but it ends within its table")
    try:
        table = json.loads(content[8 : 8 + length].decode())
        data = memoryview(content)[8 + length :]
        return {k: _array(data, v) for k, v in table.items() if k != "__metadata__"}
    except (UnicodeDecodeError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path}: not a whole .safetensors file ({error})") from None


def _array(data: memoryview, entry: dict[str, Any]) -> np.ndarray:
    kind, shape, (begin, end) = entry["dtype"], entry["shape"], entry["data_offsets"]
    if kind not in _TYPES:
        raise ValueError(f"numbers of type {kind}")
    sizes = [*shape, begin, end]
    if not all(isinstance(n, int) and n >= 0 for n in sizes) or end > len(data):
        raise ValueError(f"a place of {begin} to {end} in {len(data)} bytes")
    dtype = np.dtype(_TYPES[kind])
    if end - begin != dtype.itemsize * math.prod(shape):
        raise ValueError(f"{end - begin} bytes for shape {shape}")
    values = np.frombuffer(data[begin:end], dtype).reshape(shape)
    if kind == "BF16":  # the upper half of a float32
        return (values.astype(np.uint32) << np.uint32(16)).view(np.float32)
    return values.astype(dtype.newbyteorder("="))
