"""Which folder a run writes: a new one, or the one it goes on with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from zoolib.core import environment
from zoolib.core.config import Config
from zoolib.core.follower import Follower
from zoolib.core.store import RunFolder
from zoolib.errors import StoreError


def claim(folder: RunFolder | None, task: Any, out: Path) -> RunFolder:
    """The folder to write, reserved for this process; ranks other than 0 follow rank 0's.

    Args:
        folder: the one to go on with, or None for a new one under ``out``.

    Raises:
        StoreError: if it is in use or cannot be made.
    """
    config, session, place = task.config, task.session, task.checkpoint_folder()
    if session.rank:
        path = Path(session.tell(""))
        same = folder is not None and folder.path == path
        return Follower.of(folder) if same else Follower(path, config, place)
    if folder is None:
        folder = RunFolder.create(out, config, environment.describe(session), place)
    else:
        folder.lock()
    session.tell(str(folder.path))
    return folder


def check_same(folder: RunFolder, config: Config | None, precision: str | None) -> None:
    """Refuse to go on with other settings than a run was started with.

    Raises:
        StoreError: showing every difference.
    """
    differences = {}
    if config is not None and config.model != folder.config.model:
        differences["model"] = (folder.config.model, config.model)
    elif config is not None:
        differences = folder.config.diff(config)
    if precision is not None and precision != folder.env["precision"]:
        differences["precision"] = (folder.env["precision"], precision)
    if differences:
        told = "; ".join(f"{k}: {a!r} there, {b!r} asked" for k, (a, b) in differences.items())
        raise StoreError(
            f"{folder.path}: holds a run with other settings ({told}). "
            "Start a new run, or resume without changing settings"
        )
