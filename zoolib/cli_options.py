"""The options of `zoolib train`, read off a model's config; seed-document names included."""

from __future__ import annotations

import argparse
from typing import Any

from zoolib.core.config import Setting
from zoolib.core.npu_settings import npu_settings
from zoolib.errors import ConfigError


class Parser(argparse.ArgumentParser):
    """An argument parser that complains in one line."""

    def error(self, message: str) -> None:
        """Raise what the command line reports as bad input."""
        raise ConfigError(message)


def train_parser(spec: Any) -> Parser:
    """Options of one model.

    In the parsed namespace settings stand under ``c__NAME`` (None where not given), names of the
    seed documents without a meaning here under ``seed__NAME``, options of the NPU adapter under
    ``n__NAME``.
    """
    parser = Parser(prog=f"zoolib train {spec.name}", description=spec.title, allow_abbrev=False)
    parser.set_defaults(model=spec.name)
    parser.add_argument("--preset", help=f"{', '.join(spec.presets)}; tutorial unless told")
    parser.add_argument("--device", "--chip", default="auto", help="auto, cpu, gpu:0, npu:0, …")
    parser.add_argument("--precision", help="float32 unless told")
    parser.add_argument("--out", "--logdir", default="runs", help="folder of the runs")
    parser.add_argument("--resume", help="a run folder to go on with; true: the newest that fits")
    parser.add_argument("--json", action="store_true", help="end with one JSON line")
    for item in spec.Config.settings():
        if not item.internal:
            names = spellings(item.name, *item.aliases)
            parser.add_argument(*names, dest=f"c__{item.name}", **_option(item))
    _add_npu_options(parser)
    hidden: dict[str, Any] = {"nargs": "?", "const": "true", "help": argparse.SUPPRESS}
    for name in spec.Config.translated:
        parser.add_argument(*spellings(name), dest=f"c__{name}", **hidden)
    for name in spec.Config.meaningless:
        parser.add_argument(*spellings(name), dest=f"seed__{name}", **hidden)
    return parser


def _add_npu_options(parser: Parser) -> None:
    """Options of the Ascend adapter; a model's own setting of the same name goes first."""
    group = parser.add_argument_group("on an Ascend NPU (without effect on other devices)")
    for item in npu_settings():
        taken = parser._option_string_actions
        names = [n for n in spellings(item.name, *item.aliases) if n not in taken]
        if names:
            group.add_argument(*names, dest=f"n__{item.name}", **_option(item))


def spellings(*names: str) -> list[str]:
    """Options for names: with underscores and with dashes."""
    return list(dict.fromkeys(f"--{n}" for name in names for n in (name, name.replace("_", "-"))))


def _option(item: Setting) -> dict[str, Any]:
    unit = f" [{item.unit}]" if item.unit else ""
    option: dict[str, Any] = {
        "help": f"{item.help}{unit} ({item.domain()})".replace("%", "%%"),
        "metavar": "VALUE",
    }
    if item.type is bool:
        option.update(nargs="?", const="true")
    return option
