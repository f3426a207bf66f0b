"""What the Keras callback costs, side by side in one run, and the seed's demonstration.

    python benchmarks/swa.py                       # about 5 minutes on two idle cores

Prints ratios and writes benchmarks/results/swa.json:

* epochs under the callback against epochs without it, alternating in one fit;
* memory of the average against that of the averaged weights;
* the batch-norm pass against a forward pass in training mode over the same data;
* the seed document's demonstration: inference accuracy, training-mode accuracy, moving mean.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np

import zoolib
from zoolib.data.blobs import blobs
from zoolib.runtime.quiet import import_tensorflow

import_tensorflow()
import tensorflow as tf  # noqa: E402

HERE = Path(__file__).parent
BATCH = 128
UNCOUNTED = 4  # epochs before the timing
SMALL, LARGE = (16, (16, 32)), (32, (32, 64, 128))  # image size and filters; 8 and 40 ms a step


class Alternating(tf.keras.callbacks.Callback):
    """Hands a callback every other pair of epochs and times all of them.

    So the same model, data and compiled step serve both sides, and what else the machine does
    meets neighbouring epochs alike. Epochs run without, with, with, without, ...
    """

    def __init__(self, inner: Any) -> None:
        super().__init__()
        self.inner, self.async_safe = inner, getattr(inner, "async_safe", False)
        self.seconds: dict[bool, list[float]] = {False: [], True: []}
        self.preparing: list[float] = []

    def set_model(self, model: Any) -> None:
        super().set_model(model)
        self.inner.set_model(model)

    def set_params(self, params: Any) -> None:
        super().set_params(params)
        self.inner.set_params(params)

    def on_train_begin(self, logs: Any = None) -> None:
        self.inner.on_train_begin(logs)

    def on_train_end(self, logs: Any = None) -> None:
        self.inner.on_train_end(logs)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.active = epoch < UNCOUNTED or epoch % 4 in (1, 2)
        begin = time.perf_counter()
        if self.active:  # what it prepares once an epoch is told apart: these epochs are short
            self.inner.on_epoch_begin(epoch, logs)
            self.preparing.append(time.perf_counter() - begin)
        self.begin = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if epoch >= UNCOUNTED:
            self.seconds[self.active].append(time.perf_counter() - self.begin)
        if self.active:  # the snapshot of a cycle's end is no part of a step
            self.inner.on_epoch_end(epoch, logs)

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        if self.active:
            self.inner.on_train_batch_begin(batch, logs)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if self.active:
            self.inner.on_train_batch_end(batch, logs)


def network(size: int = 16, widths: tuple[int, ...] = (16, 32)) -> Any:
    """A convolutional network with batch norm; the small one takes some milliseconds a step."""
    layers = tf.keras.layers
    model = tf.keras.Sequential([tf.keras.Input((size, size, 3))])
    for filters in widths:
        model.add(layers.Conv2D(filters, 3, strides=2, padding="same", use_bias=False))
        model.add(layers.BatchNormalization())
        model.add(layers.ReLU())
    model.add(layers.GlobalAveragePooling2D())
    model.add(layers.Dense(10))
    loss = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(tf.keras.optimizers.SGD(0.05, momentum=0.9), loss)
    return model


def images(size: int = 16, steps: int = 100) -> tuple[np.ndarray, np.ndarray]:
    """Random images and labels: only time matters here."""
    source = np.random.default_rng(0)
    x = source.normal(size=(BATCH * steps, size, size, 3)).astype(np.float32)
    return x, source.integers(0, 10, len(x)).astype(np.int32)


def step_cost(size: int, widths: tuple[int, ...], steps: int, pairs: int) -> dict[str, Any]:
    """Ratio of the time of an epoch with the callback to that of its neighbour without."""
    swa = zoolib.SWA(2, "cyclic", swa_lr=0.01, swa_lr2=0.03, swa_freq=2)
    timed = Alternating(swa)
    options = dict(batch_size=BATCH, shuffle=False, verbose=0, callbacks=[timed])
    network(size, widths).fit(*images(size, steps), epochs=UNCOUNTED + 2 * pairs, **options)
    ratios = [a / b for a, b in zip(timed.seconds[True], timed.seconds[False])]
    low, middle, high = statistics.quantiles(ratios, n=4)
    return {
        "pairs": len(ratios),
        "steps_per_epoch": steps,
        "median": middle,
        "quartiles": [low, high],
        "standard_error": 0.93 * (high - low) / len(ratios) ** 0.5,  # of a median, if normal
        "seconds_per_step": statistics.median(timed.seconds[False]) / steps,
        "seconds_once_an_epoch": statistics.median(timed.preparing),
    }


def memory() -> dict[str, float]:
    """Bytes of the average and of the weights averaged."""
    model, (x, y) = network(), images()
    swa = zoolib.SWA(2)
    model.fit(x[:512], y[:512], epochs=3, verbose=0, callbacks=[swa])
    weights = sum(np.asarray(w).nbytes for w in model.trainable_variables)
    kept = sum(v.numpy().nbytes for v in swa.average.kept)
    return {"weights": weights, "average": kept, "copies": kept / weights}


def pass_cost(rounds: int) -> dict[str, Any]:
    """Ratio of `update_batch_norm`, its own compilation included, to a forward pass, per round."""
    model, (x, _) = network(*LARGE), images(32, 400)
    data = tf.data.Dataset.from_tensor_slices(x).batch(BATCH).prefetch(2)
    forward = tf.function(lambda batch: tf.reduce_sum(model(batch, training=True)))

    def plain() -> None:
        for batch in data:
            forward(batch)

    def refresh() -> None:
        zoolib.update_batch_norm(model, data)

    for work in (plain, refresh):
        work()
    walls, works = [], []
    for number in range(rounds):
        spent = {}
        for work in (plain, refresh) if number % 2 else (refresh, plain):
            begin = time.perf_counter(), time.process_time()
            work()
            spent[work] = time.perf_counter() - begin[0], time.process_time() - begin[1]
        wall, processor = (a / b for a, b in zip(spent[refresh], spent[plain]))
        walls.append(wall)
        works.append(processor)
    return {
        "median": statistics.median(walls),
        "ratios": walls,
        "processor_median": statistics.median(works),  # which other work on the machine moves less
        "processor_ratios": works,
    }


def demonstration() -> dict[str, float]:
    """The seed document's run with the callback, as a user of keras-swa would write it."""
    x, y = blobs(131072)
    layers = tf.keras.layers
    model = tf.keras.Sequential([tf.keras.Input((2,)), layers.Dense(50, activation="relu")])
    model.add(layers.BatchNormalization())
    model.add(layers.Dense(3, activation="softmax"))
    model.compile(
        tf.keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    swa = zoolib.SWA(start_epoch=75, lr_schedule="cyclic", swa_lr=0.001, swa_lr2=0.003, swa_freq=3)
    fit = model.fit(x, y, batch_size=16384, epochs=100, verbose=0, callbacks=[swa])
    inference = model.evaluate(x, y, batch_size=16384, verbose=0)[1]
    moving = np.asarray(model.layers[1].moving_mean)
    mean = np.asarray(model.layers[0](x)).mean(0)
    in_training = np.mean(model(x, training=True).numpy().argmax(1) == y)
    return {
        "inference_accuracy": float(inference),
        "training_mode_accuracy": float(in_training),
        "moving_mean_error": float(np.abs(moving - mean).max()),
        "fit_accuracy": float(fit.history["accuracy"][-1]),
        "snapshots": int(swa.average.count.numpy()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    found = demonstration()
    document = {
        "command": "python benchmarks/swa.py",
        "machine": f"{os.cpu_count()} cores, Python {platform.python_version()}, "
        f"TensorFlow {tf.__version__}",
        "step": {
            "small": step_cost(*SMALL, steps=20, pairs=60 * rounds),
            "large": step_cost(*LARGE, steps=4, pairs=50 * rounds),
        },
        "memory": memory(),
        "pass": pass_cost(rounds),
        "demonstration": found,
    }
    (HERE / "results").mkdir(exist_ok=True)
    text = json.dumps(document, indent=1)
    (HERE / "results" / "swa.json").write_text(text + "\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
