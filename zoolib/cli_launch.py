"""`zoolib launch`: the same command on several NPUs, one process each."""

from __future__ import annotations

import sys
from typing import Any, Callable

from zoolib.cli_options import Parser
from zoolib.errors import ConfigError
from zoolib.launch import Plan, launch

_DEVICE = ("--device", "--chip")


def run_launch(words: list[str], check: Callable[[list[str]], Any]) -> int:
    """Start a command of zoolib on several devices.

    Args:
        words: the command line behind ``launch``: options, ``--``, then ``train MODEL ...``.
        check: raises what is wrong with the arguments of ``train``, before anything is started.

    Returns:
        The exit status, see :func:`zoolib.launch.launch`.

    Raises:
        ConfigError: for options or a command that are not valid.
    """
    own, _, rest = _split(words)
    options = _parser().parse_args(own)
    if rest[:1] != ["train"]:
        raise ConfigError(f"launch: expected -- train MODEL ... at the end, got {' '.join(rest)!r}")
    command = check(rest[1:])[0]
    device = command.device if _value(rest, _DEVICE) else "npu"
    if device not in ("auto", "npu"):
        raise ConfigError(
            f"device: expected npu, or nothing (each rank has a device of its own), got {device!r}"
        )
    if not _value(rest, _DEVICE) or device == "auto":
        rest += ["--device", "npu"]
    plan = Plan(
        ranks=options.ranks,
        rank_table=options.rank_table,
        server=options.server,
        chief_ip=options.chief_ip,
        chief_port=options.chief_port,
        chief_device=options.chief_device,
        worker_ip=options.worker_ip,
        devices=_devices(options.devices),
        product=getattr(command, "n__product", None) or "910",
        logs=options.logs,
        grace=options.grace,
    )
    return launch([sys.executable, "-m", "zoolib", *rest], plan)


def _split(words: list[str]) -> tuple[list[str], str, list[str]]:
    """Options of launch and the command; without ``--`` the command starts at ``train``."""
    for mark in ("--", "train"):
        if mark in words:
            place = words.index(mark)
            return words[:place], mark, words[place + (mark == "--") :]
    return words, "", []


def _value(words: list[str], names: tuple[str, ...]) -> bool:
    return any(word.partition("=")[0] in names for word in words)


def _devices(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(",") if part)
    except ValueError:
        raise ConfigError(f"devices: expected numbers like 0,1,2,3, got {text!r}") from None


def _parser() -> Parser:
    parser = Parser(
        prog="zoolib launch",
        usage="zoolib launch [options] -- train MODEL ...",
        description="Train on several NPUs of this server, one process each; it ends as a whole.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--ranks", type=int, help="processes on all servers; with a rank table, as many as in it")
    add("--rank-table", default="", help="rank table (JSON), current or old form")
    add("--server", help="this server's name in the table, if it lists several")
    add("--chief-ip", default="", help="without a table: address of the chief's server")
    add("--chief-port", type=int, default=60000, help="a free port there (60000)")
    add("--chief-device", type=int, default=0, help="the chief's device (0)")
    add("--worker-ip", default="", help="this server's address, the chief's unless told")
    add("--devices", default="", help="without a table: devices of this server, like 0,1,2,3")
    add("--logs", default="logs", help="folder for the logs, one per process (logs)")
    add("--grace", type=float, default=5.0, help="seconds the others have when one fails (5)")
    return parser
