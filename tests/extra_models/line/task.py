"""Least squares by gradient descent."""

import time

import numpy as np
import tensorflow as tf

from zoolib.core.task import Task
from zoolib.data.draws import uniforms
from zoolib.nn.losses import mean_squared_error
from zoolib.optim.adam import Adam

POINTS = 16


class Line(Task):
    terms = ("loss", "penalty")
    headline = "test_mse"

    def build(self):
        self.w = tf.Variable(tf.zeros([self.config.width, 1]), name="w")
        self.b = tf.Variable(tf.zeros([1]), name="b")
        self.optimizer = Adam([self.w, self.b])

    def batch(self, steps):
        time.sleep(self.config.wait * len(steps))
        at = np.arange(steps.start, steps.stop) + 1 == self.config.poison_at
        return {"poison": np.where(at, np.float32("inf"), np.float32(0))}

    def draws(self, steps):
        width = self.config.width
        drawn = uniforms(self.config.seed, "line/points", steps, POINTS * (width + 1))
        return {"points": drawn.reshape(len(steps), POINTS, width + 1)}

    def train_step(self, batch, draws):
        x, noise = draws["points"][:, :-1], draws["points"][:, -1:]
        y = tf.reduce_sum(x, 1, keepdims=True) - 1.0 + 0.01 * noise
        bad = {name: tf.zeros([]) for name in ("none", "loss", "penalty", "state")}
        bad[self.config.poison] = batch["poison"]
        with tf.GradientTape() as tape:
            loss = mean_squared_error(self.predict(x)[None], y[None])[0]
        gradients = tape.gradient(loss, [self.w, self.b])
        penalty = tf.reduce_sum(tf.square(self.w)) + bad["penalty"]
        self.optimizer.apply(gradients, self.config.rate + bad["state"])
        return {"loss": loss + bad["loss"], "penalty": penalty}

    def predict(self, x):
        return self.session.matmul(x, self.w) + self.b

    def evaluate(self):
        x = uniforms(1, "line/test", range(1), 50 * self.config.width).reshape(50, -1)
        y = x.sum(1, keepdims=True) - 1.0
        error = np.square(x @ self.w.numpy() + self.b.numpy() - y)
        spread = 1.96 * error.std() / np.sqrt(50)
        return {"test_mse": float(error.mean()), "test_mse_ci95": float(spread)}

    def figure_data(self):
        return {"w": self.w.numpy()}

    def export_module(self):
        return Exported(self)


class Exported(tf.Module):
    def __init__(self, task):
        super().__init__(name="line")
        self.task = task
        spec = tf.TensorSpec([1, task.config.width], tf.float32, name="x")
        self.serve = task.session.compile(lambda x: {"y": task.predict(x)}, [spec])

    def signatures(self):
        return {"serve": self.serve.get_concrete_function()}
