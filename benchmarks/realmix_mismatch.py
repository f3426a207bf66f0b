"""RealMix on digits when unlabelled images are of classes without labels, with and without mask.

    python benchmarks/realmix_mismatch.py          # 3 seeds, 36 short runs

Labels on the digits 0 to 5, three each; unlabelled images of four digits, 0 to 100 % of them from
6 to 9 (the construction of the RealMix specification, 5.6 and 5.8). The mask leaves out a share of
the least confident unlabelled rows. Half of the tutorial's steps, all else as there. Writes what
it measured to zoolib/models/realmix/results/mismatch.json, which card and notebook show.
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

import tensorflow as tf

import zoolib
from zoolib.core.statistics import estimate
from zoolib.models.realmix.figures import ood_scores

RESULTS = Path(zoolib.__file__).parent / "models" / "realmix" / "results"
FRACTIONS = (0.0, 0.25, 0.5, 0.75, 1.0)
MASKS = (0.0, 0.5)
SUPERVISED = ("supervised", "supervised_mixup")
WEIGHTS = ("raw", "ema", "recal_ema")


def run(out: str, seed: int, steps: int, **changes: Any) -> dict[str, Any]:
    """Accuracies in percent and, where there are foreign images, how well confidence tells them."""
    config = zoolib.get_model("realmix").preset(
        "tutorial", seed=seed, iterations=steps, eval_every=0, **changes
    )
    result = zoolib.train(config, "cpu", out=out, progress=False)
    found = result.metrics
    row: dict[str, Any] = {"seed": seed, "method": config.method}
    for name in WEIGHTS:
        row[name] = round(100 * found[f"{name}_test"], 2)
    row["seconds"] = round(result.summary["seconds"], 1)
    if config.method == "realmix":
        area = ood_scores(result.task)["auroc"]
        row.update(fraction=config.mismatch, mask=max(config.mask_fraction, 0.0))
        row["auroc"] = round(area, 4) if area == area else None
    return row


def measure(out: str, seed: int, steps: int) -> list[dict[str, Any]]:
    """One row for each run; supervised training sees no unlabelled image: one run each."""
    rows = []
    for method in SUPERVISED:
        rows.append(run(out, seed, steps, mismatch=0.0, method=method))
        print(rows[-1], flush=True)
    for fraction in FRACTIONS:
        for mask in MASKS:
            changes = {"mismatch": fraction, "mask_fraction": mask or -1.0}
            rows.append(run(out, seed, steps, **changes))
            print(rows[-1], flush=True)
    return rows


def differences(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """With mask minus without, and without minus supervised; paired over seeds, in points."""
    found = []
    for weights in WEIGHTS[1:]:
        by = {(r.get("fraction", r["method"]), r.get("mask"), r["seed"]): r[weights] for r in rows}
        seeds = sorted({row["seed"] for row in rows})
        for fraction in FRACTIONS:
            pairs = [("no mask", (fraction, 0.0), name, (name, None)) for name in SUPERVISED]
            pairs += [
                (f"mask {mask:.0%}", (fraction, mask), "no mask", (fraction, 0.0))
                for mask in MASKS[1:]
            ]
            for what, mine, against, other in pairs:
                gaps = [by[(*mine, seed)] - by[(*other, seed)] for seed in seeds]
                row = {"weights": weights, "fraction": fraction, "what": what, "against": against}
                found.append({**row, **told(gaps)})
    return found


def told(gaps: list[float]) -> dict[str, Any]:
    """Mean and 95 % interval of differences, and how often they are above zero."""
    gain = estimate(gaps)
    half = round(gain.half, 2) if len(gaps) > 1 else None
    wins = sum(gap > 0 for gap in gaps)
    return {"gain": round(gain.mean, 2), "ci95": half, "wins": wins, "seeds": len(gaps)}


def write(rows: list[dict[str, Any]], steps: int) -> None:
    """Store what has been measured so far."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True
    ).stdout.strip()
    document = {
        "command": "python benchmarks/realmix_mismatch.py",
        "commit": commit,
        "machine": f"{os.cpu_count()} cores, Python {platform.python_version()}, "
        f"TensorFlow {tf.__version__}",
        "steps": steps,
        "fractions": list(FRACTIONS),
        "masks": list(MASKS),
        "differences": differences(rows),
        "runs": rows,
    }
    RESULTS.mkdir(exist_ok=True)
    text = json.dumps(document, indent=1)
    (RESULTS / "mismatch.json").write_text(text + "\n", encoding="utf-8")


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=350)
    options = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for seed in options.seeds:
        with tempfile.TemporaryDirectory() as out:
            rows += measure(out, seed, options.steps)
        write(rows, options.steps)
    for row in differences(rows):
        print(row)


if __name__ == "__main__":
    main()
