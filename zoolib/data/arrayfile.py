"""Arrays in one file that is either whole or refused: an .npz written atomically, with a checksum.

Used for the cache of decoded images and for stored test tasks.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from zoolib.errors import DataError

_ABOUT = "about"  # the member that holds the description and the checksum, as JSON bytes


def array_checksum(arrays: Mapping[str, np.ndarray], *parts: str) -> str:
    """SHA-256 (hex) of named arrays (name, type, shape, content) and of any further texts."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name}|{array.dtype.str}|{array.shape}|".encode())
        digest.update(array.reshape(-1).view(np.uint8))
    for part in parts:
        encoded = part.encode()
        digest.update(f"{len(encoded)}|".encode() + encoded)
    return digest.hexdigest()


def save_arrays(path: Path, arrays: Mapping[str, np.ndarray], about: Mapping[str, Any]) -> None:
    """Write arrays and a description (JSON types) to `path`; readers see all of it or nothing.

    Raises:
        OSError: the place cannot be written; nothing is left behind.
    """
    described = json.dumps(about, sort_keys=True)
    label = {"about": described, "checksum": array_checksum(arrays, described)}
    members = {**arrays, _ABOUT: np.frombuffer(json.dumps(label).encode(), dtype=np.uint8)}
    # A name of its own per writer: two processes may fill the same cache at the same time.
    scratch = path.with_name(f"{path.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
    try:
        with scratch.open("xb") as handle:
            np.savez(handle, **members)
            handle.flush()
            os.fsync(handle.fileno())
        os.replace(scratch, path)
    finally:
        scratch.unlink(missing_ok=True)


def load_arrays(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Read what `save_arrays` wrote: (arrays, description).

    Raises:
        DataError: the file is missing, damaged, or was not written by `save_arrays`.
    """
    if not path.is_file():
        raise DataError(f"{path}: expected a file of stored arrays, found none.")
    try:
        with np.load(path, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        label = json.loads(arrays.pop(_ABOUT).tobytes().decode())
        described, expected = label["about"], label["checksum"]
        about = json.loads(described)
    except Exception as error:  # a damaged zip can raise nearly anything
        raise DataError(
            f"{path}: expected a file of stored arrays, but it cannot be read ({error}). "
            "Delete it and make it again."
        ) from error
    found = array_checksum(arrays, described)
    if found != expected:
        raise DataError(
            f"{path}: its content does not match its checksum (expected {expected[:12]}…, "
            f"found {found[:12]}…), so it is damaged. Delete it and make it again."
        )
    return arrays, about
