"""Speed of ShuffleNetV2: steps and inference beside Keras and PyTorch, its data, its memory.

    python benchmarks/shufflenet_v2.py           # ten minutes; writes results/shufflenet_v2.json
    python benchmarks/shufflenet_v2.py --quick   # to see that it runs; writes nothing without --out

224 pixels, batches of 32, reference wiring. Contenders: zoolib's network, its exported form (batch
norm folded, shuffles taken out), the network unfolded, with every batch norm an operation of its
own (zoolib's own inference multiplies it into the kernels in passing, which is half of folding), a
plain Keras build (yardsticks/shufflenet_keras.py) and, where this Python or the one named by
TORCH_PYTHON has torch, the same network there.

All take turns in one run, in changing order, so that what else the machine does meets them alike.
Of each turn the fastest call counts; a ratio is the median over the turns of the ratio within one.
Beside the ratios of wall time stand those of processor time, which a busy machine disturbs less
and which do not see how well work spreads over cores; those of torch are wall time only.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable

from yardsticks.surroundings import ask, commit, machine

HERE = Path(__file__).resolve().parent
YARDSTICKS = HERE / "yardsticks"
BATCH, SIZE, DECAY = 32, 224, 4e-5
# What is divided by what, and the ratio to reach.
RATIOS = {
    "training, zoolib to keras": ("zoolib train", "keras train", 1.3),
    "inference, zoolib to keras": ("zoolib infer", "keras infer", 1.3),
    "inference, export to unfolded": ("export infer", "unfolded infer", 1.5),
    "inference, export to zoolib": ("export infer", "zoolib infer", None),
    "inference, export to keras": ("export infer", "keras infer", None),
    "training, zoolib to torch": ("zoolib train", "torch train", 1.0),
    "inference, export to torch": ("export infer", "torch infer", 1.0),
    "inference, zoolib to torch": ("zoolib infer", "torch infer", None),
}
Call = Callable[[], Any]


def zoolib_calls(width: str) -> tuple[dict[str, Call], Any, Any]:
    """One training step, one inference, one inference of the export; and their images, labels."""
    import tensorflow as tf

    import zoolib
    from zoolib.runtime.device import open_session

    spec = zoolib.get_model("shufflenet_v2")
    config = spec.preset(
        "smoke",
        datasource="synthetic",
        width=width,
        wiring="reference",
        num_classes=1000,
        image_size=SIZE,
        batch_size=BATCH,
        eval_batch_size=BATCH,
        weight_decay=DECAY,
        ema_decay=0.0,
    )
    task = spec.task_class()(config, open_session("cpu"))
    task.build()
    batch = {name: tf.constant(rows[0]) for name, rows in task.batch(range(1)).items()}
    step, images = task.session.compile(task.train_step), batch["images"]
    forward, unfolded = (task.session.compile(lambda x: task.network(x)) for _ in range(2))
    with norms_apart():
        unfolded(images)  # traces
    exported = task.export_module()
    calls = {
        "zoolib train": lambda: step(batch, {}),
        "zoolib infer": lambda: forward(images),
        "unfolded infer": lambda: unfolded(images),
        "export infer": lambda: exported.predict(images),
    }
    return calls, images, batch["labels"]


@contextlib.contextmanager
def norms_apart() -> Iterator[None]:
    """Within, inference is traced as it is written down: convolution, batch norm, ReLU."""
    import tensorflow as tf

    from zoolib.models.shufflenet_v2.units import ConvNorm

    def layer(self: Any, x: Any, training: bool, act: bool = True, rows: Any = None) -> Any:
        y = self.norm(self._convolution(x, self.kernel), training)
        return tf.nn.relu(y) if act else y

    usual, ConvNorm.__call__ = ConvNorm.__call__, layer
    try:
        yield
    finally:
        ConvNorm.__call__ = usual


class Torch:
    """The process that has torch; idle unless asked."""

    def __init__(self, python: str, width: str) -> None:
        command = [python, str(YARDSTICKS / "shufflenet_torch.py"), width, str(BATCH), str(SIZE)]
        pipes = dict(stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.process = subprocess.Popen(command, **pipes)

    def __call__(self, kind: str, calls: int) -> list[float]:
        self.process.stdin.write(f"{kind} {calls}\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait(30)


def torch_python() -> str | None:
    """The interpreter that has torch: TORCH_PYTHON if set, else this one; None without."""
    python = os.environ.get("TORCH_PYTHON") or sys.executable
    probe = subprocess.run([python, "-c", "import torch"], capture_output=True)
    if probe.returncode and "TORCH_PYTHON" in os.environ:
        raise SystemExit(f"TORCH_PYTHON: {python} cannot import torch")
    return None if probe.returncode else python


def seconds(call: Call, calls: int) -> tuple[float, float]:
    """Least wall and processor time of a call."""
    walls, works = [], []
    for _ in range(calls):
        began, worked = time.perf_counter(), time.process_time()
        call()
        walls.append(time.perf_counter() - began)
        works.append(time.process_time() - worked)
    return min(walls), min(works)


def race(width: str, rounds: int, calls: int) -> dict[str, Any]:
    """All contenders in turns."""
    from yardsticks import shufflenet_keras

    contenders, images, labels = zoolib_calls(width)
    train, infer = shufflenet_keras.functions(width, images, labels, DECAY)
    contenders.update({"keras train": train, "keras infer": infer})
    python = torch_python()
    torch = Torch(python, width) if python else None
    names = [*contenders, *(["torch train", "torch infer"] if torch else [])]
    wall: dict[str, list[float]] = {name: [] for name in names}
    work: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(-1, rounds):  # the first round compiles
        times = calls if number >= 0 else 1
        for name in names if number % 2 else names[::-1]:
            if name in contenders:
                spent, worked = seconds(contenders[name], times)
            else:
                spent = min(torch(name.split()[1], times))
            if number >= 0:
                wall[name].append(spent)
                if name in work:
                    work[name].append(worked)
        told = ", ".join(f"{name} {BATCH / s[-1]:.0f}" for name, s in wall.items() if s)
        print(f"width {width}: round {number + 1} of {rounds}, images/s: {told}", flush=True)
    if torch:
        torch.close()
    return {
        "images_per_second": {
            n: {"median": round(BATCH / statistics.median(s), 1), "best": round(BATCH / min(s), 1)}
            for n, s in wall.items()
        },
        "ratios": ratios(wall, work),
    }


def ratios(wall: dict[str, list[float]], work: dict[str, list[float]]) -> dict[str, Any]:
    """Each ratio of rates over the rounds; above 1 the first is the faster one."""
    found = {}
    for title, (first, second, target) in RATIOS.items():
        if second not in wall:
            continue
        told = {"target": target, "wall": spread(wall[second], wall[first])}
        if second in work:
            told["processor"] = spread(work[second], work[first])
        found[title] = told
    return found


def spread(above: list[float], below: list[float]) -> dict[str, Any]:
    """Median and range of paired quotients."""
    each = [round(a / b, 2) for a, b in zip(above, below)]
    middle = round(statistics.median(each), 2)
    return {"median": middle, "low": min(each), "high": max(each), "rounds": each}


def data(part: str, rounds: int, count: int) -> dict[str, Any]:
    """A part of yardsticks/shufflenet_data.py."""
    print(part, flush=True)
    script = [sys.executable, str(YARDSTICKS / "shufflenet_data.py"), part]
    return ask([*script, "--rounds", str(rounds), "--images", str(count)])


def measure(widths: list[str], rounds: int, calls: int, count: int) -> dict[str, Any]:
    document: dict[str, Any] = {"commit": commit(), "machine": machine()}
    document["protocol"] = (
        f"{rounds} rounds of {calls} calls in turns, fastest call of a turn, medians over rounds"
    )
    document["pipeline"] = data("pipeline", min(rounds, 7), count)
    # Enough images for the processes' start not to count.
    document["build"] = data("build", min(rounds, 5), 16 * count)
    document["memory"] = data("memory", min(rounds, 5), count)
    document["widths"] = {width: race(width, rounds, calls) for width in widths}
    found = document["pipeline"]
    document["pipeline"]["ratio"] = {"target": 0.8, **spread(found["batches"], found["bare"])}
    found = document["build"]
    document["build"]["ratio"] = {"target": 1.8, **spread(found["two"], found["one"])}
    document["machine"]["load_at_end"] = [round(load, 2) for load in os.getloadavg()]
    return document


def table(document: dict[str, Any]) -> str:
    """The document for people."""
    lines = []
    for width, found in document["widths"].items():
        lines += ["", f"width {width:26} images/s: median      best"]
        for name, rate in found["images_per_second"].items():
            lines.append(f"  {name:38}{rate['median']:9.1f} {rate['best']:9.1f}")
        for title, ratio in found["ratios"].items():
            lines.append(line(title, ratio["wall"], ratio["target"]))
            if "processor" in ratio:
                lines.append(line("  the same in processor time", ratio["processor"], None))
    lines.append("")
    lines.append(line("batches to bare decoding", document["pipeline"]["ratio"], 0.8))
    lines.append(line("two processes to one, records", document["build"]["ratio"], 1.8))
    marks = document["memory"]["epochs_mib"]
    lines.append(f"  memory at the ends of epochs, MiB: {', '.join(map(str, marks))}")
    load = document["machine"]["load_at_start"]
    lines.append(f"  cores {document['machine']['cores']}, load at start {load}")
    return "\n".join(lines)


def line(title: str, ratio: dict[str, Any], target: float | None) -> str:
    wanted = "" if target is None else f"  target {target}"
    return (
        f"  {title:38}{ratio['median']:9.2f} times ({ratio['low']:.2f} to {ratio['high']:.2f})"
        f"{wanted}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="a short version, to see that it runs")
    parser.add_argument("--widths", nargs="*", default=["1.0", "0.5"])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--out", type=Path, help="JSON file to write")
    given = parser.parse_args()
    out = given.out or (None if given.quick else HERE / "results" / "shufflenet_v2.json")
    sizes = (["0.5"], 1, 1, 128) if given.quick else (given.widths, given.rounds, 3, 480)
    document = measure(*sizes)
    print(f"\n{table(document)}")
    if out:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps({"quick": given.quick, **document}, indent=1) + "\n")


if __name__ == "__main__":
    main()
