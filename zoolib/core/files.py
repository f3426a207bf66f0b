"""Files that are whole or not there: temporary file, fsync, rename."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from zoolib.errors import StoreError


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file atomically: a crash leaves the old one or the new one, never a part.

    Raises:
        StoreError: if it cannot be written, e.g. the disk is full; the old file is untouched.
    """
    with writing(path):
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise
        sync_folder(path.parent)


def write_json(path: Path, document: Any) -> None:
    """Write JSON atomically, indented."""
    write_bytes(path, (json.dumps(document, indent=2) + "\n").encode())


def read_json(path: Path) -> Any:
    """Read JSON.

    Raises:
        StoreError: naming the file, if it is missing or not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise StoreError(f"{path}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise StoreError(f"{path}: expected JSON, {error}") from error


def sync_folder(folder: Path) -> None:
    """Make renames within a folder durable."""
    sync_file(folder)


def sync_file(path: Path) -> None:
    """Make what was written to a file durable."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sha256(content: bytes) -> str:
    """Hexadecimal SHA-256."""
    return hashlib.sha256(content).hexdigest()


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn an operating-system error while writing into a sentence about ``path``."""
    try:
        yield
    except StoreError:
        raise
    except OSError as error:
        raise StoreError(f"{path}: cannot be written: {error.strerror or error}") from error


def check_writable(folder: Path) -> None:
    """Refuse early what a later write would refuse.

    Raises:
        StoreError: if the folder, or the nearest parent that exists, does not admit new files.
    """
    place = folder
    while not place.exists() and place != place.parent:
        place = place.parent
    if not place.is_dir():
        raise StoreError(f"out: {folder} cannot be made, {place} is not a folder")
    try:
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError as error:
        raise StoreError(f"out: {place} does not admit new files: {error.strerror}") from error
