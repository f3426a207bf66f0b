"""What the tests of AM3 share: tiny tasks at their start."""

from __future__ import annotations

import pytest

import zoolib
from zoolib.runtime.device import open_session


@pytest.fixture(scope="session")
def built():
    """A function making the built task of the smoke preset with changes."""

    def make(**changes):
        spec = zoolib.get_model("am3")
        config = spec.preset("smoke", **changes)
        session = open_session("cpu", "float32", None, config.small_dense)
        with session.placement():
            task = spec.task_class()(config, session)
            task.build()
        return task

    return make


@pytest.fixture(scope="session")
def stepped():
    """A function running training steps of a task; returns the loop's terms, step by step."""

    def run(task, steps):
        loop = task.session.loop(task.train_step, task.terms, False, 1)
        rows = []
        for step in steps:
            at = range(step, step + 1)
            rows.append(loop(task.batch(at), task.draws(at), 1))
        return [{name: float(values[0]) for name, values in row.items()} for row in rows]

    return run
