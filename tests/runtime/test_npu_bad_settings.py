"""Every bad setting of the adapter, the environment and the rank table has its sentence.

Rows here are those not in `test_npu.BAD` (options by themselves), `test_ranks.WRONG` (environment)
and `test_ranks.BROKEN` (rank tables): together they go through what can be set before an NPU is
opened. What the adapter lets pass is refused too, as are domains it does not check.
"""

from __future__ import annotations

import dataclasses
import typing

import pytest

from zoolib.core.npu_settings import npu_options
from zoolib.errors import ConfigError, DeviceError
from zoolib.runtime import npu, ranks

FIELDS = dataclasses.fields(npu.NpuOptions)
TYPES = typing.get_type_hints(npu.NpuOptions)
CLOSED = [f.name for f in FIELDS if f.metadata["choices"]]
SWITCHES = [f.name for f in FIELDS if TYPES[f.name] is bool]


@pytest.mark.parametrize("name", CLOSED)
def test_a_value_outside_a_closed_list(name):
    with pytest.raises(ConfigError, match=f"^{name}: expected one of .*, got 'nonsense'$"):
        npu.NpuOptions(**{name: "nonsense"}).validate()


@pytest.mark.parametrize("value", [1, 0, "true", None])
@pytest.mark.parametrize("name", SWITCHES)
def test_a_switch_takes_no_number_although_the_adapter_would(name, value):
    with pytest.raises(ConfigError, match=f"^{name}: expected True or False, got {value!r}$"):
        npu.NpuOptions(**{name: value}).validate()


@pytest.mark.parametrize("name", [f.name for f in FIELDS if TYPES[f.name] is str])
def test_text_is_text(name):
    with pytest.raises(ConfigError, match=f"^{name}: expected .*, got True$"):
        npu.NpuOptions(**{name: True}).validate()


def test_a_name_no_adapter_has():
    with pytest.raises(ConfigError, match="auto_tune_mode: not an option of the Ascend adapter"):
        npu_options({"auto_tune_mode": "RL"})


MIXED = {"precision_mode": "allow_mix_precision"}
OPTIONS = [
    ("mixed_bfloat16", {}, "Ascend 910 has no bfloat16"),
    ("float32", {"precision_mode_v2": "mixed_bfloat16", "product": "910"}, "no bfloat16"),
    ("mixed_float16", {"precision_mode_v2": "fp16"}, "expected nothing or allow_mix_precision"),
    ("float32", {"dump": True, "data_save_path": "HERE/text"}, "data_save_path: expected an exist"),
    ("float32", {"dump": True, "data_save_path": "HERE", "dump_step": "0||3"}, "dump_step: expect"),
    ("float32", {"over_dump": True}, "data_save_path: expected an existing folder"),
    ("float32", {"profiling": True, "profiling_options": "[1]"}, "expected a JSON object"),
    ("float32", {"profiling": True, "profiling_options": '{"output": 5}'}, "got 5"),
    ("float32", {"fusion_switch_file": "HERE/none"}, "fusion_switch_file: expected a readable"),
    ("float32", {"fusion_switch_file": "HERE/list"}, "fusion_switch_file: expected a JSON object"),
    ("float32", {"customize_dtypes": "HERE/none"}, "customize_dtypes: expected a readable text"),
    ("float32", {"customize_dtypes": "HERE/text", "precision_mode_v2": "origin"}, "has no effect"),
    ("float32", {"modify_mixlist": "HERE/list", **MIXED}, "modify_mixlist: expected a JSON object"),
    ("float32", {"modify_mixlist": "HERE/word", **MIXED}, "expected lists of operator types"),
    ("float32", {"op_compiler_cache_dir": "HERE/text/below"}, "op_compiler_cache_dir: expected a"),
]


@pytest.mark.parametrize(("precision", "given", "told"), OPTIONS, ids=[str(o[1]) for o in OPTIONS])
def test_an_option_that_cannot_be(tmp_path, precision, given, told):
    (tmp_path / "text").write_text("no JSON")
    (tmp_path / "list").write_text("[1]")
    (tmp_path / "word").write_text('{"black-list": {"to-add": "Add"}}')
    here = str(tmp_path)
    given = {k: v.replace("HERE", here) if isinstance(v, str) else v for k, v in given.items()}
    with pytest.raises(ConfigError) as error:
        npu.NpuOptions(**given).validate(precision)
    assert told in str(error.value)


def test_a_cache_that_is_not_there_yet_can_be_made(tmp_path):
    npu.NpuOptions(op_compiler_cache_dir=str(tmp_path / "not" / "yet")).validate()
    assert list(tmp_path.iterdir()) == [], "checking makes nothing"


