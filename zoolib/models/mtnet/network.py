"""The network of MT-net: every layer computes (x W + b) T.

W and b are adapted to each task; T, the mask logits zeta and the normalisation's parameters are
meta-learned only (paper, section 3.1 and 3.2). T starts as the identity. Convolutions are products
of windows with kernels, so that a batch of tasks with kernels of their own is one product.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from zoolib.data.draws import generator
from zoolib.models.mtnet.config import MTNetConfig
from zoolib.nn import initialise
from zoolib.nn.normalise import standardise
from zoolib.nn.windows import windows
from zoolib.runtime.device import Session

Theta = Sequence[tf.Tensor]  # W1, b1, W2, b2, …: what the inner loop adapts


@dataclasses.dataclass(frozen=True)
class Layer:
    """One layer's form.

    Attributes:
        weight: shape of W: [in, out], or [3, 3, in, out] for a convolution.
        std: of the initial normal weights (dense layers), 0 for Xavier.
        cut: whether that normal is truncated.
        stride: of a convolution.
        pool: 2x2 max-pooling after the non-linearity.
        last: no normalisation and no non-linearity.
        mean: spatial mean before this layer.
    """

    weight: tuple[int, ...]
    std: float = 0.01
    cut: bool = True
    stride: int = 1
    pool: bool = False
    last: bool = False
    mean: bool = False

    @property
    def units(self) -> int:
        """Output units."""
        return self.weight[-1]


def layers_of(config: MTNetConfig, inputs: int) -> list[Layer]:
    """The layers for a config (spec 1.6); ``inputs`` counts the regression network's inputs."""
    if not config.images:
        sizes = [inputs, config.dim_hidden, config.dim_hidden, 1]
        return _dense(sizes)
    side, _, channels = config.image_shape
    if not config.conv:
        return _dense([side * side * channels, 256, 128, 64, 64, config.num_classes])
    stack, before = [], channels
    for _ in range(4):
        after = side // 2 if config.max_pool else -(-side // 2)
        stack.append(
            Layer(
                (3, 3, before, config.num_filters),
                std=0.0,
                stride=1 if config.max_pool else 2,
                pool=config.max_pool,
            )
        )
        side, before = after, config.num_filters
    if config.datasource != "miniimagenet":
        head = Layer((before, config.num_classes), std=1.0, cut=False, last=True, mean=True)
    else:
        head = Layer((side * side * before, config.num_classes), std=0.0, last=True)
    return [*stack, head]


def _dense(sizes: list[int]) -> list[Layer]:
    last = len(sizes) - 2
    return [Layer((sizes[i], sizes[i + 1]), last=i == last) for i in range(last + 1)]


