"""`zoolib doctor`: what this machine has, and one line to copy into an issue."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from pathlib import Path

from zoolib.core import environment, files
from zoolib.errors import ZoolibError


def report(out: Path = Path("runs")) -> tuple[list[str], bool]:
    """Lines to print, and whether zoolib can train here."""
    import zoolib

    versions = environment.versions()
    lines = [f"zoolib     {zoolib.__version__}", f"python     {sys.version.split()[0]}"]
    lines += [f"{name:10} {version}" for name, version in versions.items()]
    healthy = True
    try:
        for device in zoolib.devices():
            state = ", ".join(device.precisions) if device.available else f"no: {device.reason}"
            lines.append(f"{device.name:10} {state}")
    except ZoolibError as error:
        lines.append(f"devices    {error}")
        healthy = False
    free = shutil.disk_usage(Path.cwd()).free / 2**30
    lines.append(f"disk       {free:.1f} GiB free here")
    try:
        files.check_writable(out)
        lines.append(f"runs       {out}: new runs can be written")
    except ZoolibError as error:
        lines.append(f"runs       {error}")
        healthy = False
    packages = " ".join(f"{name}={version}" for name, version in versions.items())
    lines.append(
        f"for an issue: zoolib={zoolib.__version__} python={platform.python_version()} "
        f"{platform.system()}-{platform.machine()} cores={os.cpu_count()} {packages}"
    )
    return lines, healthy
