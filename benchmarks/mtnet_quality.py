"""Quality of MT-net, T-net and MAML on the stored test tasks, and the table in the model card.

    python benchmarks/mtnet_quality.py                        # preset paper, 3 seeds, 3 methods
    python benchmarks/mtnet_quality.py --preset long --variants mtnet --seeds 0

Writes what it measured to zoolib/models/mtnet/results/PRESET.json, which card and notebook show.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

import numpy as np

import zoolib
from zoolib.models.mtnet.evaluation import curve

RESULTS = Path(zoolib.__file__).parent / "models" / "mtnet" / "results"


def measure(preset: str, variant: str, seed: int, out: str) -> dict[str, Any]:
    """One run: its metrics, its speed, and the error of every test task after every step."""
    config = zoolib.get_model("mtnet").preset(preset, variant=variant, seed=seed)
    result = zoolib.train(config, device="cpu", out=out, progress=False)
    errors = {shots: curve(result.task, config.mask_at_test, shots) for shots in (5, 10, 20)}
    summary = result.summary
    return {
        "variant": variant,
        "seed": seed,
        "metrics": result.metrics,
        "seconds": round(summary["seconds"], 1),
        "steps_per_second": round(summary["steps_per_second"]),
        "by_shots": {
            str(shots): {"mean": finite(e.mean(1)), "ci95": finite(interval(e))}
            for shots, e in errors.items()
        },
        "errors_step_1": errors[10][1].tolist(),
    }


def interval(errors: np.ndarray) -> np.ndarray:
    """Half the 95 % interval over tasks, per step."""
    return 1.96 * errors.std(1) / np.sqrt(errors.shape[1])


def finite(values: np.ndarray) -> list[float | None]:
    """Numbers for JSON; null where a method diverged."""
    return [round(float(v), 4) if np.isfinite(v) and v < 1e6 else None for v in values]


def paired(runs: list[dict[str, Any]], better: str, worse: str) -> dict[str, Any]:
    """Difference of the errors after one step, task by task and seed by seed."""
    by = {(r["variant"], r["seed"]): np.array(r["errors_step_1"]) for r in runs}
    seeds = sorted({s for _, s in by})
    gaps = np.concatenate([by[worse, s] - by[better, s] for s in seeds])
    half = 1.96 * gaps.std() / np.sqrt(len(gaps))
    return {
        "better": better,
        "worse": worse,
        "gain": round(float(gaps.mean()), 4),
        "ci95": round(float(half), 4),
    }


@np.errstate(over="ignore", invalid="ignore")  # a method that diverges on some task says so
def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--preset", default="paper")
    parser.add_argument("--variants", nargs="+", default=["maml", "tnet", "mtnet"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--out", default="runs")
    arguments = parser.parse_args()
    runs = []
    for seed in arguments.seeds:
        for variant in arguments.variants:
            runs.append(measure(arguments.preset, variant, seed, arguments.out))
            shown = {k: v for k, v in runs[-1]["metrics"].items() if k.startswith("query")}
            print(variant, seed, {k: round(v, 3) for k, v in shown.items()}, flush=True)
    order = [v for v in ("mtnet", "tnet", "maml") if v in arguments.variants]
    pairs = [paired(runs, a, b) for a, b in zip(order, order[1:])]
    for run in runs:
        del run["errors_step_1"]
        run["metrics"] = {k: v if np.isfinite(v) else None for k, v in run["metrics"].items()}
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True)
    document = {
        "command": f"python benchmarks/mtnet_quality.py --preset {arguments.preset}",
        "commit": commit.stdout.strip(),
        "machine": f"{os.cpu_count()} cores, Python {platform.python_version()}",
        "pairs": pairs,
        "runs": runs,
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{arguments.preset}.json").write_text(json.dumps(document, indent=1) + "\n")
    print(*pairs, sep="\n")


if __name__ == "__main__":
    main()
