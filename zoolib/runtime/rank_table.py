"""Rank tables: the JSON file that says which device of which server has which rank.

The adapter does not look into it and the engine's errors are late and obscure, so it is checked
here. Two forms exist: the current one (`server_list`), read and written, and the old one
(`group_list`), read only. All values in both are strings, numbers too. Imports no TensorFlow.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from zoolib.errors import ConfigError

OTHERS = ("super_device_id", "device_port", "host_port", "backup_device_ip")
RING = 4  # devices 0-3 and 4-7 of an Ascend 910 server are wired as two separate rings


@dataclasses.dataclass(frozen=True)
class Rank:
    """One process: its rank, server, physical device number and the device's network address.

    `others` are fields of newer adapters (`super_device_id`, `device_port`, ...), kept as they are.
    """

    rank: int
    server: str
    device: int
    address: str = ""
    others: tuple[tuple[str, str], ...] = ()


@dataclasses.dataclass(frozen=True)
class RankTable:
    """All ranks of a job, in the order of the table.

    `super_pods` (version 1.2) and the `hosts` of servers are kept for the adapter, not looked at.
    """

    ranks: tuple[Rank, ...]
    version: str = "1.0"
    super_pods: tuple[dict[str, Any], ...] = ()
    hosts: tuple[tuple[str, str], ...] = ()

    @property
    def size(self) -> int:
        """Number of ranks."""
        return len(self.ranks)

    @property
    def servers(self) -> tuple[str, ...]:
        """Names of the servers, in the order of the table."""
        return tuple(dict.fromkeys(r.server for r in self.ranks))

    def on(self, server: str) -> list[Rank]:
        """The ranks of one server, ascending."""
        return sorted((r for r in self.ranks if r.server == server), key=lambda r: r.rank)

    def document(self) -> dict[str, Any]:
        """The table as JSON values, in the current form."""
        hosts = dict(self.hosts)
        servers = [
            {
                "server_id": server,
                **({"host_ip": hosts[server]} if server in hosts else {}),
                "device": [_device_document(r) for r in self.on(server)],
            }
            for server in self.servers
        ]
        document = {
            "version": self.version,
            "status": "completed",
            "server_count": str(len(servers)),
            "server_list": servers,
        }
        if self.super_pods:
            document["super_pod_list"] = list(self.super_pods)
        return document

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write the table in the current form, replacing the file in one go."""
        target = Path(path)
        draft = target.with_name(target.name + ".draft")
        draft.write_text(json.dumps(self.document(), indent=2) + "\n", encoding="utf-8")
        os.replace(draft, target)

    def check(self, product: str = "910") -> None:
        """Check ranks, counts, rings and addresses.

        Raises:
            ConfigError: at the first rule the table breaks.
        """
        numbers = [r.rank for r in self.ranks]
        if not numbers or sorted(numbers) != list(range(len(numbers))):
            raise _bad("rank_id", f"0 to {max(len(numbers) - 1, 0)}, each once", numbers)
        if self.version != "1.0" and product != "a3":
            raise _bad("version", "'1.0' ('1.2' is for Atlas A3)", self.version)
        sizes = {server: len(self.on(server)) for server in self.servers}
        if len(set(sizes.values())) > 1:
            raise _bad("server_list", "the same number of devices on every server", sizes)
        for server in self.servers:
            _check_server(server, self.on(server), product, len(sizes))


