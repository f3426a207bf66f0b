"""Widgets and figures for notebooks; nothing else in zoolib imports ipywidgets or matplotlib."""

from __future__ import annotations

import importlib
from typing import Any

__all__ = ["Explorer", "Form", "Panel", "SineExplorer", "plots"]
_HOMES = {"Form": "form", "Panel": "panel", "Explorer": "explorer", "SineExplorer": "explorer"}


def __getattr__(name: str) -> Any:
    if name == "plots":
        return importlib.import_module("zoolib.ui.plots")
    if name in _HOMES:
        return getattr(importlib.import_module(f"zoolib.ui.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'zoolib.ui' has no attribute {name!r}; it offers {__all__}")


def __dir__() -> list[str]:
    return list(__all__)
