"""The training step, its auxiliary part, resuming, and choosing the best state."""

from __future__ import annotations

import numpy as np
import pytest

import zoolib
from zoolib.core.events import Stepped
from zoolib.core.store import RunFolder
from zoolib.errors import ConfigError, DataError

SPEC = zoolib.get_model("am3")
BOTH = {"variant": "am3-tadam", "aux": True, "blocks": 2, "pools": 2, "filters": 4}
SHORT = {"iterations": 8, "eval_every": 4, "checkpoint_every": 4, "aux_batch": 8, **BOTH}


def values(variables):
    return [v.numpy() for v in variables]


def same(one, other):
    return all(np.array_equal(a, b) for a, b in zip(one, other))


def test_an_auxiliary_step_not_taken_changes_nothing_but_running_statistics(built):
    task = built(**SHORT)
    batch = {k: v[0] for k, v in task.batch(range(1)).items()}
    trained = [*task.network.trainable_variables, *task.aux_optimizer.accumulators]
    before, moving = values(trained), values(task.statistics())
    terms = task.auxiliary_step({**batch, "aux_taken": np.array(False)})
    assert same(before, values(trained)) and not same(moving, values(task.statistics()))
    assert terms["aux_taken"] == 0.0 and np.isfinite(float(terms["loss_aux"]))
    task.auxiliary_step({**batch, "aux_taken": np.array(True)})
    changed = [not np.array_equal(a, v.numpy()) for a, v in zip(before, trained)]
    own = {id(v) for v in task.network.auxiliary_variables}
    assert all(c for c, v in zip(changed, trained) if id(v) in own)


def test_each_step_trains_its_own_variables(built):
    task = built(**SHORT)
    main = {id(v) for v in task.optimizer.variables_trained}
    aux = {id(v) for v in task.aux_optimizer.variables_trained}
    net = task.network
    assert not main & {id(v) for v in net.aux.trainable_variables}
    assert not aux & {id(v) for p in (net.g, net.h, net.ten) for v in p.trainable_variables}
    assert main | aux == {id(v) for v in net.trainable_variables}


def test_running_statistics_move_by_auxiliary_support_conditioned_support_and_query(built):
    """Four updates from 0 with momentum 0.95 leave less than 0.95^4 of the variance's start."""
    task = built(**SHORT)
    norm, seen = task.network.encoder.blocks[0].shortcut.norm, []
    with norm.statistics_to(lambda mean, variance, count: seen.append(count)):
        task.train_step(
            *({k: v[0] for k, v in f(range(1)).items()} for f in (task.batch, task.draws))
        )
    config = task.config
    support, query = config.tasks * config.ways * config.shots, config.tasks * config.queries
    places = config.image_size**2
    assert seen == [8 * places, support * places, support * places, query * places]


def test_terms_of_a_step(built, stepped):
    rows = stepped(built(**SHORT), range(3))
    for row in rows:
        assert row["loss"] == pytest.approx(row["loss_ce"] + row["loss_l2"], rel=1e-5)
        assert row["lr"] == pytest.approx(0.1) and row["alpha"] == 10.0
        assert 0.0 < row["lambda_mean"] < 1.0 and row["lambda_std"] > 0.0
        assert row["aux_taken"] in (0.0, 1.0)


@pytest.mark.slow
def test_conditioning_factors_leave_zero_and_survive_the_disk(tmp_path):
    result = zoolib.train(SPEC.preset("smoke", **SHORT), "cpu", out=tmp_path, progress=False)
    factors = np.array([float(f) for f in result.task.network.ten.factors])
    best = RunFolder.open(result.folder).best()
    names = [f.name.split(":")[0] for f in result.task.network.ten.factors]
    assert (factors != 0.0).all()
    np.testing.assert_array_equal(factors, [best.arrays[name] for name in names])
    assert result.evaluate() == result.metrics
    assert result.metrics["test_accuracy_ten_off"] >= 0.0


