"""Where the bytes of a picture are: a file, or a place in a tar archive that is never unpacked."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import BinaryIO, NamedTuple

from zoolib.errors import DataError


class Picture(NamedTuple):
    """One image and its label.

    Attributes:
        name: file name, with the folder before it where that tells the class.
        path: the file, or the archive that holds it.
        offset, size: where in the archive; -1, -1 for a file of its own.
        label: class id.
    """

    name: str
    path: str
    offset: int
    size: int
    label: int

    def read(self) -> bytes:
        """The file's content.

        Raises:
            OSError: it cannot be read.
        """
        with open(self.path, "rb") as file:
            if self.offset < 0:
                return file.read()
            file.seek(self.offset)
            return file.read(self.size)


def tar_members(file: BinaryIO, start: int, place: Path) -> Iterator[tuple[str, int, int]]:
    """(base name, offset from the file's beginning, size) of the ordinary files in an archive.

    Folders, links and devices are passed over, and of names only the last part is used: whatever
    the archive says, nothing is written anywhere.

    Args:
        file: the archive, possibly a part of a larger one.
        start: where that part begins in the larger one.
        place: what to name in errors.

    Raises:
        DataError: not an uncompressed tar archive, or it ends too early.
    """
    try:
        with tarfile.open(fileobj=file, mode="r:") as archive:
            for member in archive:
                if member.isreg() and not member.issparse():
                    name = PurePosixPath(member.name).name
                    yield name, start + member.offset_data, member.size
    except (tarfile.TarError, EOFError) as error:
        raise DataError(
            f"{place}: expected an uncompressed tar archive ({error}). "
            "Unpack it, or fetch it again."
        ) from error


def folder_files(folder: Path) -> list[str]:
    """Names of the files in a folder, sorted; hidden ones are left out.

    Raises:
        DataError: it cannot be read.
    """
    try:
        with os.scandir(folder) as entries:
            return sorted(e.name for e in entries if not e.name.startswith(".") and e.is_file())
    except OSError as error:
        raise DataError(f"{folder}: expected a readable folder ({error.strerror}).") from error
