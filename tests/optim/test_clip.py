"""Clipping against TensorFlow's own functions, and where its edges are."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from zoolib.optim.clip import clip_by_global_norm, clip_by_norm, squared_norm

SOURCE = np.random.RandomState(0)
LONG = [tf.constant(s * SOURCE.standard_normal((4, 3)).astype(np.float32)) for s in (10, 0.01, 1)]


@pytest.mark.parametrize("limit", [0.05, 1.0, 1e3])
def test_each_on_its_own(limit):
    for found, gradient in zip(clip_by_norm(LONG, limit), LONG):
        np.testing.assert_allclose(found, tf.clip_by_norm(gradient, limit), rtol=1e-6)
        assert np.linalg.norm(found) <= limit * (1 + 1e-6)


@pytest.mark.parametrize("limit", [0.05, 1.0, 1e3])
def test_all_by_one_factor(limit):
    expected, norm = tf.clip_by_global_norm(LONG, limit)
    for found, other in zip(clip_by_global_norm(LONG, limit), expected):
        np.testing.assert_allclose(found, other, rtol=1e-6)
    np.testing.assert_allclose(tf.sqrt(squared_norm(LONG)), norm, rtol=1e-6)


def test_short_gradients_stay_bit_for_bit_and_zeros_stay_zeros():
    short = [g * 1e-3 for g in LONG]
    for clip in (clip_by_norm, clip_by_global_norm):
        for found, gradient in zip(clip(short, 1.0), short):
            np.testing.assert_array_equal(found, gradient)
        assert not clip([tf.zeros([3])], 1.0)[0].numpy().any()


def test_the_two_differ():
    own, together = clip_by_norm(LONG, 1.0), clip_by_global_norm(LONG, 1.0)
    np.testing.assert_array_equal(own[1], LONG[1])  # short on its own
    assert np.linalg.norm(together[1]) < 0.1 * np.linalg.norm(LONG[1])
