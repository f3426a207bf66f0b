"""Step sizes as plain functions of the step, evaluated on the host for many steps at once.

All take a range of steps, count steps from 0 (the updates done so far), and return float32
[len(steps)]. They compute in float64, each step on its own: a stretch is part of the whole.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def schedule(
    kind: str, start: float, steps: range, total: int, end: float = 0.0, warmup: int = 0
) -> np.ndarray:
    """Step sizes by name.

    Args:
        kind: ``"constant"``; ``"cosine"`` or ``"linear"`` from ``start`` to ``end`` at ``total``.
        warmup: steps of :func:`warmup_factor` at the beginning.

    Raises:
        ValueError: for another kind.
    """
    if kind == "constant":
        rates = np.full(len(steps), start, np.float64)
    elif kind == "cosine":
        rates = _cosine(start, end, steps, total)
    elif kind == "linear":
        rates = _linear(start, end, steps, total)
    else:
        raise ValueError(f"schedule: expected constant, cosine or linear, got {kind!r}")
    return _single(rates * _warmup(steps, warmup))


def linear(start: float, end: float, steps: range, total: int) -> np.ndarray:
    """(start - end) (1 - t / total) + end; from ``total`` on ``end``."""
    return _single(_linear(start, end, steps, total))


def cosine(start: float, end: float, steps: range, total: int, warmup: int = 0) -> np.ndarray:
    """Half a wave from ``start`` to ``end`` at ``total`` (Loshchilov and Hutter 2017, eq. 5).

    Args:
        warmup: steps of :func:`warmup_factor` at the beginning; the wave is not moved by them.
    """
    return _single(_cosine(start, end, steps, total) * _warmup(steps, warmup))


def warmup_factor(steps: range, count: int) -> np.ndarray:
    """1 / count, 2 / count … 1 in the first ``count`` steps, then 1; to multiply any schedule."""
    return _single(_warmup(steps, count))


def piecewise(boundaries: Sequence[int], values: Sequence[float], steps: range) -> np.ndarray:
    """values[0] up to and with step boundaries[0], values[1] up to and with boundaries[1], ….

    A boundary belongs to the piece on its left, as in TensorFlow.

    Raises:
        ValueError: unless there is one value more than boundaries, and those rise.
    """
    if len(values) != len(boundaries) + 1 or list(boundaries) != sorted(set(boundaries)):
        raise ValueError(
            "piecewise: expected rising boundaries and one value more than those, "
            f"got {list(boundaries)} and {list(values)}"
        )
    place = np.searchsorted(np.asarray(boundaries, np.float64), _times(steps), side="left")
    return _single(np.asarray(values, np.float64)[place])


def exponential(
    start: float, factor: float, every: int, steps: range, staircase: bool = False
) -> np.ndarray:
    """start factor^(t / every); in a staircase the exponent is rounded down."""
    exponent = _times(steps) / every
    return _single(start * factor ** (np.floor(exponent) if staircase else exponent))


def swa_ramp(rate: float, swa_rate: float, steps: range, start: int) -> np.ndarray:
    """The rate before averaging: ``rate``, a linear fall, ``swa_rate`` (SWA's own code).

    With s = t / start: rate for s <= 0.5, linear to swa_rate at s = 0.9, then swa_rate. With the
    end of training for ``start`` and rate / 100 for ``swa_rate`` it is the paper's plain SGD.

    Args:
        start: step at which averaging starts.
    """
    done = _times(steps) / start if start else np.ones(len(steps))
    fallen = np.clip((done - 0.5) / 0.4, 0.0, 1.0)
    # Both ends exactly; an interpolation of the form a + (b - a) f may miss b by a rounding.
    return _single((1.0 - fallen) * rate + fallen * swa_rate)


def swa(
    rate: float,
    swa_rate: float,
    steps: range,
    start: int,
    cycle: int = 1,
    swa_rate2: float = 0.0,
) -> np.ndarray:
    """Stochastic weight averaging (Izmailov et al. 2018, section 3.2 and equation in 3.1).

    Before ``start`` :func:`swa_ramp`. From it on, constantly ``swa_rate``; or, with ``swa_rate2``,
    cycles that fall linearly: step i = 1 … cycle of a cycle has (1 - i / cycle) swa_rate2 +
    i / cycle swa_rate, so the last one, after which the weights are taken, has exactly swa_rate.

    Args:
        start: first step of the first cycle.
        cycle: steps.
        swa_rate2: rate at the top of a cycle; 0 for a constant rate.
    """
    times = _times(steps)
    rates = swa_ramp(rate, swa_rate, steps, start)
    if not swa_rate2:
        return rates
    place = (np.mod(times - start, cycle) + 1.0) / cycle
    cyclic = (1.0 - place) * swa_rate2 + place * swa_rate
    return np.where(times < start, rates, _single(cyclic))


def _times(steps: range) -> np.ndarray:
    return np.arange(steps.start, steps.stop, steps.step, dtype=np.float64)


def _single(values: np.ndarray) -> np.ndarray:
    return np.asarray(values).astype(np.float32)


def _linear(start: float, end: float, steps: range, total: int) -> np.ndarray:
    left = 1.0 - np.minimum(_times(steps), total) / total
    return (start - end) * left + end


def _cosine(start: float, end: float, steps: range, total: int) -> np.ndarray:
    wave = 0.5 * (1.0 + np.cos(np.pi * np.minimum(_times(steps), total) / total))
    return (start - end) * wave + end


def _warmup(steps: range, count: int) -> np.ndarray:
    return np.minimum((_times(steps) + 1.0) / max(count, 1), 1.0)
