"""The folded network: the numbers of the trained one, and no shuffle left."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from zoolib.models.shufflenet_v2.architecture import Architecture
from zoolib.models.shufflenet_v2.folding import FoldedNet, values_of
from zoolib.models.shufflenet_v2.network import build
from zoolib.models.shufflenet_v2.routes import routes
from zoolib.models.shufflenet_v2.wirings import WIRING

WIRINGS = ("torchvision", "reference", "megvii")


@pytest.mark.parametrize(
    ("width", "wiring"), [("0.33", "torchvision"), ("0.5", "reference"), ("1.0", "megvii")]
)
def test_folding_keeps_the_logits(wiring, width, fill):
    model = fill(build(width, wiring, 10, 64))
    images = tf.constant(np.random.default_rng(0).uniform(size=(2, 64, 64, 3)), tf.float32)
    expected, found = model(images).numpy(), FoldedNet(model)(images).numpy()
    np.testing.assert_allclose(found, expected, atol=2e-5 * expected.std())


@pytest.mark.parametrize(
    ("wiring", "options"),
    [("torchvision", {"se": True}), ("megvii", {"residual": True})],
    ids=["se", "residual"],
)
def test_folding_of_the_options(wiring, options):
    model = build("0.33", wiring, 10, 32, init="xavier", **options)
    images = tf.constant(np.random.default_rng(0).uniform(size=(2, 32, 32, 3)), tf.float32)
    expected, found = model(images).numpy(), FoldedNet(model)(images).numpy()
    np.testing.assert_allclose(found, expected, atol=2e-5 * max(expected.std(), 1e-3))


def test_nothing_is_left_of_shuffles_and_batch_norm():
    model = build("0.5", "torchvision", 10, 64)
    spec = tf.TensorSpec([1, 64, 64, 3], tf.float32)

    def kinds(forward):
        concrete = tf.function(lambda x: forward(x), autograph=False).get_concrete_function(spec)
        return [op.type for op in concrete.graph.get_operations()]

    plain, folded = kinds(model), kinds(FoldedNet(model))
    assert plain.count("Transpose") == 16 and plain.count("Rsqrt") == 56
    assert not {"Transpose", "Rsqrt", "FusedBatchNormV3", "GatherV2"} & set(folded)


def test_other_values_than_the_networks_own(fill):
    model = fill(build("0.25", "reference", 4, 32))
    images = tf.constant(np.random.default_rng(0).uniform(size=(1, 32, 32, 3)), tf.float32)
    values = values_of(model)
    expected = model(images).numpy()
    model.classifier.bias.assign_add(tf.ones([4]))
    np.testing.assert_allclose(FoldedNet(model, values)(images), expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(FoldedNet(model)(images), expected + 1, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("wiring", WIRINGS)
@pytest.mark.parametrize("width", ["0.33", "0.5", "1.0", "1.5", "2.0"])
def test_every_channel_is_read_once(wiring, width):
    for units in Architecture(width, wiring).units():
        branches, order = routes(units, WIRING[wiring])
        made = [units[0].shortcut, *(unit.main for unit in units)]
        read = np.zeros(len(made) + 1, int)
        for number, (branch, channels) in enumerate(zip(branches, made)):
            assert sorted(branch.order) == list(range(channels))
            assert all(reader > number for reader, _ in branch.pieces)
            for reader, size in branch.pieces:
                read[reader] += size
        assert list(read[:2]) == [0, 0]
        assert list(read[2:-1]) == [unit.inputs for unit in units[1:]]
        assert sorted(order) == list(range(read[-1]))
