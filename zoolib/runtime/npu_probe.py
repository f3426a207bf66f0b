"""Is there an Ascend NPU? Answered by looking at files, without the adapter or TensorFlow.

TensorFlow itself never lists the NPU, and importing the adapter merely to ask would load a binary.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import re
import sys
from pathlib import Path

ADAPTER = "npu_device"


def probe(root: str | None = None) -> list[tuple[int, bool, str]]:
    """What this machine offers, without importing the adapter or TensorFlow.

    Args:
        root: folder of device nodes; the variable ZOOLIB_DEVICE_ROOT or /dev if not given.

    Returns:
        (device number, usable, reason in words if not); device 0 stands for "none found".
    """
    folder = root or os.environ.get("ZOOLIB_DEVICE_ROOT", "/dev")
    try:
        with os.scandir(folder) as entries:
            nodes = sorted(
                int(entry.name[7:]) for entry in entries if re.fullmatch(r"davinci\d+", entry.name)
            )
    except OSError:
        nodes = []
    reason = missing_software()
    if not nodes:
        node = f"no Ascend device node (davinci0, davinci1, ...) in {folder}"
        return [(0, False, f"{reason}; {node}" if reason else node)]
    return [(number, not reason, reason) for number in nodes]


def missing_software() -> str:
    """Why the adapter cannot be imported here, in words, or nothing."""
    spec = importlib.util.find_spec(ADAPTER)
    if spec is None:
        return "the Ascend adapter (Python package npu_device) is not installed"
    if importlib.util.find_spec("tensorflow") is None:
        return "TensorFlow is not installed"
    folders = [Path(folder) for folder in spec.submodule_search_locations or ()]
    if not any(list(folder.glob("_npu*.so")) for folder in folders):
        return ""  # nothing compiled in it, so bound to no TensorFlow
    needed = _version(ADAPTER)
    needed = needed if needed.startswith("2.") else "2.6.5"
    found = next(filter(None, map(_version, ("tensorflow", "tensorflow-cpu"))), needed)
    if found.split(".")[:2] != needed.split(".")[:2]:
        return (
            f"the Ascend adapter is a binary for TensorFlow {needed}, here is {found} on Python "
            f"{sys.version_info[0]}.{sys.version_info[1]}"
        )
    return ""


def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return ""
