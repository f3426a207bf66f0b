"""`SWA` and `update_batch_norm` on several replicas: two in one process, two processes.

Each program is a process of its own, since a process chooses its devices once. Keras 3 refuses
``fit`` under MultiWorkerMirroredStrategy; there the workers run their own loop.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys

from tensorflow import keras

KERAS_3 = not hasattr(keras.layers.BatchNormalization, "_fused_batch_norm")
COMMON = """
import hashlib, json, sys
import numpy as np
import tensorflow as tf
from tensorflow import keras
from zoolib.models.swa.batch_norm import update_batch_norm
from zoolib.models.swa.callback import SWA
from zoolib.optim.averaging import EqualAverage
layers = keras.layers
KERAS_3 = not hasattr(layers.BatchNormalization, "_fused_batch_norm")
NO_XLA = {"jit_compile": False} if KERAS_3 else {}
rng = np.random.RandomState(0)
X = (rng.randn(42, 3) * [1, 2, 3] + [0, 1, -2]).astype("f")  # the last batch of 8 has 2 samples
Y = (X @ [[1.0], [0.5], [-1.0]]).astype("f")

def network(norm=None):
    model = keras.Sequential([keras.Input((3,)), layers.Dense(4),
                              norm or layers.BatchNormalization(), layers.Dense(1)])
    model.set_weights([np.linspace(-1, 1, w.size).reshape(w.shape) if w.ndim == 2 else w
                       for w in model.get_weights()])
    model.compile(keras.optimizers.SGD(0.02, momentum=0.9), "mse", **NO_XLA)
    return model

def copies(weight):
    weight = weight if isinstance(weight, tf.Variable) else weight.value
    return [np.asarray(part) for part in strategy.experimental_local_results(weight)]

def check(model, mean_only=False):
    kernel, bias = [copies(w)[0] for w in model.layers[0].weights]
    h = X.astype("d") @ kernel + bias
    norm = model.layers[1]
    for v in model.weights:
        first, *rest = copies(v)
        assert all(np.array_equal(first, other) for other in rest), v
    np.testing.assert_allclose(copies(norm.moving_mean)[0], h.mean(axis=0), atol=1e-4)
    if not mean_only:
        np.testing.assert_allclose(copies(norm.moving_variance)[0], h.var(axis=0), rtol=1e-4)

def digest(model):
    return hashlib.sha256(b"".join(copies(w)[0].tobytes() for w in model.weights)).hexdigest()

class Notes(keras.callbacks.Callback):
    def on_train_begin(self, logs=None): self.taken = []
    def on_epoch_end(self, epoch, logs=None):
        self.taken.append(copies(self.model.trainable_variables[0])[0])
"""
MIRRORED = """
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
with strategy.scope():
    model = network()
notes, swa = Notes(), SWA(3, "cyclic", 0.005, 0.01, 2, verbose=1, validation_data=(X, Y))
history = model.fit(X, Y, 8, 7, 0, [notes, swa], shuffle=False).history
assert int(swa.average.count.numpy()) == 2 and len(history["swa_val_loss"]) == 4
for v in swa.average.kept:
    first, *rest = copies(v)
    assert rest and all(np.array_equal(first, other) for other in rest)
wanted = np.mean([notes.taken[3], notes.taken[5]], axis=0)
np.testing.assert_allclose(copies(model.trainable_variables[0])[0], wanted, atol=1e-6)
check(model, mean_only=True)
pairs = tf.data.Dataset.from_tensor_slices((X, Y)).batch(8)
for data in (X, pairs, [(part,) for part in np.array_split(X, 5)], pairs.unbatch().batch(3)):
    model.layers[1].moving_mean.assign(np.zeros(4, "f"))
    assert update_batch_norm(model, data, exact=True) == 42
    check(model)
with strategy.scope():
    norm = (layers.BatchNormalization(synchronized=True) if KERAS_3
            else layers.experimental.SyncBatchNormalization())
    model = network(norm)
assert update_batch_norm(model, X, exact=True) == 42
check(model)
print(json.dumps({"digest": digest(model)}))
"""
WORKER = """
strategy = tf.distribute.MultiWorkerMirroredStrategy()
with strategy.scope():
    model = network()
if KERAS_3:  # its fit cannot be run on several workers: a loop of one's own
    weights = [w.value for w in model.trainable_variables]
    with strategy.scope():
        average = EqualAverage(weights)
        for scale in (1.0, 3.0):
            for w in weights:
                w.assign(scale * tf.ones_like(w))
            average.update()
        average.assign()
    assert all((copies(w)[0] == 2.0).all() for w in weights)
    model.set_weights([np.linspace(-1, 1, w.size).reshape(w.shape) if w.ndim == 2 else w
                       for w in model.get_weights()])
else:
    notes, swa = Notes(), SWA(3, "cyclic", 0.005, 0.01, 2, verbose=1)
    model.fit(X, Y, 8, 6, 0, [notes, swa], shuffle=False)
    wanted = np.mean([notes.taken[3], notes.taken[5]], axis=0)
    np.testing.assert_allclose(copies(model.trainable_variables[0])[0], wanted, atol=1e-6)
    assert swa.disagreement < 0.5
    check(model, mean_only=True)
trained = digest(model)
assert update_batch_norm(model, X, exact=True) == 42
check(model)
pairs = tf.data.Dataset.from_tensor_slices((X, Y)).batch(8)
options = tf.data.Options()
options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
assert update_batch_norm(model, pairs.with_options(options), exact=True) == 42
check(model)
print(json.dumps({"digest": digest(model), "trained": trained}), flush=True)
import os
os._exit(0)  # the collective threads of TensorFlow do not always end
"""


def start(program, environment, tmp_path, name, **more):
    (tmp_path / name).write_text(COMMON + program, encoding="utf-8")
    return subprocess.Popen(
        [sys.executable, "-W", "ignore", str(tmp_path / name)],
        env={**environment, "CUDA_VISIBLE_DEVICES": "", **more},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def outcome(process):
    try:
        out, err = process.communicate(timeout=300)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    assert process.returncode == 0, err[-3000:]
    lines = [line for line in out.splitlines() if line]
    return lines[:-1], json.loads(lines[-1])


def test_two_replicas_in_one_process(environment, tmp_path):
    lines, _ = outcome(start(MIRRORED, environment, tmp_path, "mirrored.py"))
    assert lines == [
        "Epoch 00003: starting stochastic weight averaging",
        "Epoch 00007: final weights set to the stochastic weight average",
        "Epoch 00007: batch norm statistics recomputed from 42 samples",
    ]


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for s in sockets:
        s.bind(("localhost", 0))
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def test_two_workers(environment, tmp_path):
    """The same weights on both, bit for bit; only the chief speaks."""
    cluster = {"worker": [f"localhost:{port}" for port in free_ports(2)]}

    def config(i):
        return json.dumps({"cluster": cluster, "task": {"type": "worker", "index": i}})

    workers = [
        start(WORKER, environment, tmp_path, f"worker{i}.py", TF_CONFIG=config(i)) for i in (0, 1)
    ]
    try:
        (chief, first), (other, second) = [outcome(worker) for worker in workers]
    finally:
        for worker in workers:
            worker.kill()
    assert first == second
    assert len(chief) == (0 if KERAS_3 else 3) and other == []
