"""ShuffleNetV2 (Ma, Zhang, Zheng and Sun, ECCV 2018): a small, fast image classifier."""

from __future__ import annotations

import importlib
from typing import Any

from zoolib.core.spec import ModelSpec
from zoolib.models.shufflenet_v2.config import PRESETS, ShuffleNetConfig

SPEC = ModelSpec(
    name="shufflenet_v2",
    title="ShuffleNet V2: practical guidelines for efficient CNN architecture design",
    paper="Ma, Zhang, Zheng and Sun, ECCV 2018, arXiv:1807.11164",
    summary="an image classifier built for speed: half of the channels pass, half are processed, "
    "and a shuffle mixes them",
    Config=ShuffleNetConfig,
    presets=PRESETS,
    task="zoolib.models.shufflenet_v2.task:Classification",
    notebook="30_shufflenet_v2.ipynb",
)
_LAZY = {
    "build": "network",
    "weight_order": "network",
    "channel_shuffle": "units",
    "load_weights": "weights",
    "FoldedNet": "folding",
    "Architecture": "architecture",
    "count": "counts",
    "logged": "logs",
}
__all__ = ["SPEC", *sorted(_LAZY)]


def __getattr__(name: str) -> Any:
    """Names behind which TensorFlow is: importing the package imports none."""
    if name in _LAZY:
        return getattr(importlib.import_module(f"{__name__}.{_LAZY[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it offers {__all__}")
