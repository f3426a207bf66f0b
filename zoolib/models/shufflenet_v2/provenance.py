"""Who made which channel: a stage's channels followed through its units and shuffles.

No TensorFlow here; what is followed are lists of channels, with the rules of `routes` and `units`.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from zoolib.models.shufflenet_v2.architecture import Unit
from zoolib.models.shufflenet_v2.routes import mixed
from zoolib.models.shufflenet_v2.wirings import Wiring


@dataclasses.dataclass(frozen=True)
class Row:
    """The channels at one moment.

    Attributes:
        name: ``unit 2`` (what it gives) or ``shuffle``.
        makers: who made each channel, int [C]: 0 is the first unit's shortcut, n unit n.
        places: where each channel stood a row earlier, int [C]; -1: it was made just now.
        processed: channels (from, to) that the next unit works on; None: all, or no unit comes.
    """

    name: str
    makers: np.ndarray
    places: np.ndarray
    processed: tuple[int, int] | None = None


def trace(units: tuple[Unit, ...], wiring: Wiring, shuffle: bool = True) -> list[Row]:
    """Follow the channels of a stage.

    Args:
        units: of the stage.
        wiring: where shuffles stand and which half is processed.
        shuffle: without, halves stay what they are: what the shuffle is good for.
    """
    first = units[0]
    makers = np.repeat([0, 1], [first.shortcut, first.main])
    count = len(makers)
    still = np.arange(count)
    rows = [Row("unit 1", makers, np.full(count, -1))]
    for number, unit in enumerate(units[1:], 2):
        half = count // 2
        start = wiring.processed * half
        order = np.array(mixed(list(still), wiring.deinterleave)) if shuffle else still
        makers = makers[order]
        rows.append(Row("shuffle", makers, order, (start, start + half)))
        fresh = (still >= start) & (still < start + unit.main)
        makers = np.where(fresh, number, makers)
        rows.append(Row(f"unit {number}", makers, np.where(fresh, -1, still)))
    if wiring.shuffled_end and shuffle:
        order = np.array(mixed(list(still), False))
        rows.append(Row("shuffle", makers[order], order))
    return rows


def ages(rows: list[Row]) -> np.ndarray:
    """Units since each channel was made, after every unit, int [units, C]; 0: made by this unit."""
    given = [row for row in rows if row.name != "shuffle"]
    return np.stack([number - np.maximum(row.makers, 1) for number, row in enumerate(given, 1)])


def seen(rows: list[Row]) -> np.ndarray:
    """Which of the first unit's channels each channel depends on, bool [units, C, C]."""
    count = len(rows[0].makers)
    now, found = np.eye(count, dtype=bool), []
    inputs = now
    for row in rows:
        if row.name == "shuffle":
            now = now[row.places]
            inputs = now[slice(*row.processed)] if row.processed else now
            continue
        if row is not rows[0]:
            now = np.where((row.places < 0)[:, None], inputs.any(axis=0), now)
        found.append(now)
    return np.stack(found)
