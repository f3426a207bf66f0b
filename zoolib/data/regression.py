"""Families of regression tasks: sinusoids and polynomials (MT-net paper, section 5; spec 1.7)."""

from __future__ import annotations

import dataclasses

import numpy as np

AMPLITUDE, PHASE, FREQUENCY = (0.1, 5.0), (0.0, np.pi), (0.8, 1.2)


@dataclasses.dataclass(frozen=True)
class RegressionTasks:
    """Points of many tasks.

    Attributes:
        x: inputs, float32 [..., points, 1].
        y: targets, float32 [..., points, 1].
        knowledge: what an oracle is told, float32 [..., parameters]: amplitude, phase and
            frequency, or polynomial coefficients.
    """

    x: np.ndarray
    y: np.ndarray
    knowledge: np.ndarray


def _between(uniform: np.ndarray, low: float, high: float) -> np.ndarray:
    return low + (high - low) * uniform


def sinusoid(knowledge: np.ndarray, x: np.ndarray) -> np.ndarray:
    """y = A sin(omega x - phi).

    Args:
        knowledge: [..., 3], amplitude, phase (radians), angular frequency.
        x: [..., points, 1].
    """
    amplitude, phase, frequency = (knowledge[..., i, None, None] for i in range(3))
    return amplitude * np.sin(frequency * x - phase)


def polynomial(knowledge: np.ndarray, x: np.ndarray) -> np.ndarray:
    """y = sum_i c_i x^i, coefficients [..., order + 1], x [..., points, 1]."""
    powers = np.arange(knowledge.shape[-1])
    return np.sum(knowledge[..., None, :] * x**powers, axis=-1, keepdims=True)


def numbers_per_task(family: str, points: int, order: int = 0) -> int:
    """How many uniform numbers :func:`from_uniforms` needs for one task."""
    return points + (3 if family == "sinusoid" else order + 1)


def from_uniforms(family: str, uniform: np.ndarray, points: int) -> RegressionTasks:
    """Tasks from uniform numbers, float [..., numbers_per_task].

    Sinusoids: A ~ U[0.1, 5], phi ~ U[0, pi], omega ~ U[0.8, 1.2], x ~ U[-5, 5], no noise.
    Polynomials: c_i ~ U[-1, 1] / 2^i, x ~ U[-2, 2].
    """
    told, place = uniform[..., :-points], uniform[..., -points:]
    if family == "sinusoid":
        ranges = (AMPLITUDE, PHASE, FREQUENCY)
        knowledge = np.stack([_between(told[..., i], *r) for i, r in enumerate(ranges)], axis=-1)
        x = _between(place, -5.0, 5.0)[..., None]
        y = sinusoid(knowledge, x)
    else:
        knowledge = _between(told, -1.0, 1.0) / 2.0 ** np.arange(told.shape[-1])
        x = _between(place, -2.0, 2.0)[..., None]
        y = polynomial(knowledge, x)
    return RegressionTasks(*(np.asarray(a, np.float32) for a in (x, y, knowledge)))


def stored_sinusoids(count: int, points: int) -> RegressionTasks:
    """The fixed test tasks: those the earlier implementation's test mode draws (seed 1).

    NumPy's legacy stream is frozen by its compatibility promise, so these are the same tasks on
    every machine; a test holds their checksum. Per task: amplitude, phase, frequency, inputs.
    """
    source = np.random.RandomState(1)
    knowledge, x = np.empty((count, 3)), np.empty((count, points, 1))
    for task in range(count):
        knowledge[task] = [source.uniform(*r) for r in (AMPLITUDE, PHASE, FREQUENCY)]
        x[task] = source.uniform(-5.0, 5.0, (points, 1))
    y = sinusoid(knowledge, x)
    return RegressionTasks(*(np.asarray(a, np.float32) for a in (x, y, knowledge)))


def stored_polynomials(count: int, points: int, order: int) -> RegressionTasks:
    """Fixed polynomial test tasks (NumPy's legacy stream, seed 1)."""
    uniform = np.random.RandomState(1).uniform(size=(count, points + order + 1))
    return from_uniforms("polynomial", uniform, points)