CHIEF = {
    "CM_WORKER_SIZE": "2",
    "CM_CHIEF_IP": "10.0.0.1",
    "CM_CHIEF_PORT": "6000",
    "CM_CHIEF_DEVICE": "0",
    "CM_WORKER_IP": "10.0.0.2",
}
TABLE = {"RANK_SIZE": "2", "RANK_ID": "0", "RANK_TABLE_FILE": "HERE"}
ENVIRONMENT = [
    ({"ASCEND_DEVICE_ID": "-1"}, "ASCEND_DEVICE_ID: expected a whole number of at least 0"),
    ({"ASCEND_DEVICE_ID": ""}, "ASCEND_DEVICE_ID: expected a whole number of at least 0"),
    ({"ASCEND_DEVICE_ID": "1.0"}, "ASCEND_DEVICE_ID: expected a whole number"),
    ({**CHIEF, "ASCEND_DEVICE_ID": "x"}, "ASCEND_DEVICE_ID: expected a whole number"),
    ({"RANK_SIZE": "-2"}, "RANK_SIZE: expected a whole number from 0"),
    ({"RANK_SIZE": ""}, "RANK_SIZE: expected a whole number"),
    ({**TABLE, "RANK_ID": "first"}, "RANK_ID: expected a whole number"),
    ({**TABLE, "RANK_ID": "-1"}, "RANK_ID: expected a whole number"),
    (TABLE, "expected a JSON file"),  # a folder
    ({**TABLE, "CM_CHIEF_PORT": "1"}, "CM_CHIEF_PORT: expected nothing beside RANK_TABLE_FILE"),
    ({**TABLE, "JOB_ID": "a job"}, "JOB_ID: expected letters"),
    ({**CHIEF, "CM_WORKER_SIZE": "two"}, "CM_WORKER_SIZE: expected a whole number"),
    ({**CHIEF, "CM_CHIEF_PORT": "http"}, "CM_CHIEF_PORT: expected a whole number from 0 to 65520"),
    ({**CHIEF, "CM_CHIEF_DEVICE": "npu:0"}, "CM_CHIEF_DEVICE: expected a whole number"),
    ({**CHIEF, "RANK_TABLE_FILE": "HERE"}, "expected either RANK_TABLE_FILE or CM_CHIEF_IP"),
]


@pytest.mark.parametrize(("given", "told"), ENVIRONMENT, ids=[str(row) for row in ENVIRONMENT])
def test_an_environment_that_cannot_be(tmp_path, given, told):
    with pytest.raises((ConfigError, DeviceError)) as error:
        ranks.check_environment({k: v.replace("HERE", str(tmp_path)) for k, v in given.items()})
    assert told in str(error.value)


def old_form(**changes):
    """A table of the old form with two pods, changed at the top or in its group."""
    pods = [
        {"pod_name": f"p{i}", "server_id": f"10.0.0.{i}",
         "devices": [{"device_id": "0", "device_ip": f"192.168.1.{i}"}]}
        for i in (1, 2)
    ]  # fmt: skip
    group = {"group_name": "g", "device_count": "2", "instance_count": "2", "instance_list": pods}
    document = {"status": "completed", "group_count": "1", "group_list": [group]}
    for name, value in changes.items():
        (document if name in document else group)[name] = value
    return document


POD = {"server_id": "s", "devices": [{"device_id": "0"}, {"device_id": "1"}]}
OLD = [
    (old_form(status="initializing"), "status: expected 'completed'"),
    (old_form(group_count="2", group_list=[{}, {}]), "group_list: expected one group"),
    (old_form(group_count=1), "group_count: expected a string"),
    (old_form(instance_list=[]), "instance_list: expected a list of objects"),
    (old_form(device_num="3"), 'device_num: expected "2"'),
    (
        old_form(instance_count="1", instance_list=[{**POD, "rank_id": "0"}]),
        "devices: expected one",
    ),
    (old_form(instance_count="1", instance_list=[{**POD, "server_id": 7}]), "server_id: expected"),
    ([], "an object with server_list (old form: group_list)"),
]


@pytest.mark.parametrize(("document", "told"), OLD, ids=[row[1] for row in OLD])
def test_an_old_table_that_cannot_be(document, told):
    with pytest.raises(ConfigError) as error:
        ranks.parse_table(document)
    assert told in str(error.value)


def test_the_old_table_these_rows_break_is_good():
    table = ranks.parse_table(old_form())
    table.check()
    assert [(r.rank, r.server, r.device) for r in table.ranks] == [
        (0, "10.0.0.1", 0),
        (1, "10.0.0.2", 0),
    ]


def test_addresses_are_needed_between_servers_of_any_product():
    ranks_ = tuple(ranks.Rank(i, f"server{i}", 0) for i in range(2))
    with pytest.raises(ConfigError, match="device_ip: expected the network address of rank 0"):
        ranks.RankTable(ranks_).check("a2")


def test_the_ring_rule_is_that_of_each_server():
    listed = [ranks.Rank(i, f"s{i // 2}", d, f"10.1.0.{i}") for i, d in enumerate((0, 1, 3, 4))]
    with pytest.raises(ConfigError, match="2 devices of one ring .* on server s1"):
        ranks.RankTable(tuple(listed)).check()
