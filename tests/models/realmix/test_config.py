"""Settings: flags of the published programs, durations in images, presets, bad input."""

from __future__ import annotations

import pytest

import zoolib
from zoolib.errors import ConfigError
from zoolib.models.realmix.presets import PRESETS

SPEC = zoolib.get_model("realmix")


def test_a_command_line_of_the_published_program():
    config = SPEC.preset(
        "paper",
        dataset="cifar10.2@250-500",
        arch="resnet",
        lr="0.002",
        wd="0.02",
        ema="0.999",
        beta="0.75",
        w_match="75",
        scales="0",
        filters="32",
        repeat="4",
        batch="64",
        nu="2",
        tsa="linear_schedule",
        percent_mask="0.25",
        augment="cifar10",
        train_kimg="65536",
        epochs="750",
        report_kimg="64",
        save_kimg="128",
        nclass="10",
        label_size="250 500 1000 2000 4000",
        valid_size="1 500",
        whiten="False",
    )
    assert config.iterations == 750 * 1024
    assert (config.dataset, config.split_seed, config.labels) == ("cifar10", 2, 250)
    assert (config.validation, config.datasource) == (500, "records")
    assert (config.weight_decay, config.ema_decay, config.mixup_beta) == (0.02, 0.999, 0.75)
    assert (config.unlabelled_weight, config.mask_fraction) == (75.0, 0.25)
    assert (config.eval_every, config.checkpoint_every, config.report_every) == (1024, 2048, 64)
    assert (config.num_classes, config.whiten) == (10, False)


def test_durations_are_images():
    half = SPEC.preset("paper", train_kimg=128, batch=32)
    assert half.iterations == 4096 and half.images == 131_072
    assert SPEC.preset("paper", epochs=3, report_kimg=32).iterations == 1536
    both = SPEC.preset("paper", train_kimg=64, epochs=700)
    assert both.iterations == 1024, "whichever ends first"
    ramp = SPEC.preset("paper", warmup_pos=0.4)
    assert ramp.ramp_images == round(0.4 * 2**26)
    assert SPEC.preset("paper", warmup_kimg=16).ramp_images == 16_384
    assert SPEC.preset("paper", iterations=7, train_kimg=64).iterations == 7


def test_the_papers_settings():
    config = SPEC.preset("paper")
    assert config.images == 65_536 * 1024 and config.ramp_images == 1024 * 1024
    assert (config.lr, config.weight_decay, config.ema_decay, config.bn_momentum) == (
        0.002,
        0.02,
        0.999,
        0.999,
    )
    assert (config.unlabelled_weight, config.mixup_beta, config.temperature) == (75, 0.75, 0.5)
    assert (config.tuning_images, config.batch_size, config.tsa) == (16_384, 64, "none")
    seed = SPEC.preset("seed")
    assert (seed.iterations, seed.tsa, seed.labels) == (700 * 1024, "linear_schedule", 250)
    assert (seed.split_seed, seed.validation) == (1, 500)


def test_the_baselines_of_the_published_comparison():
    weights = {"pi_model": 20, "mean_teacher": 50, "pseudo_label": 1, "vat": 0.3, "ict": 1000}
    for name, weight in weights.items():
        config = PRESETS[name]()
        assert (config.method, config.unlabelled_weight) == (name, weight)
        assert config.ramp_images == round(0.4 * config.images)
    assert PRESETS["mean_teacher"]().weight_decay == 0.2


def test_flags_without_a_meaning_are_named_and_no_setting():
    names = SPEC.Config.names()
    for flag in SPEC.Config.meaningless:
        assert flag not in names and flag not in SPEC.Config.translated


def test_a_step_counts_images():
    config = SPEC.preset("tutorial")
    assert config.images_per_step == 32
    metrics = {"ema_labelled": 1.0, "ema_valid": 0.9, "ema_test": 0.8956}
    line = config.evaluation_line(64, metrics)
    assert line == "kimg 2      accuracy train/valid/test  100.00  90.00  89.56"


BAD = [
    ({"nu": 3}, "nu: expected 2 views of every unlabelled image, got 3"),
    ({"nu": "two"}, "nu: expected an integer"),
    ({"percent_mask": 1.0}, "mask_fraction: expected a share below 1"),
    ({"percent_mask": 1.5}, "mask_fraction: expected a finite number from -1 to 1"),
    ({"tsa": "cosine"}, "tsa: expected one of none, linear_schedule, exp_schedule, log_schedule"),
    ({"mismatch": -0.5}, "mismatch: expected a share from 0 to 1"),
    ({"mismatch": 1.1}, "mismatch: expected a finite number from -1 to 1"),
    ({"eval_ckpt": "run/model.ckpt-1"}, "eval_ckpt: evaluating is a command of its own"),
    ({"perform_inference": True}, "perform_inference: predicting is a command of its own"),
    ({"augment": "rotate"}, "augment: expected one of"),
    ({"train_kimg": 0}, "train_kimg: expected an integer from 1"),
    ({"warmup_pos": 2}, "warmup_pos: expected a finite number"),
    ({"method": "fixmatch"}, "method: expected one of realmix, mixmatch"),
    ({"swa_start": 10, "swa_every": 10, "swa_lr": 0.1}, "swa_lr: expected 0"),
]


@pytest.mark.parametrize(("changes", "complaint"), BAD, ids=[next(iter(c)) for c, _ in BAD])
def test_bad_settings_are_refused(changes, complaint):
    with pytest.raises(ConfigError, match=complaint):
        SPEC.preset("smoke", **changes)


BAD_DATA = [
    ({"labels": 2000}, "labels|label"),
    ({"validation": 5000}, "validation"),
    ({"num_classes": 4}, "num_classes: expected 0 or at least the 10 classes of the data, got 4"),
]


@pytest.mark.parametrize(("changes", "complaint"), BAD_DATA)
def test_settings_that_do_not_fit_the_data_are_refused(built, changes, complaint):
    with pytest.raises(ConfigError, match=complaint):
        built(**changes)


def test_records_that_are_missing_are_a_data_error(built, tmp_path):
    with pytest.raises(zoolib.ZoolibError, match="cifar10"):
        built(datasource="records", data_dir=str(tmp_path), split_seed=1)
