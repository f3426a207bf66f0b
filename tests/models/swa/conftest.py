"""Tasks of the SWA demonstrations, at their start."""

from __future__ import annotations

import pytest

import zoolib
from zoolib.runtime.device import open_session


@pytest.fixture
def built():
    """A function that makes the task of a preset."""

    def make(preset, **changes):
        spec = zoolib.get_model("swa")
        config = spec.preset(preset, **changes)
        session = open_session("cpu", "float32", None, config.small_dense)
        with session.placement():
            task = spec.task_class()(config, session)
            task.build()
        return task

    return make
