"""SWA inside a run: the mean is exact, training does not notice, resumes are bit-equal."""

from __future__ import annotations

import json

import numpy as np
import pytest

import zoolib
from zoolib.core.averaging import step_sizes
from zoolib.core.checkpoint_average import average_checkpoints
from zoolib.core.events import Stepped
from zoolib.core.store import RunFolder
from zoolib.errors import ConfigError, StoreError

EPOCH = 31


def config(**changes):
    settings = dict(iterations=6 * EPOCH, swa_start=2 * EPOCH, checkpoint_every=EPOCH, hidden=8)
    return zoolib.get_model("swa").preset("smoke", **{**settings, **changes})


def kernels(task):
    return [v.numpy() for v in task.network.trainable_variables]


def raw(folder):
    """The last checkpoint's own weights, not the average."""
    arrays = RunFolder.open(folder).checkpoints()[-1].arrays
    return {k: v for k, v in arrays.items() if not k.startswith("swa/")}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Every epoch's weights of one run, and its result."""
    seen, out = {}, tmp_path_factory.mktemp("whole")
    for event in zoolib.run(config(), device="cpu", out=out):
        if type(event).__name__ == "Saved":
            checkpoint = RunFolder.open(event.path.parents[1]).checkpoints()[-1]
            seen[checkpoint.step] = checkpoint.arrays
    return zoolib.load(event.folder, "cpu"), seen


def test_the_average_is_the_mean_of_the_snapshots(whole):
    result, seen = whole
    taken = [arrays for step, arrays in seen.items() if step > 2 * EPOCH]
    assert len(taken) == 4
    for variable in result.task.network.trainable_variables:
        name = variable.name.split(":")[0]
        mean = np.mean([arrays[name].astype(np.float64) for arrays in taken], axis=0)
        np.testing.assert_allclose(variable.numpy(), mean, atol=1e-6)


@pytest.mark.parametrize("every", [2])
def test_a_window_keeps_the_last_snapshots_only(whole, tmp_path, every):
    _, seen = whole
    there = config(swa_window=2, swa_every=every * EPOCH)
    result = zoolib.train(there, "cpu", out=tmp_path, progress=False)
    taken = [6 * EPOCH - every * EPOCH, 6 * EPOCH]
    for variable in result.task.network.trainable_variables:
        name = variable.name.split(":")[0]
        mean = np.mean([seen[step][name] for step in taken], axis=0)
        np.testing.assert_allclose(variable.numpy(), mean, atol=1e-6)


def test_training_does_not_notice(whole, tmp_path):
    """Evaluating the average on the way changes no weight, no statistic, no optimizer slot."""
    result, _ = whole
    often = config(eval_every=EPOCH, swa_window=1)
    other = zoolib.train(often, "cpu", out=tmp_path, progress=False)
    there, here = raw(result.folder), raw(other.folder)
    assert there.keys() == here.keys()
    for name in there:
        if not name.startswith("hidden/batch") and "/mean" not in name and "/var" not in name:
            np.testing.assert_array_equal(there[name], here[name], err_msg=name)
    assert all("swa_test_accuracy" in row for row in other.history[2:])
    assert "swa_test_accuracy" not in other.history[1]


def test_batch_norm_belongs_to_the_average(whole):
    metrics = whole[0].metrics
    assert metrics["swa_moving_mean_error"] < 1e-4
    assert metrics["moving_mean_error"] > 10 * metrics["swa_moving_mean_error"]


@pytest.mark.parametrize("stop", [2 * EPOCH, 3 * EPOCH + 7])
def test_resumed_equals_uninterrupted(whole, tmp_path, stop):
    events = zoolib.run(config(), device="cpu", out=tmp_path)
    folder = next(events).folder
    for event in events:
        if isinstance(event, Stepped) and event.step >= stop:
            break
    events.close()
    result = zoolib.train(resume=folder, device="cpu", progress=False)
    assert result.metrics == whole[0].metrics
    for here, there in zip(kernels(result.task), kernels(whole[0].task)):
        np.testing.assert_array_equal(here, there)


