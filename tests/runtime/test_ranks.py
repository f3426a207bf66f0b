"""Rank tables in both forms, the rules they keep, and the environment of every process."""

from __future__ import annotations

import copy
import json

import pytest

from zoolib.errors import ConfigError, DeviceError
from zoolib.runtime import ranks


def current(*servers: list[int]) -> dict:
    """A table of servers with these devices, ranks in order."""
    listed, rank = [], 0
    for number, devices in enumerate(servers):
        entries = []
        for device in devices:
            address = f"192.168.{100 + number}.{100 + device}"
            entries.append({"device_id": str(device), "device_ip": address, "rank_id": str(rank)})
            rank += 1
        listed.append({"server_id": f"10.0.0.{number + 1}", "device": entries})
    return {
        "version": "1.0",
        "status": "completed",
        "server_count": str(len(servers)),
        "server_list": listed,
    }


def old(by_rank: bool) -> dict:
    """Two devices of one server in the old form: one instance per rank, or one pod."""
    devices = [{"device_id": str(i), "device_ip": f"192.168.100.{100 + i}"} for i in range(2)]
    if by_rank:
        instances = [
            {"devices": [d], "rank_id": str(1 - i), "server_id": "10.0.0.1"}
            for i, d in enumerate(devices)
        ]
        counts = {"device_num": "2", "server_num": "1"}
    else:
        instances = [{"devices": devices, "pod_name": "job-0", "server_id": "10.0.0.1"}]
        counts = {"device_count": "2"}
    group = {"group_name": "worker", "instance_count": str(len(instances)), **counts}
    group["instance_list"] = instances
    return {
        "board_id": "0x0000",
        "chip_info": "910",
        "deploy_mode": "lab",
        "group_count": "1",
        "group_list": [group],
        "status": "completed",
    }


GOOD = [[[0]], [[5]], [[0, 1]], [[4, 5, 6, 7]], [list(range(8))], [[0, 1], [0, 1]]]


@pytest.mark.parametrize("servers", GOOD)
def test_reading_what_was_written_gives_the_same_table(tmp_path, servers):
    table = ranks.parse_table(current(*servers))
    table.check()
    table.write(tmp_path / "table.json")
    assert ranks.read_table(tmp_path / "table.json") == table
    assert json.loads((tmp_path / "table.json").read_text()) == current(*servers)
    assert [p.name for p in tmp_path.iterdir()] == ["table.json"]


def test_old_form_of_pods_is_numbered_in_order():
    assert ranks.convert(old(by_rank=False)) == current([0, 1])


def test_old_form_with_ranks_keeps_them():
    table = ranks.parse_table(old(by_rank=True))
    table.check()
    assert [(r.rank, r.device) for r in table.ranks] == [(1, 0), (0, 1)]
    assert ranks.parse_table(ranks.convert(old(by_rank=True))).on("10.0.0.1") == table.on(
        "10.0.0.1"
    )


def change(*path, to):
    """A function that sets one value of a table, or removes it for None."""

    def edit(document):
        for step in path[:-1]:
            document = document[step]
        if to is None:
            del document[path[-1]]
        else:
            document[path[-1]] = to

    return edit


