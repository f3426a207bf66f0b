"""RealMix (Nair, Fuentes Alonso and Beltramelli, 2019): few labels, many unlabelled images."""

from __future__ import annotations

import importlib
from typing import Any

from zoolib.core.spec import ModelSpec
from zoolib.models.realmix.config import RealMixConfig
from zoolib.models.realmix.presets import PRESETS

SPEC = ModelSpec(
    name="realmix",
    title="RealMix: towards realistic semi-supervised deep learning algorithms",
    paper="Nair, Fuentes Alonso and Beltramelli, 2019, arXiv:1912.08766",
    summary="learns from few labels and many unlabelled images, which need not all be of the "
    "labelled classes; MixMatch and other semi-supervised methods on the same trainer",
    Config=RealMixConfig,
    presets=PRESETS,
    task="zoolib.models.realmix.task:make",
    notebook="40_realmix.ipynb",
)
_LAZY = {
    "build": "network",
    "parameters": "network",
    "sharpen": "guessing",
    "mixup": "mixing",
    "interleave": "mixing",
    "annealing": "schedules",
    "confident": "selection",
}
__all__ = ["SPEC", *sorted(_LAZY)]


def __getattr__(name: str) -> Any:
    """Names behind which TensorFlow is: importing the package imports none."""
    if name in _LAZY:
        return getattr(importlib.import_module(f"{__name__}.{_LAZY[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it offers {__all__}")
