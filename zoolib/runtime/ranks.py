"""Who am I among my peers: the environment of a data-parallel run on Ascend NPUs.

Two ways of starting exist and exclude each other: a rank table (`RANK_*`) or a chief that gathers
the workers (`CM_*`). In the second the rank is assigned at open, so nothing here derives it.
Imports no TensorFlow.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import os
import re
from collections.abc import Mapping, Sequence

from zoolib.errors import ConfigError, DeviceError
from zoolib.runtime.rank_table import Rank, RankTable, convert, parse_table, read_table

__all__ = [
    "Launch",
    "Rank",
    "RankTable",
    "alone",
    "check_environment",
    "cm_environments",
    "convert",
    "environments",
    "parse_table",
    "read_table",
]

TABLE_VARIABLES = ("RANK_SIZE", "RANK_ID", "RANK_TABLE_FILE")
CHIEF_VARIABLES = (
    "CM_CHIEF_IP",
    "CM_CHIEF_PORT",
    "CM_CHIEF_DEVICE",
    "CM_WORKER_SIZE",
    "CM_WORKER_IP",
)
# Ranks compile for different times; the library's defaults (2 and 30 minutes) are short for that.
_TIMEOUTS = {"HCCL_CONNECT_TIMEOUT": "600", "HCCL_EXEC_TIMEOUT": "3600"}


@dataclasses.dataclass(frozen=True)
class Launch:
    """What the environment says of this process.

    Attributes:
        mode: ``"single"``, ``"table"`` or ``"chief"``.
        size: number of ranks.
        rank: own rank; ``None`` with a chief, which assigns it.
        device: own device; ``None`` where the environment does not say.
    """

    mode: str
    size: int = 1
    rank: int | None = None
    device: int | None = None


def check_environment(environ: Mapping[str, str] | None = None, product: str = "910") -> Launch:
    """Check the variables of a distributed start, in the adapter's own order, and then the table.

    Raises:
        ConfigError: for a variable that is no number, contradicts another one or the rank table.
        DeviceError: for an incomplete set of variables.
    """
    env = os.environ if environ is None else environ
    if "RANK_SIZE" in env and "CM_WORKER_SIZE" in env:
        raise ConfigError(
            "RANK_SIZE: expected nothing beside CM_WORKER_SIZE (one start is by rank table, the "
            f"other by chief), got {env['RANK_SIZE']!r}; unset one of them"
        )
    device = _integer(env, "ASCEND_DEVICE_ID") if "ASCEND_DEVICE_ID" in env else None
    by_chief = "CM_WORKER_SIZE" in env
    name = "CM_WORKER_SIZE" if by_chief else "RANK_SIZE"
    size = _integer(env, name, 32768) if name in env else 1
    if size <= 1:
        return Launch("single", device=device)
    if bool(env.get("CM_CHIEF_IP")) == bool(env.get("RANK_TABLE_FILE")):
        found = "both" if env.get("CM_CHIEF_IP") else "neither"
        raise DeviceError(
            f"{name}={size}: expected either RANK_TABLE_FILE or CM_CHIEF_IP to say who the ranks "
            f"are, got {found}"
        )
    _check_job(env)
    if env.get("RANK_TABLE_FILE"):
        return _by_table(env, size, device, product)
    return _by_chief(env, size, device)


def _by_table(env: Mapping[str, str], size: int, device: int | None, product: str) -> Launch:
    if not env.get("RANK_ID"):
        raise DeviceError(f"RANK_ID: expected 0 to {size - 1} beside RANK_TABLE_FILE, got nothing")
    rank = _integer(env, "RANK_ID")
    _exclude(env, CHIEF_VARIABLES, "RANK_TABLE_FILE")
    table = read_table(env["RANK_TABLE_FILE"])
    table.check(product)
    if table.size != size:
        raise ConfigError(f"RANK_SIZE: expected {table.size}, as in the rank table, got {size}")
    mine = [r for r in table.ranks if r.rank == rank]
    if not mine:
        raise ConfigError(f"RANK_ID: expected 0 to {size - 1}, as in the rank table, got {rank}")
    if device is not None and device != mine[0].device:
        raise ConfigError(
            f"ASCEND_DEVICE_ID: expected {mine[0].device}, which the rank table gives rank {rank} "
            f"(and which wins), got {device}"
        )
    return Launch("table", size, rank, mine[0].device)


def _by_chief(env: Mapping[str, str], size: int, device: int | None) -> Launch:
    for name in ("CM_CHIEF_PORT", "CM_CHIEF_DEVICE", "CM_CHIEF_IP"):
        if not env.get(name):
            raise DeviceError(f"{name}: expected a value beside CM_WORKER_SIZE={size}, got nothing")
    _exclude(env, TABLE_VARIABLES, "CM_CHIEF_IP")
    _integer(env, "CM_CHIEF_PORT", 65520)
    _integer(env, "CM_CHIEF_DEVICE")
    for name in ("CM_CHIEF_IP", "CM_WORKER_IP"):
        if name == "CM_CHIEF_IP" or env.get(name):  # the adapter passes an unset worker address on
            _check_address(name, env[name])
    return Launch("chief", size, None, device)


def alone(device: int, base: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of a process without peers; an older start's variables are dropped."""
    return {**_clean(base), "ASCEND_DEVICE_ID": str(device)}