def test_an_unfinished_run_loads_as_its_average_so_far(tmp_path):
    events = zoolib.run(config(), device="cpu", out=tmp_path)
    folder = next(events).folder
    for event in events:
        if isinstance(event, Stepped) and event.step >= 4 * EPOCH:
            break
    events.close()
    loaded = zoolib.load(folder, "cpu")
    with loaded.task.session.placement():
        assert loaded.task.evaluate()["moving_mean_error"] < 1e-4
    assert loaded.evaluate()["swa_test_accuracy"] == loaded.task.evaluate()["test_accuracy"]


def test_any_method_can_be_averaged(tmp_path):
    there = zoolib.get_model("mtnet").preset(
        "smoke", iterations=120, report_every=20, swa_start=60, swa_every=20, swa_lr=0.0005
    )
    result = zoolib.train(there, "cpu", out=tmp_path, progress=False)
    assert result.metrics["swa_query_mse_step_1"] != result.metrics["query_mse_step_1"]


def test_step_sizes_are_the_methods_own_without_swa_lr():
    usual = np.linspace(1, 2, 10, dtype=np.float32)
    assert step_sizes(config(swa_lr=0.0), 0.1, usual, range(10)) is usual
    ours = step_sizes(config(), 0.1, usual, range(10))
    assert ours[0] == np.float32(0.1) and len(ours) == 10


@pytest.mark.parametrize(
    "changes, said",
    [
        (dict(swa_start=6 * EPOCH), "swa_start: expected at most iterations - swa_every"),
        (dict(swa_every=0), "swa_every: expected an integer of at least 1"),
        (dict(swa_lr2=0.01), "swa_lr2: expected 0 or at least swa_lr"),
        (dict(swa_lr=0.5), "swa_lr: expected at most lr"),
        (dict(swa_window=-1), "swa_window"),
    ],
)
def test_bad_settings_are_named(changes, said):
    with pytest.raises(ConfigError, match=said):
        config(**changes)


# ---- offline


def test_offline_average_of_checkpoints(whole, tmp_path):
    result, seen = whole
    made, rows = average_checkpoints([result.folder], tmp_path, "cpu")
    assert [row["step"] for row in rows] == sorted(seen)[-3:]
    for variable in made.task.network.trainable_variables:
        name = variable.name.split(":")[0]
        mean = np.mean([seen[row["step"]][name] for row in rows], axis=0)
        np.testing.assert_allclose(variable.numpy(), mean, atol=1e-6)
    assert made.metrics["moving_mean_error"] < 1e-4
    assert made.evaluate() == made.metrics
    zoolib.export(made.task, "savedmodel", tmp_path / "exported")


def test_offline_average_by_command_line(whole, tmp_path, capsys):
    from zoolib.cli import main

    paths = sorted((whole[0].folder / "checkpoints").iterdir())[-2:]
    words = [
        "swa",
        "average",
        *map(str, paths),
        "--out",
        str(tmp_path),
        "--json",
        "--device",
        "cpu",
    ]
    assert main(words) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert told["metrics"] == zoolib.load(told["folder"]).metrics
    assert main([*words[:3], "--device", "cpu"]) == 2
    assert "at least two" in capsys.readouterr().err


def test_offline_average_refuses_what_does_not_fit(whole, tmp_path):
    other = zoolib.train(config(hidden=9), "cpu", out=tmp_path, progress=False)
    with pytest.raises(StoreError, match=r"expected .* of shape"):
        average_checkpoints([whole[0].folder, other.folder], tmp_path / "no", "cpu")
    with pytest.raises(StoreError, match="found neither"):
        average_checkpoints([tmp_path], tmp_path / "no", "cpu")
    assert not (tmp_path / "no").exists()
