"""Numbers to compare with: published ones, and what benchmarks of ours measured."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

# Test accuracy in percent that could be confirmed from public lists (specification, 6.1).
PAPER = {"CIFAR-10, 250 labels": 90.21, "CIFAR-10, 4000 labels": 93.62, "SVHN, 250 labels": 96.47}
# Labelled images per second of a Wide ResNet 28-2 at batch 64 in the seed document: its progress
# bar's newest rate, and the mean over an epoch from the same bar's times.
SEED_RATES = {"GPU (model not told)": (740, 705), "Ascend 910 NPU": (1484, 1010)}
_MULTIPLY_ADDS = 214.4e6  # of an image, 32 x 32, ten classes
FORWARDS = 11  # a step costs as much per labelled image: two passes, and three with gradient


def measured(name: str = "digits") -> dict[str, Any]:
    """What a benchmark measured, as stored with the library.

    Args:
        name: ``digits`` (`benchmarks/realmix_quality.py`) or ``mismatch``
            (`benchmarks/realmix_mismatch.py`).
    """
    path = Path(__file__).parent / "results" / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8"))


def hours(config: Any, images_per_second: float) -> float:
    """How long a run takes at a rate of labelled images."""
    return config.images / images_per_second / 3600.0


def work(images: int) -> float:
    """Multiply-adds of training a Wide ResNet 28-2 on so many labelled images of 32 x 32."""
    return images * FORWARDS * _MULTIPLY_ADDS