FIRST = ("server_list", 0, "device", 0)
BROKEN = {
    "number instead of text": (change(*FIRST, "device_id", to=0), "device_id: expected a string"),
    "no number": (change(*FIRST, "rank_id", to="one"), "rank_id: expected a whole number"),
    "no rank": (change(*FIRST, "rank_id", to=None), "rank_id: expected a string"),
    "rank twice": (change(*FIRST, "rank_id", to="1"), "rank_id: expected 0 to 1, each once"),
    "gap in ranks": (change(*FIRST, "rank_id", to="2"), "rank_id: expected 0 to 1, each once"),
    "device twice": (change(*FIRST, "device_id", to="1"), "device_id: expected each device once"),
    "two rings": (change(*FIRST, "device_id", to="4"), "2 devices of one ring"),
    "no such device": (change(*FIRST, "device_id", to="8"), "device_id: expected 0 to 7"),
    "no address": (change(*FIRST, "device_ip", to=None), "device_ip: expected the network address"),
    "bad address": (change(*FIRST, "device_ip", to="192.168"), "device_ip: expected an IPv4"),
    "count of servers": (change("server_count", to="2"), 'server_count: expected "1"'),
    "not ready": (change("status", to="initializing"), "status: expected 'completed'"),
    "version": (change("version", to="2.0"), "version: expected '1.0' or '1.2'"),
    "version of another product": (change("version", to="1.2"), "version: expected '1.0' ("),
    "long name": (
        change("server_list", 0, "server_id", to="s" * 65),
        "server_id: expected 1 to 64",
    ),
    "no devices": (change("server_list", 0, "device", to=[]), "device: expected a list of objects"),
    "no list": (change("server_list", to=None), "an object with server_list"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_table_is_named(name):
    edit, message = BROKEN[name]
    document = copy.deepcopy(current([0, 1]))
    edit(document)
    with pytest.raises(ConfigError) as error:
        ranks.parse_table(document).check()
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("servers", "message"),
    [
        ([[0, 1, 2]], "1, 2, 4 or 8 devices"),
        ([[2, 3, 4, 5]], "4 devices of one ring"),
        ([[0, 1], [0]], "same number of devices on every server"),
    ],
)
def test_counts_and_rings(servers, message):
    with pytest.raises(ConfigError, match=message):
        ranks.parse_table(current(*servers)).check()


def test_ranks_of_servers_do_not_interleave():
    document = current([0, 1], [0, 1])
    document["server_list"][0]["device"][1]["rank_id"] = "2"
    document["server_list"][1]["device"][0]["rank_id"] = "1"
    with pytest.raises(ConfigError, match="consecutive ranks"):
        ranks.parse_table(document).check()


def test_servers_have_different_names():
    document = current([0], [0])
    document["server_list"][1]["server_id"] = document["server_list"][0]["server_id"]
    with pytest.raises(ConfigError, match="each server once"):
        ranks.parse_table(document)


@pytest.mark.parametrize("name", ["group_count", "instance_count", "device_count"])
def test_counts_of_the_old_form(name):
    document = old(by_rank=False)
    holder = document if name in document else document["group_list"][0]
    holder[name] = "7"
    with pytest.raises(ConfigError, match=name):
        ranks.parse_table(document)


def test_later_products_have_no_rings_and_need_no_addresses_on_one_server():
    document = current([0, 1, 2, 4, 9])
    for device in document["server_list"][0]["device"]:
        del device["device_ip"]
    ranks.parse_table(document).check("a2")
    document["version"] = "1.2"
    ranks.parse_table(document).check("a3")


def test_what_a_super_pod_adds_is_kept(tmp_path):
    document = {**current([0, 1]), "version": "1.2"}
    for number, device in enumerate(document["server_list"][0]["device"]):
        device["super_device_id"] = str(number)
    document["server_list"][0]["host_ip"] = "10.0.0.9"
    pods = [{"super_pod_id": "0", "server_list": [{"server_id": "10.0.0.1"}]}]
    document["super_pod_list"] = pods
    ranks.parse_table(document).write(tmp_path / "table.json")
    assert json.loads((tmp_path / "table.json").read_text()) == document


def test_a_missing_or_malformed_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match="nowhere.json"):
        ranks.read_table(tmp_path / "nowhere.json")
    (tmp_path / "half.json").write_text('{"version": ')
    with pytest.raises(ConfigError, match="half.json: expected a JSON file"):
        ranks.read_table(tmp_path / "half.json")


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "table.json"
    path.write_text(json.dumps(current([4, 5])))
    return str(path)


CHIEF = {
    "CM_WORKER_SIZE": "2",
    "CM_CHIEF_IP": "10.0.0.1",
    "CM_CHIEF_PORT": "6000",
    "CM_CHIEF_DEVICE": "0",
}


def without(*names: str) -> dict[str, str]:
    return {name: value for name, value in CHIEF.items() if name not in names}


