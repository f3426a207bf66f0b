"""Numbers to compare with: the paper's, the libraries', and what benchmarks of ours measured."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

# Table 8 of the paper: multiply-adds (M), parameters (M; text), top-1 (%) on ImageNet, batches/s at
# batch 8 on a GTX 1080 Ti, images/s in one thread of a Snapdragon 810.
PAPER = {
    "0.5": {"multiply_adds": 41, "parameters": 1.4, "top1": 60.3, "gpu": 417, "arm": 57.0},
    "1.0": {"multiply_adds": 146, "parameters": 2.3, "top1": 69.4, "gpu": 341, "arm": 24.4},
    "1.5": {"multiply_adds": 299, "parameters": 3.5, "top1": 72.6, "gpu": 255, "arm": 11.8},
    "2.0": {"multiply_adds": 591, "parameters": 7.4, "top1": 74.9, "gpu": 217, "arm": 6.7},
}


def measured(name: str = "widths") -> dict[str, Any]:
    """What `benchmarks/shufflenet_v2_widths.py` measured, as stored with the library."""
    path = Path(__file__).parent / "results" / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8"))
