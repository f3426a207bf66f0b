"""The files of few-shot sets, written whole or not at all, and never over something else.

``few-shot.json`` beside them says what they were made from, with checksums; `check_manifest`
compares. Started again, a build goes on with the splits that are missing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Optional

import numpy as np

from zoolib.data.image_classes import several
from zoolib.data.npz_files import Member, fingerprint, write_npz, write_once
from zoolib.data.whole_files import read_json, write_json
from zoolib.errors import DataError

MANIFEST = "few-shot.json"
SPLITS = ("train", "val", "test")
_FORMAT = 1


def files_of(split: str) -> tuple[str, str, str]:
    """Names of a split's files: images, word vectors, class names.

    Raises:
        DataError: no such split.
    """
    if split not in SPLITS:
        raise DataError(f"split: expected one of {', '.join(SPLITS)}, got {split!r}.")
    return f"few-shot-{split}.npz", f"few-shot-wordemb-{split}.npz", f"classes-{split}.txt"


def write_files(
    folder: Path,
    split: str,
    images: Member,
    class_of: np.ndarray,
    names: Optional[Iterable[str]],
    vectors: Optional[np.ndarray],
) -> dict[str, dict[str, Any]]:
    """Write the files of one split.

    Args:
        folder: made if missing.
        split: train, val or test.
        images: uint8 [n, H, W, 3].
        class_of: class ids [n], stored as int64.
        names: one per class; None: no file of names.
        vectors: [classes, D], stored as float64; None: no file of vectors.

    Returns:
        File name -> bytes and sha256.

    Raises:
        DataError: a file is there and holds something else.
        StoreError: it cannot be written.
    """
    first, second, third = files_of(split)
    folder.mkdir(parents=True, exist_ok=True)
    ids = np.asarray(class_of, np.int64)
    done = {first: write_npz(folder / first, {"features": images, "targets": ids})}
    if vectors is not None:
        rows = np.ascontiguousarray(vectors, np.float64)
        done[second] = write_npz(folder / second, {"features": rows})
    if names is not None:
        text = "".join(f"{name}\n" for name in names).encode()
        done[third] = write_once(folder / third, text)
    return done


class Build:
    """A set being built in a folder; started again, it goes on with the splits that are missing.

    Attributes:
        folder: where.
        document: what ``few-shot.json`` says.
    """

    def __init__(self, folder: Path, data: str, settings: Mapping[str, Any]) -> None:
        """Begin or go on.

        Args:
            folder: made if missing.
            data: name of the set.
            settings: what it is made from and how, as JSON.

        Raises:
            DataError: the folder holds a set made in another way.
        """
        self.folder = folder
        self.document: dict[str, Any] = {
            "format": _FORMAT,
            "data": data,
            "settings": dict(settings),
            "complete": False,
            "splits": {},
        }
        path = folder / MANIFEST
        if path.is_file():
            found = read_json(path)
            for key in ("format", "data", "settings"):
                if found.get(key) != self.document[key]:
                    differ = _difference(found.get(key), self.document[key])
                    raise DataError(
                        f"{path}: was built with {key} {differ}. Take another folder, or delete "
                        "this one."
                    )
            self.document = found

    def done(self, split: str) -> bool:
        """Whether a split is there already, whole as far as sizes tell."""
        files = self.document["splits"].get(split, {}).get("files", {})
        return bool(files) and all(
            (self.folder / name).is_file() and (self.folder / name).stat().st_size == about["bytes"]
            for name, about in files.items()
        )

    def add(
        self,
        split: str,
        images: Member,
        class_of: np.ndarray,
        names: Iterable[str],
        vectors: Optional[np.ndarray] = None,
        words: Optional[Mapping[str, Any]] = None,
    ) -> None:
        """Write one split; `words` tells where its vectors come from and which words were found."""
        listed = list(names)
        files = write_files(self.folder, split, images, class_of, listed, vectors)
        entry = {"classes": len(listed), "images": int(images.shape[0]), "files": files}
        entry["image_size"] = [int(length) for length in images.shape[1:3]]
        if words is not None:
            entry["words"] = dict(words)
        self.document["splits"][split] = entry
        write_json(self.folder / MANIFEST, self.document)

    def finish(self) -> dict[str, Any]:
        """Mark the set complete; returns the manifest."""
        if not self.document["complete"]:
            self.document["complete"] = True
            write_json(self.folder / MANIFEST, self.document)
        return self.document


def _difference(found: Any, wanted: Any) -> str:
    if not isinstance(found, dict) or not isinstance(wanted, dict):
        return f"{found!r}, not {wanted!r}"
    keys = [k for k in {**found, **wanted} if found.get(k) != wanted.get(k)]
    return "; ".join(f"{k}: {found.get(k)!r}, not {wanted.get(k)!r}" for k in keys)


def check_manifest(folder: Path) -> None:
    """Compare the files with their manifest, if there is one.

    Raises:
        DataError: a build that was not finished, files missing or changed.
    """
    if not (folder / MANIFEST).is_file():
        return
    document = read_json(folder / MANIFEST)
    if not isinstance(document, dict) or not document.get("complete"):
        raise DataError(f"{folder}: this build was not finished. Run the same command again.")
    files = {n: about for part in document["splits"].values() for n, about in part["files"].items()}
    bad = [
        name
        for name, about in files.items()
        if not (folder / name).is_file() or fingerprint(folder / name) != about
    ]
    if bad:
        raise DataError(
            f"{folder}: {len(bad)} of {len(files)} files differ from {MANIFEST}: {several(bad)}. "
            "Delete them and run the build again."
        )