def _check_server(server: str, ranks: list[Rank], product: str, servers: int) -> None:
    numbers, devices = [r.rank for r in ranks], [r.device for r in ranks]
    if numbers != list(range(numbers[0], numbers[0] + len(numbers))):
        raise _bad("rank_id", f"consecutive ranks on server {server}", numbers)
    if len(set(devices)) != len(devices):
        raise _bad("device_id", f"each device once on server {server}", devices)
    for rank in ranks:
        if not rank.address and (product == "910" or servers > 1):
            raise _bad("device_ip", f"the network address of rank {rank.rank}'s device", "")
    if product != "910":
        return
    if len(ranks) not in (1, 2, 4, 8):
        raise _bad("device", f"1, 2, 4 or 8 devices on server {server}", len(ranks))
    if max(devices) > 7:
        raise _bad("device_id", "0 to 7 on an Ascend 910 server", max(devices))
    if len(ranks) in (2, 4) and len({device // RING for device in devices}) > 1:
        raise _bad(
            "device_id",
            f"{len(ranks)} devices of one ring (0 to 3, or 4 to 7) on server {server}",
            sorted(devices),
        )


def read_table(path: str | os.PathLike[str]) -> RankTable:
    """Read a rank table, in the current form or the old one with `group_list`.

    Raises:
        ConfigError: if the file cannot be read or a value is not what the form says. Rules that
            involve several ranks are `RankTable.check`'s.
    """
    try:
        document = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"rank table {path}: expected a JSON file ({error})") from None
    return parse_table(document)


def convert(document: Mapping[str, Any]) -> dict[str, Any]:
    """The current form of a table in either form. Raises ConfigError."""
    return parse_table(document).document()


def parse_table(document: Any) -> RankTable:
    """A rank table from JSON values in either form. Raises ConfigError."""
    if not isinstance(document, dict) or not {"server_list", "group_list"} & set(document):
        raise _bad("document", "an object with server_list (old form: group_list)", document)
    _text(document, "status", ("completed",))
    if "server_list" not in document:
        return RankTable(_old_ranks(document))
    servers, ranks = _items(document, "server_list"), []
    _count(document, "server_count", len(servers))
    names = [_server(item) for item in servers]
    if len(set(names)) != len(names):
        raise _bad("server_id", "each server once", names)
    for name, item in zip(names, servers):
        for device in _items(item, "device"):
            ranks.append(_rank(device, _number(device, "rank_id"), name))
    version = _text(document, "version", ("1.0", "1.2"))
    pods = _items(document, "super_pod_list") if "super_pod_list" in document else []
    hosts = [(n, _text(i, "host_ip")) for n, i in zip(names, servers) if "host_ip" in i]
    return RankTable(tuple(ranks), version, tuple(pods), tuple(hosts))


def _old_ranks(document: dict[str, Any]) -> tuple[Rank, ...]:
    """Ranks of the old form: by `rank_id`, or by order where instances are pods."""
    groups = _items(document, "group_list")
    _count(document, "group_count", len(groups))
    if len(groups) != 1:
        raise _bad("group_list", "one group", len(groups))
    group, ranks = groups[0], []
    instances = _items(group, "instance_list")
    _count(group, "instance_count", len(instances))
    for instance in instances:
        devices, server = _items(instance, "devices"), _server(instance)
        if "rank_id" in instance and len(devices) != 1:
            raise _bad("devices", "one in an instance with a rank_id", len(devices))
        for device in devices:
            by_name = "rank_id" in instance
            ranks.append(
                _rank(device, _number(instance, "rank_id") if by_name else len(ranks), server)
            )
    for name in ("device_count", "device_num"):
        if name in group:
            _count(group, name, len(ranks))
    return tuple(ranks)


def _rank(device: dict[str, Any], rank: int, server: str) -> Rank:
    address = _text(device, "device_ip") if "device_ip" in device else ""
    if address:
        _address("device_ip", address)
    others = [(name, _text(device, name)) for name in OTHERS if name in device]
    return Rank(rank, server, _number(device, "device_id"), address, tuple(others))


def _device_document(rank: Rank) -> dict[str, str]:
    address = {"device_ip": rank.address} if rank.address else {}
    others = dict(rank.others)
    return {"device_id": str(rank.device), **address, "rank_id": str(rank.rank), **others}


def _bad(field: str, expected: str, got: Any) -> ConfigError:
    return ConfigError(f"rank table: {field}: expected {expected}, got {got!r}")


def _text(item: dict[str, Any], field: str, choices: tuple[str, ...] = ()) -> str:
    value = item.get(field)
    if not isinstance(value, str) or (choices and value not in choices):
        words = " or ".join(repr(choice) for choice in choices)
        raise _bad(field, words or "a string (numbers too are written as strings)", value)
    return value


def _number(item: dict[str, Any], field: str) -> int:
    value = _text(item, field)
    if not (value.isascii() and value.isdigit()):
        raise _bad(field, 'a whole number as a string, such as "0"', value)
    return int(value)


def _count(item: dict[str, Any], field: str, actual: int) -> None:
    if _number(item, field) != actual:
        raise _bad(field, f'"{actual}", the number listed', item[field])


def _items(item: dict[str, Any], field: str) -> list[dict[str, Any]]:
    values = item.get(field)
    if not isinstance(values, list) or not values or not all(isinstance(v, dict) for v in values):
        raise _bad(field, "a list of objects, not empty", values)
    return values


def _server(item: dict[str, Any]) -> str:
    name = _text(item, "server_id")
    if not 0 < len(name) <= 64:
        raise _bad("server_id", "1 to 64 characters", name)
    return name


def _address(field: str, value: str) -> None:
    try:
        ipaddress.ip_address(value)
    except ValueError:
        raise _bad(field, "an IPv4 or IPv6 address", value) from None
