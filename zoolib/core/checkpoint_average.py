"""The average of checkpoints that are already there, as a run folder of its own.

The offline side of SWA: for runs that were trained without it, or for other choices of snapshots.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from zoolib.core import environment, files
from zoolib.core.result import Result, load
from zoolib.core.spec import get_model
from zoolib.core.store import Checkpoint, RunFolder, read_checkpoint
from zoolib.errors import ConfigError, StoreError


def average_checkpoints(
    places: Sequence[str | Path], out: str | Path = "runs", device: str = "auto"
) -> tuple[Result, list[dict[str, Any]]]:
    """Average weights, refresh batch norm, evaluate, and store the outcome like a finished run.

    Args:
        places: checkpoint folders (``…/step-000001860``), or run folders, each standing for all
            checkpoints it keeps. All of one model and one shape of network.
        out: folder in which the new run folder is made.
        device: where it is computed.

    Returns:
        The result, whose metrics are the average's, and for each checkpoint a row with ``place``,
        ``step`` and its own metrics.

    Raises:
        ConfigError: for fewer than two checkpoints.
        StoreError: for places that hold none, or checkpoints of another network.
    """
    from zoolib.optim.averaging import EqualAverage
    from zoolib.runtime.compile import Bulk
    from zoolib.runtime.device import open_session

    found = [pair for place in places for pair in _checkpoints(Path(place))]
    if len(found) < 2:
        raise ConfigError(f"checkpoints: expected at least two to average, got {len(found)}")
    first = found[-1][0]
    config = dataclasses.replace(first.config, preset="average", swa_start=0)
    for run, path, checkpoint in found:
        _check_same(first, run, path, found[-1][2], checkpoint)
    files.check_writable(Path(out))

    session = open_session(device, first.env["precision"], None, config.small_dense)
    with session.placement():
        task = get_model(config.model).task_class()(config, session)
        task.build()
        average, state = EqualAverage(task.averaged_variables()), Bulk(task.state())
        update, assign = session.compile(average.update), session.compile(average.assign)
        rows = []
        for _, path, checkpoint in found:
            state.write({name: checkpoint.arrays[name] for name in task.state()})
            update()
            rows.append({"place": str(path), "step": checkpoint.step, **task.evaluate()})
        assign()
        task.refresh_statistics()
        metrics, arrays = task.evaluate(), state.read()
    folder = _store(Path(out), task, arrays, metrics, found)
    return load(folder, device), rows


def _checkpoints(place: Path) -> list[tuple[RunFolder, Path, Checkpoint]]:
    """Checkpoints a place stands for, with the run they are of."""
    if (place / "config.json").is_file():
        run = RunFolder.open(place)
        paths = sorted(place.glob("checkpoints/**/step-*"))
    elif (place / "manifest.json").is_file():
        runs = [p for p in place.absolute().parents if (p / "config.json").is_file()]
        if not runs:
            raise StoreError(f"{place}: expected a checkpoint inside a run folder")
        run, paths = RunFolder.open(runs[0]), [place]
    else:
        raise StoreError(
            f"{place}: expected a run folder or a checkpoint (…/step-…), found neither"
        )
    if not paths:
        raise StoreError(f"{place}: expected checkpoints, found none")
    return [(run, path, read_checkpoint(path)) for path in paths]


def _check_same(
    first: RunFolder, run: RunFolder, path: Path, like: Checkpoint, checkpoint: Checkpoint
) -> None:
    if run.config.model != first.config.model:
        raise StoreError(
            f"{path}: expected a checkpoint of {first.config.model}, got {run.config.model}"
        )
    for name, values in like.arrays.items():
        there = checkpoint.arrays.get(name)
        if not name.startswith("swa/") and (there is None or there.shape != values.shape):
            shape = "none" if there is None else there.shape
            raise StoreError(f"{path}: expected {name} of shape {values.shape}, got {shape}")


def _store(
    out: Path, task: Any, arrays: dict[str, np.ndarray], metrics: dict[str, float], found: list
) -> Path:
    step = found[-1][2].step
    env = environment.describe(task.session)
    env["averaged"] = [str(path) for _, path, _ in found]
    folder = RunFolder.create(out, task.config, env, task.checkpoint_folder())
    try:
        empty = {name: np.zeros(0, "f4") for name in task.terms}
        folder.save(Checkpoint(step, arrays, empty, 0))
        folder.write_summary(
            {
                "model": task.config.model,
                "preset": task.config.preset,
                "steps": step,
                "metrics": metrics,
                "seconds": 0.0,
                "steps_per_second": 0.0,
                "device": task.session.device.name,
                "precision": task.session.precision,
            }
        )
    finally:
        folder.unlock()
    return folder.path
