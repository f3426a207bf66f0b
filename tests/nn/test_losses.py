from __future__ import annotations

import numpy as np
import tensorflow as tf

from zoolib.nn.initialise import normal, truncated_normal, xavier_uniform
from zoolib.nn.losses import accuracy, cross_entropy, mean_squared_error

SOURCE = np.random.RandomState(0)


def test_mean_squared_error_is_per_task():
    a, b = SOURCE.standard_normal((2, 3, 10, 1)).astype(np.float32)
    found = mean_squared_error(tf.constant(a), tf.constant(b))
    np.testing.assert_allclose(found, ((a - b) ** 2).mean(axis=(1, 2)), rtol=1e-6)


def test_cross_entropy_is_summed_over_a_tasks_examples():
    logits = (10 * SOURCE.standard_normal((3, 7, 5))).astype(np.float32)
    labels = SOURCE.randint(0, 5, (3, 7)).astype(np.int32)
    wide = logits.astype(np.float64)
    log_sum = np.log(np.exp(wide - wide.max(-1, keepdims=True)).sum(-1)) + wide.max(-1)
    chosen = np.take_along_axis(wide, labels[..., None], -1)[..., 0]
    found = cross_entropy(tf.constant(logits), tf.constant(labels))
    np.testing.assert_allclose(found, (log_sum - chosen).sum(1), rtol=1e-5)


def test_cross_entropy_of_certain_and_of_hopeless_logits_is_finite():
    logits, labels = tf.constant([[[1e4, 0.0]], [[0.0, 1e4]]]), tf.constant([[0], [0]])
    assert cross_entropy(logits, labels).numpy().tolist() == [0.0, 1e4]


def test_accuracy_counts_matches():
    logits = tf.constant([[[0.1, 0.9], [0.8, 0.2], [0.3, 0.4]], [[1.0, 0.0]] * 3])
    found = accuracy(logits, tf.constant([[1, 0, 0], [1, 1, 1]]))
    np.testing.assert_allclose(found, [2 / 3, 0.0], rtol=1e-6)


def test_initial_values_have_the_spread_they_say():
    source = np.random.Generator(np.random.Philox(1))
    cut = truncated_normal(source, (200, 200), 0.01)
    assert cut.dtype == np.float32 and np.abs(cut).max() <= 0.02
    assert abs(cut.std() / (0.01 * 0.87962566) - 1) < 0.02  # of a normal cut at two deviations
    whole = normal(source, (200, 200), 0.5)
    assert abs(whole.std() / 0.5 - 1) < 0.02 and np.abs(whole).max() > 1.5
    flat = xavier_uniform(source, (3, 3, 16, 32))
    limit = np.sqrt(6.0 / (9 * 48))
    assert 0.99 * limit < np.abs(flat).max() <= limit
