"""The callback's arguments: what they may be, and the rates they come to once a rate is known."""

from __future__ import annotations

import dataclasses
import fnmatch
import math
import numbers
from typing import Any, Union

from zoolib.errors import ConfigError

SCHEDULES = ("manual", "constant", "cyclic")
Names = Union[str, "list[str]", "tuple[str, ...]", None]


@dataclasses.dataclass(frozen=True)
class Arguments:
    """What the constructor of the callback was given; refused here if it cannot be meant.

    Raises:
        ConfigError: a ValueError that names the argument, its value and the valid ones.
    """

    start_epoch: int
    lr_schedule: str
    swa_lr: Any
    swa_lr2: Any
    swa_freq: int
    batch_size: Any
    verbose: int
    average_every: Any
    window: Any
    include: Names
    exclude: Names

    def __post_init__(self) -> None:
        self._check_counts()
        self._check_rates()
        for name in ("include", "exclude"):
            patterns = getattr(self, name)
            _require(
                _are_patterns(patterns), name, patterns, "name patterns like 'dense*', or None"
            )

    def _check_counts(self) -> None:
        start, frequency = self.start_epoch, self.swa_freq
        _require(
            _is_count(start, 2),
            "start_epoch",
            start,
            "a whole number of at least 2, the 1-based epoch whose weights are averaged first",
        )
        _require(_is_count(frequency, 1), "swa_freq", frequency, "a whole number of at least 1")
        for name in ("batch_size", "window"):
            value = getattr(self, name)
            _require(
                value is None or _is_count(value, 1), name, value, "a positive whole number or None"
            )
        every = self.average_every
        _require(
            every == "epoch" if isinstance(every, str) else _is_count(every, 1),
            "average_every",
            every,
            "'epoch' or a positive number of steps",
        )
        _require(isinstance(self.verbose, numbers.Integral), "verbose", self.verbose, "0 or 1")

    def _check_rates(self) -> None:
        schedule, low, high = self.lr_schedule, self.swa_lr, self.swa_lr2
        valid = ", ".join(SCHEDULES)
        known = isinstance(schedule, str) and schedule in SCHEDULES
        _require(known, "lr_schedule", schedule, f"one of {valid}")
        _require(_is_rate(low), "swa_lr", low, "'auto' or a positive number")
        _require(_is_rate(high) or high is None, "swa_lr2", high, "'auto', a positive number, None")
        _require(
            high == "auto" or low != "auto",
            "swa_lr2",
            high,
            "'auto' as long as swa_lr is 'auto'; give both or neither",
        )
        if schedule == "cyclic":
            _require(
                self.swa_freq > 1, "swa_freq", self.swa_freq, "more than 1 epoch per cycle (cyclic)"
            )
            both = not isinstance(low, str) and not isinstance(high, str) and high is not None
            _require(
                not both or low <= high,
                "swa_lr",
                low,
                f"a rate not above swa_lr2={high!r} (cyclic)",
            )

    @property
    def start(self) -> int:
        """The first epoch of averaging, counted from 0."""
        return self.start_epoch - 1

    @property
    def by_epoch(self) -> bool:
        """Whether snapshots are counted in epochs."""
        return self.average_every == "epoch"

    def rates(self, rate: float) -> tuple[float, float]:
        """The lower and the upper rate of the averaging phase for an optimizer's ``rate``.

        Raises:
            ConfigError: if the optimizer's rate is below ``swa_lr``.
        """
        low = 0.1 * rate if self.swa_lr == "auto" else float(self.swa_lr)
        # An optimizer keeps its rate in float32: equality must pass in spite of that rounding.
        _require(
            low <= rate * (1 + 1e-6),
            "swa_lr",
            self.swa_lr,
            f"a rate not above the optimizer's learning rate, {rate:g}",
        )
        if self.swa_lr2 is None:
            return low, 10.0 * low
        return low, low + 0.25 * (rate - low) if self.swa_lr2 == "auto" else float(self.swa_lr2)

    def check_run(self, epochs: int | None, steps: int | None) -> None:
        """Check against what ``fit`` was asked for.

        Args:
            epochs: number of epochs; None if nobody knows.
            steps: batches per epoch; None if nobody knows.

        Raises:
            ConfigError: if the start is not before the end, or a cycle has no known length.
        """
        _require(
            epochs is None or self.start_epoch < epochs,
            "start_epoch",
            self.start_epoch,
            f"an epoch before the last one (epochs={epochs})",
        )
        _require(
            steps is not None or self.lr_schedule != "cyclic",
            "lr_schedule",
            self.lr_schedule,
            "manual or constant while the number of batches per epoch is unknown; for cyclic give "
            "fit(steps_per_epoch=...), or tell the length of the data with "
            "dataset.apply(tf.data.experimental.assert_cardinality(n))",
        )

    def chooses(self, name: str) -> bool:
        """Whether a weight of this name is averaged: included, and not excluded."""
        included = self.include is None or _matches(name, self.include)
        return included and not (self.exclude is not None and _matches(name, self.exclude))


def _require(condition: bool, name: str, value: Any, expected: str) -> None:
    if not condition:
        raise ConfigError(f"{name}={value!r}: expected {expected}")


def _is_count(value: Any, least: int) -> bool:
    whole = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    return whole and value >= least


def _is_rate(value: Any) -> bool:
    if isinstance(value, str):
        return value == "auto"
    real = isinstance(value, numbers.Real) and not isinstance(value, bool)
    return real and math.isfinite(value) and value > 0


def _are_patterns(value: Any) -> bool:
    if value is None or isinstance(value, str):
        return True
    listed = isinstance(value, (list, tuple)) and len(value) > 0
    return listed and all(isinstance(pattern, str) for pattern in value)


def _matches(name: str, patterns: Names) -> bool:
    """Whether a pattern fits the name, an end of it after a slash, or a part between slashes."""
    patterns = [patterns] if isinstance(patterns, str) else patterns
    parts = name.split("/")
    parts += ["/".join(parts[i:]) for i in range(len(parts))]
    return any(fnmatch.fnmatchcase(part, pattern) for part in parts for pattern in patterns)
