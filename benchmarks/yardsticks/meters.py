"""Memory of this process, rates of timed blocks, and the options all contenders understand."""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import sys
import time
from pathlib import Path
from typing import Any, Callable

MIB = 2**20


def peak_mib() -> float:
    """Largest resident set of this process so far, MiB."""
    # On Linux ru_maxrss starts at the parent's size; VmHWM belongs to this program alone.
    status = Path("/proc/self/status")
    if status.exists():
        line = next(r for r in status.read_text().splitlines() if r.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (MIB if sys.platform == "darwin" else 1024)


def resident_mib() -> float:
    """Resident set of this process now, MiB."""
    import psutil

    return psutil.Process().memory_info().rss / MIB


def options(description: str | None, steps: int, blocks: int) -> argparse.Namespace:
    """Command line of a contender: ``--steps`` per timed block, ``--blocks``, ``--threads``."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--steps", type=int, default=steps, help="meta-steps per timed block")
    parser.add_argument("--blocks", type=int, default=blocks, help="timed blocks")
    parser.add_argument("--threads", type=int, default=0, help="0: what the framework chooses")
    return parser.parse_args()


def timed(train: Callable[[int], float], steps: int, blocks: int) -> tuple[list[float], float]:
    """Steps per second of each block, and the last loss; ``train(steps)`` returns a loss."""
    rates, loss = [], float("nan")
    for _ in range(blocks):
        began = time.perf_counter()
        loss = train(steps)
        rates.append(steps / (time.perf_counter() - began))
    return rates, loss


def tell(rates: list[float], compile_seconds: float, loss: float, **more: Any) -> None:
    """Print what a contender measured, as one JSON line."""
    document = {
        "rates": [round(rate, 1) for rate in rates],
        "median": round(statistics.median(rates), 1),
        "compile_seconds": round(compile_seconds, 2),
        "peak_mib": round(peak_mib(), 1),
        "loss": round(loss, 4),
        **more,
    }
    print(json.dumps(document))
