"""Five rows of an evaluation, scores, reports in the published formats, warnings."""

from __future__ import annotations

import json
import logging
import re

import numpy as np
import pytest
import tensorflow as tf

import zoolib
from zoolib.models.realmix import reports, scores
from zoolib.models.realmix.evaluation import ROWS, SETS
from zoolib.models.realmix.trainer import scaled
from zoolib.nn.batch_norm import BatchNorm


@pytest.fixture(scope="module")
def task(built, feed):
    """After three steps, so that raw and averaged weights differ."""
    made = built(lr=0.05, ema_decay=0.8, bn_momentum=0.7)
    for step in range(3):
        made.train_step(*feed(made, step))
    return made


def state(task):
    return [v.numpy() for v in task.variables]


def test_an_evaluation_changes_nothing_and_repeats_itself(task):
    before = state(task)
    first = task.evaluate()
    assert task.evaluate() == first
    for a, b in zip(before, state(task)):
        np.testing.assert_array_equal(a, b)
    names = {f"{row}_{part}" for row in ROWS for part in SETS}
    assert names < set(first) and first["test_accuracy"] == first["ema_test"]
    assert set(task.validate()) < set(first)


def test_each_row_is_what_it_says(task):
    """Probabilities of the first test images by weights and statistics put in by hand."""
    rows = task.evaluator.rows()
    images = scaled(tf.constant(task.data.test.images[:20]))
    at = task.evaluator.slices["test"].start
    weights = [v.numpy() for v in task.optimizer.variables_trained]
    moving = [v.numpy() for v in task.statistics()]

    def put(variables, values):
        for v, value in zip(variables, values):
            v.assign(value)

    def predicted():
        return tf.nn.softmax(task.network(images)).numpy()

    try:
        for prefix in ("", "tuned_"):
            if prefix:
                for batch, draws in task.evaluator._tuning_steps():
                    task.evaluator.tune(batch, draws)
            np.testing.assert_allclose(rows[f"{prefix}raw"][at : at + 20], predicted(), atol=1e-5)
            put(task.optimizer.variables_trained, task.average.values())
            np.testing.assert_allclose(rows[f"{prefix}ema"][at : at + 20], predicted(), atol=1e-5)
            put(task.optimizer.variables_trained, weights)
        assert np.abs(rows["tuned_raw"] - rows["raw"]).max() > 1e-4
        assert np.abs(rows["recal_ema"] - rows["ema"]).max() > 1e-4
        put(task.optimizer.variables_trained, task.average.values())
        clean = scaled(tf.constant(task.data.unlabelled.images[:12]))
        norm, half = task.network.norms[0], task.network.stem(clean)
        task.evaluator.recalibrate()
        means = [half[:6].numpy().mean((0, 1, 2)), half[6:].numpy().mean((0, 1, 2))]
        np.testing.assert_allclose(norm.moving_mean, np.mean(means, 0), atol=1e-5)
    finally:
        put(task.optimizer.variables_trained, weights)
        put(task.statistics(), moving)


def test_the_tuning_pass_renews_22_6_percent_of_the_statistics(built):
    """256 steps of momentum 0.999, as published."""
    task = built(tuning_images=256 * 6, bn_momentum=0.999)
    assert len(list(task.evaluator._tuning_steps())) == 256
    norm = BatchNorm(1, momentum=0.999)
    for _ in range(256):
        norm._move(tf.ones([1]), tf.ones([1]), 10**6)
    np.testing.assert_allclose(norm.moving_mean, [1 - 0.999**256], rtol=1e-4)
    assert 1 - 0.999**256 == pytest.approx(0.226, abs=5e-4)


def test_a_network_without_batch_norm_has_the_same_numbers_in_all_rows(built):
    metrics = built(arch="convnet").evaluate()
    for name in SETS:
        assert metrics[f"tuned_raw_{name}"] == metrics[f"raw_{name}"]
        assert metrics[f"recal_ema_{name}"] == metrics[f"ema_{name}"]


def test_without_validation_images_there_is_no_such_column(built):
    metrics = built(validation=0).evaluate()
    assert "ema_test" in metrics and not [name for name in metrics if "valid" in name]


# ---- scores


P = np.array([[0.9, 0.1, 0.0], [0.2, 0.7, 0.1], [0.6, 0.3, 0.1], [0.1, 0.8, 0.1], [0.4, 0.3, 0.3]])
LABELS = np.array([0, 1, 1, 1, 0])


def test_scores_by_hand():
    assert scores.accuracy(P, LABELS) == 0.8
    np.testing.assert_array_equal(scores.confusion(P, LABELS), [[2, 0, 0], [1, 2, 0], [0, 0, 0]])
    np.testing.assert_allclose(scores.accuracies(P, LABELS)[:2], [1.0, 2 / 3])
    assert np.isnan(scores.accuracies(P, LABELS)[2])
    assert scores.macro_f1(P, LABELS) == pytest.approx((4 / 5 + 4 / 5) / 2)
    assert scores.spread(np.full((4, 5), 0.2)) == pytest.approx(5.0)
    assert scores.spread(np.eye(3)[[1, 1]]) == pytest.approx(1.0)


