"""`zoolib data build|check` for few-shot sets with class names."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Optional

from zoolib.errors import ConfigError, DataError


def add_builders(names: Any) -> None:
    """Add the data sets to the parsers of ``data build``.

    Args:
        names: what `add_subparsers` returned.
    """
    _mini(names.add_parser("miniimagenet", help="its split tables and pictures, for AM3"))
    _tiered(names.add_parser("tieredimagenet", help="its pickles, for AM3"))
    _fewshot(names.add_parser("fewshot", help="your own pictures and class names, for AM3"))
    _attrshapes(names.add_parser("attrshapes", help="drawn here, in every form; no download"))


def _mini(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--tables", required=True, help="folder of train.csv, val.csv, test.csv")
    parser.add_argument("--images", required=True, help="zip or folder of the pictures")
    parser.add_argument("--labels", help="label dictionary: identifier, number, name")
    _common(parser)
    parser.set_defaults(command=_build_mini)


def _tiered(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--pickles", required=True, help="folder of the six .pkl files")
    parser.add_argument(
        "--channels", default="BGR", help="BGR, as the original stores them, or RGB (BGR)"
    )
    _common(parser)
    parser.set_defaults(command=_build_tiered)


def _fewshot(parser: argparse.ArgumentParser) -> None:
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--folders", help="a folder per class, perhaps below train, val and test")
    where.add_argument("--csv", help="table with the columns path, label and perhaps split")
    parser.add_argument("--names", help="file with a class and its name in each line")
    parser.add_argument("--splits", help="file with a class and train, val or test in each line")
    parser.add_argument("--shares", default="0.64,0.16,0.2", help="of the classes, if by the seed")
    _common(parser)
    parser.set_defaults(command=_build_fewshot)


def _attrshapes(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--to", required=True, help="folder of the files")
    parser.add_argument("--size", type=int, default=32, help="height and width in pixels (32)")
    parser.add_argument("--per-class", type=int, default=40, help="pictures of each class (40)")
    parser.add_argument("--classes", default="64,16,20", help="of train, val, test (64,16,20)")
    parser.add_argument("--seed", type=int, default=0, help="which set (0)")
    parser.add_argument("--json", action="store_true", help="end with one JSON line")
    parser.set_defaults(command=_build_attrshapes)


def _common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--to", required=True, help="folder of the few-shot files")
    parser.add_argument("--size", type=int, default=84, help="height and width in pixels (84)")
    parser.add_argument("--vectors", help="word vectors: text of GloVe, word2vec or fastText")
    parser.add_argument("--matrix", help="class vectors of your own: .npz, .npy or .csv with names")
    parser.add_argument("--policy", help="for classes without a known word: zero, random, error")
    parser.add_argument("--dimension", type=int, help="what the vectors' length must be")
    parser.add_argument(
        "--exact-words",
        action="store_true",
        help="no other spellings, no parts of hyphenated words",
    )
    parser.add_argument("--seed", type=int, default=0, help="of splits and random vectors (0)")
    parser.add_argument("--json", action="store_true", help="end with one JSON line")


def _words(arguments: argparse.Namespace) -> Any:
    from zoolib.data.word_source import Words

    return Words(
        _path(arguments.vectors),
        _path(arguments.matrix),
        arguments.policy,
        arguments.dimension,
        arguments.seed,
        not arguments.exact_words,
    )


def _path(text: Optional[str]) -> Optional[Path]:
    return Path(text) if text else None


def _build_mini(arguments: argparse.Namespace) -> dict[str, Any]:
    from zoolib.data.miniimagenet import build_miniimagenet

    to, labels = Path(arguments.to), _path(arguments.labels)
    tables, images = Path(arguments.tables), Path(arguments.images)
    shown = not arguments.json
    made = build_miniimagenet(tables, images, to, labels, _words(arguments), arguments.size, shown)
    return _told(made, to)


def _build_tiered(arguments: argparse.Namespace) -> dict[str, Any]:
    from zoolib.data.tieredimagenet import build_tieredimagenet

    to, shown = Path(arguments.to), not arguments.json
    made = build_tieredimagenet(
        Path(arguments.pickles), to, _words(arguments), arguments.channels, arguments.size, shown
    )
    return _told(made, to)


def _build_fewshot(arguments: argparse.Namespace) -> dict[str, Any]:
    from zoolib.data.fewshot_folders import build_fewshot

    to = Path(arguments.to)
    made = build_fewshot(
        to,
        _path(arguments.folders),
        _path(arguments.csv),
        _path(arguments.names),
        _path(arguments.splits),
        _words(arguments),
        _three(arguments.shares, float, "shares"),
        arguments.seed,
        arguments.size,
        not arguments.json,
    )
    return _told(made, to)


def _build_attrshapes(arguments: argparse.Namespace) -> dict[str, Any]:
    from zoolib.data.attrshapes_files import write_sources

    to, classes = Path(arguments.to), _three(arguments.classes, int, "classes")
    made = write_sources(to, arguments.size, arguments.per_class, arguments.seed, classes)
    return _told(made, to / "npz")


def _three(text: str, kind: Callable[[str], Any], name: str) -> Any:
    try:
        values = tuple(kind(part) for part in text.split(","))
    except ValueError:
        values = ()
    if len(values) != 3:
        raise ConfigError(f"{name}: expected three numbers with commas between, got {text!r}.")
    return values


def _told(made: Mapping[str, Any], to: Path) -> dict[str, Any]:
    """What to print of a manifest."""
    told: dict[str, Any] = {"data": made["data"], "folder": str(to)}
    for split, part in made["splits"].items():
        told[split] = part["images"]
        told[f"{split}_classes"] = part["classes"]
        if "words" in part:
            listed = part["words"]["classes"]
            told[f"{split}_without_words"] = sum(not entry["found"] for entry in listed)
    told["report"] = str(to / "few-shot.json")
    return told


def _check(folder: Path, progress: bool) -> dict[str, int]:
    """Compare with the manifest and read every split."""
    from zoolib.data.fewshot import read_sets
    from zoolib.data.fewshot_store import check_manifest

    at = folder / "npz" if (folder / "npz").is_dir() else folder
    if not at.is_dir():
        raise DataError(f"{at}: expected the folder of the few-shot files, found none.")
    check_manifest(at)
    counts: dict[str, int] = {}
    for split, data in read_sets(at).items():
        counts[split], counts[f"{split}_classes"] = len(data.images), len(data.names)
    return counts


# Name -> what ``data check`` calls with the folder and whether to show progress.
CHECKS: dict[str, Callable[[Path, bool], dict[str, int]]] = dict.fromkeys(
    ("miniimagenet", "tieredimagenet", "fewshot", "attrshapes"), _check
)
