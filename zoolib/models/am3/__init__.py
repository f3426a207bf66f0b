"""AM3 (Xing, Rostamzadeh, Oreshkin and Pinheiro, NeurIPS 2019): few-shot learning with words."""

from __future__ import annotations

import importlib
from typing import Any

from zoolib.core.spec import ModelSpec
from zoolib.models.am3.config import AM3Config
from zoolib.models.am3.presets import PRESETS

SPEC = ModelSpec(
    name="am3",
    title="AM3: adaptive cross-modal few-shot learning",
    paper="Xing, Rostamzadeh, Oreshkin and Pinheiro, NeurIPS 2019, arXiv:1902.07104",
    summary="learns a class from a few images and its name; how much the name counts is learned, "
    "class by class",
    Config=AM3Config,
    presets=PRESETS,
    task="zoolib.models.am3.task:FewShot",
    notebook="50_am3.ipynb",
)
_LAZY = {
    "build": "network",
    "FewShotNet": "network",
    "evaluate_split": "evaluation",
    "shots_curve": "evaluation",
    "import_checkpoint": "tf1_names",
    "Prediction": "prediction",
}
__all__ = ["SPEC", *sorted(_LAZY)]


def __getattr__(name: str) -> Any:
    """Names behind which TensorFlow is: importing the package imports none."""
    if name in _LAZY:
        return getattr(importlib.import_module(f"{__name__}.{_LAZY[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it offers {__all__}")
