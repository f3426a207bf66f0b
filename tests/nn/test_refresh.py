"""Running statistics recomputed by forward passes: exact means, weights untouched, one trace."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from zoolib.nn.batch_norm import BatchNorm, batch_norms
from zoolib.nn.refresh import Refresh, refresh_batch_norm

SOURCE = np.random.RandomState(2)
BATCHES = [
    (5.0 * k + (1 + k) * SOURCE.standard_normal((n, 4))).astype(np.float32)
    for k, n in enumerate((8, 8, 8, 3))
]


class Network(tf.Module):
    """Two layers; the second sees what the first has normalised by the batch's statistics."""

    def __init__(self, unbiased: bool = True) -> None:
        super().__init__()
        self.first = BatchNorm(4, momentum=0.99, unbiased=unbiased, name="first")
        self.w = tf.Variable(SOURCE.standard_normal((4, 2)).astype(np.float32), name="w")
        self.second = BatchNorm(2, momentum=0.99, unbiased=unbiased, name="second")

    def __call__(self, x, training, update=True):
        h = tf.nn.relu(self.first(x, training, update))
        return self.second(tf.matmul(h, self.w), training, update)


def inputs_of_second(network: Network) -> list[np.ndarray]:
    found = []
    for x in BATCHES:
        x = x.astype(np.float64)
        h = np.maximum((x - x.mean(0)) / np.sqrt(x.var(0) + 1e-3), 0.0)
        found.append(h @ network.w.numpy().astype(np.float64))
    return found


@pytest.mark.parametrize("unbiased", [True, False])
@pytest.mark.parametrize("exact", [False, True])
def test_statistics_are_those_of_all_batches(unbiased, exact):
    network = Network(unbiased)
    network.first.moving_mean.assign([7.0, 7.0, 7.0, 7.0])  # leaves no trace
    refresh_batch_norm(lambda x: network(x, True), BATCHES, batch_norms(network), exact)
    ddof = 1 if unbiased else 0
    for norm, parts in ((network.first, BATCHES), (network.second, inputs_of_second(network))):
        weights = [len(p) for p in parts]
        every = np.concatenate(parts).astype(np.float64)
        variance = (
            every.var(0, ddof=ddof)
            if exact
            else np.average([p.astype(np.float64).var(0, ddof=ddof) for p in parts], 0, weights)
        )
        np.testing.assert_allclose(norm.moving_mean, every.mean(0), rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(norm.moving_variance, variance, rtol=1e-5)


def test_means_and_pooling_differ_by_what_the_batches_means_differ():
    variances = []
    for exact in (False, True):
        network = Network()
        refresh_batch_norm(lambda x, n=network: n(x, True), BATCHES, [network.first], exact)
        variances.append(network.first.moving_variance.numpy())
    assert (variances[1] > 2.0 * variances[0]).all()


def test_pooling_keeps_its_digits_far_from_zero():
    """E[x^2] - E[x]^2 in float32 would be all rounding here."""
    norm, source = BatchNorm(1), np.random.RandomState(0)
    batches = [(3e4 + source.standard_normal((64, 1))).astype(np.float32) for _ in range(20)]
    refresh_batch_norm(lambda x: norm(x, True), batches, [norm], exact=True)
    expected = np.concatenate(batches).astype(np.float64).var(ddof=1)
    np.testing.assert_allclose(norm.moving_variance, [expected], rtol=1e-3)


def test_weights_stay_and_other_layers_do_not_move():
    network = Network()
    before = [v.numpy() for v in network.trainable_variables]
    refresh_batch_norm(lambda x: network(x, True), BATCHES, [network.second])
    for value, variable in zip(before, network.trainable_variables):
        np.testing.assert_array_equal(value, variable)
    assert network.second.moving_mean.numpy().any()
    # Not among those asked for: an ordinary update, as in training.
    assert np.abs(network.first.moving_mean).max() < 0.2 * np.abs(BATCHES[2].mean(0)).max()


def test_a_refresh_is_traced_once_and_starts_afresh():
    network, traces = Network(), []

    def forward(x):
        traces.append(1)
        network(x, True)

    refresh = Refresh(forward, batch_norms(network))
    refresh(BATCHES[:2])
    refresh(BATCHES[1:3])
    assert len(traces) == 1
    expected = np.concatenate(BATCHES[1:3]).mean(0)
    np.testing.assert_allclose(network.first.moving_mean, expected, rtol=1e-5)
    assert not [v for v in network.variables if "var" in v.name and "moving" not in v.name]


def test_training_afterwards_updates_as_before():
    network = Network()
    refresh_batch_norm(lambda x: network(x, True), BATCHES, batch_norms(network))
    before = network.first.moving_mean.numpy()
    network(tf.constant(BATCHES[0]), True)
    expected = 0.99 * before + 0.01 * BATCHES[0].mean(0)
    np.testing.assert_allclose(network.first.moving_mean, expected, rtol=1e-5)


def test_calls_without_an_update_are_left_out():
    norm = BatchNorm(4)

    def forward(pair):
        norm(pair["mixed"], True)
        norm(pair["other"], True, update=False)

    batches = [{"mixed": x, "other": x + 100.0} for x in BATCHES[:3]]
    refresh_batch_norm(forward, batches, [norm])
    expected = np.concatenate(BATCHES[:3]).mean(0)
    np.testing.assert_allclose(norm.moving_mean, expected, rtol=1e-5)


def test_images_and_layers_called_twice_count_every_value():
    norm = BatchNorm(3)
    large, small = (SOURCE.standard_normal((2, n, n, 3)).astype(np.float32) for n in (6, 3))

    def forward(pair):
        for images in pair:
            norm(images, True)

    refresh_batch_norm(forward, [(large, small)], [norm], exact=True)
    every = np.concatenate([large.reshape(-1, 3), small.reshape(-1, 3)]).astype(np.float64)
    np.testing.assert_allclose(norm.moving_mean, every.mean(0), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(norm.moving_variance, every.var(0, ddof=1), rtol=1e-5)


def test_nothing_to_go_by_is_an_error_and_changes_nothing():
    network = Network()
    network.first.moving_mean.assign([1.0, 2.0, 3.0, 4.0])
    layers = batch_norms(network)
    with pytest.raises(ValueError, match="batches: expected at least one, got none"):
        refresh_batch_norm(lambda x: network(x, True), [], layers)
    with pytest.raises(ValueError, match="got none of (first, second|second, first)"):
        refresh_batch_norm(lambda x: network(x, False), BATCHES, layers)
    assert network.first.moving_mean.numpy().tolist() == [1.0, 2.0, 3.0, 4.0]
    refresh_batch_norm(lambda x: x, BATCHES, [])  # no layers, nothing to do


def test_its_graphs_are_told_by_name():
    """For `npu-check`: run by hand they do what a call does."""
    network, called = Network(), Network()
    network.w.assign(called.w)
    refresh = Refresh(lambda x: network(x, True), batch_norms(network))
    told = refresh.functions(tf.TensorSpec(BATCHES[0].shape, tf.float32))
    (start, _), (collect, (spec,)), (end, _) = told.values()
    assert spec.shape == BATCHES[0].shape
    start()
    for batch in BATCHES[:2]:
        collect(tf.constant(batch))
    end()
    Refresh(lambda x: called(x, True), batch_norms(called))(BATCHES[:2])
    for mine, theirs in zip(batch_norms(network), batch_norms(called)):
        np.testing.assert_allclose(mine.moving_mean, theirs.moving_mean, atol=1e-6)