def environments(
    table: RankTable,
    path: str | os.PathLike[str],
    server: str | None = None,
    base: Mapping[str, str] | None = None,
    job: str = "zoolib",
) -> list[dict[str, str]]:
    """The environment of each process of one server, by rank.

    Args:
        table: the checked table.
        path: where it lies; every process reads it there.
        server: which server this is; may be left out where there is one.
        base: variables to start from, such as `os.environ`; an older start's are dropped.
        job: name of the job, the same on all servers.

    Raises:
        ConfigError: if the server is not in the table, or is needed and missing.
    """
    name = table.servers[0] if server is None and len(table.servers) == 1 else server
    if name not in table.servers:
        raise ConfigError(f"server: expected one of {', '.join(table.servers)}, got {server!r}")
    common = {"RANK_SIZE": str(table.size), "RANK_TABLE_FILE": os.fspath(path), "JOB_ID": job}
    _check_job(common)
    return [
        {
            **_clean(base),
            **common,
            "RANK_ID": str(rank.rank),
            "ASCEND_DEVICE_ID": str(rank.device),
        }
        for rank in table.on(name)
    ]


def cm_environments(
    devices: Sequence[int],
    size: int,
    chief: str,
    port: int,
    chief_device: int = 0,
    worker: str = "",
    base: Mapping[str, str] | None = None,
) -> list[dict[str, str]]:
    """The environment of each process of one server, without a rank table.

    Args:
        devices: logical devices of this server, one process each.
        size: number of ranks on all servers.
        chief: address of the chief's server; `port` a free port there, `chief_device` its device.
        worker: address of this server; the chief's if empty.
        base: variables to start from; an older start's are dropped.

    Raises:
        ConfigError: for a value out of its domain.
    """
    if not 0 < len(devices) <= size or len(set(devices)) != len(devices):
        raise ConfigError(f"devices: expected 1 to {size} different devices, got {list(devices)}")
    common = {
        "CM_CHIEF_IP": chief,
        "CM_CHIEF_PORT": str(port),
        "CM_CHIEF_DEVICE": str(chief_device),
        "CM_WORKER_SIZE": str(size),
        "CM_WORKER_IP": worker or chief,
    }
    result = [{**_clean(base), **common, "ASCEND_DEVICE_ID": str(device)} for device in devices]
    if size > 1:
        check_environment(result[0])
    return result


def _clean(base: Mapping[str, str] | None) -> dict[str, str]:
    stale = (*TABLE_VARIABLES, *CHIEF_VARIABLES, "ASCEND_DEVICE_ID")
    kept = {name: value for name, value in (base or {}).items() if name not in stale}
    return {**_TIMEOUTS, **kept}


def _integer(env: Mapping[str, str], name: str, high: int | None = None) -> int:
    text = env[name].strip()
    if not (text.isascii() and text.isdigit()) or (high is not None and int(text) > high):
        domain = "of at least 0" if high is None else f"from 0 to {high}"
        raise ConfigError(f"{name}: expected a whole number {domain}, got {env[name]!r}")
    return int(text)


def _exclude(env: Mapping[str, str], names: Sequence[str], start: str) -> None:
    found = [name for name in names if name in env]
    if found:
        raise ConfigError(
            f"{', '.join(found)}: expected nothing beside {start}; the two ways to start exclude "
            "each other, unset one"
        )


def _check_job(env: Mapping[str, str]) -> None:
    job = env.get("JOB_ID", "zoolib")
    if not re.fullmatch(r"[A-Za-z0-9_-]+", job) or re.fullmatch(r"0\d+", job):
        raise ConfigError(
            f"JOB_ID: expected letters, digits, - and _, no number with a leading 0, got {job!r}"
        )


def _check_address(name: str, value: str) -> None:
    try:
        ipaddress.ip_address(value)
    except ValueError:
        raise ConfigError(f"{name}: expected an IPv4 or IPv6 address, got {value!r}") from None