# In the adapter's own order of complaint: an earlier row wins over a later one.
WRONG = [
    ({"RANK_SIZE": "2", **CHIEF}, ConfigError, "RANK_SIZE: expected nothing beside"),
    ({"ASCEND_DEVICE_ID": "first"}, ConfigError, "ASCEND_DEVICE_ID: expected a whole number"),
    ({"RANK_SIZE": "two"}, ConfigError, "RANK_SIZE: expected a whole number"),
    ({"RANK_SIZE": "2"}, DeviceError, "got neither"),
    ({"RANK_SIZE": "2", "RANK_TABLE_FILE": "TABLE", "CM_CHIEF_IP": "1.1.1.1"}, DeviceError, "both"),
    ({"RANK_SIZE": "2", "RANK_TABLE_FILE": "TABLE"}, DeviceError, "RANK_ID: expected 0 to 1"),
    (without("CM_CHIEF_PORT", "CM_CHIEF_DEVICE"), DeviceError, "CM_CHIEF_PORT: expected a value"),
    (without("CM_CHIEF_DEVICE"), DeviceError, "CM_CHIEF_DEVICE: expected a value"),
    (without("CM_CHIEF_IP"), DeviceError, "got neither"),
    ({**CHIEF, "RANK_ID": "0"}, ConfigError, "RANK_ID: expected nothing beside CM_CHIEF_IP"),
    ({**CHIEF, "CM_CHIEF_PORT": "65521"}, ConfigError, "from 0 to 65520"),
    ({**CHIEF, "CM_CHIEF_IP": "chief"}, ConfigError, "CM_CHIEF_IP: expected an IPv4"),
    ({**CHIEF, "CM_WORKER_IP": "me"}, ConfigError, "CM_WORKER_IP: expected an IPv4"),
    ({**CHIEF, "JOB_ID": "007"}, ConfigError, "JOB_ID: expected"),
]


@pytest.mark.parametrize(("env", "kind", "message"), WRONG, ids=[row[2] for row in WRONG])
def test_a_wrong_environment_is_named(table, env, kind, message):
    with pytest.raises(kind) as error:
        ranks.check_environment({k: v.replace("TABLE", table) for k, v in env.items()})
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"RANK_SIZE": "4"}, "RANK_SIZE: expected 2, as in the rank table, got 4"),
        ({"RANK_ID": "2"}, "RANK_ID: expected 0 to 1"),
        ({"ASCEND_DEVICE_ID": "0"}, "ASCEND_DEVICE_ID: expected 5"),
        ({"RANK_TABLE_FILE": "nowhere.json"}, "nowhere.json"),
    ],
)
def test_the_environment_agrees_with_the_table(table, changes, message):
    env = {"RANK_SIZE": "2", "RANK_TABLE_FILE": table, "RANK_ID": "1", **changes}
    with pytest.raises(ConfigError, match=message):
        ranks.check_environment(env)


def test_one_rank_looks_at_no_table():
    env = {"RANK_SIZE": "1", "RANK_TABLE_FILE": "nowhere.json", "ASCEND_DEVICE_ID": "2"}
    assert ranks.check_environment(env) == ranks.Launch("single", device=2)
    assert ranks.check_environment({}) == ranks.Launch("single")


def test_processes_of_a_table_pass_the_check(table):
    base = {"HOME": "here", "CM_CHIEF_IP": "old", "RANK_ID": "9", "HCCL_EXEC_TIMEOUT": "50"}
    made = ranks.environments(ranks.read_table(table), table, base=base)
    assert [ranks.check_environment(env) for env in made] == [
        ranks.Launch("table", 2, 0, 4),
        ranks.Launch("table", 2, 1, 5),
    ]
    assert all(env["HOME"] == "here" and "CM_CHIEF_IP" not in env for env in made)
    assert {env["HCCL_EXEC_TIMEOUT"] for env in made} == {"50"}
    assert {env["JOB_ID"] for env in made} == {"zoolib"}


def test_of_several_servers_one_is_named():
    table = ranks.parse_table(current([0, 1], [0, 1]))
    made = ranks.environments(table, "table.json", server="10.0.0.2")
    assert [(e["RANK_ID"], e["ASCEND_DEVICE_ID"]) for e in made] == [("2", "0"), ("3", "1")]
    with pytest.raises(ConfigError, match="server: expected one of 10.0.0.1, 10.0.0.2, got None"):
        ranks.environments(table, "table.json")


def test_processes_without_a_table_pass_the_check():
    made = ranks.cm_environments([0, 1], 4, "10.0.0.1", 6000, base={"RANK_SIZE": "8"})
    found = [ranks.check_environment(env) for env in made]
    assert found == [ranks.Launch("chief", 4, None, 0), ranks.Launch("chief", 4, None, 1)]
    with pytest.raises(ConfigError, match="CM_CHIEF_PORT"):
        ranks.cm_environments([0, 1], 2, "10.0.0.1", 70000)
    with pytest.raises(ConfigError, match="devices: expected 1 to 1 different"):
        ranks.cm_environments([0, 1], 1, "10.0.0.1", 6000)
