"""Adam against TensorFlow 1's formula in float64, and against TensorFlow 1's own optimizer."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from zoolib.optim.adam import Adam

STEPS = 30
SHAPES = ((3, 2), (2,))
SOURCE = np.random.RandomState(0)
START = [SOURCE.standard_normal(shape).astype(np.float32) for shape in SHAPES]
# Gradients of very different sizes, zeros among them: epsilon and the correction both show.
GRADIENTS = [
    [(10.0 ** (step % 7 - 5) * SOURCE.standard_normal(s)).astype(np.float32) for s in SHAPES]
    for step in range(STEPS)
]
for _step in (0, 4, 11):
    GRADIENTS[_step][1][:] = 0.0
RATES = np.linspace(0.1, 0.001, STEPS).astype(np.float32)


def formula(beta1: float, beta2: float, epsilon: float) -> list[np.ndarray]:
    """Parameters after all steps: p -= r sqrt(1 - b2^t) / (1 - b1^t) m / (sqrt(v) + epsilon)."""
    p = [w.astype(np.float64) for w in START]
    m, v = ([np.zeros(s) for s in SHAPES] for _ in "mv")
    for t, (gradients, rate) in enumerate(zip(GRADIENTS, RATES.astype(np.float64)), 1):
        for i, g in enumerate(gradients):
            g = g.astype(np.float64)
            m[i] = beta1 * m[i] + (1 - beta1) * g
            v[i] = beta2 * v[i] + (1 - beta2) * g * g
            step = rate * np.sqrt(1 - beta2**t) / (1 - beta1**t)
            p[i] = p[i] - step * m[i] / (np.sqrt(v[i]) + epsilon)
    return p


def ours(**options) -> tuple[list[np.ndarray], Adam]:
    variables = [tf.Variable(w, name=f"w{i}") for i, w in enumerate(START)]
    adam = Adam(variables, **options)
    for gradients, rate in zip(GRADIENTS, RATES):
        adam.apply([tf.constant(g) for g in gradients], tf.constant(rate))
    return [v.numpy() for v in variables], adam


@pytest.mark.parametrize(
    "options",
    [
        {"beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8},
        {"beta1": 0.5, "beta2": 0.9, "epsilon": 1e-3},
    ],
)
def test_adam_is_the_formula(options):
    """In float32, after a way of about 1.5 in steps of up to 0.1."""
    found, adam = ours(**options)
    for value, expected in zip(found, formula(**options)):
        np.testing.assert_allclose(value, expected, rtol=0, atol=1e-5)
    assert adam.count.numpy() == STEPS


def test_defaults_are_tensorflow_1s():
    for value, expected in zip(ours()[0], formula(0.9, 0.999, 1e-8)):
        np.testing.assert_allclose(value, expected, rtol=0, atol=1e-5)


def test_adam_is_tensorflow_1s_own():
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        variables = [tf.compat.v1.Variable(w, use_resource=True) for w in START]
        feeds = [tf.compat.v1.placeholder(tf.float32, shape) for shape in SHAPES]
        rate = tf.compat.v1.placeholder(tf.float32, [])
        step = tf.compat.v1.train.AdamOptimizer(rate).apply_gradients(zip(feeds, variables))
        session.run(tf.compat.v1.global_variables_initializer())
        for gradients, value in zip(GRADIENTS, RATES):
            session.run(step, {rate: value, **dict(zip(feeds, gradients))})
        theirs = session.run(variables)
    for mine, other in zip(ours()[0], theirs):
        np.testing.assert_allclose(mine, other, rtol=0, atol=1e-5)


def test_the_tolerance_tells_other_formulas_apart():
    exact = formula(0.9, 0.999, 1e-8)
    for other in (
        formula(0.9, 0.999, 1e-7),
        formula(0.9, 0.9991, 1e-8),
        formula(0.901, 0.999, 1e-8),
    ):
        assert max(np.abs(a - b).max() for a, b in zip(exact, other)) > 1e-4


def test_the_first_step_has_the_size_of_the_rate():
    variable = tf.Variable([1.0, 1.0])
    Adam([variable]).apply([tf.constant([1e-2, -500.0])], tf.constant(0.25))
    np.testing.assert_allclose(variable.numpy(), [0.75, 1.25], rtol=1e-4)


def test_a_skipped_step_leaves_everything_untouched():
    variables = [tf.Variable(w) for w in START]
    adam = Adam(variables)
    adam.apply([tf.constant(g) for g in GRADIENTS[1]], tf.constant(0.1), tf.constant(False))
    before = [v.numpy() for v in (*adam.variables, *variables)]
    infinite = [tf.fill(g.shape, np.float32("nan")) for g in GRADIENTS[2]]
    adam.apply(infinite, tf.constant(0.1), tf.constant(True))
    after = [v.numpy() for v in (*adam.variables, *variables)]
    for a, b in zip(before, after):
        np.testing.assert_array_equal(a, b)
    assert adam.count.numpy() == 1
    adam.apply([tf.constant(g) for g in GRADIENTS[2]], tf.constant(0.1), tf.constant(False))
    assert adam.count.numpy() == 2 and not np.array_equal(variables[0].numpy(), after[-2])


def test_slots_exist_at_once_and_have_names_of_their_own():
    variables = [tf.Variable(w, name=f"w{i}") for i, w in enumerate(START)]
    adam = Adam(variables)
    slots = [*adam.first, *adam.second, adam.count]
    names = [v.name for v in slots]
    assert len(set(names)) == 5 and "adam/m/w0:0" in names and "adam/v/w1:0" in names
    assert not any(v.trainable for v in slots)
