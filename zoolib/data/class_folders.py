"""Find classes kept as folders: a class is a folder that holds images."""

from __future__ import annotations

from pathlib import Path

from zoolib.data.image_classes import several
from zoolib.errors import DataError

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp")
_DEPTH = 4  # folders below the root; also ends a circle of links


def list_classes(base: Path) -> dict[str, list[Path]]:
    """Class name (path below `base`) -> image files, both sorted; no file is opened.

    The order does not depend on the order in which the file system lists a folder.

    Raises:
        DataError: `base` is missing or holds no class, a class folder is empty, images lie next to
            folders, folders are nested too deep or cannot be read.
    """
    if not base.is_dir():
        raise DataError(f"{base}: expected a folder of class folders, found no such folder.")
    found: dict[str, list[Path]] = {}
    empty: list[str] = []
    pending = [(base, 0)]
    while pending:
        folder, depth = pending.pop()
        folders, files = _entries(folder)
        if files and (folders or folder == base):
            raise DataError(
                f"{folder}: expected images in class folders only, found {files[0].name} next to "
                "(or in place of) class folders. Move the images into a folder per class."
            )
        if folders and depth == _DEPTH:
            raise DataError(f"{folder}: expected at most {_DEPTH} levels of folders, found more.")
        name = folder.relative_to(base).as_posix()
        if files:
            found[name] = files
        elif not folders and folder != base:
            empty.append(name)
        pending += [(inner, depth + 1) for inner in folders]
    if empty:
        raise DataError(
            f"{base}: expected images ({', '.join(SUFFIXES)}) in every class folder, but found "
            f"none in {several(sorted(empty))}. Fill or remove these folders."
        )
    if not found:
        raise DataError(f"{base}: expected class folders with images in it, found none.")
    return dict(sorted(found.items()))


def _entries(folder: Path) -> tuple[list[Path], list[Path]]:
    """Sub-folders and image files, sorted; hidden ones and archive litter are left out."""
    try:
        inside = sorted(p for p in folder.iterdir() if not p.name.startswith((".", "__MACOSX")))
    except OSError as error:
        raise DataError(f"{folder}: expected a readable folder ({error}).") from error
    folders = [p for p in inside if p.is_dir()]
    return folders, [p for p in inside if p.suffix.lower() in SUFFIXES and not p.is_dir()]
