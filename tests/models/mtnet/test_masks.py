"""Masks: their probability, their gradient, and when they are drawn anew (spec 1.2)."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from zoolib.models.mtnet.masks import straight_through


@pytest.mark.parametrize("variant", ["mtnet", "mtnet_full"])
@pytest.mark.parametrize("tau", [0.3, 1.0, 4.0])
def test_probability_is_the_sigmoid_of_the_logit(build, reference, variant, tau):
    """Through the whole pipeline, draws included, whatever the temperature."""
    task = build(variant=variant, meta_batch_size=50, num_updates=2, temp=tau)
    levels = [-2.0, 0.0, 1.0] if variant == "mtnet" else [-2.0, -1.0, -0.1, 0.0, 0.7, 3.0]
    for zeta, level in zip(task.network.zeta, levels):
        zeta.assign(tf.fill(zeta.shape, level))
    steps, on, seen = 60, np.zeros(len(levels)), np.zeros(len(levels))
    draws = task.draws(range(steps))["noise"]
    for step in range(steps):
        for masks in task.masks({"noise": tf.constant(draws[step])}):
            for i in range(len(levels)):
                values = masks[2 * i + 1 if variant == "mtnet" else i].numpy()
                assert set(np.unique(values)) <= {0.0, 1.0}
                on[i] += values.sum()
                seen[i] += values.size
    wanted = 1 / (1 + np.exp(-np.array(levels)))
    sigma = np.sqrt(wanted * (1 - wanted) / seen)
    assert (np.abs(on / seen - wanted) < 3 * sigma).all(), (on / seen, wanted, sigma)
    assert seen.min() >= 3000


@pytest.mark.parametrize("tau", [0.3, 1.0, 4.0])
def test_gradient_is_that_of_the_two_class_gumbel_softmax(tau):
    """Forward hard, backward component 0 of softmax(((zeta, 0) + G) / tau)."""
    source = np.random.RandomState(0)
    zeta, weight = source.normal(size=200), source.normal(size=200)
    gumbel = -np.log(-np.log(source.uniform(size=(2, 200))))
    zeta, weight, gumbel = (a.astype("f4") for a in (zeta, weight, gumbel))
    variable = tf.constant(zeta)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(variable)
        both = (tf.stack([variable, tf.zeros(200)]) + gumbel) / tau
        soft = tf.nn.softmax(both, axis=0)[0]
        hard = straight_through(variable, tf.constant(gumbel[0] - gumbel[1]), tau)
        aims = tf.reduce_sum(weight * soft), tf.reduce_sum(weight * hard)
    np.testing.assert_array_equal(hard.numpy(), soft.numpy() > 0.5)
    wanted, found = (tape.gradient(aim, variable).numpy() for aim in aims)
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-6)
    assert np.abs(wanted).max() > 0.01


def test_noise_is_the_difference_of_two_gumbels(build):
    """Standard logistic: mean 0, variance pi^2 / 3, quartiles at +-log 3."""
    noise = build(variant="mtnet_full").draws(range(400))["noise"].ravel()
    assert noise.dtype == np.float32 and np.isfinite(noise).all()
    assert abs(noise.mean()) < 4 * np.pi / np.sqrt(3 * noise.size)
    assert noise.var() == pytest.approx(np.pi**2 / 3, rel=0.03)
    quartiles = np.quantile(noise, [0.25, 0.75])
    np.testing.assert_allclose(quartiles, [-np.log(3), np.log(3)], atol=0.05)


def test_shared_masks_are_one_per_unit_bias_included_and_stay_over_inner_steps(build):
    task = build(variant="mtnet", num_updates=3)
    sampled = task.masks({"noise": tf.constant(task.draws(range(1))["noise"][0])})
    assert len(sampled) == 1  # every inner step uses this one
    shapes = [tuple(m.shape) for m in sampled[0]]
    assert shapes == [(3, 1, 4), (3, 4), (3, 1, 4), (3, 4), (3, 1, 1), (3, 1)]
    for weight, bias in zip(sampled[0][::2], sampled[0][1::2]):
        np.testing.assert_array_equal(weight[:, 0].numpy(), bias.numpy())


def test_shared_masks_freeze_whole_columns_in_every_inner_step(build, reference):
    """Watched from outside: a masked unit's weights and bias never move, the others do."""
    task = build(variant="mtnet", num_updates=3, update_lr=0.1, dim_hidden=8)
    source = np.random.RandomState(0)
    for w in task.network.theta:
        w.assign(source.normal(size=tuple(w.shape)))
    moved, seen = task.inner_step, []
    task.inner_step = lambda theta, M, batch: (seen.append(moved(theta, M, batch)), seen[-1])[1]
    batch, draws = (reference.first(a) for a in (task.batch(range(1)), task.draws(range(1))))
    start = [w.numpy().copy() for w in task.network.theta]
    task.train_step(reference.tensors(batch), reference.tensors(draws))
    assert len(seen) == 3
    hidden = draws["noise"][0][:, :8] > 0  # zeta is 0
    for theta in seen:
        columns = np.abs(theta[0].numpy() - start[0]).max(axis=1) > 0
        biases = np.abs(theta[1].numpy() - start[1]) > 0
        assert not columns[~hidden].any() and not biases[~hidden].any()
        assert columns[hidden].mean() > 0.5  # not all: ReLU may silence a unit
        np.testing.assert_array_equal(columns, biases)


