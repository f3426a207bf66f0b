"""What the tests of RealMix share: small tasks, and a generator of rows."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

import zoolib
from zoolib.runtime.device import open_session

TINY = dict(
    iterations=3,
    report_every=1,
    checkpoint_every=3,
    filters=4,
    repeat=1,
    scales=1,
    batch_size=6,
    tuning_images=12,
    recalibration_images=12,
    labels=20,
    validation=10,
    eval_batch_size=100,
)


@pytest.fixture(scope="session")
def built():
    """A function making a built task; tiny unless told."""

    def make(session=None, **changes):
        spec = zoolib.get_model("realmix")
        config = spec.preset("smoke", **{**TINY, **changes})
        session = session or open_session("cpu")
        with session.placement():
            task = spec.task_class()(config, session)
            task.build()
        return task

    return make


@pytest.fixture(scope="session")
def feed():
    """A function giving tensors of one step of a task."""

    def make(task, step=0):
        steps = range(step, step + 1)
        return tuple(
            {k: tf.constant(v[0]) for k, v in part.items()}
            for part in (task.batch(steps), task.draws(steps))
        )

    return make


@pytest.fixture
def source():
    return np.random.default_rng(7)
