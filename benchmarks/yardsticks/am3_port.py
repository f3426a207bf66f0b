"""AM3-ProtoNet++'s published step, ported to TensorFlow 2 line by line: the yardstick for speed.

Tasks are drawn on the host before every call by looking through all labels for each class; images
cross to the graph as float32; support and query images pass the network one after the other; then
L2 penalties, clipping of every gradient, and momentum. What is computed is Xing et al. 2019, arXiv
1902.07104; only how is the earlier way.

The optimizer is TensorFlow's own in the published form, which updates a variable with one fused
kernel, and batch norm is the fused one unless told (see port_norm.py): this port is not slower than
need be.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
from yardsticks.port_norm import batch_norm


class Network:
    """Backbone and semantic branch in training; variables are made by the first call of each.

    Attributes:
        trained, moving: variables by name.
        penalties: weight decay of a kernel by name.
    """

    def __init__(self, settings: Any, fused: bool) -> None:
        self.settings, self.fused = settings, fused
        self.trained: dict[str, tf.Variable] = {}
        self.moving: dict[str, tf.Variable] = {}
        self.penalties: dict[str, float] = {}

    def features(self, images: tf.Tensor) -> tf.Tensor:
        """[N, H, W, 3], 0 to 255, to [N, D]."""
        s, x = self.settings, images
        for i, width in enumerate(s.widths):
            h, shortcut = x, self.conv(f"encoder/shortcut{i}", x, width, 1)
            for j in range(s.units):
                h = self.conv(f"encoder/conv{i}_{j}", h, width, 3)
                h = swish(h) if j + 1 < s.units else h
            x = swish(h + shortcut)
            x = tf.nn.max_pool2d(x, 2, 2, "SAME") if i < s.pools else x
        return tf.reduce_mean(x, [1, 2])

    def conv(self, name: str, x: tf.Tensor, width: int, size: int) -> tf.Tensor:
        """Convolution without bias, and batch norm."""
        shape = [size, size, x.shape[-1], width]
        kernel = self.kernel(name, shape, size * size * width, self.settings.weight_decay)
        return self.norm(name, tf.nn.conv2d(x, kernel, 1, "SAME"))

    def dense(self, name: str, x: tf.Tensor, width: int, decay: float) -> tf.Tensor:
        """Dense layer without bias, and batch norm over the rows."""
        kernel = self.kernel(name, [x.shape[-1], width], width, decay)
        y = tf.matmul(x, kernel)
        return tf.reshape(self.norm(name, y[:, None, None]), y.shape)

    def norm(self, name: str, x: tf.Tensor) -> tf.Tensor:
        size, path = [x.shape[-1]], f"{name}/batch_norm"
        gamma, beta = (
            self.variable(self.trained, f"{path}/{letter}", tf.fill(size, start))
            for letter, start in (("gamma", 1.0), ("beta", 0.0))
        )
        running = [
            self.variable(self.moving, f"{path}/moving_{letter}", tf.fill(size, start))
            for letter, start in (("mean", 0.0), ("variance", 1.0))
        ]
        y, *new = batch_norm(x, gamma, beta, self.fused)
        for variable, value in zip(running, new):
            variable.assign_sub((1.0 - self.settings.bn_momentum) * (variable - value))
        return y

    def perceptron(
        self, name: str, x: tf.Tensor, widths: tuple[int, int], decay: float, keep: Any
    ) -> tf.Tensor:
        """Two dense layers, dropout between them; ``keep``: its factors, or the share dropped."""
        h = tf.nn.relu(self.dense(f"class_encoder/{name}", x, widths[0], decay))
        h = tf.nn.dropout(h, keep) if isinstance(keep, float) else h * keep
        return self.dense(f"class_encoder/{name}_1", h, widths[1], decay)

    def kernel(self, name: str, shape: list[int], fan_out: int, decay: float) -> tf.Variable:
        deviation = (2.0 * self.settings.init_factor / fan_out) ** 0.5
        self.penalties[f"{name}/kernel"] = decay
        start = None if f"{name}/kernel" in self.trained else tf.random.normal(shape, 0, deviation)
        return self.variable(self.trained, f"{name}/kernel", start)

    def variable(
        self, store: dict[str, tf.Variable], name: str, start: tf.Tensor | None
    ) -> tf.Variable:
        if name not in store:
            store[name] = tf.Variable(start, trainable=store is self.trained, name=name)
        return store[name]


class Sampler:
    """Tasks of C ways, K shots and Q queries from the pooled rest, drawn as the earlier code does.

    Args:
        images: uint8 [n, H, W, 3].
        labels: int [n].
        settings: ways, shots, queries, tasks, seed.
    """

    def __init__(self, images: np.ndarray, labels: np.ndarray, settings: Any) -> None:
        self.images, self.labels, self.settings = images, labels, settings
        self.classes = np.unique(labels)
        self.random = np.random.default_rng(settings.seed)

    def task(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Places of support and query images, the queries' labels, the classes."""
        s = self.settings
        classes = self.random.choice(self.classes, s.ways, replace=False)
        support, pool, labels = [], [], []
        for label, kind in enumerate(classes):
            places = self.random.permutation(np.flatnonzero(self.labels == kind))
            support.append(places[: s.shots])
            pool.append(places[s.shots :])
            labels.append(np.full(len(pool[-1]), label, np.int32))
        chosen = self.random.choice(sum(map(len, pool)), s.queries, replace=False)
        query = np.concatenate(pool)[chosen]
        return np.concatenate(support), query, np.concatenate(labels)[chosen], classes

    def batch(self) -> tuple[np.ndarray, ...]:
        """Support and query images float32 [T, ., H, W, 3], labels [T, Q], classes [T, C]."""
        tasks = [self.task() for _ in range(self.settings.tasks)]
        support, query, labels, classes = (np.stack(part) for part in zip(*tasks))
        images = (self.images[places].astype(np.float32) for places in (support, query))
        return (*images, labels, classes.astype(np.int32))


