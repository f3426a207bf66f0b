"""Sinusoid and polynomial tasks: the test vectors and the zero predictor of the specification."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from zoolib.data import regression
from zoolib.data.draws import uniforms

K = 10


@pytest.fixture(scope="module")
def stored() -> regression.RegressionTasks:
    return regression.stored_sinusoids(600, 2 * K)


def test_vectors_of_the_earlier_implementation(stored):
    np.testing.assert_allclose(stored.knowledge[0], [2.14340782, 2.26296614, 0.80004575], rtol=1e-6)
    np.testing.assert_allclose(stored.knowledge[1], [3.49238082, 2.75325772, 1.15784267], rtol=1e-6)
    found = stored.x[0, :3, 0], stored.y[0, :3, 0]
    np.testing.assert_allclose(found[0], [-1.97667427, -3.53244109, -4.07661405], rtol=1e-6)
    np.testing.assert_allclose(found[1], [1.3854115, 1.99312641, 1.4746831], rtol=1e-6)


def test_zero_predictor(stored):
    errors = np.square(stored.y[:, K:].astype(np.float64)).mean(axis=(1, 2))
    assert round(errors.mean(), 3) == 4.268
    assert round(1.96 * errors.std() / np.sqrt(600), 3) == 0.307


def test_the_stored_tasks_never_change(stored):
    """Inputs and parameters bit for bit; targets but for the last bit of a sine."""
    digests = {
        "knowledge": "1bdf1b3667ac3db48ccaef281acfdab6e7a40970d6103d4f479c52284e90ac63",
        "x": "30cec525a82e3b1f7b19ab5f659ed32f17983534c27adc7cb8515f303ac85785",
    }
    for name, digest in digests.items():
        assert hashlib.sha256(getattr(stored, name).tobytes()).hexdigest() == digest, name
    again = regression.sinusoid(stored.knowledge.astype(np.float64), stored.x.astype(np.float64))
    np.testing.assert_allclose(stored.y, again, rtol=0, atol=5e-6)
    tasks = regression.stored_polynomials(20, 20, 2)
    digest = "89d7ffe58a25c4a7e9d5478636fa755f75ed9139e47aca8c054b34be1d34a0ab"
    assert hashlib.sha256(tasks.y.tobytes()).hexdigest() == digest


def test_fewer_tasks_are_the_first_of_many(stored):
    few = regression.stored_sinusoids(3, 2 * K)
    np.testing.assert_array_equal(few.y, stored.y[:3])


def test_sinusoids_from_uniform_numbers():
    count = regression.numbers_per_task("sinusoid", 20)
    assert count == 23
    tasks = regression.from_uniforms(
        "sinusoid", uniforms(0, "t", range(500), 4 * count).reshape(500, 4, count), 20
    )
    assert tasks.x.shape == tasks.y.shape == (500, 4, 20, 1) and tasks.knowledge.shape == (
        500,
        4,
        3,
    )
    assert {a.dtype for a in (tasks.x, tasks.y, tasks.knowledge)} == {np.dtype(np.float32)}
    for i, (low, high) in enumerate(((0.1, 5.0), (0.0, np.pi), (0.8, 1.2))):
        values = tasks.knowledge[..., i]
        assert low <= values.min() < low + 0.01 * (high - low)
        assert high - 0.01 * (high - low) < values.max() <= high + 1e-6
    assert -5.0 <= tasks.x.min() < -4.99 and 4.99 < tasks.x.max() <= 5.0
    A, phi, omega = (tasks.knowledge[..., i, None, None] for i in range(3))
    np.testing.assert_allclose(tasks.y, A * np.sin(omega * tasks.x - phi), atol=3e-6)


@pytest.mark.parametrize("order", [0, 1, 2, 5])
def test_polynomials_from_uniform_numbers(order):
    count = regression.numbers_per_task("polynomial", 20, order)
    assert count == 20 + order + 1
    tasks = regression.from_uniforms("polynomial", uniforms(0, "t", range(2000), count), 20)
    for i in range(order + 1):
        bound = 0.5**i
        assert 0.99 * bound < np.abs(tasks.knowledge[:, i]).max() <= bound
    assert 1.99 < np.abs(tasks.x).max() <= 2.0
    wide = np.stack([np.polyval(c[::-1], x[:, 0]) for c, x in zip(tasks.knowledge, tasks.x)])
    np.testing.assert_allclose(tasks.y[..., 0], wide, atol=2e-6)


def test_an_order_of_zero_is_a_constant():
    tasks = regression.stored_polynomials(5, 8, 0)
    assert np.ptp(tasks.y, axis=1).max() == 0.0
