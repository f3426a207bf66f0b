"""What the notebook draws of single parts is what a step does; published numbers are consistent."""

from __future__ import annotations

import numpy as np
import pytest

import zoolib
from zoolib.models.realmix import illustrations, published


@pytest.fixture(scope="module")
def task(built):
    return built()


def test_views_are_of_the_image_and_vary(task):
    image = task.data.labelled.images[0]
    same, views = illustrations.views_of(image, "digits", 5)
    assert same is image and views.shape == (5, *image.shape)
    assert len({view.tobytes() for view in views}) > 1
    assert (illustrations.views_of(image, "none", 2)[1] == image).all()


def test_a_mixed_row_is_its_two_pictures_by_its_coefficient(task):
    found = illustrations.mixed_rows(task, 2)
    assert found["kind"] == ["label"] * 2 + ["guess"] * 2
    assert (found["weight"] >= 0.5).all() and (found["weight"] <= 1).all()
    weight = found["weight"][:, None, None, None]
    wanted = weight * found["first"] + (1 - weight) * found["second"]
    np.testing.assert_allclose(found["mixed"], wanted, atol=1.0)
    np.testing.assert_allclose(found["targets"].sum(axis=1), 1, atol=1e-5)
    assert (found["targets"][:2].max(axis=1) >= found["weight"][:2] - 1e-5).all(), "its own label"


def test_looking_changes_nothing(task):
    before = [v.numpy() for v in task.network.variables]
    illustrations.mixed_rows(task, 2)
    illustrations.kept_shares(task, np.array([0.5]))
    for old, variable in zip(before, task.network.variables):
        np.testing.assert_array_equal(old, variable.numpy())


def test_more_rows_are_kept_the_higher_the_threshold(task):
    found = illustrations.kept_shares(task, np.array([0.01, 0.3, 0.6, 1.0]))
    assert (np.diff(found["target"]) >= 0).all()
    assert found["target"][0] < found["target"][-1]
    assert ((found["compat"] >= 0) & (found["compat"] <= 1)).all()


def test_hours_and_work_of_the_papers_run():
    paper = zoolib.get_model("realmix").preset("paper")
    assert published.hours(paper, 740) == pytest.approx(25.2, abs=0.05)
    assert published.hours(paper, 1484) == pytest.approx(12.6, abs=0.05)
    assert published.work(65536) / 1e12 == pytest.approx(155, abs=0.6)


def test_a_rate_to_expect():
    assert 0 < illustrations.expected_rate(images=2, turns=1) < 1e6


def test_what_was_measured_with_mismatch_is_whole():
    document = published.measured("mismatch")
    runs = [row for row in document["runs"] if row["method"] == "realmix"]
    seeds = {row["seed"] for row in document["runs"]}
    assert len(seeds) >= 3
    cells = {(row["fraction"], row["mask"], row["seed"]) for row in runs}
    assert len(cells) == len(runs) == 10 * len(seeds)
    for row in document["differences"]:
        assert row["seeds"] == len(seeds) and np.isfinite([row["gain"], row["ci95"]]).all()
    without = [row for row in runs if row["fraction"] in (0.0, 1.0)]
    assert all(row["auroc"] is None for row in without), "one kind of images only"
