"""What the TensorFlow 1 reference computed from known numbers: a check of devices and imports.

The reference's network was filled by a formula and run under TensorFlow 1.15 on one image; first
logits and statistics of that run are stored here. :func:`checkpoint` writes the same numbers as a
checkpoint with the reference's names, so that importing it and running the network has to give
them again.
"""

from __future__ import annotations

import dataclasses
import os

import numpy as np
import tensorflow as tf

from zoolib.models.shufflenet_v2.architecture import Architecture, Layer

_MASK = np.uint64(0xFFFFFFFF)
_IMAGE = 1000  # number of the image's tensor
_RANGES = {  # batch norm and bias: from, span
    "gamma": (0.8, 0.4),
    "beta": (-0.2, 0.4),
    "moving_mean": (-0.1, 0.2),
    "moving_variance": (0.8, 0.4),
    "biases": (-0.1, 0.2),
}


@dataclasses.dataclass(frozen=True)
class Golden:
    """What the reference gave: the first five of 1000 logits, and statistics of all."""

    first: tuple[float, ...]
    argmax: int
    argmin: int
    mean: float
    std: float
    largest: float

    def difference(self, logits: np.ndarray) -> float:
        """Largest deviation of logits [1, 1000] from these, in standard deviations; 1e-4 is safe.

        Infinite if another class is the most or the least probable one.
        """
        row = np.asarray(logits, np.float64)[0]
        if (row.argmax(), row.argmin()) != (self.argmax, self.argmin):
            return float("inf")
        apart = np.abs(row[:5] - self.first).max()
        statistics = np.abs(
            [row.mean() - self.mean, row.std() - self.std, row.max() - self.largest]
        )
        return float(max(apart, statistics.max()) / self.std)


REFERENCE = {
    "0.5": Golden(
        (-14.55621, 34.49018, -12.69739, 0.46518, 0.92294),
        *(94, 484, -0.318373, 28.143679, 117.917984),
    ),
    "1.0": Golden(
        (-39.02554, 84.89276, 10.82293, -9.26425, 57.91640),
        *(647, 718, 0.530023, 60.907322, 206.660431),
    ),
}


def numbers(tensor: int, count: int) -> np.ndarray:
    """The first numbers of a tensor: a hash of (tensor, place), float64 [count] in [0, 1)."""
    x = np.arange(count, dtype=np.uint64) + np.uint64((1 + 2654435769 * (tensor + 1)) % 2**32)
    x &= _MASK
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        x ^= x >> np.uint64(shift)
        x = (x * np.uint64(factor)) & _MASK
    x ^= x >> np.uint64(16)
    return x / 2.0**32


def image(size: int = 224) -> np.ndarray:
    """The one image, float32 [1, size, size, 3] in [0, 1)."""
    return numbers(_IMAGE, size * size * 3).reshape(1, size, size, 3).astype(np.float32)


def values(width: str = "0.5") -> dict[str, np.ndarray]:
    """All 282 tensors of the reference's network by name, in its order of creation."""
    found: dict[str, np.ndarray] = {}
    for layer in Architecture(width, "reference").layers():
        for name, shape in _tensors(layer):
            u = numbers(len(found), int(np.prod(shape)))
            drawn = _scaled(name, shape, u)
            found[name] = drawn.reshape(shape).astype(np.float32)
    return found


def checkpoint(prefix: str | os.PathLike[str], width: str = "0.5") -> str:
    """Write them as a checkpoint of TensorFlow's own format; returns the prefix."""
    tensors, path = values(width), os.fspath(prefix)
    tf.raw_ops.SaveV2(
        prefix=path,
        tensor_names=list(tensors),
        shape_and_slices=[""] * len(tensors),
        tensors=[tf.constant(v) for v in tensors.values()],
    )
    return path


def _tensors(layer: Layer) -> list[tuple[str, tuple[int, ...]]]:
    if layer.kind == "dense":
        kernel = (f"{layer.name}/weights", (layer.inputs, layer.outputs))
        return [kernel, (f"{layer.name}/biases", (layer.outputs,))]
    if layer.kind == "depthwise":
        kernel = (f"{layer.name}/depthwise_weights", (layer.window, layer.window, layer.inputs, 1))
    else:
        shape = (layer.window, layer.window, layer.inputs, layer.outputs)
        kernel = (f"{layer.name}/weights", shape)
    norm = ("gamma", "beta", "moving_mean", "moving_variance")
    return [kernel, *((f"{layer.name}/batch_norm/{n}", (layer.outputs,)) for n in norm)]


def _scaled(name: str, shape: tuple[int, ...], u: np.ndarray) -> np.ndarray:
    if name.endswith("depthwise_weights"):
        return (2 * u - 1) * np.sqrt(6 / 9)
    if name.endswith("weights"):
        return (2 * u - 1) * np.sqrt(6 / np.prod(shape[:-1]))
    low, span = _RANGES[name.rpartition("/")[2]]
    return low + span * u
