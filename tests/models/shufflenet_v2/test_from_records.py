"""The whole way by the command line: pictures to records, training with log files, evaluation."""

from __future__ import annotations

import json

import pytest

TRAIN = (
    "train shufflenet_v2 --preset smoke --datasource records --data_dir records --iterations 10 "
    "--report_every 5 --checkpoint_every 5 --batch_size 8 --eval_batch_size 8 --device cpu "
    "--log_dir logs --json"
)


@pytest.fixture(scope="module")
def records(launcher, tmp_path_factory):
    """A folder holding `records`: four classes of drawn shapes."""
    folder = tmp_path_factory.mktemp("shufflenet")
    words = "data build shapes --classes 4 --train 12 --validation 5 --size 48 --to records"
    command = launcher.run(*words.split(), "--workers", "1", "--json", cwd=folder)
    assert command.code == 0, command.err
    told = json.loads(command.out.splitlines()[-1])
    assert (told["classes"], told["train"], told["val"]) == (4, 48, 20)
    return folder


@pytest.mark.slow
def test_records_are_trained_on_logged_and_evaluated(launcher, records):
    command = launcher.run(*TRAIN.split(), cwd=records)
    assert command.code == 0, command.err
    told = json.loads(command.out.splitlines()[-1])
    assert told["steps"] == 10 and 0.0 <= told["metrics"]["top1"] <= 100.0
    log = (records / "logs" / "shufflenet_v2_training.log").read_text()
    assert "10" in log
    output = records / "logs" / "output" / "0"
    losses = (output / "train_ShuffleNetV2_bs8_1p_acc_loss.txt").read_text().split()
    assert len(losses) == 2 and all(float(loss) > 0.0 for loss in losses)
    assert "=" in (output / "ShuffleNetV2_bs8_1p_acc.log").read_text()

    again = launcher.run("eval", told["folder"], "--device", "cpu", "--json", cwd=records)
    assert again.code == 0, again.err
    assert json.loads(again.out.splitlines()[-1])["metrics"] == told["metrics"]


def test_records_of_other_classes_are_refused(launcher, records):
    command = launcher.run(*TRAIN.split(), "--num_classes", "5", cwd=records)
    assert command.code == 2
    assert "num_classes: expected 4, as the records in records have, got 5" in command.err
