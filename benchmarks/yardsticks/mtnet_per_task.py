"""The earlier way to train MT-net, kept as a yardstick for speed.

What is measured here is a habit, not a method: one graph call per meta-step without XLA, tasks
drawn by NumPy on the host before every call, the tasks of a batch unrolled one after the other in
the graph, parameters in dictionaries, Adam over a list of variables, two Gumbel draws per mask
inside the graph. The numbers it computes are those of Lee & Choi (ICML 2018), sections 3 and 4.

    python benchmarks/yardsticks/mtnet_per_task.py --threads 1     # steps per second, as JSON
"""

from __future__ import annotations

import time

import meters
import numpy as np
import tensorflow as tf

TASKS, SHOTS, QUERIES, WIDTH = 4, 10, 10, 40  # the seed configuration
UPDATE_LR, META_LR = 0.01, 1e-3
SIZES = ((1, WIDTH), (WIDTH, WIDTH), (WIDTH, 1))
Weights = dict[str, tf.Tensor]


def build_parameters() -> dict[str, tf.Variable]:
    """W, b (adapted), T and mask logits f (meta-learned only), one entry per layer."""
    parameters = {}
    for layer, (fan_in, fan_out) in enumerate(SIZES, start=1):
        weight = tf.random.truncated_normal([fan_in, fan_out], 0.0, 0.01)
        parameters[f"w{layer}"] = tf.Variable(weight)
        parameters[f"b{layer}"] = tf.Variable(tf.zeros([fan_out]))
        parameters[f"T{layer}"] = tf.Variable(tf.eye(fan_out))
        parameters[f"f{layer}"] = tf.Variable(tf.zeros([fan_out]))
    return parameters


def sample_batch(generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Sine tasks y = A sin(omega x - phi): x and y of shape [tasks, shots + queries, 1]."""
    amplitude = generator.uniform(0.1, 5.0, TASKS)
    phase = generator.uniform(0.0, np.pi, TASKS)
    frequency = generator.uniform(0.8, 1.2, TASKS)
    x = np.empty([TASKS, SHOTS + QUERIES, 1], np.float32)
    y = np.empty_like(x)
    for task in range(TASKS):
        x[task] = generator.uniform(-5.0, 5.0, [SHOTS + QUERIES, 1])
        y[task] = amplitude[task] * np.sin(frequency[task] * x[task] - phase[task])
    return x, y


def sample_mask(logits: tf.Tensor) -> tf.Tensor:
    """Hard 0/1 mask [units] with the softmax's gradient: two-class Gumbel-softmax on (f, 0)."""
    two = tf.stack([logits, tf.zeros_like(logits)], axis=1)
    noise = -tf.math.log(-tf.math.log(tf.random.uniform(tf.shape(two)) + 1e-20) + 1e-20)
    soft = tf.nn.softmax(two + noise)
    hard = tf.cast(tf.equal(soft, tf.reduce_max(soft, axis=1, keepdims=True)), tf.float32)
    return (tf.stop_gradient(hard - soft) + soft)[:, 0]


def forward(x: tf.Tensor, weights: Weights) -> tf.Tensor:
    """Three layers (x W + b) T, ReLU between them."""
    for layer in (1, 2, 3):
        x = tf.matmul(x, weights[f"w{layer}"]) + weights[f"b{layer}"]
        x = tf.matmul(x, weights[f"T{layer}"])
        x = tf.nn.relu(x) if layer < 3 else x
    return x


def mean_squared_error(prediction: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    """Mean over all elements."""
    return tf.reduce_mean(tf.square(prediction - y))


def task_losses(parameters: Weights, x: tf.Tensor, y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Support loss before and query loss after one masked gradient step, for one task."""
    adapted_names = [name for name in parameters if name[0] in "wb"]
    weights = {name: tf.convert_to_tensor(value) for name, value in parameters.items()}
    support_x, support_y, query_x, query_y = x[:SHOTS], y[:SHOTS], x[SHOTS:], y[SHOTS:]
    adapted = [weights[name] for name in adapted_names]
    with tf.GradientTape() as tape:
        tape.watch(adapted)
        before = mean_squared_error(forward(support_x, weights), support_y)
    gradients = dict(zip(adapted_names, tape.gradient(before, adapted)))
    masks = {layer: sample_mask(weights[f"f{layer}"]) for layer in (1, 2, 3)}
    fast = dict(weights)
    for name in adapted_names:
        fast[name] = weights[name] - UPDATE_LR * masks[int(name[1])] * gradients[name]
    return before, mean_squared_error(forward(query_x, fast), query_y)


class Adam:
    """Adam over a list of variables, one update per variable (1e-8 outside the root)."""

    def __init__(self, variables: list[tf.Variable]) -> None:
        self.variables = variables
        self.first = [tf.Variable(tf.zeros_like(v)) for v in variables]
        self.second = [tf.Variable(tf.zeros_like(v)) for v in variables]
        self.count = tf.Variable(0.0)

    def apply(self, gradients: list[tf.Tensor]) -> None:
        """One update in place."""
        count = self.count.assign_add(1.0)
        rate = META_LR * tf.sqrt(1.0 - tf.pow(0.999, count)) / (1.0 - tf.pow(0.9, count))
        for value, m, v, g in zip(self.variables, self.first, self.second, gradients):
            m.assign(0.9 * m + 0.1 * g)
            v.assign(0.999 * v + 0.001 * tf.square(g))
            value.assign_sub(rate * m / (tf.sqrt(v) + 1e-8))


class PerTask:
    """Holds the parameters; ``train(n)`` makes n meta-steps and returns the last query loss."""

    def __init__(self, seed: int = 0) -> None:
        tf.random.set_seed(seed)
        self.generator = np.random.default_rng(seed)
        self.parameters = build_parameters()
        self.optimizer = Adam(list(self.parameters.values()))
        self.step = tf.function(self._step)

    def _step(self, x: tf.Tensor, y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        with tf.GradientTape() as tape:
            pairs = [task_losses(self.parameters, x[task], y[task]) for task in range(TASKS)]
            before = tf.add_n([pair[0] for pair in pairs]) / TASKS
            after = tf.add_n([pair[1] for pair in pairs]) / TASKS
        self.optimizer.apply(tape.gradient(after, list(self.parameters.values())))
        return before, after

    def train(self, steps: int) -> float:
        """``steps`` meta-steps, one graph call each."""
        for _ in range(steps):
            x, y = sample_batch(self.generator)
            _, after = self.step(tf.constant(x), tf.constant(y))
        return float(after)


def main() -> None:
    given = meters.options(__doc__, steps=400, blocks=4)
    if given.threads:
        tf.config.threading.set_intra_op_parallelism_threads(given.threads)
        tf.config.threading.set_inter_op_parallelism_threads(given.threads)
    began = time.perf_counter()
    model = PerTask()
    model.train(1)
    compiled = time.perf_counter() - began
    model.train(max(given.steps // 8, 1))  # the executor settles over its first calls
    rates, loss = meters.timed(model.train, given.steps, given.blocks)
    meters.tell(rates, compiled, loss, versions={"tensorflow": tf.__version__})


if __name__ == "__main__":
    main()
