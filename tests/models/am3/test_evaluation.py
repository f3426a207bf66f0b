"""Stored tasks, cached features, shots and names at test time."""

from __future__ import annotations

import numpy as np
import pytest

import zoolib
from zoolib.data.fewshot import Split
from zoolib.errors import ConfigError
from zoolib.models.am3 import evaluate_split, evaluation, shots_curve, tables
from zoolib.models.am3.sources import Source

SPEC = zoolib.get_model("am3")


@pytest.fixture(scope="module")
def trained(built, stepped):
    task = built()
    stepped(task, range(6))
    return task


@pytest.fixture(scope="module")
def conditioned(built, stepped):
    task = built(variant="am3-tadam", blocks=2, pools=2)
    stepped(task, range(6))
    return task


def test_cached_features_give_the_same_numbers(trained):
    cached, anew = (evaluate_split(trained, cache=cache) for cache in (True, False))
    np.testing.assert_array_equal(cached.correct, anew.correct)
    np.testing.assert_allclose(cached.loss, anew.loss, rtol=1e-5)
    np.testing.assert_allclose(cached.share, anew.share, rtol=1e-5)


def test_conditioning_changes_the_test_and_can_be_left_out(conditioned):
    on, off = (evaluate_split(conditioned, conditioned=c) for c in (True, False))
    assert not np.allclose(on.loss, off.loss, rtol=1e-4)
    anew = evaluate_split(conditioned, conditioned=False, cache=False)
    np.testing.assert_allclose(off.loss, anew.loss, rtol=1e-4)
    metrics = evaluation.evaluate(conditioned)
    assert metrics["test_accuracy"] == on.accuracy
    assert metrics["test_accuracy_ten_off"] == off.accuracy


def test_test_tasks_are_the_same_for_every_variant_and_seed(built, trained):
    other = built(variant="tadam", seed=7)
    for split in ("val", "test"):
        mine, theirs = (
            t.evaluations.tasks(evaluation.protocol(t.config, split)) for t in (trained, other)
        )
        for name, array in mine.items():
            np.testing.assert_array_equal(array, theirs[name])


@pytest.mark.parametrize("kind", [{"ways": 3}, {"shots": 5}, {"queries": 7}, {"episodes": 3}])
def test_any_kind_of_task_can_be_asked_for(trained, kind):
    found = evaluate_split(trained, **kind)
    assert found.share.shape == (kind.get("episodes", 20), kind.get("ways", 5))


def test_names_alone_are_enough_and_pictures_alone_need_pictures(trained, built):
    found = evaluate_split(trained, shots=0)
    assert not found.share.any() and np.isfinite(found.loss).all()
    with pytest.raises(ConfigError, match="knows classes from pictures only"):
        evaluate_split(built(variant="protonet++"), shots=0)


def test_classes_without_a_known_word_count_by_their_pictures(trained):
    source = trained.source
    test = source.sets["test"]
    vectors = test.vectors.copy()
    vectors[::2] = 0.0
    sets = {**source.sets, "test": Split(test.images, test.class_of, test.names, vectors)}
    trained.source = Source(trained.config, sets)
    try:
        found = evaluate_split(trained)
        assert trained.source.remarks() == [
            "10 test classes have no known word: only pictures count"
        ]
    finally:
        trained.source = source
    unnamed = found.classes % 2 == 0
    assert (found.share[unnamed] == 1.0).all() and (found.share[~unnamed] < 1.0).all()


def test_shuffled_names_are_those_of_other_classes(built):
    true, shuffled = (built(class_names=kind).source for kind in ("true", "shuffled"))
    for split in ("train", "val", "test"):
        every = np.arange(len(true.sets[split].names))
        mine, other = (s.vectors(split, every)["words"] for s in (true, shuffled))
        assert not (mine == other).all(axis=1).any()
        np.testing.assert_array_equal(np.sort(mine, axis=0), np.sort(other, axis=0))


def test_the_interval_is_that_of_the_mean_over_tasks():
    correct = np.array([0.5, 0.7, 0.9, 0.3], np.float32)
    found = evaluation.Outcome(correct, correct, correct[:, None], np.zeros((4, 1), int))
    assert found.interval == pytest.approx(1.96 * correct.std(ddof=1) / 2.0)


def test_curves_over_shots_and_tables_per_class(trained):
    rows = shots_curve(trained, (1, 2), episodes=6)
    assert [row["shots"] for row in rows] == [1, 2]
    assert all(0.0 < row["lambda_mean"] < 1.0 for row in rows)
    evaluation.evaluate(trained)
    classes = tables.lambda_by_class(trained)
    outcome = trained.evaluations.last
    assert sum(row[4] for row in classes) == outcome.classes.size
    assert classes[0][1] == trained.source.sets["test"].names[classes[0][0]]


def test_figures_have_words_and_pictures_in_one_space(trained, conditioned):
    data = trained.figure_data()
    assert data["visual"].shape == data["words"].shape == (20, 16)
    assert data["vectors"].shape == (20, 300) and len(data["names"]) == 20
    factors = conditioned.figure_data()
    assert factors["ten_gamma"].shape == factors["ten_beta"].shape == (2,)
