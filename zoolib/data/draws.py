"""Random numbers as data, keyed by (seed, purpose, step).

A counter-based generator (Philox 4x64, Salmon et al. 2011, as in NumPy) is read like a table: the
numbers of a step lie at a fixed place, so they are the same whether a step is asked for alone, in
a range, after a resume, or on another device.
"""

from __future__ import annotations

import zlib

import numpy as np

_WORDS = 4  # one Philox counter value yields four 64-bit words, that is eight 32-bit numbers
_LANES = 2 * _WORDS


def uniforms(seed: int, purpose: str, steps: range, count: int) -> np.ndarray:
    """Uniform numbers for consecutive steps.

    Args:
        seed: the run's seed.
        purpose: what they are for; different purposes are independent streams.
        steps: consecutive steps (a range of stride 1).
        count: numbers per step.

    Returns:
        float32 array [len(steps), count]: multiples of 2**-24 in [0, 1).
    """
    bits = words(seed, purpose, steps, count)
    return (bits >> np.uint32(8)).astype(np.float32) * np.float32(2.0**-24)


def words(seed: int, purpose: str, steps: range, count: int) -> np.ndarray:
    """32-bit random words for consecutive steps, uint32 [len(steps), count]."""
    if steps.step != 1:
        raise ValueError(f"steps: expected a range of stride 1, got {steps!r}")
    blocks = -(-count // _LANES)
    key = np.array([seed, zlib.crc32(purpose.encode())], dtype=np.uint64)
    source = np.random.Philox(key=key)
    source.advance(steps.start * blocks)
    raw = source.random_raw(len(steps) * blocks * _WORDS)
    return raw.astype("<u8", copy=False).view("<u4").reshape(len(steps), blocks * _LANES)[:, :count]


def logistic(uniform: np.ndarray) -> np.ndarray:
    """Standard logistic variables by inversion, log u - log(1 - u); finite also at u = 0."""
    inside = np.maximum(uniform, np.float32(2.0**-25))
    return np.log(inside) - np.log1p(-inside)


def generator(seed: int, purpose: str) -> np.random.Generator:
    """A generator for things drawn once per run: initial weights, stored test tasks."""
    key = np.array([seed, zlib.crc32(purpose.encode())], dtype=np.uint64)
    return np.random.Generator(np.random.Philox(key=key))
