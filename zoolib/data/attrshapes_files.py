"""AttrShapes as files in every form the builders read, so that all of them can be tried.

Two classes have odd names, in all forms alike: one with a word that no vector file knows, one
hyphenated. Their vectors are those of the plain names, as the rules for words would have it.
"""

from __future__ import annotations

import gzip
import io
import pickle
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from zoolib.data.attrshapes import DIMENSION, attrshapes, class_lists, name_vectors, word_table
from zoolib.data.draws import generator
from zoolib.data.fewshot import Split
from zoolib.data.fewshot_build import shuffles
from zoolib.data.fewshot_store import SPLITS, Build
from zoolib.data.npz_files import write_once
from zoolib.data.whole_files import locked, read_json, write_json
from zoolib.errors import DataError

UNKNOWN = "oddment"  # a word of one class that no vector file knows
DECOYS = ("zebra", "Red", "striped-square", "red striped", ". . .", "the")
_DONE = "complete.json"


def write_sources(
    folder: Path | str,
    size: int = 32,
    per_class: int = 40,
    seed: int = 0,
    classes: tuple[int, int, int] = (64, 16, 20),
) -> dict[str, Any]:
    """Write the set in every form; nothing if it is there.

    ``npz``: few-shot files. ``mini``: split tables, a zip of PNG files, a label dictionary.
    ``tiered``: pickles. ``folders``: a folder per class below train, val and test, and
    ``names.txt``. ``vectors.txt`` (as GloVe), ``vectors_header.vec`` (as word2vec and fastText),
    ``vectors.txt.gz``, ``vectors.zip``.

    Args:
        folder: made if missing.
        size, per_class, seed, classes: of `attrshapes`.

    Returns:
        The manifest of the few-shot files.

    Raises:
        DataError: the folder holds something else.
    """
    to = Path(folder)
    settings = {"size": size, "per_class": per_class, "seed": seed, "classes": list(classes)}
    if (to / _DONE).is_file() and read_json(to / _DONE) != settings:
        raise DataError(
            f"{to}: holds attrshapes made with {read_json(to / _DONE)}, not {settings}. Take "
            "another folder, or delete this one."
        )
    sets = attrshapes(size, per_class, seed, classes)
    ids = {s: [kind.wnid for kind in kinds] for s, kinds in class_lists(classes, seed).items()}
    spoken = {split: _odd_names(data.names, split) for split, data in sets.items()}
    if (to / _DONE).is_file():
        return _write_npz(to / "npz", sets, spoken, settings)
    pictures = {split: [_png(image) for image in data.images] for split, data in sets.items()}
    with locked(to):
        _write_vectors(to, seed)
        _write_mini(to / "mini", sets, ids, spoken, pictures)
        _write_tiered(to / "tiered", sets, spoken, pictures)
        _write_folders(to / "folders", sets, ids, pictures)
        lines = [f"{i}\t{n}\n" for split in SPLITS for i, n in zip(ids[split], spoken[split])]
        write_once(to / "names.txt", "".join(lines).encode())
        manifest = _write_npz(to / "npz", sets, spoken, settings)
        write_json(to / _DONE, settings)
    return manifest


def _odd_names(names: Sequence[str], split: str) -> list[str]:
    """One name with an unknown word, one with a hyphen, both in training."""
    listed = list(names)
    if split == "train":
        listed[0] += f" {UNKNOWN}"
        listed[1] = listed[1].replace(" ", "-", 1)
    return listed


