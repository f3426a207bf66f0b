"""What a run tells its caller. `zoolib.run` yields these; nothing else reports progress."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any


@dataclasses.dataclass(frozen=True)
class Event:
    """Something that happened after ``step`` training steps."""

    step: int


@dataclasses.dataclass(frozen=True)
class Started(Event):
    """The run folder exists and the model is built; training goes on from ``step``.

    Attributes:
        total: steps of the whole run.
        folder: the run folder.
        device: the device in effect, e.g. ``"cpu"``.
        precision: the precision in effect.
        config: the effective settings.
        history: rows already reported, when a run is resumed.
        notes: remarks for the user, e.g. that a damaged checkpoint was passed over.
    """

    total: int
    folder: Path
    device: str
    precision: str
    config: Any
    history: tuple[dict, ...] = ()
    notes: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Stepped(Event):
    """One compiled call is done.

    Attributes:
        metrics: means of the named terms since the last report.
        steps_per_second: rate of this call.
        report: whether this closed a row of the history (``metrics`` is then that row).
    """

    metrics: dict[str, float]
    steps_per_second: float
    report: bool


@dataclasses.dataclass(frozen=True)
class Evaluated(Event):
    """The model was evaluated on its held-out set."""

    metrics: dict[str, float]


@dataclasses.dataclass(frozen=True)
class Saved(Event):
    """A complete checkpoint is on disk; a resumed run starts here."""

    path: Path


@dataclasses.dataclass(frozen=True)
class Stopped(Event):
    """The caller stopped iterating and the state was saved (told by panel and CLI)."""

    folder: Path


@dataclasses.dataclass(frozen=True)
class Failed(Event):
    """The run ended in an error, which is raised next."""

    error: Exception
    folder: Path


@dataclasses.dataclass(frozen=True)
class Finished(Event):
    """All steps are done, the final evaluation too.

    Attributes:
        metrics: the final evaluation.
        folder: the run folder.
        seconds: training time of this process, compilation included, evaluation excluded.
        steps_per_second: steps of this process over ``seconds``.
    """

    metrics: dict[str, float]
    folder: Path
    seconds: float
    steps_per_second: float
