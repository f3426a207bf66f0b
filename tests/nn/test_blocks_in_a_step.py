"""A small training step of all blocks: NPU lint, precision, and the ways to run it."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

import zoolib
from zoolib.data.draws import generator
from zoolib.nn.batch_norm import BatchNorm
from zoolib.nn.layers import Conv2D, Dense, DepthwiseConv2D, Maker, Normalised, kernels
from zoolib.nn.pool import global_mean, max_pool
from zoolib.optim.adamw import AdamW
from zoolib.optim.averaging import EqualAverage, ExponentialAverage
from zoolib.optim.clip import clip_by_global_norm, clip_by_norm
from zoolib.optim.sgd import SGD
from zoolib.runtime.device import open_session

SOURCE = np.random.RandomState(0)
X = SOURCE.standard_normal((8, 12, 12, 3)).astype(np.float32)
Y = SOURCE.randint(0, 4, 8).astype(np.int32)


class Network(tf.Module):
    def __init__(self, session) -> None:
        super().__init__()
        make = Maker(session, lambda name: generator(1, name))
        self.stem = Normalised(Conv2D(make, "stem", 3, 8, 3, 2, 1), BatchNorm(8, name="stem"))
        self.deep = Normalised(DepthwiseConv2D(make, "deep", 8, 3, 2, 1), BatchNorm(8, name="deep"))
        self.hidden = Normalised(Dense(make, "hidden", 8, 6, bias=False), BatchNorm(6, name="hid"))
        self.head = Dense(make, "head", 6, 4)

    def __call__(self, x, training: bool):
        x = max_pool(tf.nn.relu(self.stem(x, training)), 3, 2, 1)
        x = global_mean(self.deep(x, training))
        return self.head(tf.nn.relu(self.hidden(x, training)))


class Small(tf.Module):
    """What runs under XLA on a CPU: small dense products."""

    def __init__(self, session) -> None:
        super().__init__()
        make = Maker(session, lambda name: generator(1, name))
        self.hidden = Normalised(Dense(make, "hidden", 432, 6, bias=False), BatchNorm(6))
        self.head = Dense(make, "head", 6, 4)

    def __call__(self, x, training: bool):
        return self.head(tf.nn.relu(self.hidden(tf.reshape(x, [8, 432]), training)))


class Learner:
    def __init__(self, optimizer: str, precision: str = "float32", network=Network) -> None:
        self.network = network(open_session("cpu", precision))
        w = list(self.network.trainable_variables)
        decayed = kernels(self.network)
        self.weights = w
        self.optimizer = {
            "sgd": lambda: SGD(w, 0.9, nesterov=True, l2=[4e-5] * len(w)),
            "adamw": lambda: AdamW(w, 0.02, decayed),
        }[optimizer]()
        self.averages = EqualAverage(w), EqualAverage(w, 2), ExponentialAverage(w, 0.9)

    def step(self, x, y, rate, skip=None):
        with tf.GradientTape() as tape:
            logits = self.network(x, True)
            one_hot = tf.one_hot(y, 4)
            loss = -tf.reduce_mean(tf.reduce_sum(one_hot * tf.nn.log_softmax(logits), -1))
        gradients = clip_by_global_norm(tape.gradient(loss, self.weights), 5.0)
        self.optimizer.apply(clip_by_norm(gradients, 1.0), rate, skip)
        for average in self.averages:
            average.update()
        return loss

    def run(self, steps: int = 8, call=None) -> list[float]:
        call = call or tf.function(self.step, autograph=False)
        rate = tf.constant(0.05)
        return [float(call(tf.constant(X), tf.constant(Y), rate)) for _ in range(steps)]


@pytest.fixture(scope="module")
def exact() -> list[float]:
    return Learner("sgd").run()


@pytest.mark.parametrize(("optimizer", "network"), [("sgd", Network), ("adamw", Small)])
def test_the_npu_takes_all_operators(optimizer, network):
    specs = tf.TensorSpec(X.shape), tf.TensorSpec(Y.shape, tf.int32), tf.TensorSpec([])
    step = Learner(optimizer, network=network).step
    report = zoolib.npu_check(step, *specs, tf.TensorSpec([], tf.bool), steps=3)
    # The last output of the fused kernel is scratch memory of a device's own size; nothing but
    # its own gradient takes it, and that is dead code.
    scratch = ("unknown shape: FusedBatchNormV3", "unknown shape: ZerosLike")
    assert [p for p in report.problems if not p.startswith(scratch)] == []
    if network is Network:
        operators = {name for kind in report.operators.values() for name in kind}
        assert {"FusedBatchNormGradV3", "DepthwiseConv2dNativeBackpropFilter"} <= operators
    assert not report.operators["slow_path"] and not report.operators["not_accepted"]


def test_eager_and_graph_train_alike(exact):
    eager = Learner("sgd")
    np.testing.assert_allclose(eager.run(3, eager.step), exact[:3], rtol=1e-4)
    assert exact[-1] < 0.9 * exact[0]


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_xla_and_graph_train_alike(optimizer):
    graph, xla = (Learner(optimizer, network=Small) for _ in range(2))
    compiled = tf.function(xla.step, jit_compile=True, autograph=False)
    np.testing.assert_allclose(xla.run(4, compiled), graph.run(4), rtol=1e-4)
    for mine, other in zip(xla.averages, graph.averages):
        for a, b in zip(mine.values(), other.values()):
            np.testing.assert_allclose(a, b, atol=1e-4)


def test_mixed_precision_is_near_and_not_the_same(exact):
    mixed = Learner("sgd", "mixed_bfloat16").run()
    np.testing.assert_allclose(mixed, exact, rtol=0.05)
    assert mixed[0] != exact[0] and mixed[-1] < 0.9 * mixed[0]


def test_a_depthwise_convolution_is_reduced_too():
    x = tf.constant(SOURCE.standard_normal((2, 6, 6, 8)).astype(np.float32))
    sessions = [open_session("cpu", p) for p in ("mixed_bfloat16", "float32")]
    mixed, exact = (
        DepthwiseConv2D(Maker(s, lambda name: generator(1, name)), "deep", 8)(x) for s in sessions
    )
    assert mixed.dtype == tf.float32
    error = np.abs(mixed - exact).max()
    assert 1e-4 < error < 0.05
