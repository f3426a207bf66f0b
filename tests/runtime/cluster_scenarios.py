"""Ranks on this machine's CPU, forked from one process that has TensorFlow imported already.

Usage: ``cluster_scenarios.py FOLDER ORDERS``, ORDERS being JSON: for each process a name, the
functions to run and its TF_CONFIG. Each process writes FOLDER/NAME.json: what came of each function
here, an error as text. TensorFlow starts no threads before its first operation, so forking is safe.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
from pathlib import Path

import numpy as np
import tensorflow as tf
from npu_scenarios import SMALL

import zoolib
import zoolib.models.mtnet.task
from zoolib.core.events import Saved, Started
from zoolib.core.follower import Follower
from zoolib.core.store import RunFolder
from zoolib.runtime.device import current, open_session

# Little to trace: three processes share the machine.
LITTLE = {**SMALL, "variant": "maml", "num_updates": 1, "test_updates": 1, "eval_every": 0}
CONFIG = zoolib.get_model("mtnet").preset("smoke", **LITTLE)
OUT = Path(sys.argv[1])
_saved: list = []


def _noted(cls):
    save = cls.__dict__["save"]

    def noted(self, checkpoint):
        weights = hashlib.sha256()
        for name in sorted(checkpoint.arrays):
            weights.update(name.encode() + checkpoint.arrays[name].tobytes())
        _saved.append([checkpoint.step, weights.hexdigest()])
        return save(self, checkpoint)

    cls.save = noted


def opens():
    session = open_session("cpu", small_dense=True)
    again = open_session("cpu")
    return [session.rank, session.size, session.device.name, again.size]


def reduces():
    session = current()
    rank = session.rank

    def step(x, n):
        half = tf.cast(x, tf.float16)
        return session.all_reduce([x, 2.0 * x, half]) + session.all_reduce([x, n], "sum")

    def loop(x):
        body = lambda i, total: (i + 1, total + session.all_reduce([x + float(rank)])[0])  # noqa: E731
        start = (tf.constant(0), tf.zeros([]))
        return tf.while_loop(lambda i, _: i < 5, body, start, parallel_iterations=1)[1]

    compiled, looped = session.compile(step), session.compile(loop)
    rows = [compiled(tf.fill([2], float(rank + i)), tf.constant(rank)) for i in range(3)]
    eager = session.all_reduce([tf.constant([1.0 + rank])], "sum")[0]
    return {
        "rows": [[value.numpy().tolist() for value in row] for row in rows],
        "traces": compiled.experimental_get_tracing_count(),
        "loop": float(looped(tf.constant(1.0))),
        "eager": eager.numpy().tolist(),
        "none": session.all_reduce([]),
    }


def differentiates():
    """First and second derivative of the square of a sum of w^2 over ranks, w = rank + 1."""
    session = current()
    weight = tf.Variable(float(session.rank + 1))

    def step():
        with tf.GradientTape() as outer:
            with tf.GradientTape() as tape:
                total = tf.square(session.all_reduce([tf.square(weight)], "sum")[0])
            gradient = tape.gradient(total, weight)
        return gradient, outer.gradient(gradient, weight)

    return [float(value) for value in session.compile(step)()]


def rounds_alike():
    """The bits of a mean of numbers that round, four times."""
    session = current()
    values = np.random.default_rng(session.rank).normal(size=1001).astype(np.float32)
    call = session.compile(lambda x: session.all_reduce([x])[0])
    return [hashlib.sha256(call(tf.constant(values)).numpy()).hexdigest() for _ in range(4)]


def refuses_the_maximum():
    current().all_reduce([tf.constant(1.0)], "max")


def refuses_a_mean_of_numbers_that_count():
    current().all_reduce([tf.constant(1)])


def refuses_truth_values():
    current().all_reduce([tf.constant(True)], "sum")


def broadcasts():
    session = current()
    odd = np.array([-0.0, np.nan, np.inf, 1e-42], np.float32)
    values = [odd, np.array(7, np.int64), np.array([True, False]), np.array([[0.1]], np.float16)]
    values += [np.zeros([0], np.float32), np.array(2**40 + 1, np.uint64)]
    variables = [tf.Variable(v if session.rank == 0 else np.ones_like(v)) for v in values]
    session.broadcast(variables)
    same = [variable.numpy().tobytes() == v.tobytes() for variable, v in zip(variables, values)]
    return [same, session.tell(f"from rank {session.rank}, ä")]


def exports():
    """A compiled function with a signature is one that can be saved and loaded."""
    module = tf.Module()
    module.double = current().compile(lambda x: 2.0 * x, [tf.TensorSpec([], tf.float32)])
    path = str(OUT / f"saved{current().rank}")
    tf.saved_model.save(module, path)
    return float(tf.saved_model.load(path).double(tf.constant(3.0)))


def an_overflow_is_everyones():
    session = current()
    call = session.compile(lambda x: session.overflowed([x]))
    large = float("inf") if session.rank else 1.0
    return [bool(call(tf.constant(value)).numpy()) for value in (large, 1.0)]


def picks_loops():
    session = current()
    return [session.loop(lambda batch, draws: {}, (), dense, 100).kind for dense in (True, False)]


def tasks_that_do_not_divide():
    zoolib.train(CONFIG.replace(meta_batch_size=3), "cpu", out=OUT / "odd")


def trains():
    _saved.clear()
    out = OUT / f"runs{current().size if current() else 1}"
    result = zoolib.train(CONFIG, "cpu", out=out, progress=False)
    return {
        "folder": str(result.folder),
        "metrics": result.metrics,
        "history": result.history,
        "weights": list(_saved),
    }


def stops_and_resumes():
    _saved.clear()
    events = zoolib.run(CONFIG, "cpu", out=OUT / "cut")
    for event in events:
        if isinstance(event, Started):
            folder = event.folder
        if isinstance(event, Saved):
            break
    events.close()
    again = zoolib.train(resume=folder, device="cpu", progress=False)
    return {"history": again.history, "metrics": again.metrics, "weights": list(_saved)}


def other_peers_are_refused():
    told = os.environ["TF_CONFIG"]
    os.environ["TF_CONFIG"] = told.replace("127.0.0.1", "localhost")
    try:
        open_session("cpu")
    finally:
        os.environ["TF_CONFIG"] = told


def loses_rank_0():
    """Rank 0 is killed at its hundredth step; the others are told."""
    session = current()
    loop = session.loop(lambda batch, draws: {"x": batch["x"]}, ("x",), False, 1)
    begin = time.monotonic()
    try:
        for step in range(100_000):
            if step == 100 and session.rank == 0:
                os.kill(os.getpid(), 9)
            loop({"x": np.ones(1, "f4")}, {}, 1)
    except zoolib.DeviceError as error:
        return [str(error), time.monotonic() - begin]


def waits_in_vain():
    zoolib.train(CONFIG, "cpu", out=OUT / "vain", progress=False)


def waits_for_tensorflow_in_vain():
    waits_in_vain()


def opens_after_computing():
    tf.constant(1.0) + 1.0
    open_session("cpu")


def _run(order):
    os.environ.pop("TF_CONFIG", None)
    os.environ.update(order["environment"])
    for cls in (RunFolder, Follower):
        _noted(cls)
    result = {}
    for name in order["functions"]:
        try:
            result[name] = globals()[name]()
        except Exception as error:
            result[name] = f"{type(error).__name__}: {error}"
        (OUT / f"{order['name']}.json").write_text(json.dumps(result))  # a process may be killed


if __name__ == "__main__":
    started = []
    for order in json.loads(sys.argv[2]):
        started.append(os.fork())
        if not started[-1]:
            _run(order)
            sys.exit(0)  # the usual way out: TensorFlow's servers must not hold it up
    for pid in started:
        os.waitpid(pid, 0)
