"""What a run's numbers depend on besides its settings, for ``env.json`` and ``doctor``."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import sys
from typing import Any

PACKAGES = (
    "tensorflow tensorflow-cpu keras numpy matplotlib ipywidgets jupyterlab ipykernel nbval pillow"
).split()


def versions() -> dict[str, str]:
    """Installed versions of the packages that matter."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def describe(session: Any) -> dict[str, Any]:
    """The environment of a run: versions, hardware, device, precision."""
    import zoolib

    return {
        "zoolib": zoolib.__version__,
        "python": sys.version.split()[0],
        "packages": versions(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cores": os.cpu_count(),
        "device": session.device.name,
        "precision": session.precision,
        "ranks": session.size,
        "npu_options": session.options.changed() if session.options else {},
    }
