"""Rebuild a trained task from its run folder."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from zoolib.core.npu_settings import npu_options, numerical
from zoolib.core.spec import get_model
from zoolib.core.store import RunFolder
from zoolib.errors import StoreError
from zoolib.runtime.device import current, open_session


def restore(folder: Path, device: str = "auto") -> Any:
    """The task with the variables of the newest whole checkpoint.

    Raises:
        StoreError: if there is no checkpoint yet.
    """
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
        task.build()
        Bulk(task.state()).write(checkpoint.arrays)
    return task
