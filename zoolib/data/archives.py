"""Open archives from strangers: checked first, then unpacked without leaving the given folder.

Whatever an archive says, only ordinary files are written, below one folder, within a limit of bytes
and of members; a name that points elsewhere, a link or a device is refused, and then nothing stays.
"""

from __future__ import annotations

import contextlib
import hashlib
import lzma
import os
import shutil
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import BinaryIO, Optional

from zoolib.errors import DataError, StoreError

LARGEST = 32 << 30  # bytes unpacked
MOST = 1_000_000  # members
_BLOCK = 1 << 20


def digests(path: Path, *kinds: str) -> tuple[str, ...]:
    """Checksums of a file (hex), by the names of `hashlib`.

    Raises:
        DataError: it cannot be read.
    """
    # MD5 is what the makers of these sets publish; it is used against damage, not against malice.
    made = [hashlib.md5() if kind == "md5" else hashlib.new(kind) for kind in kinds]
    try:
        with path.open("rb") as file:
            for block in iter(lambda: file.read(_BLOCK), b""):
                for digest in made:
                    digest.update(block)
    except OSError as error:
        raise DataError(f"{path}: expected a readable file ({error.strerror}).") from error
    return tuple(digest.hexdigest() for digest in made)


def verify(path: Path, sha256: Collection[str] = (), md5: Collection[str] = ()) -> str:
    """Check a file before it is used.

    Args:
        path: the file.
        sha256: the checksums its user says it may have; if given, only these count.
        md5: the official ones; none: any content will do.

    Returns:
        Its SHA-256 (hex).

    Raises:
        DataError: no such file, or another checksum.
    """
    if not path.is_file():
        raise DataError(f"{path}: expected a file, found none.")
    own, official = digests(path, "sha256", "md5")
    if sha256:
        if own not in {wanted.lower() for wanted in sha256}:
            raise DataError(
                f"{path}: expected the SHA-256 {' or '.join(sha256)}, found {own}. Fetch the file "
                "again, or correct the checksum."
            )
    elif md5 and official not in md5:
        raise DataError(
            f"{path}: expected the official MD5 {' or '.join(md5)}, found {official}: damaged, cut "
            f"short, or another file. Fetch it again; to use it as it is: --sha256 {own}"
        )
    return own


@contextlib.contextmanager
def unpacked(archive: Path, near: Path) -> Iterator[Path]:
    """An archive's content in a folder below `near`, which is removed in the end.

    Raises:
        DataError: see `extract`.
    """
    folder = near / f".{archive.name}.unpacked"
    shutil.rmtree(folder, ignore_errors=True)  # of a build that was killed
    try:
        extract(archive, folder)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def extract(archive: Path, to: Path, largest: int = LARGEST, most: int = MOST) -> tuple[Path, ...]:
    """Unpack a tar (also compressed) or zip archive.

    Args:
        archive: the file.
        to: a folder that does not exist yet.
        largest: bytes that may be written; what the archive says of itself is not believed.
        most: members it may have.

    Returns:
        The files.

    Raises:
        DataError: neither tar nor zip, or damaged; a name that is absolute, has "..", or stands
            twice; a link or device; too large. Nothing stays then.
        StoreError: the folder exists or cannot be written.
    """
    try:
        to.mkdir(parents=True)
    except OSError as error:
        raise StoreError(f"{to}: expected to make this folder: {error.strerror}.") from error
    files: list[Path] = []
    left = largest
    try:
        for number, (name, content) in enumerate(_members(archive)):
            if number >= most:
                raise DataError(f"{archive}: expected at most {most} members, found more.")
            place = to / safe_name(archive, name)
            if content is None:
                place.mkdir(parents=True, exist_ok=True)
                continue
            if place.exists():
                raise DataError(f"{archive}: expected every file once, found {name!r} twice.")
            place.parent.mkdir(parents=True, exist_ok=True)
            left -= _copy(archive, content, place, left)
            files.append(place)
        return tuple(files)
    except BaseException as error:
        shutil.rmtree(to, ignore_errors=True)
        if isinstance(error, OSError) and not isinstance(error, StoreError):
            raise StoreError(f"{to}: cannot be written: {error.strerror or error}.") from error
        raise


# What the decoders of damaged archives raise, seen and documented.
_DAMAGED = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zipfile.LargeZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    OSError,
    RuntimeError,
    ValueError,
    KeyError,
)


@contextlib.contextmanager
def _reading(archive: Path) -> Iterator[None]:
    try:
        yield
    except DataError:
        raise
    except _DAMAGED as error:
        raise DataError(f"{archive}: damaged, it cannot be unpacked ({error}).") from error


def safe_name(archive: Path, name: str) -> str:
    """A member's name, if it stays below the folder it is unpacked to.

    Raises:
        DataError: it is absolute, has "..", a backslash, a drive or a control character.
    """
    parts = [part for part in name.split("/") if part not in ("", ".")]
    odd = name.startswith("/") or ".." in parts or "\\" in name or ":" in name.split("/")[0]
    if odd or any(ord(letter) < 32 for letter in name):
        raise DataError(
            f"{archive}: expected names below its own folder, found {name!r}. This archive would "
            "write elsewhere; do not use it."
        )
    return "/".join(parts) or "."


def _members(archive: Path) -> Iterator[tuple[str, Optional[BinaryIO]]]:
    """(name, content) of members; None for a folder."""
    if not archive.is_file():
        raise DataError(f"{archive}: expected an archive, found no such file.")
    with _reading(archive):
        yield from (_zip_members if zipfile.is_zipfile(archive) else _tar_members)(archive)


def _tar_members(archive: Path) -> Iterator[tuple[str, Optional[BinaryIO]]]:
    try:
        opened = tarfile.open(archive, "r:*")
    except tarfile.ReadError as error:
        raise DataError(f"{archive}: expected a tar or zip archive ({error}).") from error
    with opened:
        for member in opened:
            if not (member.isdir() or member.isreg()) or member.issparse():
                raise _not_ordinary(archive, member.name)
            yield member.name, None if member.isdir() else opened.extractfile(member)


def _zip_members(archive: Path) -> Iterator[tuple[str, Optional[BinaryIO]]]:
    with zipfile.ZipFile(archive) as opened:
        for member in opened.infolist():
            kind = stat.S_IFMT(member.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise _not_ordinary(archive, member.filename)
            if member.flag_bits & 1:
                raise DataError(f"{archive}: expected files without a password.")
            if member.is_dir():
                yield member.filename, None
                continue
            with opened.open(member) as content:
                yield member.filename, content


def _not_ordinary(archive: Path, name: str) -> DataError:
    return DataError(
        f"{archive}: expected ordinary files and folders, found a link or device, {name!r}. It "
        "could point elsewhere; do not use this archive."
    )


def _copy(archive: Path, content: BinaryIO, place: Path, left: int) -> int:
    written = 0
    with place.open("xb") as file:
        os.chmod(place, 0o644)
        while block := _block(archive, content):
            written += len(block)
            if written > left:
                raise DataError(
                    f"{archive}: expected less content, it unpacks to more than the limit. "
                    "If it is genuine, unpack it yourself and give the folder."
                )
            file.write(block)
    return written


def _block(archive: Path, content: BinaryIO) -> bytes:
    with _reading(archive):
        return content.read(_BLOCK)
