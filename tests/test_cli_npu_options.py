"""The Ascend adapter's settings on the command line, by their own names and the seed scripts'."""

from __future__ import annotations

import dataclasses

import pytest

import zoolib
from zoolib.cli import _checked, main
from zoolib.cli_options import train_parser
from zoolib.core.config import setting
from zoolib.core.npu_settings import npu_options, npu_settings
from zoolib.runtime.npu_options import NpuOptions

pytestmark = pytest.mark.usefixtures("line")


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("--precision_mode allow_mix_precision", {"precision_mode": "allow_mix_precision"}),
        ("--precision_mode=ALLOW_MIX_PRECISION", {"precision_mode": "allow_mix_precision"}),
        ("--over_dump True --data_save_path d", {"over_dump": True, "data_save_path": "d"}),
        ("--over-dump", {"over_dump": True}),
        ("--over_dump False --data_dump_flag 0", {}),
        ("--data_dump_flag 1 --data_dump_step 5", {"dump": True, "dump_step": "5"}),
        ("--dump --dump-step 0|3-5", {"dump": True, "dump_step": "0|3-5"}),
        ("--profiling True --dump_path d", {"profiling": True, "data_save_path": "d"}),
        ("--mixlist m.json --precision_mode_v2 mixed_float16", None),
        ("--product a2 --precision_mode allow_fp32_to_bf16", None),
        ("--hcom_parallel on --op_compiler_cache_dir c --jit-compile true", None),
    ],
)
def test_names(words, expected):
    if expected is None:
        table = {alias: item.name for item in npu_settings() for alias in item.aliases}
        pairs = zip(words.split()[::2], words.split()[1::2])
        expected = {}
        for name, value in pairs:
            name = name[2:].replace("-", "_")
            expected[table.get(name, name)] = True if value == "on" else value
    _, config, _, npu = _checked(["mtnet", *words.split()])
    assert config == zoolib.get_model("mtnet").preset("tutorial")
    assert npu == NpuOptions(**expected)
    assert npu.changed() == expected


def test_nothing_given_is_nothing():
    assert _checked(["mtnet"])[3] is None and npu_options({}) is None


@pytest.mark.parametrize("name", zoolib.list_models())
def test_every_model_takes_every_option(name):
    parser = train_parser(zoolib.get_model(name))
    for item in npu_settings():
        for spelling in (item.name, *item.aliases):
            for written in (f"--{spelling}", f"--{spelling.replace('_', '-')}"):
                assert written in parser._option_string_actions, written
    assert "on an Ascend NPU (without effect on other devices)" in parser.format_help()


def test_a_models_own_setting_goes_first(line):
    @dataclasses.dataclass(frozen=True)
    class Own(line.Config):
        deterministic: bool = setting(False, "The model's.")

    parser = train_parser(dataclasses.replace(line, Config=Own))
    options = parser.parse_args(["--deterministic", "--jit_compile", "true"])
    assert (options.c__deterministic, options.n__jit_compile) == ("true", "true")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("--precision_mode fp8", "precision_mode: expected one of '', allow_fp32_to_fp16"),
        ("--precision_mode", "--precision-mode: expected one argument"),
        ("--over_dump maybe", "over_dump: expected true or false, got 'maybe'"),
        ("--product 310", "product: expected one of 910, a2, a3, got '310'"),
        ("--data_dump_flag 1 --over_dump 1", "over_dump: expected False while dump"),
        ("--data_dump_step 5-3", "dump_step: expected steps like 0|5|10"),
        ("--profiling --profiling_options {", "profiling_options: expected a JSON object"),
        ("--precision_mode force_fp16 --precision_mode_v2 fp16", "give one of the two"),
        ("--precision_mode allow_fp32_to_bf16", "Ascend 910 has no bfloat16"),
        ("--overdump True", "unrecognized arguments: --overdump True"),
    ],
)
def test_bad_values_are_one_line_and_write_nothing(here, capfd, words, told):
    assert main(["train", "line", "--preset", "smoke", *words.split()]) == 2
    out, err = capfd.readouterr()
    assert out == "" and err.count("\n") == 1 and told in err, err
    assert list(here.iterdir()) == []


def test_a_line_made_for_an_npu_runs_elsewhere_and_says_so(here, capfd):
    """Folders that exist on the NPU's machine only included."""
    words = "--precision_mode allow_mix_precision --over_dump True --data_save_path nowhere"
    start = "train line --preset smoke --iterations 20 --device cpu".split()
    assert main([*start, *words.split()]) == 0
    err = capfd.readouterr().err
    for name, value in (("precision_mode", "allow_mix_precision"), ("over_dump", "True")):
        assert f"  {name:20} {value}  (no effect on cpu)\n" in err
    (folder,) = (here / "runs").iterdir()
    from zoolib.core.store import RunFolder

    assert RunFolder.open(folder).env["npu_options"] == {}


@pytest.fixture
def opened(monkeypatch):
    """Options with which sessions are opened; what opens is the CPU."""
    from zoolib.core import restore, run
    from zoolib.runtime import device

    asked = []

    def open_session(name, precision, options=None, small_dense=False):
        asked.append(options)
        return device.open_session("cpu", precision, None, small_dense)

    monkeypatch.setattr(run, "open_session", open_session)
    monkeypatch.setattr(restore, "open_session", open_session)
    monkeypatch.setattr(restore, "current", lambda: None)
    return asked


def test_a_run_goes_on_with_its_options_and_is_loaded_with_those_that_count(line, here, opened):
    import json

    events = zoolib.run(line.preset("smoke", iterations=20), "cpu", out=here)
    folder = next(events).folder
    events.close()
    env = json.loads((folder / "env.json").read_text())
    kept = {"precision_mode": "allow_mix_precision", "over_dump": True, "data_save_path": "gone"}
    (folder / "env.json").write_text(json.dumps({**env, "npu_options": kept}))
    result = zoolib.train(resume=folder, device="cpu", progress=False)
    assert result.task.evaluate() == result.metrics
    mode = NpuOptions(precision_mode="allow_mix_precision")
    assert opened == [None, dataclasses.replace(mode, over_dump=True, data_save_path="gone"), mode]


def test_options_of_a_newer_release_are_named():
    with pytest.raises(zoolib.ConfigError, match="colour: not an option of the Ascend adapter"):
        npu_options({"colour": "red"})
