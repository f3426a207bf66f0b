"""SGD against TensorFlow 1's formula in float64, and against TensorFlow 1's own optimizer."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from zoolib.optim.sgd import SGD

STEPS = 30
SHAPES = ((3, 2), (2,))
SOURCE = np.random.RandomState(0)
START = [SOURCE.standard_normal(shape).astype(np.float32) for shape in SHAPES]
GRADIENTS = [[SOURCE.standard_normal(s).astype(np.float32) for s in SHAPES] for _ in range(STEPS)]
# A rate that drops: where Keras' form, with the rate inside the velocity, is another one.
RATES = np.where(np.arange(STEPS) < 12, 0.1, 0.01).astype(np.float32)
FORMS = [(0.0, False), (0.9, False), (0.9, True)]
every_form = pytest.mark.parametrize(("momentum", "nesterov"), FORMS)


def formula(momentum: float, nesterov: bool, l2=(0.0, 0.0)) -> list[np.ndarray]:
    p = [w.astype(np.float64) for w in START]
    a = [np.zeros(s) for s in SHAPES]
    for gradients, rate in zip(GRADIENTS, RATES.astype(np.float64)):
        for i, g in enumerate(gradients):
            g = g.astype(np.float64) + l2[i] * p[i]
            a[i] = momentum * a[i] + g
            p[i] = p[i] - rate * (g + momentum * a[i] if nesterov else a[i])
    return p


def keras_form(momentum: float) -> list[np.ndarray]:
    p, v = [w.astype(np.float64) for w in START], [np.zeros(s) for s in SHAPES]
    for gradients, rate in zip(GRADIENTS, RATES):
        for i, g in enumerate(gradients):
            v[i] = momentum * v[i] - rate * g
            p[i] = p[i] + v[i]
    return p


def ours(momentum: float, nesterov: bool, l2=0.0) -> tuple[list[np.ndarray], SGD]:
    variables = [tf.Variable(w, name=f"w{i}") for i, w in enumerate(START)]
    sgd = SGD(variables, momentum, nesterov, l2)
    for gradients, rate in zip(GRADIENTS, RATES):
        sgd.apply([tf.constant(g) for g in gradients], tf.constant(rate))
    return [v.numpy() for v in variables], sgd


@every_form
@pytest.mark.parametrize("l2", [(0.0, 0.0), (0.5, 0.5), (0.5, 0.0)])
def test_sgd_is_the_formula(momentum, nesterov, l2):
    found, _ = ours(momentum, nesterov, l2[0] if l2[0] == l2[1] else list(l2))
    for value, expected in zip(found, formula(momentum, nesterov, l2)):
        np.testing.assert_allclose(value, expected, rtol=0, atol=1e-5)


@every_form
def test_sgd_is_tensorflow_1s_own(momentum, nesterov):
    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        variables = [v1.Variable(w, use_resource=True) for w in START]
        feeds = [v1.placeholder(tf.float32, shape) for shape in SHAPES]
        rate = v1.placeholder(tf.float32, [])
        if momentum:
            optimizer = v1.train.MomentumOptimizer(rate, momentum, use_nesterov=nesterov)
        else:
            optimizer = v1.train.GradientDescentOptimizer(rate)
        step = optimizer.apply_gradients(zip(feeds, variables))
        session.run(v1.global_variables_initializer())
        for gradients, value in zip(GRADIENTS, RATES):
            session.run(step, {rate: value, **dict(zip(feeds, gradients))})
        theirs = session.run(variables)
    for mine, other in zip(ours(momentum, nesterov)[0], theirs):
        np.testing.assert_allclose(mine, other, rtol=0, atol=1e-6)


def test_the_tolerance_tells_other_forms_apart():
    exact = formula(0.9, False)
    for other in (formula(0.9, True), formula(0.901, False), keras_form(0.9)):
        assert max(np.abs(a - b).max() for a, b in zip(exact, other)) > 1e-3


def test_coupled_decay_is_the_gradient_of_half_the_squared_norm():
    variable = tf.Variable([2.0, -4.0])
    SGD([variable], l2=0.25).apply([tf.zeros([2])], tf.constant(0.5))
    np.testing.assert_allclose(variable.numpy(), [1.75, -3.5])
    with pytest.raises(ValueError, match="l2: expected one number, or one for each of 1"):
        SGD([variable], l2=[0.1, 0.2])


@every_form
def test_a_skipped_step_leaves_everything_untouched(momentum, nesterov):
    variables = [tf.Variable(w) for w in START]
    sgd = SGD(variables, momentum, nesterov, l2=0.1)
    sgd.apply([tf.constant(g) for g in GRADIENTS[0]], tf.constant(0.1), tf.constant(False))
    before = [v.numpy() for v in (*sgd.variables, *variables)]
    assert np.abs(variables[0].numpy() - START[0]).max() > 0.01
    infinite = [tf.fill(g.shape, np.float32("nan")) for g in GRADIENTS[1]]
    sgd.apply(infinite, tf.constant(0.1), tf.constant(True))
    for a, b in zip(before, (*sgd.variables, *variables)):
        np.testing.assert_array_equal(a, b)


def test_slots_exist_where_momentum_needs_them_and_have_names_of_their_own():
    variables = [tf.Variable(w, name=f"w{i}") for i, w in enumerate(START)]
    assert SGD(variables).accumulators == []
    slots = SGD(variables, 0.9).accumulators
    assert [v.name for v in slots] == ["sgd/a/w0:0", "sgd/a/w1:0"]
    assert not any(v.trainable for v in slots)
