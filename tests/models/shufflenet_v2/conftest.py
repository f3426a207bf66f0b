"""What the tests of ShuffleNetV2 share: the specification's deterministic fill, small tasks."""

from __future__ import annotations

import numpy as np
import pytest


def uniform(k: int, count: int) -> np.ndarray:
    """The specification's numbers (1.6): murmur3's finaliser of a counter, float64 in [0, 1)."""
    mask = np.uint64(0xFFFFFFFF)
    x = np.arange(count, dtype=np.uint64) + np.uint64((1 + 2654435769 * (k + 1)) % 2**32)
    x &= mask
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        x ^= x >> np.uint64(shift)
        x = (x * np.uint64(factor)) & mask
    x ^= x >> np.uint64(16)
    return x / 2.0**32


def transform(name: str, shape: tuple, u: np.ndarray) -> np.ndarray:
    """The range of a variable's kind."""
    if name.endswith("depthwise_weights"):
        return (2 * u - 1) * np.sqrt(6 / 9)
    if name.endswith("weights"):
        return (2 * u - 1) * np.sqrt(6 / np.prod(shape[:-1]))
    low, span = {
        "gamma": (0.8, 0.4),
        "beta": (-0.2, 0.4),
        "moving_mean": (-0.1, 0.2),
        "moving_variance": (0.8, 0.4),
        "biases": (-0.1, 0.2),
    }[name.rpartition("/")[2]]
    return low + span * u


@pytest.fixture(scope="session")
def numbers():
    return uniform


@pytest.fixture(scope="session")
def fill():
    """Fills a model by the rule of the specification, and returns it."""

    def filled(model):
        from zoolib.models.shufflenet_v2.network import weight_order

        for k, v in enumerate(weight_order(model)):
            name, shape = v.name.split(":")[0], tuple(v.shape)
            drawn = transform(name, shape, uniform(k, int(np.prod(shape))))
            v.assign(drawn.reshape(shape).astype(np.float32))
        return model

    return filled


@pytest.fixture(scope="session")
def small():
    """A function making a built task of few classes and small pictures."""

    def make(preset: str = "smoke", session=None, **changes):
        from zoolib.models.shufflenet_v2.config import PRESETS
        from zoolib.models.shufflenet_v2.task import Classification
        from zoolib.runtime.device import open_session

        session = session or open_session("cpu")
        task = Classification(PRESETS[preset]().replace(**changes), session)
        task.build()
        return task

    return make
