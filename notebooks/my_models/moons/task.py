"""What one training step does. Variables, data, loss: nothing about devices, logs or widgets."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from zoolib.core.task import Arrays, Task
from zoolib.data.draws import generator, uniforms
from zoolib.nn.initialise import xavier_uniform
from zoolib.optim.adam import Adam


def moons(uniform: np.ndarray, noise: float) -> Arrays:
    """Points [..., 2] and labels [...] from uniform numbers [..., 4]."""
    label = (uniform[..., 0] < 0.5).astype(np.float32)
    angle = np.pi * uniform[..., 1]
    x = np.where(label, 1.0 - np.cos(angle), np.cos(angle))
    y = np.where(label, 0.5 - np.sin(angle), np.sin(angle))
    radius = noise * np.sqrt(-2.0 * np.log(1.0 - uniform[..., 2]))  # Box and Muller
    turn = 2.0 * np.pi * uniform[..., 3]
    points = np.stack([x + radius * np.cos(turn), y + radius * np.sin(turn)], axis=-1)
    return {"points": points.astype(np.float32), "labels": label}


class Moons(Task):
    """A two-layer network for two classes."""

    terms = ("loss",)
    headline, lower_is_better = "test_accuracy", False

    def build(self) -> None:
        """Create all variables, once, eagerly."""
        source, units = generator(self.config.seed, "moons/weights"), self.config.units
        self.W1 = tf.Variable(xavier_uniform(source, (2, units)), name="W1")
        self.b1 = tf.Variable(tf.zeros([units]), name="b1")
        self.W2 = tf.Variable(xavier_uniform(source, (units, 1)), name="W2")
        self.optimizer = Adam([self.W1, self.b1, self.W2])

    def draws(self, steps: range) -> Arrays:
        """Random numbers of some steps: a pure function of (seed, step), so runs resume exactly."""
        size = self.config.batch_size
        uniform = uniforms(self.config.seed, "moons/points", steps, 4 * size)
        return moons(uniform.reshape(len(steps), size, 4), self.config.noise)

    def logits(self, points: tf.Tensor) -> tf.Tensor:
        """The network: points [N, 2] to logits [N]."""
        hidden = tf.nn.relu(self.session.matmul(points, self.W1) + self.b1)
        return self.session.matmul(hidden, self.W2)[:, 0]

    def train_step(self, batch: dict, draws: dict) -> dict:
        """One step of Adam on the cross-entropy."""
        with tf.GradientTape() as tape:
            logits = self.logits(draws["points"])
            losses = tf.nn.sigmoid_cross_entropy_with_logits(draws["labels"], logits)
            loss = tf.reduce_mean(losses)
        gradients = tape.gradient(loss, self.optimizer.variables_trained)
        gradients = self.session.all_reduce(gradients)
        self.optimizer.apply(gradients, tf.constant(self.config.learning_rate))
        return {"loss": loss}

    def evaluate(self) -> dict[str, float]:
        """Accuracy on 2,000 stored points."""
        held_out = moons(uniforms(1, "moons/test", range(2000), 4), self.config.noise)
        right = (self.predict(held_out["points"]) > 0) == (held_out["labels"] > 0.5)
        return {"test_accuracy": float(right.mean())}

    def predict(self, points: np.ndarray) -> np.ndarray:
        """Logits [N] of points [N, 2]."""
        if not hasattr(self, "_compiled"):
            self._compiled = self.session.compile(self.logits)
        return self._compiled(tf.constant(points, tf.float32)).numpy()

    def figure_data(self) -> dict[str, Any]:
        """Held-out points and what the network says of them."""
        held_out = moons(uniforms(1, "moons/test", range(400), 4), self.config.noise)
        return {**held_out, "logits": self.predict(held_out["points"])}
