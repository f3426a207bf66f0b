"""Run as one of several ranks: collectives through zoolib over the fake. Prints one JSON object."""

from __future__ import annotations

import numpy as np
from npu_scenarios import outcomes

from zoolib.runtime import npu

_opened = []


def opens():
    _opened.append(npu.open_npu())
    return [_opened[0].rank, _opened[0].size, _opened[0].device_id]


def sums_and_means():
    import tensorflow as tf

    rank = _opened[0].rank

    @tf.function
    def step(x, n):
        return _opened[0].all_reduce([x, 2.0 * x]) + _opened[0].all_reduce([n], "sum")

    values = [step(tf.fill([2], float(rank + i)), tf.constant(rank)) for i in range(3)]
    return [[v.numpy().tolist() for v in row] for row in values]


def gradient_passes_through_the_sum():
    import tensorflow as tf

    weight = tf.Variable(float(_opened[0].rank + 1))

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            loss = tf.square(_opened[0].all_reduce([weight], "sum")[0])
        return tape.gradient(loss, weight)

    return float(step())


def broadcast_gives_the_values_of_rank_0():
    import tensorflow as tf

    rank = _opened[0].rank
    variables = [tf.Variable([float(rank + 1), 5.0 * rank]), tf.Variable(rank + 7)]
    _opened[0].broadcast(variables)
    return [v.numpy().tolist() for v in variables]


def training_on_half_batches():
    """Largest difference from the whole batch in one process, over parameters, after 10 steps."""
    import tensorflow as tf

    random = np.random.default_rng(0)
    inputs = random.normal(size=(10, 8, 3)).astype(np.float32)
    targets = random.normal(size=(10, 8)).astype(np.float32)
    mine, whole = tf.Variable(tf.zeros([3])), tf.Variable(tf.zeros([3]))

    def update(variable, x, y, combine):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(tf.linalg.matvec(x, variable) - y))
        gradient = combine([tape.gradient(loss, variable)])[0]
        variable.assign_sub(0.1 * gradient)

    half = tf.function(lambda x, y: update(mine, x, y, _opened[0].all_reduce))
    full = tf.function(lambda x, y: update(whole, x, y, list))
    part = slice(4 * _opened[0].rank, 4 * _opened[0].rank + 4)
    for x, y in zip(inputs, targets):
        half(tf.constant(x[part]), tf.constant(y[part]))
        full(tf.constant(x), tf.constant(y))
    return float(np.abs(mine.numpy() - whole.numpy()).max())


def overflow_on_one_rank_is_seen_by_all():
    import npu_device
    import tensorflow as tf

    @tf.function
    def step(x):
        y = npu_device.gen_npu_ops.saturate(x)
        return _opened[0].overflow_status([y])

    large = 1e6 if _opened[0].rank == 1 else 1.0
    return [bool(step(tf.constant(x)).numpy().any()) for x in (large, 1.0)]


def collective_in_a_branch():
    import tensorflow as tf

    @tf.function(autograph=False)
    def step(x):
        return tf.cond(x > 0.0, lambda: _opened[0].all_reduce([x])[0], lambda: x)

    step(tf.constant(1.0))


def shard():
    import npu_device
    import tensorflow as tf

    data, size = npu_device.distribute.shard_and_rebatch_dataset(tf.data.Dataset.range(6), 4)
    return [size, [int(i) for i in data]]


if __name__ == "__main__":
    outcomes(globals())
