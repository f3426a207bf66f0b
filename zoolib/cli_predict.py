"""`zoolib predict FOLDER IMAGES --to FILE.csv`: what a trained classifier says of pictures.

Methods that are told the classes at prediction (`told_classes` of the task) take their names with
``--classes`` and example pictures with ``--examples``, a folder of folders.
"""

from __future__ import annotations

import argparse
import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import zoolib
from zoolib.errors import ConfigError, DataError, StoreError
from zoolib.runtime.quiet import import_tensorflow

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm")


def add_predict(add: Any) -> None:
    """Add the command to the program's others.

    Args:
        add: ``add_parser`` of the program's subparsers.
    """
    predict = add("predict", help="classify pictures with a trained model")
    predict.add_argument("folder", help="of the run")
    predict.add_argument("images", nargs="+", metavar="IMAGES", help="pictures, or folders of them")
    predict.add_argument("--to", help="CSV file to make; without, a line per picture is printed")
    predict.add_argument("--classes", help="names to choose from, a comma between (few-shot only)")
    predict.add_argument(
        "--examples", help="a folder with a folder of pictures per class (few-shot only)"
    )
    predict.add_argument("--device", default="auto")
    predict.set_defaults(command=_predict)


def _predict(arguments: argparse.Namespace) -> None:
    paths = pictures(arguments.images)
    target = None if arguments.to is None else Path(arguments.to)
    if target is not None and target.exists():
        raise StoreError(f"to: {target} exists; nothing was overwritten")
    result = zoolib.load(arguments.folder, arguments.device)
    import_tensorflow()
    task = result.task
    found = _found(task, paths, arguments)
    if target is None:
        print("\n".join(f"{p.picture}: {p.names[0]} {p.probabilities[0]:.1%}" for p in found))
        return
    from zoolib.core import files

    files.write_bytes(target, table(found).encode("utf-8"))
    print(target)


def _found(task: Any, paths: list[Path], arguments: argparse.Namespace) -> Sequence[Any]:
    """Predictions with ``picture``, ``names`` and ``probabilities``, best first."""
    told = arguments.classes or arguments.examples
    if not getattr(task, "told_classes", False):
        if not getattr(task, "takes_pictures", False):
            raise ConfigError(f"predict: {task.config.model} does not classify pictures")
        if told:
            raise ConfigError(f"predict: {task.config.model} knows its classes; tell none")
        return task.predict(paths)
    if not told:
        raise ConfigError(
            f"predict: {task.config.model} has to be told the classes: --classes a,b,c or "
            "--examples FOLDER"
        )
    names, support = _told(arguments.classes, arguments.examples)
    answer = task.predict(support, names, paths)
    return [_ranked(*row, answer.names) for row in zip(answer.pictures, answer.probabilities)]


def _told(classes: str | None, examples: str | None) -> tuple[list[str], list | None]:
    """Names of classes, and for each its example pictures."""
    names = [name.strip() for name in (classes or "").split(",") if name.strip()]
    if examples is None:
        return names, None
    folders = {p.name: p for p in sorted(Path(examples).glob("*")) if p.is_dir()}
    if not folders:
        raise DataError(f"{examples}: expected a folder of pictures per class, found none")
    names = names or list(folders)
    return names, [pictures([str(folders[n])]) if n in folders else [] for n in names]


def _ranked(picture: str, shares: Any, names: Sequence[str]) -> argparse.Namespace:
    order = sorted(range(len(names)), key=lambda i: -float(shares[i]))
    return argparse.Namespace(
        picture=picture,
        names=tuple(names[i] for i in order),
        probabilities=tuple(float(shares[i]) for i in order),
    )


def pictures(places: Sequence[str]) -> list[Path]:
    """Files as they are, and of folders the pictures in them and in their subfolders.

    Raises:
        DataError: for a place that does not exist, or a folder without pictures.
    """
    found: list[Path] = []
    for place in map(Path, places):
        inside = [place] if place.is_file() else []
        if place.is_dir():
            inside = sorted(p for p in place.rglob("*") if p.suffix.lower() in SUFFIXES)
        if not inside:
            raise DataError(f"{place}: expected a picture, or a folder of some; found none")
        found += inside
    return found


def table(predictions: Sequence[Any]) -> str:
    """Predictions as CSV: picture, class, probability; then every class told, or the best ones.

    Args:
        predictions: with ``picture``, ``names`` and ``probabilities``, best first. Where all tell
            the same classes there is a column for each, else columns for second best and so on.
    """
    kinds = {frozenset(p.names) for p in predictions}
    common = sorted(kinds.pop(), key=_order) if len(kinds) == 1 else None
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    most = max((len(p.names) for p in predictions), default=1)
    ranked = [f"{what}_{n}" for n in range(2, most + 1) for what in ("class", "probability")]
    writer.writerow(["picture", "class", "probability", *(common or ranked)])
    for p in predictions:
        if common:
            shares = dict(zip(p.names, p.probabilities))
            rest = [f"{shares[name]:.6f}" for name in common]
        else:
            pairs = list(zip(p.names, p.probabilities))[1:]
            rest = [cell for name, share in pairs for cell in (name, f"{share:.6f}")]
        writer.writerow([p.picture, p.names[0], f"{p.probabilities[0]:.6f}", *rest])
    return text.getvalue()


def _order(name: str) -> tuple:
    return (0, int(name), name) if name.isdecimal() else (1, 0, name)