def test_area_under_the_curve(source):
    assert scores.auroc(np.array([1.0, 2, 3, 4]), np.array([0, 0, 1, 1])) == 1.0
    assert scores.auroc(np.array([1.0, 1, 1, 1]), np.array([0, 1, 0, 1])) == 0.5
    values = np.round(source.normal(size=60), 1)
    there = source.uniform(size=60) < 0.3
    pairs = [(a > b) + 0.5 * (a == b) for a in values[there] for b in values[~there]]
    assert scores.auroc(values, there) == pytest.approx(np.mean(pairs))
    assert np.isnan(scores.auroc(values, np.zeros(60, bool)))


# ---- reports


def test_the_line_of_an_evaluation():
    assert reports.kimg_line(65_536, 100.0, 81.2, 80.35) == (
        "kimg 64     accuracy train/valid/test  100.00  81.20  80.35"
    )
    assert reports.kimg_line(65_536 * 1024, 9.5, 1, 2).startswith("kimg 65536  accuracy")
    assert reports.ood_line([0.12345, 1.0]) == "ood 0.1235 1.0000"


def test_the_table_in_the_published_layout():
    """The seed document's run on an Ascend 910."""
    published = {"raw": (1, 0.812, 0.8035), "ema": (1, 0.884, 0.8987)}
    published.update(tuned_raw=(1, 0.844, 0.8341), tuned_ema=(1, 0.884, 0.896))
    metrics = {f"{r}_{s}": v for r, row in published.items() for s, v in zip(SETS, row)}
    assert reports.table(metrics).split("\n") == [
        "                 labeled   valid    test",
        "             raw  100.00   81.20   80.35",
        "             ema  100.00   88.40   89.87",
        "       tuned_raw  100.00   84.40   83.41",
        "       tuned_ema  100.00   88.40   89.60",
    ]


def test_medians_of_the_last_evaluations():
    assert reports.medians(range(1, 101)) == {
        "last01": 100,
        "last10": 95.5,
        "last20": 90.5,
        "last50": 75.5,
    }
    assert reports.medians([3.0]) == dict.fromkeys(("last01", "last10", "last20", "last50"), 3.0)


def test_files_of_a_finished_run(tmp_path):
    spec = zoolib.get_model("realmix")
    config = spec.preset(
        "smoke",
        iterations=6,
        report_every=1,
        eval_every=2,
        filters=4,
        scales=1,
        batch_size=6,
        tuning_images=6,
    )
    result = zoolib.train(config, "cpu", out=tmp_path, progress=False)
    evaluated = [100 * row["test_accuracy"] for row in result.history if "test_accuracy" in row]
    accuracy = json.loads((result.folder / "accuracy.json").read_text())
    assert list(accuracy) == ["last01", "last10", "last20", "last50"]
    assert len(evaluated) == 3 and accuracy["last01"] == pytest.approx(evaluated[-1])
    assert accuracy["last10"] == pytest.approx(np.median(evaluated))
    report = (result.folder / "report.txt").read_text()
    assert reports.table(result.metrics) in report
    assert [line for line in report.split("\n") if line.startswith("ood 0.")]
    assert len([line for line in report.split("\n") if line.startswith("kimg ")]) == 3
    assert report.split("\n")[0].split() == ["scale0/block0/conv1/bias", "4", "[4]"]


# ---- what a user is told


def test_remarks_before_training(built):
    told = " ".join(built(labels=6, unlabelled_weight=75, ema_decay=0.999).remarks())
    missing = re.search(r"labels: 6 for 10 classes; no labelled image of (\d, \d, \d, \d), ", told)
    assert "6 labelled, " in told and missing
    assert "ramp: the unlabelled loss's weight grows to 75" in told
    assert "ema_decay: after 3 steps 100 % of the initial state" in told
    calm = built(iterations=300, labels=20, unlabelled_weight=5, ema_decay=0.9, bn_momentum=0.9)
    assert len(calm.remarks()) == 1


def test_a_collapse_is_told_once(task, tmp_path, caplog):
    healthy = {"mean_prediction_entropy": 2.2}
    assert task.concerns(healthy) == [] and task.concerns({"loss": 1.0}) == []
    (told,) = task.concerns({"mean_prediction_entropy": 0.3})
    assert "predictions collapse" in told and "unlabelled_weight" in told
    config = task.config.replace(iterations=4, report_every=2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(task), "concerns", lambda self, row: ["collapsed"])
        with caplog.at_level(logging.WARNING, "zoolib"):
            zoolib.train(config, "cpu", out=tmp_path, progress=False)
    assert [r.message for r in caplog.records if r.name == "zoolib"] == ["collapsed"]
