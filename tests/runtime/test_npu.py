"""The NPU session: found without importing, set up in the adapter's order, refused with reasons."""

from __future__ import annotations

import dataclasses
import json
import sys

import pytest
from npu_scenarios import TESTS, finish, start

from zoolib.errors import ConfigError
from zoolib.runtime import npu, ranks


@pytest.fixture
def software(monkeypatch):
    """The fake adapter, installed."""
    monkeypatch.syspath_prepend(str(TESTS / "fakes"))


def nodes(folder, *names):
    for name in names:
        (folder / name).touch()
    return str(folder)


def test_probe_without_the_adapter(tmp_path):
    found = npu.probe(nodes(tmp_path, "davinci0"))
    assert [row[:2] for row in found] == [(0, False)] and "npu_device" in found[0][2]


def test_probe_without_a_node(tmp_path, software):
    ((number, usable, reason),) = npu.probe(nodes(tmp_path, "davinci_manager", "tty0"))
    assert (number, usable) == (0, False) and "no Ascend device node" in reason


def test_probe_lists_nodes_in_order(tmp_path, software, monkeypatch):
    folder = nodes(tmp_path, "davinci10", "davinci2", "davinci_manager")
    assert npu.probe(folder) == [(2, True, ""), (10, True, "")]
    monkeypatch.setenv("ZOOLIB_DEVICE_ROOT", folder)
    assert npu.probe() == npu.probe(folder)
    assert "npu_device" not in sys.modules


