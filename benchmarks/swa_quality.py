"""SWA on digits, clean and noisy labels, and the table in the model card.

    python benchmarks/swa_quality.py               # 10 seeds, about 8 minutes on two cores

One training budget seen three ways: plain SGD with the paper's decay, the last iterate of a run
with SWA's constant step size, and the average of that run. Writes what it measured to
zoolib/models/swa/results/digits.json, which card and notebook show.
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

import zoolib
from zoolib.core.statistics import estimate

RESULTS = Path(zoolib.__file__).parent / "models" / "swa" / "results"
LABELS = {"clean": 0.0, "noisy": 0.3}
RATES = (0.01, 0.05, 0.1)


def measure(out: str, seeds: int) -> list[dict[str, Any]]:
    """Test accuracy in percent of every run, one row each."""
    spec, rows = zoolib.get_model("swa"), []
    for labels, noise in LABELS.items():
        for seed in range(seeds):
            sgd = spec.preset("sgd", label_noise=noise, seed=seed)
            found = zoolib.train(sgd, "cpu", out=out, progress=False).metrics
            row = {"labels": labels, "seed": seed, "sgd": percent(found["test_accuracy"])}
            for rate in RATES:
                swa = spec.preset("tutorial", label_noise=noise, swa_lr=rate, seed=seed)
                found = zoolib.train(swa, "cpu", out=out, progress=False).metrics
                row[f"last {rate:g}"] = percent(found["test_accuracy"])
                row[f"swa {rate:g}"] = percent(found["swa_test_accuracy"])
            rows.append(row)
            print(row, flush=True)
    return rows


def percent(share: float) -> float:
    """A share as a percentage with two decimals."""
    return round(100 * share, 2)


def differences(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Paired differences over seeds, in points, with 95 % intervals of Student's t."""
    found = []
    for labels in LABELS:
        these = [row for row in rows if row["labels"] == labels]
        for rate in RATES:
            for other in ("sgd", f"last {rate:g}"):
                gaps = [row[f"swa {rate:g}"] - row[other] for row in these]
                gain = estimate(gaps)
                found.append(
                    {
                        "labels": labels,
                        "swa_lr": rate,
                        "against": other.split()[0],
                        "gain": round(gain.mean, 2),
                        "ci95": round(gain.half, 2),
                        "wins": sum(gap > 0 for gap in gaps),
                        "ties": sum(gap == 0 for gap in gaps),
                        "seeds": len(these),
                    }
                )
    return found


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=10)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as out:
        rows = measure(out, options.seeds)
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True
    ).stdout.strip()
    document = {
        "command": "python benchmarks/swa_quality.py",
        "commit": commit,
        "machine": f"{os.cpu_count()} cores, Python {platform.python_version()}",
        "differences": differences(rows),
        "runs": rows,
    }
    RESULTS.mkdir(exist_ok=True)
    text = json.dumps(document, indent=1)
    (RESULTS / "digits.json").write_text(text + "\n", encoding="utf-8")
    for row in document["differences"]:
        print(row)


if __name__ == "__main__":
    main()
