"""Step sizes, auxiliary chances, evaluation steps and clipping (specification, section 9)."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

import zoolib
from zoolib.models.am3.rates import auxiliary_chances, auxiliary_taken, learning_rates

SPEC = zoolib.get_model("am3")
RHO = (0.9, 0.81, 0.729, 0.6561, 0.5905, 0.5314, 0.4783, 0.4305, 0.3874, 0.3487)
RHO += (0.3138, 0.2824, 0.2542, 0.2288, 0.2059, 0.1853, 0.1668, 0.1501, 0.1351, 0.1216)


def test_the_step_size_drops_after_the_boundaries():
    rates = learning_rates(SPEC.preset("mini_1shot"), range(30_000))
    at = [0, 15_000, 15_001, 17_500, 17_501, 20_000, 20_001, 29_999]
    assert rates[at] == pytest.approx([0.1, 0.1, 0.01, 0.01, 0.001, 0.001, 0.0001, 0.0001])
    tiered = learning_rates(SPEC.preset("tiered_1shot"), range(80_000))
    found = np.flatnonzero(np.diff(tiered)) + 1
    assert found.tolist() == [40_001, 50_001, 60_001]


def test_other_courses_of_the_step_size():
    cosine = learning_rates(SPEC.preset("mini_1shot", lr_decay="cos"), range(30_000))
    assert cosine[[0, 15_000]] == pytest.approx([0.1, 0.05]) and cosine[-1] < 1e-8
    stairs = learning_rates(SPEC.preset("mini_1shot", lr_anneal="exp"), range(30_000))
    assert stairs[[0, 9999, 10_000, 20_000]] == pytest.approx([0.1, 0.1, 0.01, 0.001])


def test_the_chance_of_an_auxiliary_step():
    config = SPEC.preset("mini_1shot_tadam")
    rho = auxiliary_chances(config, range(30_000))
    assert np.round(rho[::1500], 4) == pytest.approx(RHO, abs=1e-4)
    assert rho[1499] == rho[0] and rho.mean() == pytest.approx(0.3953, abs=1e-4)
    taken = auxiliary_taken(config, range(30_000))
    assert taken.sum() == pytest.approx(11_860, abs=3 * 85)
    np.testing.assert_array_equal(taken[700:800], auxiliary_taken(config, range(700, 800)))


@pytest.mark.parametrize("preset,count", [("mini_1shot", 75), ("tiered_1shot", 200)])
def test_evaluations_get_denser_at_half_time(preset, count):
    config = SPEC.preset(preset)
    steps = [s for s in range(1, config.iterations + 1) if config.evaluates(s)]
    assert len(steps) == count and steps[-1] == config.iterations
    assert set(np.diff(steps)) == {1000, 250}


def test_each_gradient_is_clipped_on_its_own(built):
    task = built()
    found = task.clipped([tf.constant([6.0, 8.0]), tf.constant([0.1])])
    assert [float(tf.norm(g)) for g in found] == pytest.approx([1.0, 0.1])