def test_full_masks_are_fresh_in_every_inner_step_and_one_per_parameter(build):
    task = build(variant="mtnet_full", num_updates=3)
    sampled = task.masks({"noise": tf.constant(task.draws(range(1))["noise"][0])})
    assert len(sampled) == 3
    for masks in sampled:
        assert [tuple(m.shape[1:]) for m in masks] == [tuple(w.shape) for w in task.network.theta]
    flat = [np.concatenate([m.numpy().ravel() for m in masks]) for masks in sampled]
    assert all(0.2 < (a != b).mean() < 0.8 for a, b in zip(flat, flat[1:]))


@pytest.mark.parametrize("variant", ["mtnet", "mtnet_full"])
def test_every_task_step_and_seed_has_noise_of_its_own(build, variant):
    task = build(variant=variant, dim_hidden=20, num_updates=2)
    noise = task.draws(range(50))["noise"]
    assert len(np.unique(noise)) > 0.99 * noise.size
    for axis in (0, 1, 2):
        if noise.shape[axis] > 1:
            near = np.take(noise, range(noise.shape[axis] - 1), axis).ravel()
            far = np.take(noise, range(1, noise.shape[axis]), axis).ravel()
            assert abs(np.corrcoef(near, far)[0, 1]) < 4 / np.sqrt(near.size)
    other = build(variant=variant, dim_hidden=20, num_updates=2, seed=1).draws(range(50))["noise"]
    assert (other != noise).mean() > 0.99


def test_noise_belongs_to_the_step_however_it_is_asked_for(build):
    """Bug 13 of the earlier code: no seed. Here a cut run continues with the same masks."""
    task = build(variant="mtnet_full", num_updates=2)
    whole = {**task.draws(range(7)), **task.batch(range(7))}
    for cut in (range(3), range(3, 7), range(6, 7)):
        part = {**task.draws(cut), **task.batch(cut)}
        for name in whole:
            np.testing.assert_array_equal(part[name], whole[name][cut.start : cut.stop])


def test_no_noise_where_there_are_no_masks(build):
    assert build(variant="tnet").draws(range(2)) == {}


def test_a_mask_never_touches_the_forward_pass(build, reference):
    task = build(variant="mtnet", update_lr=0.0)
    batch = reference.tensors(reference.first(task.batch(range(1))))
    losses = []
    for step in range(3):
        draws = reference.tensors(reference.first(task.draws(range(step, step + 1))))
        before = task.loss(task.network.tasks_own(3), batch, "query")
        theta = task.inner_step(task.network.tasks_own(3), task.masks(draws)[0], batch)
        losses.append((task.loss(theta, batch, "query").numpy(), before.numpy()))
    for after, before in losses:
        np.testing.assert_array_equal(after, before)
    np.testing.assert_array_equal(losses[0][0], losses[2][0])


def moved(build, reference, recorded, **settings):
    """Gradient and terms of one step away from the start, at a point the same for every variant."""
    task, step = recorded(update_lr=0.1, num_updates=2, **settings)
    for variable in task.network.theta + task.network.T:
        source = np.random.RandomState(variable.shape.num_elements())
        variable.assign(0.3 * source.standard_normal(tuple(variable.shape)))
    batch, draws = (reference.first(a) for a in (task.batch(range(1)), task.draws(range(1))))
    return task, batch, *step(batch, draws)


@pytest.mark.parametrize("variant", ["mtnet", "mtnet_full"])
def test_all_masks_on_is_tnet(build, reference, recorded, monkeypatch, variant):
    from zoolib.models.mtnet import network

    real = network._variable
    certain = lambda v, name: real(np.full(np.shape(v), 20.0) if "zeta" in name else v, name)  # noqa: E731
    monkeypatch.setattr(network, "_variable", certain)
    _, _, terms, found = moved(build, reference, recorded, variant=variant)
    _, _, wanted_terms, wanted = moved(build, reference, recorded, variant="tnet")
    assert terms == pytest.approx(wanted_terms, rel=1e-6)
    for name, value in wanted.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-4, atol=1e-6, err_msg=name)
    for name in set(found) - set(wanted):
        assert np.abs(found[name]).max() < 1e-4  # a mask that is surely on learns nothing


@pytest.mark.parametrize("variant", ["mtnet", "mtnet_full"])
def test_all_masks_off_is_no_adaptation(build, reference, recorded, monkeypatch, variant):
    from zoolib.models.mtnet import network

    real = network._variable
    never = lambda v, name: real(np.full(np.shape(v), -20.0) if "zeta" in name else v, name)  # noqa: E731
    monkeypatch.setattr(network, "_variable", never)
    task, batch, terms, found = moved(build, reference, recorded, variant=variant)
    batch = reference.tensors(batch)
    with tf.GradientTape() as tape:
        plain = tf.reduce_mean(task.loss(task.network.tasks_own(3), batch, "query"))
    assert terms["loss"] == pytest.approx(float(plain), rel=1e-6)
    variables = task.network.theta + task.network.T
    for variable, value in zip(variables, tape.gradient(plain, variables)):
        name = variable.name.split(":")[0]
        np.testing.assert_allclose(found[name], value, rtol=1e-4, atol=1e-6, err_msg=name)


def test_tnet_starts_as_maml(reference, recorded):
    """T = identity: the same loss and the same gradient of W and b."""
    results = {}
    for variant in ("maml", "tnet"):
        task, step = recorded(variant=variant, update_lr=0.1, num_updates=2, dim_hidden=40)
        results[variant] = step(reference.first(task.batch(range(1))), {})
    assert results["tnet"][0] == pytest.approx(results["maml"][0], rel=1e-6)
    for name, value in results["maml"][1].items():
        found = results["tnet"][1][name]
        np.testing.assert_allclose(found, value, rtol=1e-4, atol=1e-7, err_msg=name)
    assert any(name.startswith("T") for name in results["tnet"][1])
