"""zoolib: five methods of the Ascend ModelZoo, re-created in TensorFlow, one notebook each.

Importing zoolib imports no TensorFlow; the first run does.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

_PUBLIC = {
    "list_models": "zoolib.core.spec",
    "get_model": "zoolib.core.spec",
    "run": "zoolib.core.run",
    "train": "zoolib.core.train",
    "load": "zoolib.core.result",
    "compare": "zoolib.core.compare",
    "export": "zoolib.core.export",
    "to_keras": "zoolib.core.keras",
    "devices": "zoolib.runtime.device",
    "npu_check": "zoolib.runtime.npu_lint",
    "SWA": "zoolib.models.swa.callback",
    "update_batch_norm": "zoolib.models.swa.batch_norm",
    "ConfigError": "zoolib.errors",
    "DataError": "zoolib.errors",
    "DeviceError": "zoolib.errors",
    "NonFiniteLoss": "zoolib.errors",
    "StoreError": "zoolib.errors",
    "ZoolibError": "zoolib.errors",
}
__all__ = sorted(_PUBLIC)


# Names behind which TensorFlow is: its log lines must not land in a notebook's cell.
_WITH_TENSORFLOW = (
    *("run", "train", "load", "export", "to_keras", "devices", "npu_check"),
    *("SWA", "update_batch_norm"),
)


def __getattr__(name: str) -> Any:
    if name in _WITH_TENSORFLOW:
        importlib.import_module("zoolib.runtime.quiet").import_tensorflow_in_kernel()
    if name in _PUBLIC:
        return getattr(importlib.import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module 'zoolib' has no attribute {name!r}; it offers {__all__}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