def test_probe_knows_the_adapter_is_a_binary_for_one_tensorflow(tmp_path, monkeypatch):
    package = tmp_path / "npu_device"
    package.mkdir()
    nodes(package, "__init__.py", "_npu_device_backends.so")
    record = tmp_path / "npu_device-2.1.0.dist-info"
    record.mkdir()
    (record / "METADATA").write_text("Metadata-Version: 2.1\nName: npu_device\nVersion: 2.1.0\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    ((_, usable, reason),) = npu.probe(nodes(tmp_path, "davinci0"))
    assert not usable and "a binary for TensorFlow 2.1.0, here is 2." in reason


def test_precisions_on_a_910_and_later():
    plain = npu.NpuOptions()
    assert plain.precision_of("float32") == ("precision_mode", "allow_fp32_to_fp16")
    assert plain.precision_of("mixed_float16") == ("precision_mode", "allow_mix_precision")
    later = npu.NpuOptions(product="a2")
    assert later.precision_of("float32") == ("precision_mode", "must_keep_origin_dtype")
    assert later.precision_of("mixed_bfloat16")[1] == "allow_mix_precision_bf16"
    assert all(plain.precision_of(name) for name in npu.offered("910"))
    assert set(npu.PRECISIONS) - set(npu.offered("910")) == {
        "mixed_bfloat16",
        "allow_mix_precision_bf16",
        "allow_fp32_to_bf16",
    }


def test_mode_of_the_seed_scripts_decides():
    options = npu.NpuOptions(precision_mode="allow_mix_precision")
    assert options.precision_of("float32")[1] == "allow_mix_precision"
    assert options.precision_of("mixed_float16")[1] == "allow_mix_precision"


def test_loss_scaling_follows_float16():
    scaled = {name for name in npu.PRECISIONS if npu.needs_loss_scaling(name)}
    assert scaled == {
        "mixed_float16",
        "allow_mix_precision",
        "allow_mix_precision_fp16",
        "force_fp16",
        "fp16",
    }


def test_names_of_the_seed_scripts():
    fields = dataclasses.fields(npu.NpuOptions)
    names = {f.name for f in fields} | {a for f in fields for a in f.metadata["aliases"]}
    seeds = "precision_mode over_dump data_dump_flag data_dump_step data_save_path profiling"
    assert set(seeds.split()) <= names
    assert len(names) == len(fields) + sum(len(f.metadata["aliases"]) for f in fields)
    assert all(f.metadata["help"] for f in fields)


BAD = [
    ({"product": "310"}, "product: expected one of '910', 'a2', 'a3', got '310'"),
    ({"precision_mode": "fp8"}, "precision_mode: expected one of ''"),
    ({"dump": "yes"}, "dump: expected True or False, got 'yes'"),
    ({"jit_compile": "maybe"}, "jit_compile: expected one of"),
    ({"precision_mode": "force_fp16", "precision_mode_v2": "fp16"}, "give one of the two"),
    ({"precision_mode": "allow_fp32_to_bf16"}, "Ascend 910 has no bfloat16"),
    ({"precision_mode_v2": "mixed_bfloat16"}, "Ascend 910 has no bfloat16"),
    ({"dump": True, "over_dump": True, "data_save_path": "HERE"}, "over_dump: expected False"),
    ({"dump": True}, "data_save_path: expected an existing folder"),
    ({"over_dump": True, "data_save_path": "HERE/none"}, "data_save_path: expected an existing"),
    ({"profiling": True}, "data_save_path: expected an existing folder"),
    ({"profiling_options": "{}"}, "profiling_options: expected profiling to be on"),
    ({"profiling": True, "profiling_options": "{output"}, "expected a JSON object with keys"),
    ({"profiling": True, "profiling_options": '{"trace": 1}'}, "expected a JSON object with keys"),
    ({"profiling": True, "profiling_options": '{"output": "no"}'}, "expected an existing folder"),
    ({"dump_step": "5-3"}, "dump_step: expected steps like"),
    ({"dump_step": "1,2"}, "dump_step: expected steps like"),
    ({"modify_mixlist": "HERE/good.json"}, "modify_mixlist: expected a mixed precision"),
    ({"modify_mixlist": "HERE/none", "precision_mode": "allow_mix_precision"}, "readable text"),
    ({"modify_mixlist": "HERE/bad.json", "precision_mode": "allow_mix_precision"}, "black-list"),
    ({"fusion_switch_file": "HERE/text.ini"}, "fusion_switch_file: expected a JSON file"),
    ({"op_precision_mode": "HERE/none"}, "op_precision_mode: expected a readable text file"),
    (
        {"customize_dtypes": "HERE/text.ini", "precision_mode": "must_keep_origin_dtype"},
        "customize_dtypes: expected another precision",
    ),
    ({"op_compiler_cache_dir": "HERE/text.ini"}, "op_compiler_cache_dir: expected a folder"),
]


@pytest.fixture
def folder(tmp_path):
    mixlist = {"black-list": {"to-add": ["Add"]}, "white-list": {"to-remove": ["MatMul"]}}
    (tmp_path / "good.json").write_text(json.dumps(mixlist))
    (tmp_path / "bad.json").write_text('{"gray": {"to-add": "Add"}}')
    (tmp_path / "text.ini").write_text("[ByOpType]")
    return tmp_path


@pytest.mark.parametrize(("changes", "message"), BAD, ids=[str(row[0]) for row in BAD])
def test_a_bad_setting_is_named(folder, changes, message):
    values = {
        k: v.replace("HERE", str(folder)) if isinstance(v, str) else v for k, v in changes.items()
    }
    with pytest.raises(ConfigError) as error:
        npu.NpuOptions(**values).validate()
    assert message in str(error.value)


def test_precision_and_mode_agree():
    with pytest.raises(ConfigError, match="expected nothing or allow_mix_precision"):
        npu.NpuOptions(precision_mode="force_fp16").validate("mixed_float16")
    with pytest.raises(ConfigError, match="precision: expected one of float32"):
        npu.NpuOptions().validate("float64")


def test_parallel_ranks_do_not_overwrite_the_cache():
    npu.NpuOptions(op_compiler_cache_mode="force").validate()
    with pytest.raises(ConfigError, match="with 2 ranks"):
        npu.NpuOptions(op_compiler_cache_mode="force").validate(size=2)


def test_by_default_little_is_set():
    npu.NpuOptions().validate()
    assert npu.NpuOptions().assignments("float32") == [
        ("precision_mode", "allow_fp32_to_fp16", True),
        ("op_compiler_cache_mode", "enable", False),
        ("hcom_parallel", False, False),
    ]


def test_settings_become_options(folder):
    options = npu.NpuOptions(
        over_dump=True,
        data_save_path=str(folder),
        modify_mixlist=str(folder / "good.json"),
        profiling=True,
        profiling_options='{"aicpu": "on"}',
        op_precision_mode=str(folder / "text.ini"),
    )
    options.validate("mixed_float16")
    values = {name: value for name, value, _ in options.assignments("mixed_float16")}
    assert values["dump_config.enable_dump_debug"] is True
    assert values["dump_config.dump_path"] == str(folder)
    assert "dump_config.enable_dump" not in values
    assert values["modify_mixlist"] == str(folder / "good.json")
    told = json.loads(values["profiling_config.profiling_options"])
    assert told == {"output": str(folder), "aicpu": "on"}


SESSION = {
    "importing_brings_no_tensorflow": [],
    "opens_on_the_device_of_the_environment": [True, 3, 0, 1, "allow_mix_precision"],
    "options_come_before_open": True,
    "options_arrive": ["allow_mix_precision", "1", "true", "0", "1", "10", "1", "enable"],
    "saturates": True,
    "skipped": [],
    "option_the_adapter_lacks": False,
    "all_reduce_on_one_device": [2.0, 3.0],
    # Gradients finite each time; the status tells of the second step and is cleared for the third.
    "overflow": [[True, "int32", 8, False], [True, "int32", 8, True], [True, "int32", 8, False]],
    "status_waits_for_reading_and_clearing": [2, True],
    "loop_owns_both_numbers": [10.0, [3, 2], [["loop_size", 2], ["call", "loop"]]],
    "keeps_types": ["keep_dtype_scope"],
}
REFUSED = {
    "bad_setting_comes_before_the_import": "ConfigError: over_dump",
    "engine_failure": "DeviceError: npu:3 cannot be opened: Failed open npu device 3 : E19999",
    "other_settings_after_a_failure": "DeviceError: the NPU of this process is taken",
    "variables_exist": "DeviceError: 1 TensorFlow variables exist already (such as early:0)",
    "value_the_adapter_refuses": "ConfigError: precision_mode: the Ascend adapter refuses 'fp8'",
    "essential_option_the_adapter_lacks": "DeviceError: auto_tune_mode: the installed",
    "another_device": "change device 3 -> 4; restart the process",
    "another_precision": "change precision allow_mix_precision -> allow_fp32_to_fp16; restart",
    "other_options": "change dump True -> False, data_save_path",
    "mean_of_integers": "ValueError: all_reduce: expected sum for int32",
    "unknown_reduction": "ValueError: reduction: expected mean or sum, got 'max'",
    "float64_tensor": "ValueError: all_reduce: expected one of int8, int32",
    "bool_variable": "ValueError: broadcast: expected one of int8",
    "loop_of_no_steps": "ValueError: steps: expected at least 1, got 0",
}


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    return finish(start("npu_scenario_npu.py", FAKE_NPU_DIR=str(tmp_path_factory.mktemp("npu"))))


@pytest.mark.parametrize("name", SESSION)
def test_session(session, name):
    assert session[name] == SESSION[name]


@pytest.mark.parametrize("name", REFUSED)
def test_session_refuses(session, name):
    assert REFUSED[name] in str(session[name])


def test_every_scenario_is_asserted(session):
    assert set(session) == {*SESSION, *REFUSED}


@pytest.mark.slow
def test_an_older_adapter_on_a_later_chip_with_a_chief(tmp_path):
    (tmp_path / "worker-0").touch()  # the other worker came first
    env = ranks.cm_environments([0, 1], 2, "10.0.0.1", 6000)[1]
    env.update(FAKE_NPU_LEGACY="1", FAKE_NPU_PRODUCT="a2", FAKE_NPU_DIR=str(tmp_path))
    found = finish(start("npu_scenario_older.py", **env))
    assert found["option_it_lacks"].startswith("DeviceError: precision_mode_v2: the installed")
    assert found["opens"] == ["allow_mix_precision_bf16", False, ["hcom_parallel"], 1]
    assert found["rank_is_the_one_assigned"] == [1, 2]
    assert found["device_of_another_rank"].startswith("ConfigError: device: expected npu:1")
    assert found["switch_is_no_text"] == "1"


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """What two ranks report, by rank."""
    folder = tmp_path_factory.mktemp("ranks")
    listed = [ranks.Rank(i, "10.0.0.1", 4 + i, f"192.168.100.{i}") for i in range(2)]
    table = ranks.RankTable(tuple(listed))
    table.check()
    table.write(folder / "table.json")
    made = ranks.environments(table, folder / "table.json")
    started = [start("npu_scenario_rank.py", **env, FAKE_NPU_DIR=str(folder)) for env in made]
    return [finish(process) for process in started]


def test_two_ranks_combine(pair):
    assert [report["opens"] for report in pair] == [[0, 2, 4], [1, 2, 5]]
    for report in pair:
        expected = [[[0.5 + i] * 2, [1.0 + 2 * i] * 2, 1] for i in range(3)]
        assert report["sums_and_means"] == expected
        assert report["gradient_passes_through_the_sum"] == 12.0  # two ranks of d(3^2)/dw = 6
        assert report["broadcast_gives_the_values_of_rank_0"] == [[1.0, 0.0], 7]
        assert report["overflow_on_one_rank_is_seen_by_all"] == [True, False]
        assert "a branch that depends on data" in report["collective_in_a_branch"]
    assert [report["shard"] for report in pair] == [[2, [0, 2, 4]], [2, [1, 3, 5]]]


def test_two_half_batches_equal_the_whole(pair):
    for report in pair:
        assert report["training_on_half_batches"] <= 1e-6
