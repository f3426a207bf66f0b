"""Names on AttrShapes: what they add to ProtoNet++, and the tables in the model card.

    python benchmarks/am3_quality.py               # 3 seeds, about 10 minutes on two cores

Each seed trains the preset `tutorial` three ways (no names, true names, shuffled names) at one
shot; all are tested on the same stored tasks, also with more shots. With --five two of them are
trained at five shots, too, with --tadam the two TADAM variants. Writes what it measured to
zoolib/models/am3/results/attrshapes.json, which card and notebook show.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import zoolib
from zoolib.core.statistics import estimate

RESULTS = Path(zoolib.__file__).parent / "models" / "am3" / "results"
FIVE = {"shots": 5, "tasks": 2}
RUNS: dict[str, dict[str, Any]] = {
    "ProtoNet++": {"variant": "protonet++"},
    "AM3-ProtoNet++": {"variant": "am3-protonet++"},
    "AM3-ProtoNet++, shuffled": {"variant": "am3-protonet++", "class_names": "shuffled"},
}
TRAINED_AT_FIVE: dict[str, dict[str, Any]] = {
    "ProtoNet++, 5 shots": {"variant": "protonet++", **FIVE},
    "AM3-ProtoNet++, 5 shots": {"variant": "am3-protonet++", **FIVE},
}
TADAM: dict[str, dict[str, Any]] = {
    "TADAM": {"variant": "tadam", "aux": True},
    "AM3-TADAM": {"variant": "am3-tadam", "aux": True},
}
SHOTS = (1, 2, 3, 5, 10)


def measure(name: str, changes: dict[str, Any], seed: int, out: str) -> dict[str, Any]:
    """One run: percent of right queries, lambda, and the curve over the shots at test time."""
    from zoolib.models.am3 import shots_curve

    config = zoolib.get_model("am3").preset("tutorial", seed=seed, **changes)
    begin = time.process_time()
    result = zoolib.train(config, "cpu", out=out, progress=False)
    found = result.metrics
    row: dict[str, Any] = {"run": name, "seed": seed}
    row["accuracy"], row["ci95"] = (
        percent(found[n]) for n in ("test_accuracy", "test_accuracy_ci95")
    )
    row["lambda"] = round(found["test_lambda"], 3)
    if "test_accuracy_ten_off" in found:
        row["ten_off"] = percent(found["test_accuracy_ten_off"])
    row["best_step"] = result.summary["best_step"]
    row["training_seconds"] = round(result.summary["seconds"], 1)
    row["processor_seconds"] = round(time.process_time() - begin, 1)
    if "5 shots" not in name:
        curve = shots_curve(result.task, SHOTS, episodes=200)
        row["shots"] = [
            {
                "shots": r["shots"],
                "accuracy": percent(r["accuracy"]),
                "ci95": percent(r["ci95"]),
                "lambda": round(r["lambda_mean"], 3),
            }
            for r in curve
        ]
    return row


def percent(share: float) -> float:
    """A share as a percentage with two decimals."""
    return round(100 * share, 2)


def differences(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Paired differences over seeds, in points, with 95 % intervals of Student's t."""
    pairs = (
        ("AM3-ProtoNet++", "ProtoNet++"),
        ("AM3-ProtoNet++, shuffled", "ProtoNet++"),
        ("AM3-ProtoNet++, 5 shots", "ProtoNet++, 5 shots"),
        ("AM3-TADAM", "TADAM"),
    )
    found = []
    for one, other in pairs:
        by_seed = [{r["seed"]: r for r in rows if r["run"] == name} for name in (one, other)]
        seeds = sorted(by_seed[0].keys() & by_seed[1].keys())
        gaps = [by_seed[0][s]["accuracy"] - by_seed[1][s]["accuracy"] for s in seeds]
        if gaps:
            gain = estimate(gaps)
            told = {"run": one, "against": other, "gain": round(gain.mean, 2)}
            ci95 = round(gain.half, 2) if len(gaps) > 1 else None
            told.update(ci95=ci95, each=[round(g, 2) for g in gaps])
            found.append(told)
    return found


def gaps_by_shots(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What true names add at each number of shots at test time, in points; trained at one."""
    found = []
    for place, shots in enumerate(SHOTS):
        curves = [
            {r["seed"]: r["shots"][place]["accuracy"] for r in rows if r["run"] == name}
            for name in ("AM3-ProtoNet++", "ProtoNet++")
        ]
        seeds = sorted(curves[0].keys() & curves[1].keys())
        if seeds:
            gain = estimate([curves[0][s] - curves[1][s] for s in seeds])
            ci95 = round(gain.half, 2) if len(seeds) > 1 else None
            found.append({"shots": shots, "gain": round(gain.mean, 2), "ci95": ci95})
    return found


def means(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Mean and standard deviation over seeds of every kind of run."""
    found = []
    for name in dict.fromkeys(row["run"] for row in rows):
        these = [row for row in rows if row["run"] == name]
        accuracy = estimate([row["accuracy"] for row in these])
        share = estimate([row["lambda"] for row in these])
        told = {"run": name, "seeds": len(these), "accuracy": round(accuracy.mean, 2)}
        if len(these) > 1:
            told.update(sd=round(accuracy.spread, 2), ci95=round(accuracy.half, 2))
        found.append({**told, "lambda": round(share.mean, 3)})
    return found


def write(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Store what there is so far."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True
    ).stdout.strip()
    document = {
        "command": "python benchmarks/am3_quality.py",
        "commit": commit,
        "machine": f"{os.cpu_count()} cores, Python {platform.python_version()}",
        "means": means(rows),
        "differences": differences(rows),
        "gaps_by_shots": gaps_by_shots(rows),
        "runs": rows,
    }
    RESULTS.mkdir(exist_ok=True)
    text = json.dumps(document, indent=1)
    (RESULTS / "attrshapes.json").write_text(text + "\n", encoding="utf-8")
    return document


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--resume", action="store_true", help="keep what is stored")
    parser.add_argument("--five", action="store_true", help="training at five shots, too")
    parser.add_argument("--tadam", action="store_true", help="the TADAM variants, too")
    options = parser.parse_args()
    runs = {**RUNS, **(TRAINED_AT_FIVE if options.five else {})}
    runs.update(TADAM if options.tadam else {})
    stored = RESULTS / "attrshapes.json"
    rows = json.loads(stored.read_text())["runs"] if options.resume else []
    done = {(row["run"], row["seed"]) for row in rows}
    with tempfile.TemporaryDirectory() as out:
        for seed in range(options.seeds):
            for name, changes in runs.items():
                if (name, seed) in done:
                    continue
                rows.append(measure(name, changes, seed, out))
                print(rows[-1], flush=True)
                write(rows)
    document = write(rows)
    for row in [*document["means"], *document["differences"], *document["gaps_by_shots"]]:
        print(row)


if __name__ == "__main__":
    main()