def _png(image: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return buffer.getvalue()


def _orders(sets: Mapping[str, Split]) -> dict[str, np.ndarray]:
    return shuffles({split: len(data.images) for split, data in sets.items()})


def _write_npz(
    to: Path, sets: Mapping[str, Split], spoken: Mapping[str, list[str]], settings: dict[str, Any]
) -> dict[str, Any]:
    """What the builders must make of the other forms."""
    work, orders = Build(to, "attrshapes", settings), _orders(sets)
    for split in SPLITS:
        if work.done(split):
            continue
        data, order, names = sets[split], orders[split], spoken[split]
        rows, coverage = name_vectors(names, settings["seed"])
        words = {"source": dict(coverage.source), "classes": coverage.rows()}
        work.add(split, data.images[order], data.class_of[order], names, rows, words)
    return work.finish()


def _write_mini(
    to: Path,
    sets: Mapping[str, Split],
    ids: Mapping[str, list[str]],
    spoken: Mapping[str, list[str]],
    pictures: Mapping[str, list[bytes]],
) -> None:
    to.mkdir(parents=True, exist_ok=True)
    archive, lines = io.BytesIO(), []
    with zipfile.ZipFile(archive, "w") as packed:
        for split in SPLITS:
            table = ["filename,label\n"]
            for number, (label, content) in enumerate(zip(sets[split].class_of, pictures[split])):
                wnid = ids[split][label]
                name = f"{wnid}{number:08d}.png"
                packed.writestr(zipfile.ZipInfo(f"images/{name}"), content)
                table.append(f"{name},{wnid}\n")
            write_once(to / f"{split}.csv", "".join(table).encode())
            for wnid, name in zip(ids[split], spoken[split]):
                lines.append(f"{wnid} {len(lines) + 1} {name.replace(' ', '_')}\n")
    write_once(to / "images.zip", archive.getvalue())
    write_once(to / "labels.txt", "".join(lines).encode())


def _write_tiered(
    to: Path,
    sets: Mapping[str, Split],
    spoken: Mapping[str, list[str]],
    pictures: Mapping[str, list[bytes]],
) -> None:
    """Pickles of protocol 2, as Python 2 wrote them; the pictures' order is that of the .npz."""
    to.mkdir(parents=True, exist_ok=True)
    orders = _orders(sets)
    for split, data in sets.items():
        order = orders[split]
        buffers = [np.frombuffer(pictures[split][i], np.uint8)[:, None] for i in order]
        labels = {
            "label_specific": data.class_of[order].astype(np.int64),
            "label_general": np.zeros(len(order), np.int64),
            "label_specific_str": [f"{name}, a drawn thing" for name in spoken[split]],
            "label_general_str": ["shape"],
        }
        write_once(to / f"{split}_images_png.pkl", pickle.dumps(buffers, protocol=2))
        write_once(to / f"{split}_labels.pkl", pickle.dumps(labels, protocol=2))


def _write_folders(
    to: Path,
    sets: Mapping[str, Split],
    ids: Mapping[str, list[str]],
    pictures: Mapping[str, list[bytes]],
) -> None:
    for split, data in sets.items():
        for number, (label, content) in enumerate(zip(data.class_of, pictures[split])):
            place = to / split / ids[split][label]
            place.mkdir(parents=True, exist_ok=True)
            path = place / f"{number:05d}.png"
            if path.exists() and path.read_bytes() != content:
                raise DataError(f"{path}: is there already and holds something else.")
            path.write_bytes(content)


def _write_vectors(to: Path, seed: int) -> None:
    """The 20 words among decoys, with and without a header, plain and packed."""
    to.mkdir(parents=True, exist_ok=True)
    numbers = generator(seed, "attrshapes/decoys").normal(0, 0.4, (len(DECOYS), DIMENSION))
    decoys = {w: " ".join(f"{x:.6f}" for x in row) for w, row in zip(DECOYS, numbers)}
    known = word_table(seed)
    # A word that comes again, with another vector: the first one counts.
    again = {"square": decoys["the"]}
    lines = [f"{w} {t}\n" for part in (decoys, known, again) for w, t in part.items()]
    text = "".join(lines).encode()
    header = f"{len(lines)} {DIMENSION}\n".encode()
    write_once(to / "vectors.txt", text)
    write_once(to / "vectors_header.vec", header + text.replace(b"\n", b" \n"))
    write_once(to / "vectors.txt.gz", gzip.compress(text, mtime=0))
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(zipfile.ZipInfo(f"vectors.{DIMENSION}d.txt"), text)
    write_once(to / "vectors.zip", packed.getvalue())
