"""Renew constraints.txt: what pip resolves today on every supported Python found here.

    make pins        (needs Python 3.11 or newer; pins only the Pythons it finds)

Names and versions only, so the file works with whatever index pip is set up to use. Where Pythons
get different versions of a package, each line carries the Pythons it is for.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import tomllib

ROOT = Path(__file__).resolve().parent.parent
MINORS = range(10, 14)
EXTRAS = ("lab", "test", "export", "browser")
TOOLS = ("pip", "setuptools")
HEADER = """\
# The versions zoolib is tested with, Python {low} to {high}. Made by `make pins`; do not edit.
# Names and versions only. `make` installs with these; `pip install -e .` alone does without.
"""


def requirements() -> list[str]:
    """Every requirement of zoolib and of its extras, save the graphics driver libraries."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = [line for name in EXTRAS for line in project["optional-dependencies"][name]]
    return [*TOOLS, *project["dependencies"], *extras]


def interpreter(minor: int) -> str | None:
    """A Python 3.`minor` that runs: from PATH, or from pyenv."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    for candidate in (f"python3.{minor}", *sorted(pyenv.glob(f"3.{minor}.*/bin/python"))):
        try:
            subprocess.run([candidate, "-m", "venv", "--help"], check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            continue
        return str(candidate)
    return None


def resolve(python: str) -> dict[str, str]:
    """Names and versions pip would install with `python`; nothing is installed."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([python, "-m", "venv", folder], check=True)
        pip = [f"{folder}/bin/python", "-m", "pip", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "install", "--upgrade", "pip"], check=True)
        report = Path(folder) / "report.json"
        options = ["--dry-run", "--ignore-installed", "--only-binary", ":all:", "--report", report]
        subprocess.run([*pip, "install", *options, *requirements()], check=True)
        found = [item["metadata"] for item in json.loads(report.read_text())["install"]]
    return {re.sub(r"[-_.]+", "-", m["name"]).lower(): m["version"] for m in found}


def merge(pins: dict[int, dict[str, str]]) -> list[str]:
    """One line for each package and version; with a marker where versions differ."""
    lines = []
    for name in sorted({name for versions in pins.values() for name in versions}):
        minors_of: dict[str, list[int]] = {}
        for minor, versions in sorted(pins.items()):
            if name in versions:
                minors_of.setdefault(versions[name], []).append(minor)
        for version, minors in minors_of.items():
            marker = f"; {_marker(minors, max(pins))}" if len(minors_of) > 1 else ""
            lines.append(f"{name}=={version}{marker}")
    return lines


def _marker(minors: list[int], highest: int) -> str:
    if minors == list(range(minors[0], highest + 1)) and len(minors) > 1:
        return f"python_version >= '3.{minors[0]}'"
    return " or ".join(f"python_version == '3.{minor}'" for minor in minors)


def main() -> None:
    """Write constraints.txt."""
    pythons = {minor: python for minor in MINORS if (python := interpreter(minor))}
    if not pythons:
        sys.exit("renew_pins: expected a Python 3.10 to 3.13 on PATH or in pyenv, found none.")
    pins = {}
    for minor, python in pythons.items():
        print(f"renew_pins: resolving for Python 3.{minor}")
        pins[minor] = resolve(python)
    header = HEADER.format(low=f"3.{min(pins)}", high=f"3.{max(pins)}")
    (ROOT / "constraints.txt").write_text(header + "\n".join(merge(pins)) + "\n")


if __name__ == "__main__":
    main()