class Network(tf.Module):
    """Meta-parameters and the functional forward pass.

    Attributes:
        theta: initial W and b of every layer, what a task adapts.
        T: the layers' transformations, empty without them.
        zeta: mask logits: one per unit and layer if shared; one per entry of theta if not.
        scale, offset: normalisation parameters by layer.
    """

    def __init__(self, config: MTNetConfig, session: Session, inputs: int = 1) -> None:
        super().__init__(name="network")
        self.config, self._matmul = config, session.matmul
        self.layers = layers_of(config, inputs)
        source = generator(config.seed, "mtnet/initial weights")
        self.theta, self.T, self.zeta = [], [], []
        self.scale, self.offset = [], []
        for number, layer in enumerate(self.layers, 1):
            self._add_layer(number, layer, source)

    def _add_layer(self, number: int, layer: Layer, source: np.random.Generator) -> None:
        config, units = self.config, layer.units
        if layer.std == 0.0:
            weight = initialise.xavier_uniform(source, layer.weight)
        elif layer.cut:
            weight = initialise.truncated_normal(source, layer.weight, layer.std)
        else:
            weight = initialise.normal(source, layer.weight, layer.std)
        bias = np.zeros(units, np.float32)
        self.theta += [_variable(weight, f"W{number}"), _variable(bias, f"b{number}")]
        if config.use_T:
            self.T.append(_variable(np.eye(units, dtype=np.float32), f"T{number}"))
        if config.use_M and config.share_M:
            self.zeta.append(_variable(np.full(units, config.logit_init), f"zeta{number}"))
        elif config.use_M:
            std = 0.01 if len(layer.weight) == 4 else 0.1
            for letter, value in (("W", weight), ("b", bias)):
                # A stream of their own: the weights are those of every other variant.
                logits = generator(config.seed, f"mtnet/initial logits {letter}{number}")
                drawn = initialise.truncated_normal(logits, value.shape, std)
                self.zeta.append(_variable(drawn, f"zeta_{letter}{number}"))
        if config.norm == "layer_norm" and not layer.last:
            self.scale.append(_variable(np.ones(units), f"scale{number}"))
        if config.norm != "none" and not layer.last:
            self.offset.append(_variable(np.zeros(units), f"offset{number}"))

    def tasks_own(self, tasks: int) -> list[tf.Tensor]:
        """theta once per task: [tasks, …] each, the start of every task's inner loop."""
        return [tf.broadcast_to(w, [tasks, *w.shape]) for w in self.theta]

    def __call__(self, theta: Theta, x: tf.Tensor) -> tf.Tensor:
        """Forward pass of a batch of tasks.

        Args:
            theta: W and b of every layer with a leading task axis.
            x: [B, N, features], or [B, N, H, W, C] for convolutions.

        Returns:
            [B, N, outputs]: predictions, or logits.
        """
        for place, layer in enumerate(self.layers):
            W, b = theta[2 * place], theta[2 * place + 1]
            if layer.mean:
                x = tf.reduce_mean(x, [2, 3])
            if len(layer.weight) == 4:
                x = self._convolve(x, W, b, layer.stride)
            else:
                x = x if len(x.shape) == 3 else tf.reshape(x, [*x.shape[:2], W.shape[1]])
                x = self._matmul(x, W) + tf.expand_dims(b, 1)
            if self.T:
                x = self._times_shared(x, self.T[place])
            if not layer.last:
                x = tf.nn.relu(self._normalise(x, place))
            if layer.pool:
                flat = tf.reshape(x, [-1, *x.shape[2:]])
                pooled = tf.nn.max_pool2d(flat, 2, 2, "VALID")
                x = tf.reshape(pooled, [*x.shape[:2], *pooled.shape[1:]])
        return x

    def _convolve(self, x: tf.Tensor, W: tf.Tensor, b: tf.Tensor, stride: int) -> tf.Tensor:
        """Images [B, N, H, W, C] with one kernel [3, 3, C, D] per task."""
        tasks, examples = x.shape[:2]
        parts = windows(tf.reshape(x, [tasks * examples, *x.shape[2:]]), 3, stride)
        rows = tf.reshape(parts, [tasks, -1, parts.shape[-1]])
        kernel = tf.reshape(W, [tasks, parts.shape[-1], W.shape[-1]])
        product = self._matmul(rows, kernel) + tf.expand_dims(b, 1)
        return tf.reshape(product, [tasks, examples, *parts.shape[1:3], W.shape[-1]])

    def _times_shared(self, x: tf.Tensor, matrix: tf.Tensor) -> tf.Tensor:
        """x [B, …, in] times one matrix for all tasks, as a single product."""
        product = self._matmul(tf.reshape(x, [-1, x.shape[-1]]), matrix)
        shape = [-1 if size is None else size for size in x.shape[:-1]]
        return tf.reshape(product, [*shape, matrix.shape[-1]])

    def _normalise(self, x: tf.Tensor, place: int) -> tf.Tensor:
        """Statistics per task and channel (batch norm) or per example (layer norm)."""
        if self.config.norm == "batch_norm":  # always the batch's own statistics (transductive)
            return standardise(x, list(range(1, len(x.shape) - 1))) + self.offset[place]
        if self.config.norm == "layer_norm":
            whitened = standardise(x, list(range(2, len(x.shape))), 1e-12)
            return whitened * self.scale[place] + self.offset[place]
        return x


def _variable(value: np.ndarray, name: str) -> tf.Variable:
    return tf.Variable(np.asarray(value, np.float32), name=name)
