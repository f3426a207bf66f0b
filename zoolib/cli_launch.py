"""`zoolib launch`: the same command on several NPUs, GPUs or CPU shares, one process each."""

from __future__ import annotations

import sys
from typing import Any, Callable

from zoolib.cli_options import Parser
from zoolib.errors import ConfigError
from zoolib.launch import Plan, kind_here, launch


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
    kind = _kind(options, command.device.strip().lower())
    if command.device != kind:
        rest += ["--device", kind]
    plan = Plan(
        kind=kind,
        ranks=options.ranks,
        rank_table=options.rank_table,
        server=options.server,
        chief_ip=options.chief_ip,
        chief_port=options.chief_port,
        chief_device=options.chief_device,
        worker_ip=options.worker_ip,
        devices=_devices(options.devices),
        workers=tuple(part.strip() for part in options.workers.split(",") if part.strip()),
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


def _kind(options: Any, asked: str) -> str:
    """What to start on: what the command asks for, else what the options or the machine have."""
    starts_npus = bool(options.rank_table or options.chief_ip)
    valid = ("npu",) if starts_npus else ("npu", "gpu", "cpu")
    if asked in valid:
        return asked
    if asked != "auto":
        raise ConfigError(
            f"device: expected {', '.join(valid)}, or nothing (each rank has a device of its own), "
            f"got {asked!r}"
        )
    return "npu" if starts_npus else kind_here()


def _devices(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(",") if part)
    except ValueError:
        raise ConfigError(f"devices: expected numbers like 0,1,2,3, got {text!r}") from None


def _parser() -> Parser:
    parser = Parser(
        prog="zoolib launch",
        usage="zoolib launch [options] -- train MODEL ...",
        description="Train on several devices of this server, one process each; it ends as a "
        "whole. --device cpu or gpu in the command of train says on what; else NPUs, GPUs, CPU "
        "shares, whatever is there first.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--ranks", type=int, help="processes on all servers; with a table or workers, as many")
    add("--devices", default="", help="devices of this server, like 0,1,2,3 (not for a table)")
    add("--workers", default="", help="CPU, GPU: host:port of every rank, by comma, if on servers")
    add("--rank-table", default="", help="NPU: rank table (JSON), current or old form")
    add("--server", help="this server's name in the table or workers, if there are several")
    add("--chief-ip", default="", help="NPU without a table: address of the chief's server")
    add("--chief-port", type=int, default=60000, help="a free port there (60000)")
    add("--chief-device", type=int, default=0, help="the chief's device (0)")
    add("--worker-ip", default="", help="this server's address, the chief's unless told")
    add("--logs", default="logs", help="folder for the logs, one per process (logs)")
    add("--grace", type=float, default=5.0, help="seconds the others have when one fails (5)")
    return parser
