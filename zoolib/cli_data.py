"""`zoolib data build|check NAME`: sets from raw files, and whether they are still whole."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

from zoolib.cli_data_fewshot import CHECKS as FEWSHOT
from zoolib.cli_data_fewshot import add_builders as add_fewshot
from zoolib.cli_data_semisup import CHECKS as SEMISUP
from zoolib.cli_data_semisup import add_builders as add_semisup
from zoolib.cli_options import Parser
from zoolib.errors import ConfigError, DataError

RECORDS = ("imagenet", "images", "shapes")
CHECKS = {**FEWSHOT, **SEMISUP}  # of the sets that are no records
NAMES = (*RECORDS, *CHECKS)


def run_data(words: list[str]) -> int:
    """Run one `data` command.

    Args:
        words: the command line behind ``data``.

    Returns:
        0.

    Raises:
        ConfigError, DataError, StoreError: bad input, in one sentence.
    """
    arguments = _parser().parse_args(words)
    told = arguments.command(arguments)
    if told:
        _tell(told, arguments)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="zoolib data", description=__doc__)
    actions = parser.add_subparsers(title="actions", metavar="build|check", required=True)
    build = actions.add_parser("build", help="make records; goes on where it was stopped")
    names = build.add_subparsers(title="data sets", metavar="NAME", required=True)
    _imagenet(names.add_parser("imagenet", help="ILSVRC2012 from its folders or archives"))
    _images(names.add_parser("images", help="your own: a folder per class, or a CSV file"))
    _shapes(names.add_parser("shapes", help="drawn here, in ImageNet's layout; no download"))
    add_fewshot(names)
    add_semisup(names)
    check = actions.add_parser("check", help="compare files with their manifest")
    check.add_argument("name", metavar="NAME", choices=NAMES, help=", ".join(NAMES))
    check.add_argument("--at", required=True, help="folder of the files")
    check.add_argument("--json", action="store_true", help="end with one JSON line")
    check.set_defaults(command=_check)
    return parser


def _imagenet(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--images", required=True, help="folder with train and val, or the tars")
    parser.add_argument("--devkit", help="its folder or archive; next to the images unless told")
    parser.add_argument("--boxes", help="folder or archive of XML files; no boxes unless told")
    _common(parser, odd="skip")
    parser.set_defaults(command=_build_imagenet)


def _images(parser: argparse.ArgumentParser) -> None:
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--folders", help="a folder per class, perhaps below train and val")
    where.add_argument("--csv", help="table with the columns path, label and perhaps split")
    parser.add_argument(
        "--validation", type=float, default=0.1, help="share to validate with (0.1)"
    )
    _common(parser, odd="convert")
    parser.set_defaults(command=_build_images)


def _shapes(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--classes", type=int, help="how many (16)")
    parser.add_argument("--train", type=int, help="training images of each class (250)")
    parser.add_argument("--validation", type=int, help="validation images of each class (50)")
    parser.add_argument("--size", type=int, help="pixels of the longer side (96)")
    _common(parser, odd="skip")
    parser.set_defaults(command=_build_shapes)


def _common(parser: argparse.ArgumentParser, odd: str) -> None:
    parser.add_argument("--to", required=True, help="folder of the records")
    parser.add_argument("--schema", default="reference", help="keys: reference or inception")
    parser.add_argument("--shards", type=int, help="training files (one per 1282 images)")
    parser.add_argument("--val-shards", type=int, help="validation files (one per 500 images)")
    parser.add_argument("--seed", type=int, default=0, help="of the order, and of a split (0)")
    parser.add_argument(
        "--odd",
        default=odd,
        help=f"CMYK pictures and other formats: skip (as the reference) or convert ({odd})",
    )
    parser.add_argument("--workers", type=int, help="processes (one per processor)")
    parser.add_argument("--json", action="store_true", help="end with one JSON line")


def _build_imagenet(arguments: argparse.Namespace) -> None:
    from zoolib.data.imagenet import explore_imagenet

    devkit = Path(arguments.devkit) if arguments.devkit else None
    boxes = Path(arguments.boxes) if arguments.boxes else None
    _build(explore_imagenet(Path(arguments.images), devkit, boxes), arguments, explored=True)


def _build_images(arguments: argparse.Namespace) -> None:
    from zoolib.data.own_images import from_folders, from_table

    if arguments.folders is not None:
        found = from_folders(Path(arguments.folders), arguments.validation, arguments.seed)
    else:
        found = from_table(Path(arguments.csv), arguments.validation, arguments.seed)
    _build(found, arguments)


def _build_shapes(arguments: argparse.Namespace) -> None:
    from zoolib.data.imagenet import explore_imagenet
    from zoolib.data.shapes_files import write_shapes

    asked = {k: getattr(arguments, k) for k in ("classes", "train", "validation", "size")}
    given = {k: v for k, v in asked.items() if v is not None}
    raw = Path(arguments.to) / "raw"
    options = _options(arguments)
    write_shapes(raw, seed=options.seed, progress=not arguments.json, **given)
    found = explore_imagenet(raw, boxes=raw / "annotations", name="shapes")
    _build(found, arguments, explored=True)


def _options(arguments: argparse.Namespace) -> Any:
    from zoolib.data.record_plan import RecordOptions

    shards = {"train": arguments.shards, "val": arguments.val_shards}
    return RecordOptions(arguments.schema, shards, arguments.seed, arguments.odd)


def _build(found: Any, arguments: argparse.Namespace, explored: bool = False) -> None:
    from zoolib.data.imagenet import write_exploration
    from zoolib.data.record_builder import build_records
    from zoolib.data.record_manifest import REPORT

    workers = (os.cpu_count() or 1) if arguments.workers is None else arguments.workers
    if workers < 1:
        raise ConfigError(f"workers: expected at least 1, got {workers}.")
    to = Path(arguments.to)
    manifest = build_records(found, to, _options(arguments), workers, not arguments.json)
    if explored:
        write_exploration(found, to / "explore")
    told: dict[str, Any] = {"data": found.name, "folder": str(to), "classes": len(found.classes)}
    for split, part in manifest["splits"].items():
        told[split] = part["records"]
        told[f"{split}_left_out"] = part["left_out"]
    told["report"] = str(to / REPORT)
    _tell(told, arguments)


def _check(arguments: argparse.Namespace) -> None:
    from zoolib.data.record_check import check_records

    at = Path(arguments.at)
    if not at.is_dir():
        raise DataError(f"{at}: expected the folder of the files, found none.")
    if arguments.name in CHECKS:
        counts = CHECKS[arguments.name](at, not arguments.json)
    else:
        counts = check_records(arguments.name, at, not arguments.json)
    _tell({"data": arguments.name, "folder": str(at), **counts, "whole": True}, arguments)


def _tell(told: dict[str, Any], arguments: argparse.Namespace) -> None:
    if arguments.json:
        print(json.dumps(told))
        return
    for name, value in told.items():
        print(f"{name:20} {value}")
