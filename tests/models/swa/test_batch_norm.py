"""`update_batch_norm` on models of every make: statistics right, everything else untouched."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from zoolib.errors import DataError
from zoolib.models.swa.batch_norm import batch_norm_layers, disagreement, update_batch_norm

layers = keras.layers
RNG = np.random.RandomState(0)
X = (RNG.randn(70, 3) * [1, 2, 3] + [0, 1, -2]).astype("f")
KERAS_3 = not hasattr(layers.BatchNormalization, "_fused_batch_norm")
NO_XLA = {"jit_compile": False} if KERAS_3 else {}  # compiling takes longer than training


def dense(**norm):
    """Dense, batch norm, Dense: the first layer's outputs are what the statistics are of."""
    model = keras.Sequential(
        [keras.Input((3,)), layers.Dense(4), layers.BatchNormalization(**norm), layers.Dense(2)]
    )
    return model, model.layers[1]


def hidden(model, x=X):
    kernel, bias = model.layers[0].get_weights()
    return x.astype(np.float64) @ kernel + bias


def statistics(norm):
    return np.asarray(norm.moving_mean), np.asarray(norm.moving_variance)


def parts(x, size):
    return [x[i : i + size] for i in range(0, len(x), size)]


def expected(h, size):
    """Means and variances of batches, weighted by their sizes."""
    batches = parts(h, size)
    weights = [len(b) / len(h) for b in batches]
    mean = sum(w * b.mean(axis=0) for w, b in zip(weights, batches))
    return mean, sum(w * b.var(axis=0) for w, b in zip(weights, batches))


@pytest.mark.parametrize("exact", [False, True])
def test_mean_and_variance_with_a_partial_last_batch(exact):
    model, norm = dense()
    before = [np.array(w) for w in model.get_weights()]
    n = update_batch_norm(model, X, batch_size=32, exact=exact)
    assert n == 70
    h = hidden(model)
    mean, variance = (h.mean(axis=0), h.var(axis=0)) if exact else expected(h, 32)
    np.testing.assert_allclose(statistics(norm)[0], mean, atol=1e-5)
    np.testing.assert_allclose(statistics(norm)[1], variance, rtol=2e-5)
    after = model.get_weights()
    moved = [not np.array_equal(a, b) for a, b in zip(before, after)]
    assert moved == [False, False, False, False, True, True, False, False]
    assert norm.momentum == 0.99 and "call" not in vars(norm)


@pytest.mark.parametrize("kind", ["dataset", "unknown", "tuple", "generator", "list", "sequence"])
def test_every_kind_of_data(kind):
    model, norm = dense()
    y = np.zeros(70)
    dataset = tf.data.Dataset.from_tensor_slices((X, y)).batch(32)

    class Batches(keras.utils.Sequence):
        def __len__(self):
            return 3

        def __getitem__(self, i):
            return X[32 * i : 32 * i + 32], y[32 * i : 32 * i + 32]

    data = {
        "dataset": dataset,
        "unknown": dataset.filter(lambda *_: True),
        "tuple": (X, y, y),
        "generator": ((part, 0) for part in parts(X, 32)),
        "list": [(part,) for part in parts(X, 32)],
        "sequence": Batches(),
    }[kind]
    assert update_batch_norm(model, data) == 70
    mean, variance = expected(hidden(model), 32)
    np.testing.assert_allclose(statistics(norm)[0], mean, atol=1e-5)
    np.testing.assert_allclose(statistics(norm)[1], variance, rtol=2e-5)


def test_steps_of_an_endless_dataset():
    model, norm = dense()
    endless = tf.data.Dataset.from_tensor_slices(X).batch(35).repeat()
    assert update_batch_norm(model, endless, steps=3) == 105
    mean = np.concatenate([hidden(model)[:35], hidden(model), hidden(model)[:0]]).mean(axis=0)
    np.testing.assert_allclose(statistics(norm)[0], mean, atol=1e-5)


def test_nested_models_dict_inputs_frozen_layers():
    inner = keras.Sequential([keras.Input((3,)), layers.BatchNormalization()])
    frozen = layers.BatchNormalization(trainable=False)
    a, b = keras.Input((3,), name="a"), keras.Input((2,), name="b")
    own = layers.BatchNormalization()
    joined = layers.Concatenate()([inner(a), own(b)])
    model = keras.Model({"a": a, "b": b}, layers.Dense(1)(frozen(joined)))
    x = {"a": X, "b": X[:, :2] + 1}
    assert len(batch_norm_layers(model)) == 2
    assert update_batch_norm(model, x, exact=True) == 70
    np.testing.assert_allclose(statistics(inner.layers[-1])[0], X.mean(axis=0), atol=1e-5)
    np.testing.assert_allclose(statistics(own)[1], X[:, :2].var(axis=0), rtol=1e-5)
    assert not statistics(frozen)[0].any() and (statistics(frozen)[1] == 1).all()


def test_several_inputs_and_a_shared_layer():
    """A layer called twice in one pass sees both: the mean over its calls."""
    shared = layers.BatchNormalization()
    a, b = keras.Input((3,)), keras.Input((3,))
    model = keras.Model([a, b], layers.Add()([shared(a), shared(b)]))
    data = tf.data.Dataset.from_tensor_slices(((X, X + 4), X[:, 0])).batch(70)
    update_batch_norm(model, data)
    np.testing.assert_allclose(statistics(shared)[0], X.mean(axis=0) + 2, atol=1e-5)
    np.testing.assert_allclose(statistics(shared)[1], X.var(axis=0), rtol=2e-5)


class Subclassed(keras.Model):
    """Layers in attributes; one is never run."""

    def __init__(self):
        super().__init__()
        self.norm, self.idle = layers.BatchNormalization(), layers.BatchNormalization()
        self.idle.build((None, 3))
        self.top = layers.Dense(1)

    def call(self, inputs, training=None):
        return self.top(self.norm(inputs, training=training))


