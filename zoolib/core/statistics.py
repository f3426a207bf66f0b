"""Means over few runs with their 95 % intervals, by Student's t; no SciPy needed.

A handful of seeds is the usual case, where the normal distribution's 1.96 would be far too short:
three runs need 4.30, five 2.78.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Sequence


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A mean over runs.

    Attributes:
        n: how many runs.
        mean: NaN if a value is not finite.
        spread: standard deviation over the runs (n - 1 below the line); NaN for one run.
        half: half-width of the mean's 95 % interval; NaN for one run.
    """

    n: int
    mean: float
    spread: float
    half: float

    @property
    def low(self) -> float:
        """Lower end of the interval."""
        return self.mean - self.half

    @property
    def high(self) -> float:
        """Upper end of the interval."""
        return self.mean + self.half

    def tie(self) -> bool:
        """Whether the interval holds 0; without an interval nothing is told apart."""
        return not (self.low > 0 or self.high < 0)


def estimate(values: Sequence[float]) -> Estimate:
    """Mean, spread and 95 % interval of at least one value.

    Raises:
        ValueError: for no values.
    """
    n = len(values)
    if not n:
        raise ValueError("values: expected at least one, got none")
    if not all(map(math.isfinite, values)):
        return Estimate(n, math.nan, math.nan, math.nan)
    mean = math.fsum(values) / n
    if n == 1:
        return Estimate(1, mean, math.nan, math.nan)
    spread = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (n - 1))
    return Estimate(n, mean, spread, t_quantile(n - 1) * spread / math.sqrt(n))


@functools.cache
def t_quantile(freedom: int, inside: float = 0.95) -> float:
    """The t with ``P(-t < T < t) = inside`` for Student's distribution.

    Args:
        freedom: degrees of freedom, an integer of at least 1.
        inside: probability, between 0 and 1.

    Raises:
        ValueError: for arguments out of these bounds.
    """
    if freedom < 1 or not 0 < inside < 1:
        raise ValueError(
            f"t_quantile: expected freedom of at least 1 and a probability between 0 and 1, "
            f"got {freedom} and {inside}"
        )
    low, high = 0.0, math.pi / 2
    for _ in range(60):  # the probability grows with the angle: halve until doubles run out
        angle = (low + high) / 2
        low, high = (angle, high) if _inside(angle, freedom) < inside else (low, angle)
    return math.sqrt(freedom) * math.tan((low + high) / 2)


def _inside(angle: float, freedom: int) -> float:
    """P(-t < T < t) with t = sqrt(freedom) tan(angle), for integer degrees of freedom.

    A finite sum: Abramowitz and Stegun, Handbook of Mathematical Functions, 26.7.3 (odd) and
    26.7.4 (even).
    """
    cosine, sine = math.cos(angle), math.sin(angle)
    odd = freedom % 2
    term = cosine if odd else 1.0
    total = term if freedom > 1 else 0.0
    for k in range(2 + odd, freedom, 2):
        term *= cosine * cosine * (k - 1) / k
        total += term
    return 2 / math.pi * (angle + sine * total) if odd else sine * total