@pytest.mark.slow
def test_stopped_and_resumed_with_auxiliary_steps_is_the_same_bit_for_bit(tmp_path):
    config = SPEC.preset("smoke", **SHORT, h_dropout=0.5, g_dropout=0.5)
    whole = zoolib.train(config, "cpu", out=tmp_path / "whole", progress=False)
    events = zoolib.run(config, device="cpu", out=tmp_path / "cut")
    folder = next(events).folder
    for event in events:
        if isinstance(event, Stepped) and event.step >= 5:
            break
    events.close()
    cut = zoolib.train(resume=folder, device="cpu", progress=False)
    for name in ("metrics.jsonl", "train_log.tsv", "eval.tsv", "lambda_by_class.tsv"):
        assert (folder / name).read_bytes() == (whole.folder / name).read_bytes(), name
    assert cut.metrics == whole.metrics
    assert cut.summary["best_step"] == whole.summary["best_step"]


def test_the_best_state_by_validation_is_what_is_tested(tmp_path):
    config = SPEC.preset("smoke", iterations=12, eval_every=2, seed=1)
    result = zoolib.train(config, "cpu", out=tmp_path, progress=False)
    seen = {row["step"]: row["val_accuracy"] for row in result.history}
    best = max(seen, key=lambda step: (seen[step], -step))  # of equals the first
    assert result.summary["best_step"] == best
    assert result.metrics["val_accuracy"] == seen[best]
    assert not [name for row in result.history for name in row if name.startswith("test")]
    rows = (result.folder / "eval.tsv").read_text().splitlines()
    assert [row.split("\t")[1] for row in rows[1:]] == ["val"] * 6 + ["test"]
    told = dict(zip(*(row.split("\t") for row in (result.folder / "results.tsv").open())))
    assert int(told["best_step"]) == best and int(told["params"]) == result.task.network.sizes()[0]


@pytest.mark.slow
def test_averaged_weights_get_statistics_of_their_own(tmp_path):
    config = SPEC.preset("smoke", iterations=8, eval_every=0, swa_start=4, swa_every=2, swa_lr=0.01)
    metrics = zoolib.train(config, "cpu", out=tmp_path, progress=False).metrics
    assert 0.0 < metrics["swa_test_accuracy"] <= 1.0


@pytest.mark.slow
@pytest.mark.parametrize("changes", [{"optimizer": "adam", "lr": 1e-3}, {"label_smoothing": 0.1}])
def test_other_ways_to_train(built, stepped, changes):
    task = built(**changes)
    rows = stepped(task, range(6))
    assert all(np.isfinite(list(row.values())).all() for row in rows)


# ---- bad input


@pytest.mark.parametrize(
    "changes,error,told",
    [
        ({"per_class": 3, "eval_queries": 5, "queries": 14}, DataError, "images in a class"),
        ({"ways": 65}, DataError, "at least 65 classes"),
        ({"eval_ways": 17}, DataError, "at least 17 classes"),
        ({"variant": "tadam", "aux": True, "aux_classes": 10}, ConfigError, "at least 64"),
        ({"datasource": "npz", "data_dir": "nowhere"}, DataError, "few-shot-train.npz"),
    ],
)
def test_data_that_does_not_fit(built, changes, error, told):
    with pytest.raises(error, match=told):
        built(**changes)


def test_pictures_of_another_size_are_refused(built, tmp_path):
    from zoolib.data.attrshapes import attrshapes
    from zoolib.data.fewshot import write_split

    for name, split in attrshapes(8, 4, classes=(64, 16, 20)).items():
        write_split(tmp_path, name, split)
    own = {"datasource": "npz", "data_dir": str(tmp_path), "queries": 5, "eval_queries": 5}
    with pytest.raises(DataError, match="expected pictures of 16 x 16"):
        built(**own)
    task = built(**own, image_size=8)
    assert task.source.words == 300 and task.source.sets["test"].images.shape == (80, 8, 8, 3)
