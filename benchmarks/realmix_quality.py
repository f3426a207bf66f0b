"""RealMix on digits beside supervised learning and MixMatch, and the table in the model card.

    python benchmarks/realmix_quality.py               # 3 seeds, about 8 minutes on two idle cores
    python benchmarks/realmix_quality.py --parts       # then variants of RealMix, added to those

Thirty labels; a seed is a split, an initialisation and an order of images, the same for all
methods. All have the same number of steps; RealMix's cost more, so the seconds of processor time
stand beside the accuracies. Writes what it measured to zoolib/models/realmix/results/digits.json,
which card and notebook show.
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

RESULTS = Path(zoolib.__file__).parent / "models" / "realmix" / "results"
METHODS: dict[str, tuple[str, dict[str, Any]]] = {
    "supervised": ("supervised", {}),
    "supervised_mixup": ("supervised_mixup", {}),
    "mixmatch": ("mixmatch", {}),
    "realmix": ("tutorial", {}),
}
PARTS: dict[str, tuple[str, dict[str, Any]]] = {
    "realmix, tsa as published": ("tutorial", {"tsa_rule": "compat"}),
    "realmix, mask 0.25": ("tutorial", {"mask_fraction": 0.25}),
    "realmix, cutout": ("tutorial", {"augment": "digits+cutout"}),
}
COLUMNS = ("raw_test", "ema_test", "tuned_raw_test", "tuned_ema_test", "recal_ema_test")


def measure(out: str, seeds: int, methods: dict) -> list[dict[str, Any]]:
    """Test accuracies in percent and processor seconds of every run, one row each."""
    spec, rows = zoolib.get_model("realmix"), []
    for seed in range(seeds):
        for name, (preset, changes) in methods.items():
            config = spec.preset(preset, seed=seed, eval_every=0, **changes)
            begin, wall = time.process_time(), time.perf_counter()
            found = zoolib.train(config, "cpu", out=out, progress=False)
            row = {"method": name, "seed": seed}
            row.update({k: round(100 * found.metrics[k], 2) for k in COLUMNS})
            row["cpu_seconds"] = round(time.process_time() - begin, 1)
            row["seconds"] = round(time.perf_counter() - wall, 1)
            rows.append(row)
            print(row, flush=True)
    return rows


def summary(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Mean and standard deviation of each method's columns over seeds."""
    found = []
    for name in dict.fromkeys(row["method"] for row in rows):
        these = [row for row in rows if row["method"] == name]
        line: dict[str, Any] = {"method": name, "seeds": len(these)}
        for column in (*COLUMNS, "cpu_seconds"):
            values = estimate([row[column] for row in these])
            line[column] = round(values.mean, 2)
            line[f"{column} ±"] = round(values.spread, 2)
        found.append(line)
    return found


def gains(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """RealMix's averaged weights against the better of another's raw and averaged, paired."""
    best = {(r["method"], r["seed"]): max(r["raw_test"], r["ema_test"]) for r in rows}
    mine = {r["seed"]: r["ema_test"] for r in rows if r["method"] == "realmix"}
    found = []
    for name in ("supervised", "supervised_mixup", "mixmatch"):
        gaps = [value - best[name, seed] for seed, value in mine.items() if (name, seed) in best]
        gain = estimate(gaps)
        found.append(
            {
                "against": name,
                "gain": round(gain.mean, 2),
                "ci95": round(gain.half, 2),
                "smallest": round(min(gaps), 2),
                "seeds": len(gaps),
            }
        )
    return found


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--parts", action="store_true", help="add variants of RealMix")
    options = parser.parse_args()
    path, before = RESULTS / "digits.json", []
    if options.parts:
        before = json.loads(path.read_text(encoding="utf-8"))["runs"]
    with tempfile.TemporaryDirectory() as out:
        rows = before + measure(out, options.seeds, PARTS if options.parts else METHODS)
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True
    ).stdout.strip()
    document = {
        "command": "python benchmarks/realmix_quality.py"
        + ("; python benchmarks/realmix_quality.py --parts" if options.parts else ""),
        "commit": commit,
        "machine": f"{os.cpu_count()} cores, Python {platform.python_version()}",
        "summary": summary(rows),
        "gains": gains(rows),
        "runs": rows,
    }
    RESULTS.mkdir(exist_ok=True)
    text = json.dumps(document, indent=1, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")
    for row in (*document["summary"], *document["gains"]):
        print(row)


if __name__ == "__main__":
    main()
