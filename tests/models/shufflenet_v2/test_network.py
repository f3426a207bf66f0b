"""The network: golden values of the reference, wiring, shapes, names, options."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from zoolib.errors import ConfigError
from zoolib.models.shufflenet_v2.architecture import Architecture
from zoolib.models.shufflenet_v2.counts import count
from zoolib.models.shufflenet_v2.network import build, weight_order
from zoolib.models.shufflenet_v2.units import channel_shuffle, deinterleave


def test_the_fill_is_the_specifications(numbers):
    np.testing.assert_allclose(
        numbers(0, 3), [0.5883937727, 0.7041337329, 0.9277629151], atol=1e-10
    )
    np.testing.assert_allclose(
        numbers(1000, 3), [0.5878123576, 0.3060997405, 0.5970136717], atol=1e-10
    )


@pytest.mark.parametrize(
    ("width", "first", "places", "moments"),
    [
        (
            "0.5",
            [-14.55621, 34.49018, -12.69739, 0.46518, 0.92294],
            (94, 484),
            (-0.318373, 28.143679, 117.917984),
        ),
        (
            "1.0",
            [-39.02554, 84.89276, 10.82293, -9.26425, 57.91640],
            (647, 718),
            (0.530023, 60.907322, 206.660431),
        ),
    ],
)
def test_logits_of_the_reference(width, first, places, moments, fill, numbers):
    """Values that the TensorFlow 1.15 code gave (specification, 1.6)."""
    model = fill(build(width, wiring="reference"))
    image = numbers(1000, 224 * 224 * 3).reshape(1, 224, 224, 3).astype(np.float32)
    logits = model(tf.constant(image)).numpy()[0]
    tolerance = 1e-5 * moments[1]
    np.testing.assert_allclose(logits[:5], first, atol=tolerance)
    assert (logits.argmax(), logits.argmin()) == places
    found = (logits.mean(), logits.std(), logits.max())
    np.testing.assert_allclose(found, moments, atol=tolerance)


def test_order_and_names_of_the_variables():
    model = build("0.5", image_size=64)
    names = [v.name.split(":")[0] for v in weight_order(model)]
    assert len(names) == len(set(names)) == 282
    assert len(model.trainable_variables) == 170 and len(model.decayed) == 38
    layers = [name.rpartition("/")[0] for name in names if name.endswith("weights")]
    unit = "ShuffleNetV2/Stage2/unit_1"
    assert layers[:7] == [
        "ShuffleNetV2/Conv1",
        f"{unit}/conv1x1_before",
        f"{unit}/depthwise",
        f"{unit}/conv1x1_after",
        f"{unit}/second_branch/depthwise",
        f"{unit}/second_branch/conv1x1_after",
        "ShuffleNetV2/Stage2/unit_2/conv1x1_before",
    ]
    first = [f"ShuffleNetV2/Conv1/batch_norm/{n}" for n in ("gamma", "beta")]
    first += [f"ShuffleNetV2/Conv1/batch_norm/{n}" for n in ("moving_mean", "moving_variance")]
    assert names[:5] == ["ShuffleNetV2/Conv1/weights", *first]
    assert names[-2:] == ["classifier/weights", "classifier/biases"]
    assert model.stages[0].units[0].layers[1].kernel.shape == [3, 3, 24, 1]


@pytest.mark.parametrize(
    ("wiring", "options"),
    [("torchvision", {}), ("megvii", {}), ("reference", {"se": True, "residual": True})],
)
def test_counts_are_those_of_the_variables(wiring, options):
    network = Architecture("0.33", wiring, 10, 64, **options)
    model, found = build("0.33", wiring, 10, 64, **options), count(network)
    sizes = [int(np.prod(v.shape)) for v in model.trainable_variables]
    assert (len(sizes), sum(sizes)) == (found.tensors, found.trainable)
    assert len(model.decayed) == found.decayed_tensors
    assert sum(int(np.prod(v.shape)) for v in model.variables) == found.total


@pytest.mark.parametrize(("wiring", "size"), [("reference", 33), ("megvii", 50)])
def test_graphs_have_static_shapes_of_at_most_four_dimensions(wiring, size):
    model = build("0.33", wiring, 10, size)
    spec = tf.TensorSpec([2, size, size, 3], tf.float32)
    graph = tf.function(lambda x: model(x), autograph=False).get_concrete_function(spec).graph
    kinds = {op.type for op in graph.get_operations()}
    assert not kinds & {"GatherV2", "StridedSlice", "Einsum"}
    for op in graph.get_operations():
        # What else batch norm gives is for its gradient, and without a shape in any network.
        for tensor in op.outputs[:1] if op.type == "FusedBatchNormV3" else op.outputs:
            if tensor.dtype == tf.float32:
                assert tensor.shape.is_fully_defined() and len(tensor.shape) <= 4, op.name


def test_shuffles():
    x = np.random.default_rng(0).normal(size=(2, 3, 3, 10)).astype(np.float32)
    mixed = channel_shuffle(tf.constant(x)).numpy()
    np.testing.assert_array_equal(mixed[..., 0::2], x[..., :5])
    np.testing.assert_array_equal(mixed[..., 1::2], x[..., 5:])
    np.testing.assert_array_equal(deinterleave(tf.constant(mixed)).numpy(), x)


def test_features_only_and_feature_maps():
    model = build("0.25", "torchvision", num_classes=0, image_size=64)
    assert model.classifier is None and len(weight_order(model)) == 280
    images = tf.zeros([1, 64, 64, 3])
    assert model(images).shape == [1, 512]
    shapes = [tuple(f.shape[1:]) for f in model.features(images)]
    assert shapes == [(32, 32, 24), (8, 8, 24), (4, 4, 48), (2, 2, 96), (2, 2, 512)]


def test_training_moves_statistics_and_frozen_blocks_stay():
    model = build("0.25", "torchvision", 4, 32, frozen=2)
    before = [c.norm.moving_mean.numpy().copy() for c in model.convolutions]
    images = tf.constant(np.random.default_rng(1).uniform(size=(4, 32, 32, 3)), tf.float32)
    model(images, training=True)
    moved = [
        not np.array_equal(c.norm.moving_mean.numpy(), b)
        for c, b in zip(model.convolutions, before)
    ]
    frozen = 1 + 5 + 3 * 3  # Conv1 and Stage2
    assert moved == [False] * frozen + [True] * (56 - frozen)
    still = {id(v) for v in model.trainable_variables} - {id(v) for v in model.trained}
    assert len(still) == 3 * frozen
    assert len(model.trained_norms) == 56 - frozen


@pytest.mark.parametrize(
    ("wiring", "limit"),
    [("reference", np.sqrt(6 / (9 * 48 + 9))), ("torchvision", 1 / 3)],
)
def test_initial_kernels(wiring, limit):
    model = build("0.5", wiring)
    kernel = model.stages[1].units[0].layers[1].kernel.numpy()  # depthwise, 48 channels
    if wiring == "torchvision":
        assert kernel.shape[2] == 48
    assert 0.9 * limit < np.abs(kernel).max() <= limit
    head = model.classifier.kernel.numpy()
    ends = {"reference": 0.05446, "torchvision": 1024**-0.5}
    assert 0.99 * ends[wiring] < np.abs(head).max() <= ends[wiring] * 1.0001


def test_initial_values_depend_on_the_seed_only():
    def first(seed, **options):
        return build("0.25", num_classes=4, image_size=32, seed=seed, **options).stem.kernel.numpy()

    np.testing.assert_array_equal(first(1), first(1))
    assert not np.array_equal(first(1), first(2))
    assert not np.array_equal(first(1), first(1, init="he_uniform"))


def test_bad_input():
    with pytest.raises(ConfigError, match="width: expected one of"):
        build("0.7")
    model = build("0.25", num_classes=2, image_size=32)
    with pytest.raises(ValueError, match=r"images: expected \[N, height, width, 3\]"):
        model(tf.zeros([1, 32, 32, 1]))


@pytest.mark.parametrize("options", [{}, {"se": True}])
@pytest.mark.parametrize("wiring", ["reference", "torchvision"])
def test_training_without_shuffles_is_training_with_them(wiring, options):
    model = build("0.33", wiring, 10, 64, **options)
    images = tf.constant(np.random.default_rng(5).uniform(size=(6, 64, 64, 3)), tf.float32)
    moving = [v for c in model.convolutions for v in (c.norm.moving_mean, c.norm.moving_variance)]
    assert all(stage.routed for stage in model.stages)
    found = []
    for routed in (True, False):
        for stage in model.stages:
            stage.routed = routed
        start = [v.numpy() for v in moving]
        with tf.GradientTape() as tape:
            features = model.features(images, training=True)
            loss = tf.reduce_mean(tf.square(features[-1]))
        gradients = tape.gradient(loss, model.trainable_variables, unconnected_gradients="zero")
        flat = np.concatenate([g.numpy().ravel() for g in gradients])
        found.append(([f.numpy() for f in features], [v.numpy() for v in moving], flat))
        for v, value in zip(moving, start):
            v.assign(value)
    (maps, moved, one), (others, also_moved, other) = found
    for a, b in zip(maps + moved, others + also_moved):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)
    # A ReLU or maximum that rounding decides differently shows in a gradient, not in a value.
    assert np.linalg.norm(one - other) < 0.05 * np.linalg.norm(other)


def test_where_shuffles_stay():
    assert not any(stage.routed for stage in build("0.33", "megvii", 10, 64).stages)
    residual = build("0.33", "reference", 10, 64, residual=True)
    assert not any(stage.routed for stage in residual.stages)
