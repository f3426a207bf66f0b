"""A JupyterLab of its own and a headless Chromium: tests see the notebooks as a reader does.

Settings: ``ZOOLIB_CHROMIUM`` names a browser; with ``ZOOLIB_REQUIRE_BROWSER=1`` a missing one is a
failure, not a skip.
"""

from __future__ import annotations

import importlib.util
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
SETTINGS = {
    "notebook-extension/tracker": {"windowingMode": "none"},  # every cell is in the page
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
}
UNSEEN = ("PYTEST_CURRENT_TEST", "TF_CPP_MIN_LOG_LEVEL")  # what a reader's kernel does not have


def _missing(what: str) -> None:
    reason = f"browser tests need {what}; see make test-browser"
    if os.environ.get("ZOOLIB_REQUIRE_BROWSER") == "1":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def browser():
    """A running Chromium."""
    if importlib.util.find_spec("playwright") is None:
        _missing("the Python package playwright (the extra `browser`)")
    if importlib.util.find_spec("jupyterlab") is None:
        _missing("JupyterLab (the extra `lab`)")
    from playwright.sync_api import sync_playwright

    found = os.environ.get("ZOOLIB_CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    with sync_playwright() as playwright:
        found = found or playwright.chromium.executable_path
        if not Path(found).exists():
            _missing("a Chromium on the PATH, from `playwright install chromium` or named by "
                     f"ZOOLIB_CHROMIUM; there is none at {found}")  # fmt: skip
        running = playwright.chromium.launch(executable_path=found, args=ARGUMENTS)
        yield running
        running.close()


def _copy_notebooks(source: Path, target: Path) -> None:
    """Copy notebooks and models of one's own; outputs are dropped: what shows later was run."""
    kept = shutil.ignore_patterns("runs", ".ipynb_checkpoints", "__pycache__")
    shutil.copytree(source, target, ignore=kept)
    for path in target.glob("*.ipynb"):
        notebook = json.loads(path.read_text(encoding="utf-8"))
        for cell in notebook["cells"]:
            if cell["cell_type"] == "code":
                cell.update(outputs=[], execution_count=None)
        path.write_text(json.dumps(notebook), encoding="utf-8")


def _environment(folder: Path, usual: dict[str, str]) -> dict[str, str]:
    """The environment of a server that knows nothing of the user's own Jupyter."""
    for name, values in SETTINGS.items():
        file = folder / "settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(values), encoding="utf-8")
    own = {
        "JUPYTERLAB_SETTINGS_DIR": "settings",
        "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
        "JUPYTER_CONFIG_DIR": "config",
        "JUPYTER_DATA_DIR": "data",
        "JUPYTER_RUNTIME_DIR": "runtime",
        "IPYTHONDIR": "ipython",
    }
    kept = {name: value for name, value in usual.items() if name not in UNSEEN}
    folders = {name: str(folder / sub) for name, sub in own.items()}
    return {**kept, **folders, "JUPYTER_PREFER_ENV_PATH": "1", "ZOOLIB_PRESET": "smoke"}


@pytest.fixture
def server(root, environment, tmp_path, eventually):
    """Address and token of a JupyterLab on loopback, on a copy of the notebooks."""
    work, log = tmp_path / "notebooks", tmp_path / "server.log"
    _copy_notebooks(root / "notebooks", work)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    token = secrets.token_urlsafe(24)
    # The token goes by the environment: arguments can be read by every user of the machine.
    env = {**_environment(tmp_path, environment), "JUPYTER_TOKEN": token}
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"]
    command += ["--ServerApp.ip=127.0.0.1", f"--ServerApp.port={port}"]
    command += ["--ServerApp.port_retries=0", f"--ServerApp.root_dir={work}"]
    address = f"http://127.0.0.1:{port}"
    with log.open("wb") as lines:
        process = subprocess.Popen(command, env=env, cwd=work, stdout=lines, stderr=lines)

    def answers() -> bool:
        assert process.poll() is None, log.read_text(encoding="utf-8", errors="replace")
        try:
            with urllib.request.urlopen(f"{address}/api?token={token}", timeout=5):
                return True
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
            return False

    try:
        eventually(answers, 120)
        yield address, token
    finally:
        process.terminate()  # ends its kernels too
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(30)
