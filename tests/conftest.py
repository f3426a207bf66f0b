"""What all tests share: a small method, collected runs, and command lines as real processes."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
EXTRA = Path(__file__).parent / "extra_models"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


@pytest.fixture(scope="session")
def root() -> Path:
    """The project's folder."""
    return ROOT


@pytest.fixture(autouse=True)
def signal_handlers():
    """The command line installs a handler for SIGTERM; tests do not inherit it."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(scope="module")
def line():
    """The specification of a sixth method, `line`, registered by its folder being there."""
    import zoolib.models

    zoolib.models.__path__.append(str(EXTRA))
    yield __import__("zoolib").get_model("line")
    zoolib.models.__path__.remove(str(EXTRA))


@pytest.fixture(scope="session")
def environment() -> dict[str, str]:
    """Environment variables for a Python of its own that finds zoolib."""
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}


@dataclasses.dataclass
class Command:
    """A command line that runs, or has run, as a process of its own."""

    launcher: Launcher
    pid: int
    out_file: Path
    err_file: Path
    code: int | None = None

    @property
    def out(self) -> str:
        return self.out_file.read_text(encoding="utf-8")

    @property
    def err(self) -> str:
        return self.err_file.read_text(encoding="utf-8")

    def wait(self) -> int:
        """The exit status; minus the signal's number if a signal ended it."""
        if self.code is None:
            self.code = self.launcher.ask({"wait": self.pid})
        return self.code

    def kill(self, number: int) -> None:
        assert self.code is None
        os.kill(self.pid, number)


class Launcher:
    """See launcher.py."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder, self.count = folder, 0
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).parent / "launcher.py"), str(EXTRA)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            text=True,
        )

    def ask(self, order: dict) -> int:
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def start(self, *argv: object, cwd: Path, limit: int = 0) -> Command:
        """Start ``zoolib argv`` in a folder; ``limit`` bounds the size of its files in bytes."""
        self.count += 1
        files = [self.folder / f"{self.count}.{name}" for name in ("out", "err")]
        order = {"argv": [str(a) for a in argv], "cwd": str(cwd), "limit": limit}
        order.update(out=str(files[0]), err=str(files[1]))
        return Command(self, self.ask(order), *files)

    def run(self, *argv: object, cwd: Path, limit: int = 0) -> Command:
        """The same, to its end."""
        command = self.start(*argv, cwd=cwd, limit=limit)
        command.wait()
        return command


@pytest.fixture(scope="session")
def launcher(tmp_path_factory, environment):
    """Runs command lines as processes."""
    started = Launcher(tmp_path_factory.mktemp("commands"), environment)
    assert json.loads(started.process.stdout.readline()) == "ready"
    yield started
    started.process.stdin.close()
    started.process.wait(30)


@pytest.fixture(scope="session")
def eventually():
    """Waits until a condition holds, and returns what it gave."""

    def wait(condition, seconds: float = 60.0):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            found = condition()
            if found:
                return found
            time.sleep(0.002)
        raise AssertionError(f"not within {seconds} s: {condition}")

    return wait
