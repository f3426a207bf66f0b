"""Files that are whole or not there: temporary file, fsync, rename."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from zoolib.errors import DataError, StoreError

PARTIAL = ".partial"  # ends the name of a file that is being written; readers pass over it


@contextlib.contextmanager
def writing(path: Path) -> Iterator[BinaryIO]:
    """A file to write `path` with; it gets that name once it is complete and on the disk.

    Raises:
        StoreError: it cannot be written, e.g. the disk is full; what stood there stands.
    """
    scratch = path.with_name(f".{path.name}{PARTIAL}")
    try:
        with scratch.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(scratch, path)
        handle = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    except BaseException as error:
        with contextlib.suppress(OSError):
            scratch.unlink()
        if isinstance(error, OSError) and not isinstance(error, StoreError):
            raise StoreError(
                f"{path}: cannot be written: {error.strerror or error}. Make room, then run the "
                "same command again: it goes on with what is missing."
            ) from error
        raise


def write_json(path: Path, document: Any) -> None:
    """Write JSON; the same document gives the same bytes."""
    with writing(path) as file:
        file.write((json.dumps(document, indent=1, ensure_ascii=False) + "\n").encode())


def read_json(path: Path) -> Any:
    """Read JSON.

    Raises:
        DataError: missing, or not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"{path}: expected this file ({error.strerror}).") from error
    except ValueError as error:
        raise DataError(f"{path}: expected JSON ({error}). Delete it and build again.") from error


@contextlib.contextmanager
def locked(to: Path) -> Iterator[None]:
    """A folder, made if missing, in which nobody else builds meanwhile.

    Raises:
        StoreError: it cannot be written, or another process is at work in it.
    """
    try:
        to.mkdir(parents=True, exist_ok=True)
        lock = (to / ".lock").open("w")
    except OSError as error:
        raise StoreError(f"{to}: cannot be written: {error.strerror}.") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise StoreError(f"{to}: another process is building records there.") from error
        yield
