"""The networks for images: forms, counts, forward pass and second derivatives (spec 1.5, 1.6)."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from zoolib.models.mtnet.config import MTNetConfig
from zoolib.models.mtnet.network import Network

OMNIGLOT = dict(datasource="omniglot", num_classes=3, shots=1, queries=2, meta_batch_size=2)
MINI = dict(
    datasource="miniimagenet", num_classes=2, shots=1, queries=1, meta_batch_size=1, max_pool=True
)


def shapes(variables) -> list[tuple[int, ...]]:
    return [tuple(v.shape) for v in variables]


def sides(network, inputs: int, images: tuple[int, ...]) -> list[int]:
    """Side lengths after each block, read off a forward pass."""
    seen, convolve = [], network._convolve
    network._convolve = lambda x, *rest: (seen.append(x.shape[2]), convolve(x, *rest))[1]
    theta = network.tasks_own(1)
    assert network(theta, tf.zeros([1, 2, *images])).shape == (1, 2, inputs)
    return seen


@pytest.mark.parametrize(
    ("settings", "images", "before", "head"),
    [
        (dict(datasource="omniglot"), (28, 28, 1), [28, 14, 7, 4], (64, 5)),
        (dict(datasource="omniglot", max_pool=True), (28, 28, 1), [28, 14, 7, 3], (64, 5)),
        (
            dict(datasource="miniimagenet", max_pool=True, num_filters=32),
            (84, 84, 3),
            [84, 42, 21, 10],
            (800, 5),
        ),
    ],
)
def test_blocks_halve_the_image(session, settings, images, before, head):
    network = Network(MTNetConfig(**settings), session)
    filters = network.config.num_filters
    assert sides(network, 5, images) == before
    assert shapes(network.theta)[-2:] == [head, (5,)]
    kernels = [(3, 3, c, filters) for c in (images[-1], filters, filters, filters)]
    assert shapes(network.theta)[:8:2] == kernels
    assert shapes(network.T) == [(filters, filters)] * 4 + [(5, 5)]
    assert shapes(network.zeta) == [(filters,)] * 4 + [(5,)]


@pytest.mark.parametrize(
    ("settings", "count"),
    [
        # 9 c f + f per block, then the head
        (dict(datasource="omniglot"), 640 + 3 * 36928 + 325),
        (dict(datasource="omniglot", num_classes=20), 640 + 3 * 36928 + 1300),
        (dict(datasource="miniimagenet", max_pool=True, num_filters=32), 896 + 3 * 9248 + 4005),
        (
            dict(datasource="omniglot", conv=False),
            784 * 256 + 256 + 256 * 128 + 128 + 128 * 64 + 64 + 64 * 64 + 64 + 64 * 5 + 5,
        ),
    ],
)
def test_parameter_counts(session, settings, count):
    network = Network(MTNetConfig(variant="mtnet_full", **settings), session)
    assert sum(w.shape.num_elements() for w in network.theta) == count
    assert sum(z.shape.num_elements() for z in network.zeta) == count


@pytest.mark.parametrize("settings", [dict(datasource="omniglot"), dict(MINI)])
def test_full_masks_have_bias_logits(session, settings):
    """Bug 10 of the earlier code: it had none for convolutions and crashed."""
    network = Network(MTNetConfig(**{**settings, "variant": "mtnet_full"}), session)
    assert shapes(network.zeta) == shapes(network.theta)
    for z in network.zeta[::2]:
        wide = 0.01 if len(z.shape) == 4 else 0.1
        assert np.abs(z.numpy()).max() <= 2 * wide
        if z.shape.num_elements() > 500:  # a normal cut at two deviations has 0.8796 of its std
            assert z.numpy().std() == pytest.approx(0.88 * wide, rel=0.1)


def test_initial_values(session):
    network = Network(MTNetConfig(datasource="omniglot", norm="batch_norm"), session)
    for kernel in network.theta[:8:2]:
        limit = np.sqrt(6 / (9 * (kernel.shape[2] + kernel.shape[3])))
        value = kernel.numpy()
        assert 0.9 * limit < np.abs(value).max() <= limit
        assert value.std() == pytest.approx(limit / np.sqrt(3), rel=0.1)
    assert network.theta[8].numpy().std() == pytest.approx(1.0, rel=0.15)  # not 0.01
    assert all((b.numpy() == 0).all() for b in network.theta[1::2])
    assert all((T.numpy() == np.eye(T.shape[0])).all() for T in network.T)
    assert all((o.numpy() == 0).all() for o in network.offset)
    assert len(network.offset) == 4 and not network.scale  # batch norm: offsets, no scale


def test_miniimagenet_head_is_xavier(session):
    network = Network(MTNetConfig(datasource="miniimagenet", max_pool=True), session)
    head = network.theta[8].numpy()
    limit = np.sqrt(6 / (1600 + 5))
    assert head.shape == (1600, 5) and 0.95 * limit < np.abs(head).max() <= limit


@pytest.mark.parametrize("variant", ["tnet", "mtnet_full"])
def test_dense_network_for_images_has_transformations_too(patterns, build, reference, variant):
    """Bug 18 of the earlier code: T only for three layers."""
    task = build(**OMNIGLOT, conv=False, variant=variant)
    assert shapes(task.network.T) == [(256, 256), (128, 128), (64, 64), (64, 64), (3, 3)]
    before = reference.values_of(task.network.T)
    batch, draws = task.batch(range(1)), task.draws(range(1))
    task.train_step(*(reference.tensors(reference.first(a)) for a in (batch, draws)))
    after = reference.values_of(task.network.T)
    assert all(np.abs(after[k] - before[k]).max() > 0 for k in before)


def test_cross_entropy_over_k_is_mean_with_alpha_times_ways(patterns, build, reference):
    task = build(**{**OMNIGLOT, "shots": 4}, num_filters=3, variant="maml", update_lr=0.1)
    batch = reference.tensors(reference.first(task.batch(range(1))))
    own = task.network.tasks_own(2)
    for part, factor in (("support", 3.0), ("query", 6 / 4)):
        ce = tf.nn.sparse_softmax_cross_entropy_with_logits(
            batch[f"{part}_y"], task.network(own, batch[f"{part}_x"])
        )
        mean = tf.reduce_mean(ce, axis=1)
        np.testing.assert_allclose(task.loss(own, batch, part), factor * mean, rtol=1e-5)
    with tf.GradientTape() as tape:
        tape.watch(own)
        found = tf.nn.sparse_softmax_cross_entropy_with_logits(
            batch["support_y"], task.network(own, batch["support_x"])
        )
        mean = tf.reduce_sum(tf.reduce_mean(found, axis=1))
    slopes = tape.gradient(mean, own)
    for w, g, new in zip(own, slopes, task.inner_step(own, None, batch)):
        np.testing.assert_allclose(new, w - 0.1 * 3 * g, rtol=1e-5, atol=1e-6)


def test_repeating_the_support_set_leaves_the_inner_step_alone(patterns, build, reference):
    """A model trained with K shots, tested with 2K: K in the loss is that of the set at hand."""
    task = build(**OMNIGLOT, num_filters=3, variant="maml", update_lr=0.1)
    batch = reference.tensors(reference.first(task.batch(range(1))))
    twice = {k: tf.concat([v, v], 1) if k.startswith("support") else v for k, v in batch.items()}
    own = task.network.tasks_own(2)
    for once, again in zip(task.inner_step(own, None, batch), task.inner_step(own, None, twice)):
        np.testing.assert_allclose(again, once, rtol=1e-4, atol=1e-5)


def test_batch_norm_uses_the_statistics_of_the_set_at_hand(patterns, build, reference):
    """Transductive, at test too, separately for support and query, tasks apart."""
    task = build(**OMNIGLOT, num_filters=3, variant="maml", norm="batch_norm")
    batch = reference.tensors(reference.first(task.batch(range(1))))
    own, x = task.network.tasks_own(2), batch["query_x"]
    whole = task.network(own, x).numpy()
    part = task.network(own, x[:, :3]).numpy()
    assert np.abs(whole[:, :3] - part).max() > 1e-3
    other = tf.concat([x[:1], x[1:] * 3.0], axis=0)
    np.testing.assert_allclose(task.network(own, other)[0], whole[0], rtol=1e-5, atol=1e-6)
    assert not [v for v in task.variables if "moving" in v.name]


def test_evaluation_of_image_tasks(patterns, build):
    settings = dict(OMNIGLOT, num_filters=8, test_tasks=24, test_updates=1, update_lr=0.1)
    metrics = build(**settings, variant="mtnet_full").evaluate()
    names = [
        f"{m}query_accuracy_step_{j}" for m in ("", "expected_", "thresholded_") for j in range(2)
    ]
    assert sorted(metrics) == sorted(names + [f"{n}_ci95" for n in names])
    assert all(0.0 <= metrics[n] <= 1.0 for n in names)
    assert metrics["query_accuracy_step_1"] > metrics["query_accuracy_step_0"]