class Port:
    """Network, optimizer and step.

    Args:
        settings: of the run: sizes, rates, decays, as AM3's settings name them.
        words: vector of each class, float32 [classes, E].
        fused: which batch norm.
    """

    def __init__(self, settings: Any, words: np.ndarray, fused: bool = True) -> None:
        self.settings, self.words = settings, tf.constant(words)
        self.network = Network(settings, fused)
        s, side = settings, settings.image_size
        self.network.features(tf.zeros([2, side, side, 3]))
        self.prototypes(tf.zeros([2, s.widths[-1]]), tf.zeros([2, words.shape[1]]), 0.0, 0.0)
        for name, variable in self.network.moving.items():  # where they start
            variable.assign(tf.fill(variable.shape, 1.0 if "variance" in name else 0.0))
        self.variables = list(self.network.trained.values())
        self.rate = tf.Variable(settings.lr, trainable=False)
        self.optimizer = tf.compat.v1.train.MomentumOptimizer(self.rate, settings.momentum)
        self.step = tf.function(self.improve)
        self.sampler: Sampler | None = None

    def prototypes(
        self, p: tf.Tensor, e: tf.Tensor, keep_g: Any, keep_h: Any
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Cross-modal prototypes [N, D] and shares of the picture [N, 1]."""
        s, net = self.settings, self.network
        w = net.perceptron("mlp_layer", e, (s.hidden, s.widths[-1]), s.g_weight_decay, keep_g)
        share = net.perceptron("self_att_layer", w, (s.hidden, 1), s.h_weight_decay, keep_h)
        share = tf.sigmoid(share)
        return share * p + (1.0 - share) * w, share

    def improve(
        self,
        support: tf.Tensor,
        query: tf.Tensor,
        labels: tf.Tensor,
        classes: tf.Tensor,
        keep_g: Any = None,
        keep_h: Any = None,
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """One step; the cross-entropy, the penalties, and the mean share of the picture."""
        s, net = self.settings, self.network
        tasks, side, width = query.shape[0], s.image_size, s.widths[-1]
        keep_g = s.g_dropout if keep_g is None else keep_g
        keep_h = s.h_dropout if keep_h is None else keep_h
        with tf.GradientTape() as tape:
            seen = net.features(tf.reshape(support, [-1, side, side, 3]))
            asked = net.features(tf.reshape(query, [-1, side, side, 3]))
            p = tf.reduce_mean(tf.reshape(seen, [tasks * s.ways, s.shots, width]), axis=1)
            e = tf.gather(self.words, tf.reshape(classes, [-1]))
            centres, share = self.prototypes(p, e, keep_g, keep_h)
            centres = tf.reshape(centres, [tasks, 1, s.ways, width])
            asked = tf.reshape(asked, [tasks, -1, 1, width])
            squares = tf.reduce_sum(tf.square(asked - centres), axis=-1)
            logits = -tf.sqrt(tf.maximum(squares, 1e-12))
            each = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
            penalty = tf.add_n(
                [decay * tf.nn.l2_loss(net.trained[n]) for n, decay in net.penalties.items()]
            )
            loss_ce = tf.reduce_mean(each)
            loss = loss_ce + penalty
        gradients = tape.gradient(loss, self.variables)
        clipped = [tf.clip_by_norm(g, s.clip) for g in gradients]
        self.optimizer.apply_gradients(zip(clipped, self.variables))
        return loss_ce, penalty, tf.reduce_mean(share)

    def feed(self, images: np.ndarray, labels: np.ndarray) -> None:
        """Take tasks from these images and their class numbers."""
        self.sampler = Sampler(images, labels, self.settings)

    def train(self, steps: int) -> None:
        """Train on the sampler's next tasks."""
        for _ in range(steps):
            loss = self.step(*map(tf.constant, self.sampler.batch()))[0]
        if steps:
            self.loss = float(loss)


def swish(x: tf.Tensor) -> tf.Tensor:
    return x * tf.sigmoid(x)
