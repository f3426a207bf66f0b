"""Finished networks as Keras models: the same numbers, Keras's own training, saving and layers."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

import zoolib
from zoolib.models.shufflenet_v2.network import build
from zoolib.models.shufflenet_v2.task import Classification
from zoolib.runtime.device import open_session

KERAS_3 = hasattr(tf.keras, "ops")
SIZE, CLASSES = 32, 4


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).uniform(size=(8, SIZE, SIZE, 3)).astype(np.float32)


def settled(network, images):
    """Batch norm's statistics and offsets as after some training."""
    source = np.random.default_rng(1)
    for c in network.convolutions:
        c.norm.momentum = 0.5
        c.norm.beta.assign(source.normal(size=c.norm.channels, scale=0.2).astype(np.float32))
    tf.function(lambda x: network(x, training=True))(images)
    return network


@pytest.fixture(scope="module")
def network(images):
    return settled(build("0.25", "torchvision", CLASSES, SIZE, init="xavier"), images)


@pytest.fixture(scope="module")
def keras(network):
    return zoolib.to_keras(network)


def close(found, expected, within=1e-5):
    expected = np.asarray(expected)
    np.testing.assert_allclose(found, expected, atol=within * expected.std())


def test_the_same_numbers_in_both_modes(network, keras, images):
    assert isinstance(keras, tf.keras.Model)
    plain, training = network(images), network(images, training=True)
    close(keras(images), plain)
    close(keras(images, training=False), plain)
    close(keras(images, training=True), training, 1e-3)
    assert np.abs(np.asarray(plain) - training).max() > 0.01


@pytest.mark.parametrize(
    ("wiring", "options"),
    [("reference", {"se": True}), ("megvii", {"residual": True, "num_classes": 0})],
    ids=["reference-se", "megvii-residual-features"],
)
def test_other_wirings_and_options(wiring, options, images):
    made = build("0.33", wiring, image_size=SIZE, init="xavier", **{"num_classes": 4, **options})
    network = settled(made, images)
    found = zoolib.to_keras(network)(images)
    assert found.shape == (8, options.get("num_classes", 4) or 512)
    close(found, network(images))


def test_weights_are_keras_weights_and_as_many(network, keras):
    def entries(variables):
        return sum(int(np.prod(v.shape)) for v in variables)

    assert entries(keras.trainable_weights) == entries(network.trainable_variables)
    assert entries(keras.weights) == entries(network.variables)
    assert len(keras.trainable_weights) == 170 and len(keras.weights) == 282
    lines = []
    keras.summary(print_fn=lambda line, **_: lines.append(line))
    text = "\n".join(lines)
    assert "Stage2_unit_1_depthwise"[:16] in text and f"{entries(keras.weights):,}" in text


def test_it_is_a_copy(network, images):
    model = zoolib.to_keras(network)
    before = network(images).numpy()
    model.set_weights([np.zeros_like(w) for w in model.get_weights()])
    np.testing.assert_array_equal(network(images), before)
    assert not np.asarray(model(images)).any()


def test_saved_and_loaded(keras, images, tmp_path):
    path = tmp_path / f"model.{'keras' if KERAS_3 else 'h5'}"
    keras.save(str(path))
    loaded = tf.keras.models.load_model(str(path))
    np.testing.assert_allclose(loaded(images), keras(images), atol=1e-6)
    kinds = {type(layer).__module__.partition(".")[0] for layer in loaded.layers}
    assert kinds <= {"keras", "tf_keras"}, "loads where there is no zoolib"


@pytest.mark.slow
def test_fit_trains_and_moves_the_statistics(images):
    """The loss falls; where the weights then rest, inference comes to agree with training."""
    model = zoolib.to_keras(build("0.25", "torchvision", CLASSES, SIZE))
    loss = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(tf.keras.optimizers.SGD(0.05, momentum=0.9), loss)
    x = np.concatenate([0.4 * images, 1.0 - 0.4 * images])
    y = np.repeat([0, 1], len(images))

    def fit(steps):
        many = (np.concatenate([part] * steps) for part in (x, y))
        return model.fit(*many, batch_size=16, shuffle=False, verbose=0).history["loss"][0]

    first = fit(1)
    fit(10)
    assert fit(1) < 0.5 * first
    apart = [float(np.abs(model(x) - np.asarray(model(x, training=True))).max())]
    model.optimizer.learning_rate = 0.0
    fit(60)
    apart.append(float(np.abs(model(x) - np.asarray(model(x, training=True))).max()))
    assert apart[1] < 0.1 * apart[0], apart


def test_layers_can_be_frozen(network):
    model = zoolib.to_keras(network)
    for layer in model.layers:
        layer.trainable = layer.name == "classifier"
    assert [tuple(w.shape) for w in model.trainable_weights] == [(512, CLASSES), (CLASSES,)]


def test_of_a_run_the_averaged_weights():
    session = open_session("cpu")
    task = Classification(zoolib.get_model("shufflenet_v2").preset("smoke"), session)
    task.build()
    for shadow in task.average.shadows:
        shadow.assign(1.1 * shadow + 0.01)
    images = task.batch(range(1))["images"][0]
    model = zoolib.to_keras(task)
    shares = np.asarray(tf.nn.softmax(model(images)))
    found = task.predict(images)
    best = [p.probabilities[0] for p in found]
    np.testing.assert_allclose(shares.max(1), best, rtol=1e-3)
    assert np.abs(np.asarray(model(images)) - task.network(images)).max() > 1e-4


def test_swas_network():
    spec = zoolib.get_model("swa")
    task = spec.task_class()(spec.preset("smoke"), open_session("cpu"))
    task.build()
    x = np.asarray(task.source.x[:20], np.float32)
    shares = tf.nn.softmax(zoolib.to_keras(task)(x)).numpy()
    close(shares, task.predict(x))
    assert shares.shape == (20, 10)


def test_what_is_no_stack_of_layers_is_refused():
    spec = zoolib.get_model("mtnet")
    task = spec.task_class()(spec.preset("smoke"), open_session("cpu"))
    for wrong, told in ((task, "mtnet"), (3, "int")):
        with pytest.raises(zoolib.ConfigError, match=f"to_keras: .*got {told}"):
            zoolib.to_keras(wrong)
