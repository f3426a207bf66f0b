"""Decoupled weight decay: what multiplies what, in which order, on which variables."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from zoolib.optim.adam import Adam
from zoolib.optim.adamw import AdamW

SOURCE = np.random.RandomState(1)
START = [SOURCE.standard_normal(s).astype(np.float32) for s in ((3, 2), (2,))]
STEPS = 20
GRADIENTS = [
    [SOURCE.standard_normal(w.shape).astype(np.float32) for w in START] for _ in range(STEPS)
]
RATES = np.linspace(0.05, 0.01, STEPS).astype(np.float32)
DECAY = 0.5


def formula(decays: tuple[bool, bool]) -> list[np.ndarray]:
    p = [w.astype(np.float64) for w in START]
    m, v = ([np.zeros(w.shape) for w in START] for _ in "mv")
    for t, (gradients, rate) in enumerate(zip(GRADIENTS, RATES.astype(np.float64)), 1):
        for i, g in enumerate(gradients):
            if decays[i]:
                p[i] = p[i] * (1 - DECAY * rate)
            m[i] = 0.9 * m[i] + 0.1 * g
            v[i] = 0.999 * v[i] + 0.001 * g.astype(np.float64) ** 2
            step = rate * np.sqrt(1 - 0.999**t) / (1 - 0.9**t)
            p[i] = p[i] - step * m[i] / (np.sqrt(v[i]) + 1e-8)
    return p


def trained(make) -> list[np.ndarray]:
    variables = [tf.Variable(w, name=f"w{i}") for i, w in enumerate(START)]
    optimizer = make(variables)
    for gradients, rate in zip(GRADIENTS, RATES):
        optimizer.apply([tf.constant(g) for g in gradients], tf.constant(rate))
    return [v.numpy() for v in variables]


@pytest.mark.parametrize("decays", [(True, True), (True, False)])
def test_decay_comes_first_and_times_the_rate(decays):
    found = trained(lambda w: AdamW(w, DECAY, [v for v, d in zip(w, decays) if d]))
    for value, expected in zip(found, formula(decays)):
        np.testing.assert_allclose(value, expected, rtol=0, atol=1e-5)


def test_all_variables_decay_unless_told():
    for value, expected in zip(trained(lambda w: AdamW(w, DECAY)), formula((True, True))):
        np.testing.assert_allclose(value, expected, rtol=0, atol=1e-5)


def test_without_decay_it_is_adam():
    for value, expected in zip(trained(lambda w: AdamW(w, 0.0)), trained(Adam)):
        np.testing.assert_array_equal(value, expected)


def test_realmix_decays_kernels_by_0_99996_per_step():
    kernel, gamma = tf.Variable([100.0]), tf.Variable([100.0])
    optimizer = AdamW([kernel, gamma], 0.02, [kernel])
    optimizer.apply([tf.zeros([1]), tf.zeros([1])], tf.constant(0.002))
    np.testing.assert_allclose(kernel.numpy(), [99.996], rtol=1e-7)
    assert gamma.numpy() == 100.0


def test_a_skipped_step_does_not_decay():
    variables = [tf.Variable(w) for w in START]
    optimizer = AdamW(variables, DECAY)
    nan = [tf.fill(w.shape, np.float32("nan")) for w in START]
    optimizer.apply(nan, tf.constant(0.1), tf.constant(True))
    for value, variable in zip(START, variables):
        np.testing.assert_array_equal(value, variable)
    assert optimizer.count.numpy() == 0
    optimizer.apply([tf.constant(g) for g in GRADIENTS[0]], tf.constant(0.1), tf.constant(False))
    assert np.abs(variables[0] - START[0]).max() > 0.05


def test_only_trained_variables_can_decay():
    trained_one, other = tf.Variable([1.0], name="a"), tf.Variable([1.0], name="other")
    with pytest.raises(ValueError, match="decayed: expected trained variables, got also other"):
        AdamW([trained_one], 0.1, [other])


def test_slots_carry_the_optimizers_name():
    optimizer = AdamW([tf.Variable([1.0], name="w")], 0.1)
    assert {v.name for v in optimizer.variables} >= {"adamw/m/w:0", "adamw/v/w:0", "adamw/count:0"}
