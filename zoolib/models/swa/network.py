"""The classifier of the demonstrations: Dense, ReLU, batch norm if wanted, Dense (spec 3)."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from zoolib.data.draws import generator
from zoolib.models.swa.config import SWAConfig
from zoolib.nn.batch_norm import BatchNorm, batch_norms
from zoolib.nn.layers import Dense, Maker
from zoolib.runtime.device import Session


class Network(tf.Module):
    """One hidden layer; the normalisation comes after the ReLU, as in the seed's script.

    Args:
        inputs, classes: sizes of input and output.
    """

    def __init__(self, config: SWAConfig, session: Session, inputs: int, classes: int) -> None:
        super().__init__()
        make = Maker(session, lambda name: generator(config.seed, f"swa/{name}"))
        self.hidden = Dense(make, "hidden", inputs, config.hidden)
        self.norm = None
        if config.norm == "batch_norm":
            self.norm = BatchNorm(config.hidden, momentum=0.99, epsilon=1e-3, unbiased=False)
        self.output = Dense(make, "output", config.hidden, classes)

    @property
    def statistics(self) -> list[tf.Variable]:
        """Moving statistics of the normalisations."""
        return [v for n in batch_norms(self) for v in (n.moving_mean, n.moving_variance)]

    def keras_layers(self, layers: Any) -> tuple[Any, Any]:
        """For :func:`zoolib.to_keras`: inputs and outputs in Keras's layers."""
        x = layers.input(self.hidden.kernel.shape[:1])
        h = layers.relu(layers.dense(x, "hidden", *_values(self.hidden)))
        if (norm := self.norm) is not None:
            parts = (norm.gamma, norm.beta, norm.moving_mean, norm.moving_variance)
            h = layers.batch_norm(h, "batch_norm", norm, [v.numpy() for v in parts])
        return x, layers.dense(h, "output", *_values(self.output))

    def __call__(self, x: tf.Tensor, training: bool, update: bool = True) -> tf.Tensor:
        """Logits [N, classes] of inputs [N, inputs]."""
        h = tf.nn.relu(self.hidden(x))
        if self.norm is not None:
            h = self.norm(h, training, update)
        return self.output(h)


def _values(layer: Dense) -> list[np.ndarray]:
    return [layer.kernel.numpy(), layer.bias.numpy()]
