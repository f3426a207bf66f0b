"""Settings: reading values, refusing them, names of the seed documents, round trips."""

from __future__ import annotations

import json
import math

import pytest

import zoolib
from zoolib.core.config import Config, Setting, normal_name
from zoolib.core.spec import config_from_json
from zoolib.errors import ConfigError, ZoolibError

NUMBER = Setting("n", int, 1, low=1, high=64)
REAL = Setting("x", float, 0.5, low=0.0)
SWITCH = Setting("on", bool, False)
NAME = Setting("norm", str, "none", choices=("none", "batch_norm"))
SIZE = Setting("size", int, 32, choices=(28, 32))


@pytest.mark.parametrize(
    "item, given, read",
    [
        (NUMBER, 3, 3),
        (NUMBER, "3", 3),
        (NUMBER, " 12 ", 12),
        (NUMBER, "1e1", 10),
        (NUMBER, 4.0, 4),
        (REAL, 1, 1.0),
        (REAL, "1e-3", 1e-3),
        (REAL, "0", 0.0),
        (SWITCH, "True", True),
        (SWITCH, "off", False),
        (SWITCH, 1, True),
        (SWITCH, "no", False),
        (NAME, "Batch_Norm", "batch_norm"),
        (NAME, "None", "none"),
        (NAME, None, "none"),
        (SIZE, "28", 28),
    ],
)
def test_values_are_read_as_meant(item, given, read):
    found = item.parse(given)
    assert found == read and type(found) is type(read)


@pytest.mark.parametrize(
    "item, given, told",
    [
        (NUMBER, 0, "n: expected an integer from 1 to 64, got 0"),
        (NUMBER, 65, "n: expected an integer from 1 to 64, got 65"),
        (NUMBER, 2.5, "n: expected an integer from 1 to 64, got 2.5"),
        (NUMBER, "many", "n: expected an integer from 1 to 64, got 'many'"),
        (NUMBER, True, "n: expected an integer from 1 to 64, got True"),
        (NUMBER, "inf", "n: expected an integer from 1 to 64, got 'inf'"),
        (NUMBER, None, "n: expected an integer from 1 to 64, got None"),
        (NUMBER, [3], "n: expected an integer from 1 to 64, got [3]"),
        (REAL, -1, "x: expected a finite number of at least 0, got -1"),
        (REAL, math.inf, "x: expected a finite number of at least 0, got inf"),
        (REAL, "nan", "x: expected a finite number of at least 0, got 'nan'"),
        (SWITCH, "maybe", "on: expected true or false, got 'maybe'"),
        (SWITCH, 2, "on: expected true or false, got 2"),
        (NAME, "group", "norm: expected one of none, batch_norm, got 'group'"),
        (NAME, 3, "norm: expected one of none, batch_norm, got 3"),
        (SIZE, 30, "size: expected one of 28, 32, got 30"),
        (Setting("z", int, 0), "", "z: expected an integer, got ''"),
        (Setting("z", float, 0.0, high=1.0), 2, "z: expected a finite number of at most 1, got 2"),
    ],
)
def test_what_is_refused_and_how(item, given, told):
    with pytest.raises(ConfigError) as info:
        item.parse(given)
    assert str(info.value) == told
    assert isinstance(info.value, ValueError) and isinstance(info.value, ZoolibError)


def test_names_are_folded():
    assert normal_name("--Meta-LR ") == "meta_lr"


def test_a_config_checks_itself_when_made(line):
    with pytest.raises(ConfigError, match="rate: expected a finite number from 0 to 1, got 2"):
        line.Config(rate=2)
    with pytest.raises(TypeError):
        line.Config(speed=2)
    assert line.Config(rate="1e-2").rate == 0.01
    with pytest.raises(AttributeError):  # frozen
        line.Config().rate = 1.0


def test_fields_that_depend_on_one_another():
    with pytest.raises(ConfigError, match=r"eval_every: expected a multiple of report_every \(100"):
        Config(eval_every=150)
    mtnet = zoolib.get_model("mtnet").Config
    for changes, told in (
        ({"pretrain_iterations": 9, "iterations": 8}, r"at most iterations \(8\), got 9"),
        ({"baseline": "oracle", "datasource": "polynomial"}, "oracle knows sinusoids only"),
        ({"num_updates": 11}, r"test_updates: expected at least num_updates \(11\), got 10"),
    ):
        with pytest.raises(ConfigError, match=told):
            mtnet(**changes)


def test_replace_knows_every_spelling_and_refuses_the_rest(line):
    config = line.preset("smoke")
    assert config.replace(**{"Train-Steps": "7"}).iterations == 7
    assert config.replace(double_width=True).width == 6
    assert config.replace() == config
    with pytest.raises(
        ConfigError, match="iterations: given twice, the second time as train_steps"
    ):
        config.replace(iterations=3, train_steps=4)
    with pytest.raises(ConfigError, match=r"widht: not a setting of line; did you mean width\?"):
        config.replace(widht=4)
    with pytest.raises(ConfigError, match="zzz: not a setting of line Valid: seed, iterations"):
        config.replace(zzz=4)
    with pytest.raises(ConfigError, match="preset: not a setting"):  # internal
        config.replace(preset="smoke")


def test_round_trip_through_json(line):
    for spec in (line, zoolib.get_model("mtnet")):
        config = spec.preset("smoke", seed=3, iterations=77)
        document = json.loads(json.dumps({"model": spec.name, "settings": config.to_dict()}))
        again = config_from_json(document)
        assert again == config and type(again) is type(config) and again.diff(config) == {}


def test_diff_shows_both_values_and_passes_over_the_preset(line):
    config = line.preset("smoke")
    other = line.preset("tutorial", rate=0.5, report_every=10, checkpoint_every=20, iterations=100)
    assert config.diff(other) == {"rate": (0.01, 0.5)}


def test_a_folder_is_a_registration(line):
    assert zoolib.list_models() == sorted({*zoolib.list_models(), "line", "mtnet"})
    assert line.title == "A line through points"
    with pytest.raises(ConfigError, match="preset: expected one of smoke, tutorial for line"):
        line.preset("paper")
    with pytest.raises(ConfigError, match="got 'lime'. Did you mean line"):
        zoolib.get_model("lime")
