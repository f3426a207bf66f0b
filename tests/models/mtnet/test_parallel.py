"""Each rank takes its part of a meta-step's tasks, with the masks that belong to them."""

from __future__ import annotations

import copy

import numpy as np
import pytest

from zoolib.errors import ConfigError
from zoolib.models.mtnet.config import MTNetConfig
from zoolib.models.mtnet.task import MTNet

SETTINGS = [
    {"variant": "mtnet_full", "num_updates": 2, "pretrain_iterations": 1, "dim_hidden": 4},
    {"variant": "mnet", "datasource": "polynomial", "dim_hidden": 4},
    {"datasource": "glyphs", "shots": 1, "queries": 2, "num_filters": 2},
]


def ranks_of(session, size, **settings):
    """The task as each of several ranks builds it."""
    for rank in range(size):
        peer = copy.copy(session)
        peer.rank, peer.size = rank, size
        task = MTNet(MTNetConfig(meta_batch_size=4, iterations=3, **settings), peer)
        task.build()
        yield task


@pytest.mark.parametrize("settings", SETTINGS, ids=["sinusoid", "polynomial", "glyphs"])
def test_parts_make_up_the_whole(session, settings):
    (whole,) = ranks_of(session, 1, **settings)
    parts = list(ranks_of(session, 2, **settings))
    steps = range(1, 3)
    for name, values in whole.batch(steps).items():
        found = [part.batch(steps)[name] for part in parts]
        if values.ndim == 1:  # a number per step, the same for all
            assert all(np.array_equal(other, values) for other in found)
        else:
            np.testing.assert_array_equal(np.concatenate(found, axis=1), values)
            assert found[0].shape[1] == 2
    noise = [part.draws(steps)["noise"] for part in parts]
    np.testing.assert_array_equal(np.concatenate(noise, axis=2), whole.draws(steps)["noise"])


def test_tasks_that_do_not_divide_are_refused(session):
    with pytest.raises(ConfigError, match=r"meta_batch_size: .* ranks \(3\), got 4"):
        list(ranks_of(session, 3))
