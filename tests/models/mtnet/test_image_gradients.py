"""Second derivatives of whole train steps through the convolutional networks, in float64."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from zoolib.models.mtnet.config import MTNetConfig

OMNIGLOT = dict(datasource="omniglot", num_classes=3, shots=1, queries=2, meta_batch_size=2)
MINI = dict(
    datasource="miniimagenet", num_classes=2, shots=1, queries=1, meta_batch_size=1, max_pool=True
)


def started(task, reference) -> dict[str, np.ndarray]:
    """Away from zeros and identities, not so far that everything saturates."""
    source = np.random.RandomState(3)
    for v in task.network.trainable_variables:
        v.assign(v.numpy() + 0.2 * source.standard_normal(tuple(v.shape)))
    return reference.values_of(task.network.trainable_variables)


def normed(x: tf.Tensor, p: dict, n: str, kind: str) -> tf.Tensor:
    """One task's normalisation by TensorFlow's own operators, right to first order."""
    if kind == "none":
        return x
    axes = [0, 1, 2] if kind == "batch_norm" else [1, 2, 3]
    mean, variance = tf.nn.moments(x, axes, keepdims=True)
    scale, epsilon = (None, 1e-3) if kind == "batch_norm" else (p["scale" + n], 1e-12)
    return tf.nn.batch_normalization(x, mean, variance, p["offset" + n], scale, epsilon)


def logits(p: dict, theta: dict, x: tf.Tensor, config: MTNetConfig) -> tf.Tensor:
    """One task's conv network, by TensorFlow's own convolution."""
    for n in "1234":
        stride = 1 if config.max_pool else 2
        x = tf.nn.conv2d(x, theta["W" + n], stride, "SAME") + theta["b" + n]
        x = tf.nn.conv2d(x, p["T" + n][None, None], 1, "SAME") if "T1" in p else x
        x = tf.nn.relu(normed(x, p, n, config.norm))
        x = tf.nn.max_pool2d(x, 2, 2, "VALID") if config.max_pool else x
    omniglot = config.datasource == "omniglot"
    x = tf.reduce_mean(x, [1, 2]) if omniglot else tf.reshape(x, [x.shape[0], -1])
    x = x @ theta["W5"] + theta["b5"]
    return x @ p["T5"] if "T1" in p else x


def mean_loss(p: dict, theta: dict, x: tf.Tensor, y: tf.Tensor, config: MTNetConfig) -> tf.Tensor:
    each = tf.nn.sparse_softmax_cross_entropy_with_logits(y, logits(p, theta, x, config))
    return tf.reduce_mean(each)


def soft(x: tf.Tensor, tau: float) -> tf.Tensor:
    return tf.nn.softmax(tf.stack([x / tau, 0 * x]), axis=0)[0]


def masks(p: dict, at: dict, noise: tf.Tensor, tau: float) -> dict:
    """Masks of one task and step: hard at ``at``, and moving as the relaxation does."""
    found, place = {}, 0
    for key in [k for k in at if k.startswith("zeta")]:
        size = at[key].size
        n = tf.reshape(noise[place : place + size], at[key].shape)
        place += size
        hard = tf.cast(at[key] + n > 0, tf.float64)
        m = hard + soft(p[key] + n, tau) - soft(at[key] + n, tau)
        name = key[4:].lstrip("_")
        found.update({"W" + name: m, "b" + name: m} if name.isdigit() else {name: m})
    return found


def objective(at: dict, batch: dict, noise, config: MTNetConfig):
    """The outer loss as a function of the parameters: a loop over tasks.

    Mean cross-entropies, with alpha and the outer loss scaled as spec 1.5 says they must be.
    """

    @tf.function
    def of_task(p: dict, data: dict, noise: tf.Tensor) -> tf.Tensor:
        theta = {k: p[k] for k in p if k[0] in "Wb"}
        for j in range(config.num_updates):
            with tf.GradientTape() as tape:
                tape.watch(theta)
                loss = mean_loss(p, theta, data["support_x"], data["support_y"], config)
            g = tape.gradient(loss, theta)
            m = masks(p, at, noise[j % len(noise)], config.temp) if config.use_M else {}
            rate = config.update_lr * config.num_classes
            theta = {k: theta[k] - rate * m.get(k, 1.0) * g[k] for k in theta}
        outer = mean_loss(p, theta, data["query_x"], data["query_y"], config)
        return outer * data["query_y"].shape[0] / config.shots

    def run(p: dict) -> float:
        p, found = {k: tf.constant(v) for k, v in p.items()}, []
        for i in range(config.meta_batch_size):
            data = {k: tf.constant(v[i]) for k, v in batch.items() if v.ndim}
            own = tf.zeros([1, 0]) if noise is None else tf.constant(noise[:, i])
            found.append(float(of_task(p, data, own)))
        return np.mean(found)

    return run


@pytest.mark.parametrize(
    "settings",
    [
        dict(OMNIGLOT, norm="batch_norm", num_updates=2, variant="mtnet"),
        dict(OMNIGLOT, norm="batch_norm", max_pool=True, variant="mtnet_full"),
        dict(OMNIGLOT, norm="layer_norm", variant="tnet", shots=2),
        dict(OMNIGLOT, norm="none", max_pool=True, num_updates=2, variant="maml"),
        dict(MINI, norm="batch_norm", variant="mtnet"),
    ],
    ids=lambda s: "-".join(str(s[k]) for k in ("datasource", "norm", "variant")),
)
def test_second_order_gradient_against_finite_differences(
    double, patterns, recorded, reference, settings
):
    """Of whole train steps, through batch norm and max-pool; one random way per variable."""
    task, step = recorded(**{"num_filters": 3, "update_lr": 0.1, "temp": 0.8, **settings})
    at = started(task, reference)
    batch = reference.first(task.batch(range(1)), "float64")
    draws = reference.first(task.draws(range(1)), "float64")
    terms, found = step(batch, draws)
    value = objective(at, batch, draws.get("noise"), task.config)
    assert terms["loss"] == pytest.approx(value(at), rel=1e-10)
    source = np.random.RandomState(1)
    for name in at:  # a larger distance than 1e-7 crosses kinks of ReLU and max-pool
        way = source.standard_normal(at[name].shape)
        ends = [value({**at, name: at[name] + sign * 1e-7 * way}) for sign in (1, -1)]
        slope = (ends[0] - ends[1]) / 2e-7
        assert slope == pytest.approx(np.sum(found[name] * way), rel=1e-6, abs=1e-6), name
        if settings["norm"] == "batch_norm" and name in ("b1", "b2", "b3", "b4"):
            assert np.abs(found[name]).max() < 1e-9  # batch norm takes biases away
