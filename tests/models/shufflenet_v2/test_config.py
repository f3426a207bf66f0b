"""Settings: the seed document's flags, schedules, presets."""

from __future__ import annotations

import math

import numpy as np
import pytest

from zoolib.errors import ConfigError
from zoolib.models.shufflenet_v2 import rates
from zoolib.models.shufflenet_v2.config import PRESETS, ShuffleNetConfig


def test_a_command_line_of_the_seed_document():
    config = PRESETS["seed"]().replace(
        data_dir="path/to/data",
        num_classes="1000",
        batch_size="128",
        lr="0.06",
        max_epochs="133",
        warmup_epochs="5",
        weight_decay="4e-5",
        momentum="0.9",
        label_smoothing="0.1",
        save_summary_steps="100",
        log_dir="./model_1p",
        log_name="alexnet_training.log",
        save_checkpoints_steps="1000",
        mode="train",
        checkpoint_dir="None",
        synthetic="False",
        version="he_uniorm",
        do_checkpoint="True",
        rank_size="1",
    )
    assert config.iterations == 133 * 10_008 == 1_331_064
    assert (config.datasource, config.data_dir) == ("records", "path/to/data")
    assert (config.lr, config.init, config.report_every) == (0.06, "he_uniform", 100)
    assert (config.checkpoint_every, config.log_name) == (1000, "alexnet_training.log")


def test_the_earlier_codes_flags():
    config = PRESETS["reference"]().replace(
        train_batch_size=128,
        num_epochs=133,
        epochs_between_evals=5,
        initial_learning_rate=0.5,
        end_learning_rate=8e-6,
        train_data_dir="DATA/train_shards",
        eval_data_dir="DATA/eval_shards",
        train_dataset_size=1_281_144,
        rank_size=8,
    )
    assert config.steps_per_epoch(8) == 1251 and config.iterations == 166_383
    assert (config.eval_every, config.data_dir) == (5 * 1251, "DATA")
    assert config.eval_every % config.report_every == 0


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"synthetic": "True"}, {"datasource": "synthetic"}),
        ({"max_train_steps": 100}, {"iterations": 100}),
        ({"max_train_steps": 100, "max_epochs": 3}, {"iterations": 100}),
        ({"max_epochs": 2, "batch_size": 64}, {"iterations": 2 * 20_017}),
        ({"do_checkpoint": "false"}, {"checkpoint_every": 10**9}),
        ({"mode": "train_and_evaluate"}, {"eval_every": 5 * 10_008}),
        ({"version": "xavier"}, {"init": "xavier"}),
        ({"width": 1.0}, {"width": "1.0"}),
        ({"width": 0.25}, {"width": "0.25"}),
    ],
)
def test_flags_that_are_no_single_setting(changes, expected):
    config = PRESETS["reference"]().replace(**changes)
    assert {name: getattr(config, name) for name in expected} == expected


def test_ranks_come_from_the_environment(monkeypatch):
    monkeypatch.setenv("RANK_SIZE", "8")
    assert PRESETS["reference"]().replace(max_epochs=133).iterations == 166_383


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"mode": "evaluate", "checkpoint_dir": "runs/x"}, "zoolib eval runs/x"),
        ({"mode": "test"}, "mode: expected one of train, train_and_evaluate, evaluate"),
        ({"checkpoint_dir": "ckpt"}, "checkpoint_dir: expected None"),
        ({"max_epochs": 0}, "max_epochs: expected"),
        ({"rank_size": "x"}, "rank_size: expected"),
        ({"synthetic": "perhaps"}, "synthetic: expected"),
        ({"train_data_dir": "a/t", "eval_data_dir": "b/e"}, "two folders in one"),
        ({"width": "3.0"}, "width: expected one of"),
        ({"freeze": "stage2"}, "weights: expected a file"),
        ({"end_lr": 1.0}, "end_lr: expected at most lr"),
        ({"datasource": "shapes"}, "at most 256 for shapes"),
        ({"version": "orthogonal"}, "init: expected one of"),
    ],
)
def test_bad_settings(changes, told):
    with pytest.raises(ConfigError, match=told):
        PRESETS["reference"]().replace(**changes)


def test_the_references_schedule():
    config = PRESETS["reference"]()
    total = config.iterations

    def rate(step: int) -> float:
        return float(rates.step_sizes(config, range(step, step + 1), 1_281_144, 1)[1][0])

    assert rate(0) == pytest.approx(0.0625)
    assert rate(total // 2) == pytest.approx(0.0312505)
    assert rate(total) == pytest.approx(1e-6)


def test_warmup_multiplies_the_schedule():
    config = PRESETS["reference"]().replace(warmup_epochs=5)
    steps = range(0, 60_000, 1)
    with_it = rates.step_sizes(config, steps, 1_281_144, 1)[1]
    without = rates.step_sizes(config.replace(warmup_epochs=0), steps, 1_281_144, 1)[1]
    factor = np.minimum((np.arange(60_000) + 1) / (5 * 10_008), 1.0)
    np.testing.assert_allclose(with_it, without * factor, rtol=1e-5)


def test_the_cosine_of_the_seeds_origin():
    """Linear growth, then half a wave over the whole run that changes once per epoch."""
    config = ShuffleNetConfig(
        iterations=1000,
        batch_size=16,
        num_classes=16,
        shapes_per_class=100,
        lr=0.06,
        lr_decay="cosine_epochs",
        warmup_epochs=2,
    )
    found = rates.step_sizes(config, range(1000), 1600, 1)[1]
    for step in (0, 57, 199):
        assert found[step] == pytest.approx(0.06 * (step + 1) / 200, rel=1e-5)
    for step in (200, 299, 300, 950):
        wave = (1 + math.cos(math.pi * (step // 100) / 10)) / 2
        assert found[step] == pytest.approx(0.06 * wave, rel=1e-5)


def test_scaling_by_devices_is_explicit():
    config = PRESETS["reference"]()
    plain = rates.step_sizes(config, range(1), 1_281_144, 8)
    scaled = rates.step_sizes(config.replace(lr_scaling="linear"), range(1), 1_281_144, 8)
    assert (plain[0], scaled[0]) == (0.0625, 0.5)
    assert scaled[1][0] == pytest.approx(0.5)
    told = " ".join(rates.remarks(config.replace(lr_scaling="linear"), 1_281_144, 8))
    assert "1251 steps per epoch" in told and "effective lr 0.5 (lr 0.0625" in told


def test_the_averages_decay():
    found = rates.average_decay(0.995, range(2000))
    np.testing.assert_allclose(found[:3], [2 / 11, 3 / 12, 4 / 13], rtol=1e-6)
    capped = np.flatnonzero(found == np.float32(0.995))[0] + 1  # steps done
    assert capped == 1790
    np.testing.assert_array_equal(found[5:9], rates.average_decay(0.995, range(5, 9)))


def test_presets_say_what_they_are():
    assert PRESETS["reference"]().wiring == "reference"
    assert PRESETS["reference"]().iterations == 1_331_064
    assert PRESETS["paper"]().wiring == "megvii"
    for make in PRESETS.values():
        assert make().architecture.num_classes == make().num_classes
