"""`zoolib data build|check` for semi-supervised sets: CIFAR-10/100, SVHN, STL-10 and one's own."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any, Optional

_ARCHIVES = {
    "cifar10": "cifar-10-python.tar.gz, or its binary or matlab fellow",
    "cifar100": "cifar-100-python.tar.gz, or its binary or matlab fellow",
    "stl10": "stl10_binary.tar.gz",
}


def add_builders(names: Any) -> None:
    """Add the sets to `zoolib data build`.

    Args:
        names: the sub-parsers of the data sets' names.
    """
    for name, file in _ARCHIVES.items():
        parser = names.add_parser(name, help=f"for semi-supervised training, from {file}")
        parser.add_argument(
            "--archive", required=True, help=f"{file}, as downloaded; or a folder with its content"
        )
        _sums(parser)
        _common(parser)
        parser.set_defaults(command=_build_archive, name=name)
    parser = names.add_parser("svhn", help="for semi-supervised training, from its .mat files")
    parser.add_argument(
        "--archive",
        required=True,
        help="folder with train_32x32.mat, test_32x32.mat and, with --extra, extra_32x32.mat",
    )
    parser.add_argument("--extra", action="store_true", help="train on the extra images too")
    _sums(parser)
    _common(parser)
    parser.set_defaults(command=_build_svhn)
    _own(names.add_parser("semisup", help="your own images for semi-supervised training"))


def _sums(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--sha256", nargs="+", default=(), help="checksums to accept in place of the official one"
    )


def _own(parser: argparse.ArgumentParser) -> None:
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--folders", help="a folder per class, perhaps below train and test")
    where.add_argument("--csv", help="table with the columns path, label and perhaps split")
    parser.add_argument("--unlabelled", "--unlabeled", help="folder of images without label")
    parser.add_argument("--name", default="own", help="of the set, in file names (own)")
    parser.add_argument("--size", type=int, help="height and width; unless told all must be equal")
    parser.add_argument("--test", type=float, default=0.2, help="share to test with (0.2)")
    parser.add_argument("--test-seed", type=int, default=0, help="which images these are (0)")
    _common(parser, validation=50)
    parser.set_defaults(command=_build_own)


def _common(parser: argparse.ArgumentParser, validation: int = 500) -> None:
    parser.add_argument("--to", required=True, help="folder of the records")
    parser.add_argument(
        "--labels", type=int, nargs="+", default=(), help="labelled images of the splits to make"
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=(1,), help="of the splits (1)")
    parser.add_argument(
        "--class-balance", action="store_true", help="as many labels of every class"
    )
    parser.add_argument(
        "--validation",
        type=int,
        default=validation,
        help=f"images to validate with, kept apart from copies ({validation})",
    )
    parser.add_argument(
        "--copies", type=int, default=0, help="of every unlabelled image with random views (0)"
    )
    parser.add_argument("--augment", default="cutout", help="what a copy is (cutout)")
    parser.add_argument("--json", action="store_true", help="end with one JSON line")


def _build_archive(arguments: argparse.Namespace) -> dict[str, Any]:
    from zoolib.data.semi_sources import cifar, stl10

    options = _options(arguments)
    place, sums = Path(arguments.archive), arguments.sha256
    if arguments.name == "stl10":
        return _build(stl10(place, sums), options, arguments)
    return _build(cifar(arguments.name, place, sums), options, arguments)


def _build_svhn(arguments: argparse.Namespace) -> dict[str, Any]:
    from zoolib.data.semi_sources import svhn

    options = _options(arguments)
    origin = svhn(Path(arguments.archive), arguments.extra, arguments.sha256)
    return _build(origin, options, arguments)


def _build_own(arguments: argparse.Namespace) -> dict[str, Any]:
    from zoolib.data.semi_own import own_images

    options = _options(arguments)
    origin = own_images(
        arguments.name,
        Path(arguments.folders or arguments.csv),
        Path(arguments.unlabelled) if arguments.unlabelled else None,
        arguments.test,
        arguments.test_seed,
        arguments.size,
    )
    return _build(origin, options, arguments)


def _options(arguments: argparse.Namespace) -> Any:
    from zoolib.data.semi_builder import BuildOptions

    return BuildOptions(
        tuple(arguments.labels),
        tuple(arguments.seeds),
        arguments.class_balance,
        arguments.validation,
        arguments.copies,
        arguments.augment,
    )


def _build(origin: Any, options: Any, arguments: argparse.Namespace) -> dict[str, Any]:
    from zoolib.data.semi_builder import build_semisup

    return build_semisup(origin, Path(arguments.to), options, not arguments.json)


def _checker(*names: str) -> Callable[[Path, bool], dict[str, int]]:
    def check(folder: Path, progress: bool = False) -> dict[str, int]:
        from zoolib.data.semi_manifest import check_semisup

        wanted: Optional[tuple[str, ...]] = names or None
        return check_semisup(folder, wanted)

    return check


# Name -> function of (folder, progress) that compares records with their manifest.
CHECKS: dict[str, Callable[[Path, bool], dict[str, int]]] = {
    "cifar10": _checker("cifar10"),
    "cifar100": _checker("cifar100"),
    "svhn": _checker("svhn", "svhn_noextra"),
    "stl10": _checker("stl10"),
    "semisup": _checker(),
}
