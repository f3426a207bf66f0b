"""Rebuild a trained task from its run folder."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoolib.core.npu_settings import npu_options, numerical
from zoolib.core.selection import selection_of
from zoolib.core.spec import get_model
from zoolib.core.store import RunFolder
from zoolib.errors import StoreError
from zoolib.runtime.device import current, open_session

if TYPE_CHECKING:
    from zoolib.core.averaging import Averaging


def restore(folder: Path, device: str = "auto") -> Any:
    """The task as it is to be used: a run with SWA gives the averaged weights.

    Raises:
        StoreError: if there is no checkpoint yet.
    """
    task, averaging, step = restore_run(folder, device)
    if averaging is not None and averaging.exists(step):
        with task.session.placement():
            if step < task.config.iterations:  # statistics are settled when a run ends
                averaging.settle(step)
            averaging.apply()
    return task


def restore_run(folder: Path, device: str = "auto") -> tuple[Any, Averaging | None, int]:
    """The task with the variables of the newest whole checkpoint, its averaging, the step.

    Of a method that selects its best state, with those of that one.

    Raises:
        StoreError: if there is no checkpoint yet.
    """
    from zoolib.core.averaging import averaging_of
    from zoolib.runtime.compile import Bulk

    run = RunFolder.open(folder)
    checkpoint, remarks = run.latest()
    for remark in remarks:
        logging.getLogger("zoolib").warning(remark)
    if checkpoint is None:
        raise StoreError(f"{folder}: expected a checkpoint, found none. {' '.join(remarks)}")
    # Those of the run, unless an NPU is open: then its own hold.
    options = None if current() else npu_options(numerical(run.env.get("npu_options", {})))
    session = open_session(device, run.env["precision"], options)
    with session.placement():
        task = get_model(run.config.model).task_class()(run.config, session)
        task.restoring = True
        task.build()
        averaging = averaging_of(task)
        if selection_of(task, averaging, run):
            checkpoint = run.best() or checkpoint
        kept = averaging.state() if averaging else {}
        Bulk({**task.state(), **kept}).write(checkpoint.arrays)
    return task, averaging, checkpoint.step