def test_subclassed_models_and_layers_never_reached():
    model = Subclassed()
    with pytest.raises(DataError, match="built model"):
        update_batch_norm(model, X)
    model(X[:2])
    assert update_batch_norm(model, X, exact=True) == 70
    np.testing.assert_allclose(statistics(model.norm)[0], X.mean(axis=0), atol=1e-5)
    assert not statistics(model.idle)[0].any() and (statistics(model.idle)[1] == 1).all()


def test_images_and_bessel():
    """Keras 2's kernel for images divides by n - 1, Keras 3 by n; exact always by n."""
    images = RNG.randn(20, 2, 2, 3).astype("f")
    model = keras.Sequential([keras.Input((2, 2, 3)), layers.BatchNormalization()])
    norm = model.layers[-1]
    h = images.astype(np.float64)
    update_batch_norm(model, images, batch_size=16)
    halves = [b.var(axis=(0, 1, 2)) for b in (h[:16], h[16:])]
    if not KERAS_3:
        halves = [halves[0] * 64 / 63, halves[1] * 16 / 15]
    np.testing.assert_allclose(statistics(norm)[1], 0.8 * halves[0] + 0.2 * halves[1], rtol=1e-5)
    update_batch_norm(model, images, batch_size=16, exact=True)
    np.testing.assert_allclose(statistics(norm)[0], h.mean(axis=(0, 1, 2)), atol=1e-6)
    np.testing.assert_allclose(statistics(norm)[1], h.var(axis=(0, 1, 2)), rtol=1e-5)
    assert getattr(norm, "fused", True)


def test_synchronous_layers():
    if KERAS_3:
        norm = layers.BatchNormalization(synchronized=True)
    else:
        norm = layers.experimental.SyncBatchNormalization()
    model = keras.Sequential([keras.Input((3,)), norm])
    update_batch_norm(model, X, batch_size=35, exact=True)
    np.testing.assert_allclose(statistics(norm)[0], X.mean(axis=0), atol=1e-5)
    np.testing.assert_allclose(statistics(norm)[1], X.var(axis=0), rtol=1e-4)


def test_mixed_precision_keeps_float32_statistics():
    with_policy = [
        layers.Dense(4, dtype="mixed_float16"),
        layers.BatchNormalization(dtype="mixed_float16"),
    ]
    model = keras.Sequential([keras.Input((3,)), *with_policy])
    update_batch_norm(model, X, batch_size=35)
    np.testing.assert_allclose(statistics(with_policy[1])[0], hidden(model).mean(axis=0), atol=5e-3)
    assert statistics(with_policy[1])[0].dtype == np.float32


def test_nothing_else_moves():
    """Optimizer, seeds and the compiled training function: training goes on as if nothing was."""

    def trained(refresh):
        tf.keras.backend.clear_session()
        tf.random.set_seed(0)
        inputs = [keras.Input((3,)), layers.Dense(4), layers.BatchNormalization()]
        model = keras.Sequential([*inputs, layers.Dropout(0.5, seed=3), layers.Dense(1)])
        model.set_weights([np.full_like(w, 0.1) + np.eye(*w.shape) if w.ndim == 2 else w
                           for w in model.get_weights()])  # fmt: skip
        model.compile(keras.optimizers.SGD(0.1, momentum=0.9), "mse", **NO_XLA)
        history = []
        for _ in range(2):
            fit = model.fit(X, X[:, :1], batch_size=35, shuffle=False, verbose=0)
            history += fit.history["loss"]
            if refresh:
                own = model.layers[1]
                saved = statistics(own)
                compiled = model.train_function
                update_batch_norm(model, X)
                assert model.train_function is compiled
                assert not np.array_equal(saved[0], statistics(own)[0])
                for v, value in zip((own.moving_mean, own.moving_variance), saved):
                    v.assign(value)
        return history, model.get_weights()

    (plain, weights), (refreshed, same) = trained(False), trained(True)
    assert plain == refreshed
    for a, b in zip(weights, same):
        np.testing.assert_array_equal(a, b)


def test_no_batch_norm_reads_no_data():
    model = keras.Sequential([keras.Input((3,)), layers.Dense(1)])
    assert update_batch_norm(model, iter([])) == 0


@pytest.mark.parametrize(
    ("data", "options", "message"),
    [
        (iter([]), {}, "at least one sample"),
        (X, {"steps": 0}, "positive whole number"),
        (tf.data.Dataset.from_tensor_slices(X).batch(7).repeat(), {}, "steps"),
    ],
)
def test_data_that_cannot_be_used(data, options, message):
    model, norm = dense()
    with pytest.raises(DataError, match=message):
        update_batch_norm(model, data, **options)
    assert norm.momentum == 0.99 and not statistics(norm)[0].any()


def test_disagreement_tells_right_statistics_from_wrong_ones():
    model, norm = dense()
    update_batch_norm(model, X, exact=True)
    assert disagreement(model, X) < 1e-3
    right = statistics(norm)
    norm.moving_mean.assign(0.08 * right[0])  # what keras-swa leaves after 8 steps
    norm.moving_variance.assign(0.92 + 0.08 * right[1])
    away = disagreement(model, X)
    assert away > 0.5
    np.testing.assert_array_equal(statistics(norm)[0], np.float32(0.08) * right[0])


def test_run_eagerly():
    model, norm = dense()
    model.compile("sgd", "mse", run_eagerly=True)
    update_batch_norm(model, X, batch_size=35, exact=True)
    np.testing.assert_allclose(statistics(norm)[0], hidden(model).mean(axis=0), atol=1e-5)
