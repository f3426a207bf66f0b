"""ShuffleNetV2 by width: accuracy on shapes after a short training, size, throughput.

    python benchmarks/shufflenet_v2_widths.py    # three widths, 4 minutes on two idle cores

The tutorial preset with 16 classes and the settings below.

Writes zoolib/models/shufflenet_v2/results/widths.json, which the notebook shows. Throughput is
that of inference at the tutorial's 64 pixels in batches of 32: the network, and its folded form;
the median over rounds in which every width takes its turn.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

import zoolib
from zoolib.models.shufflenet_v2.counts import count
from zoolib.models.shufflenet_v2.folding import FoldedNet

RESULTS = Path(zoolib.__file__).parent / "models" / "shufflenet_v2" / "results"
BATCH, ROUNDS = 32, 15
SETTINGS = {
    "num_classes": 16,
    "iterations": 400,
    "eval_every": 400,
    "checkpoint_every": 250,
}


def train(width: str, seed: int, out: str) -> tuple[dict[str, Any], Any]:
    """One run at a width: its row, and the trained task."""
    spec = zoolib.get_model("shufflenet_v2")
    config = spec.preset("tutorial", width=width, seed=seed, **SETTINGS)
    result = zoolib.train(config, "cpu", out=out, progress=False)
    sizes = count(config.architecture)
    row = {
        "width": width,
        "seed": seed,
        "top1": round(100 * result.metrics["top1"], 2),
        "parameters": sizes.trainable,
        "multiply_adds": sizes.multiply_adds,
    }
    return row, result.task


def throughput(tasks: dict[str, Any]) -> dict[str, dict[str, float]]:
    """Images per second of every width, as trained and folded."""
    images = tf.constant(np.random.default_rng(0).random((BATCH, 64, 64, 3), np.float32))
    calls = {}
    for width, task in tasks.items():
        calls[width, "network"] = tf.function(task.network)
        calls[width, "folded"] = tf.function(FoldedNet(task.network))
    for call in calls.values():
        call(images)
    seconds: dict = {key: [] for key in calls}
    for _ in range(ROUNDS):
        for key, call in calls.items():
            begin = time.perf_counter()
            call(images).numpy()
            seconds[key].append(time.perf_counter() - begin)
    found: dict[str, dict[str, float]] = {width: {} for width in tasks}
    for (width, form), times in seconds.items():
        found[width][form] = round(BATCH / float(np.median(times)))
    return found


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--widths", default="0.25,0.5,1.0")
    parser.add_argument("--seeds", type=int, default=1)
    arguments = parser.parse_args()
    rows, tasks = [], {}
    with tempfile.TemporaryDirectory() as out:
        for width in arguments.widths.split(","):
            for seed in range(arguments.seeds):
                row, tasks[width] = train(width, seed, out)
                rows.append(row)
                print(row, flush=True)
        speeds = throughput(tasks)
    print(speeds)
    document = {
        "command": "python benchmarks/shufflenet_v2_widths.py",
        "machine": f"{os.cpu_count()} cores, Python {platform.python_version()}, "
        f"TensorFlow {tf.__version__}",
        "settings": SETTINGS,
        "batch": BATCH,
        "runs": rows,
        "images_per_second": speeds,
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "widths.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
