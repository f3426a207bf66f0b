"""Records as bytes: TFRecord framing, and `tf.train.Example` in two sets of keys. No TensorFlow.

"reference" (specification, 4.3): `image`, `label` from 0, `xmin`, `ymin`, `xmax`, `ymax`.
"inception": `image/encoded`, `image/class/label` from 1, `image/object/bbox/xmin` and so on, with
the further keys that TF-slim's readers ask for.

Numbers are packed; strings, floats and integers are the three lists of an Example's features.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Optional

import numpy as np

from zoolib.data.crc32c import crc32c, masked
from zoolib.errors import DataError

SCHEMAS = ("reference", "inception")
FRAME = 16  # bytes of a record beside its content: length, its checksum, the content's checksum
_CORNERS = ("xmin", "ymin", "xmax", "ymax")
_OBJECT = "image/object/bbox/"


class Record(NamedTuple):
    """A labelled picture.

    Attributes:
        jpeg: the encoded picture.
        label: class id from 0.
        boxes: float32 [n, 4], xmin, ymin, xmax, ymax in [0, 1]; None where none are told of.
    """

    jpeg: bytes
    label: int
    boxes: Optional[np.ndarray]


def encode_example(schema: str, record: Record, about: Optional[Mapping[str, Any]] = None) -> bytes:
    """A serialised Example.

    Args:
        schema: "reference" or "inception".
        record: the picture.
        about: for "inception": `height`, `width`, `filename`, `synset` and `text`.
    """
    boxes = record.boxes
    if schema == "reference":
        features: dict[str, Any] = {"image": record.jpeg, "label": record.label}
        prefix = ""
    else:
        features = {
            "image/encoded": record.jpeg,
            "image/class/label": record.label + 1,
            "image/format": b"JPEG",
            "image/colorspace": b"RGB",
            "image/channels": 3,
        }
        keys = ("height", "width", "filename", "class/synset", "class/text")
        for key in keys if about else ():
            value = about[key.rpartition("/")[2]]
            features[f"image/{key}"] = value.encode() if isinstance(value, str) else value
        prefix = _OBJECT
    if boxes is not None:
        features.update((prefix + c, boxes[:, i]) for i, c in enumerate(_CORNERS))
    entries = b"".join(_entry(key, features[key]) for key in sorted(features))
    return _field(1, entries)


def _entry(key: str, value: Any) -> bytes:
    """One element of the map from names to features."""
    if isinstance(value, bytes):
        feature = _field(1, _field(1, value))
    elif isinstance(value, np.ndarray):
        packed = np.ascontiguousarray(value, "<f4").tobytes()
        feature = _field(2, _field(1, packed) if packed else b"")
    else:
        feature = _field(3, _field(1, _varint(int(value))))
    return _field(1, _field(1, key.encode()) + _field(2, feature))


def _field(number: int, content: bytes) -> bytes:
    return bytes([number << 3 | 2]) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def decode_example(content: bytes) -> Record:
    """Read an Example of either set of keys.

    Raises:
        DataError: not an Example, or the picture or its label is missing.
    """
    try:
        features = {}
        for _, entry in _fields(_only(content, 1)) if content else ():
            parts = dict(_fields(entry))
            features[bytes(parts[1]).decode()] = parts.get(2, b"")
        slim = "image/encoded" in features
        jpeg = _only(_only(features["image/encoded" if slim else "image"], 1), 1)
        label = _integer(features["image/class/label" if slim else "label"]) - slim
        prefix = _OBJECT if slim else ""
        boxes = None
        if f"{prefix}xmin" in features:
            boxes = np.stack([_floats(features[prefix + c]) for c in _CORNERS], axis=1)
    except (KeyError, IndexError, ValueError, TypeError, UnicodeDecodeError) as error:
        keys = sorted(features) if "features" in locals() else []
        raise DataError(
            "Expected a record with the keys image and label, or image/encoded and "
            f"image/class/label, found {keys or 'no Example'} ({error!r})."
        ) from error
    return Record(bytes(jpeg), label, boxes)


def _fields(data: Any) -> Sequence[tuple[int, Any]]:
    """(number, content) of a message's fields; content is a view, or an integer."""
    view, place, found = memoryview(data), 0, []
    while place < len(view):
        tag, place = _read_varint(view, place)
        kind = tag & 7
        if kind == 0:
            value, place = _read_varint(view, place)
        elif kind in (1, 5):
            length = 8 if kind == 1 else 4
            value, place = view[place : place + length], place + length
        elif kind == 2:
            length, place = _read_varint(view, place)
            value, place = view[place : place + length], place + length
        else:
            raise ValueError(f"unknown wire type {kind}")
        if place > len(view):
            raise ValueError("it ends too early")
        found.append((tag >> 3, value))
    return found


def _only(data: Any, number: int) -> Any:
    """Content of the last field of that number; further ones of a message are joined."""
    found = [value for n, value in _fields(data) if n == number]
    return found[-1]


def _read_varint(view: memoryview, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = view[place]
        value |= (byte & 127) << shift
        place += 1
        if byte < 128:
            return value, place
        shift += 7


def _integer(feature: Any) -> int:
    value = _only(_only(feature, 3), 1)
    return value if isinstance(value, int) else _read_varint(value, 0)[0]  # alone, or packed


def _floats(feature: Any) -> np.ndarray:
    if not len(feature):
        return np.zeros(0, np.float32)
    inner = _only(feature, 2)
    parts = [bytes(value) for number, value in _fields(inner) if number == 1]
    return np.frombuffer(b"".join(parts), "<f4")  # packed, or one by one


def frames(contents: Sequence[bytes]) -> bytes:
    """Records as they stand in a TFRecord file."""
    lengths = [struct.pack("<Q", len(content)) for content in contents]
    checks = masked(crc32c([*lengths, *contents])).astype("<u4").reshape(2, -1)
    parts = []
    for length, content, head, tail in zip(lengths, contents, *checks):
        parts += [length, head.tobytes(), content, tail.tobytes()]
    return b"".join(parts)


def record_lengths(path: Path) -> list[int]:
    """Lengths of the records in a TFRecord file; their contents are not read.

    Raises:
        DataError: it ends within a record, or is no TFRecord file.
    """
    lengths, place = [], 0
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            while place < size:
                file.seek(place)
                head = file.read(8)
                length = struct.unpack("<Q", head)[0] if len(head) == 8 else size
                place += FRAME + length
                if place > size:
                    raise DataError(
                        f"{path}: expected whole records, but it ends within number "
                        f"{len(lengths) + 1}. Delete the file and build it again."
                    )
                lengths.append(length)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}).") from error
    return lengths
