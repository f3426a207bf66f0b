"""All four learners from one to ten shots, and lambda against the shots trained with.

    python benchmarks/am3_shots.py                 # 3 seeds, about 25 minutes on two idle cores

Adds to what benchmarks/am3_quality.py measures (run that first): TADAM and AM3-TADAM, trained at
one shot with the auxiliary task, the recipe's scale 5 and its dropout 0.7 in g (with the preset's
0.85 AM3-TADAM is no better than TADAM after so few steps), tested at 1 to 10 shots with task
conditioning and without; and AM3-ProtoNet++ trained at 5 and 10 shots with true and with shuffled
names. All have the preset `tutorial` and are tested on the same stored tasks. Writes
zoolib/models/am3/results/shots.json after every run, which the notebook shows; a second call goes
on where the first was stopped, but measures anew what the preset has changed for.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

import zoolib

RESULTS = Path(zoolib.__file__).parent / "models" / "am3" / "results"
TADAM = {"aux": True, "scale": 5.0, "g_dropout": 0.7}
FIVE, TEN = {"shots": 5, "tasks": 2}, {"shots": 10, "tasks": 1}
SHUFFLED = {"class_names": "shuffled"}
RUNS: dict[str, dict[str, Any]] = {
    "TADAM": {"variant": "tadam", **TADAM},
    "AM3-TADAM": {"variant": "am3-tadam", **TADAM},
    "AM3-ProtoNet++, 5 shots": FIVE,
    "AM3-ProtoNet++, shuffled, 5 shots": {**FIVE, **SHUFFLED},
    "AM3-ProtoNet++, 10 shots": TEN,
    "AM3-ProtoNet++, shuffled, 10 shots": {**TEN, **SHUFFLED},
}
SHOTS = (1, 2, 3, 5, 10)
# Settings without effect where no names are read.
WORDS = ("g_dropout", "h_dropout", "g_weight_decay", "h_weight_decay", "mlp_type", "att_type")


def measure(name: str, seed: int, out: str) -> dict[str, Any]:
    """One run: percent of right queries, lambda, and for TADAM the curves and the factors."""
    config = zoolib.get_model("am3").preset("tutorial", seed=seed, **RUNS[name])
    result = zoolib.train(config, "cpu", out=out, progress=False)
    found = result.metrics
    row: dict[str, Any] = {"run": name, "seed": seed}
    for told, metric in (("accuracy", "test_accuracy"), ("ci95", "test_accuracy_ci95")):
        row[told] = percent(found[metric])
    row["lambda"] = round(found["test_lambda"], 3)
    row["best_step"] = result.summary["best_step"]
    row["training_seconds"] = round(result.summary["seconds"], 1)
    if config.conditioned:
        row["ten_off"] = percent(found["test_accuracy_ten_off"])
        row["shots"] = curve(result.task, True)
        row["shots_ten_off"] = curve(result.task, False)
        factors = np.array([v.numpy() for v in result.task.network.ten.factors], float)
        beta, gamma = np.split(factors, 2)
        row["ten_beta"], row["ten_gamma"] = (np.round(f, 4).tolist() for f in (beta, gamma))
    return row


def curve(task: Any, conditioned: bool) -> list[dict[str, Any]]:
    """Accuracy and lambda at each number of shots, on 200 stored tasks as in am3_quality."""
    from zoolib.models.am3 import shots_curve

    points = shots_curve(task, SHOTS, episodes=200, conditioned=conditioned)
    return [
        {
            "shots": p["shots"],
            "accuracy": percent(p["accuracy"]),
            "ci95": percent(p["ci95"]),
            "lambda": round(p["lambda_mean"], 3),
        }
        for p in points
    ]


def percent(share: float) -> float:
    """A share as a percentage with two decimals."""
    return round(100 * share, 2)


def settings(name: str) -> dict[str, Any]:
    """What a kind of run is made with, the seed and what has no effect left out."""
    config = zoolib.get_model("am3").preset("tutorial", **RUNS[name])
    found = config.to_dict()
    without = ("seed",) if config.semantic else ("seed", *WORDS)
    return {key: value for key, value in found.items() if key not in without}


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    """Store what there is so far."""
    git = ["git", "rev-parse", "--short", "HEAD"]
    document = {
        "command": "python benchmarks/am3_shots.py",
        "commit": subprocess.run(git, capture_output=True, text=True).stdout.strip(),
        "machine": f"{os.cpu_count()} cores, Python {platform.python_version()}",
        "settings": {name: settings(name) for name in dict.fromkeys(r["run"] for r in rows)},
        "runs": rows,
    }
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def stored(path: Path) -> list[dict[str, Any]]:
    """Runs measured before, with the settings they would have now."""
    found = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"runs": []}
    known = found.get("settings", {})
    return [
        r for r in found["runs"] if r["run"] in RUNS and known.get(r["run"]) == settings(r["run"])
    ]


def main() -> None:
    """Measure what is missing, and write."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--runs", nargs="+", default=list(RUNS), choices=list(RUNS), metavar="RUN")
    parser.add_argument("--fresh", action="store_true", help="forget what was measured before")
    options = parser.parse_args()
    path = RESULTS / "shots.json"
    rows = [] if options.fresh else stored(path)
    with tempfile.TemporaryDirectory() as out:
        for seed in range(options.seeds):
            for name in options.runs:
                if (name, seed) not in {(row["run"], row["seed"]) for row in rows}:
                    rows.append(measure(name, seed, out))
                    print(
                        {k: v for k, v in rows[-1].items() if not isinstance(v, list)}, flush=True
                    )
                    write(path, rows)


if __name__ == "__main__":
    main()
