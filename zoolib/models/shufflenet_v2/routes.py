"""Where every channel of a stage goes: the shuffles of a trained network worked out beforehand.

A shuffle only renames channels. Followed through a stage, each channel a unit makes is read by
exactly one later unit or reaches the stage's end. So a unit may give its channels in the order in
which they are needed, cut into one piece per reader; the reader joins its pieces and its 1 x 1
kernel's rows are put in the order of the join. Nothing is left of the shuffles but cuts and joins.
No TensorFlow here.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from zoolib.models.shufflenet_v2.architecture import Unit
from zoolib.models.shufflenet_v2.wirings import Wiring

Channel = tuple[int, int]  # (which of the stage's branches made it, its number there)
Pieces = tuple[tuple[int, int], ...]  # (reader, channels) one after the other


@dataclasses.dataclass(frozen=True)
class Branch:
    """Something in a stage that makes channels: the shortcut, or a unit's processed branch.

    Attributes:
        order: number of the channel, as trained, at every place of the new order.
        pieces: (reader, channels) of every piece of the new order; the readers are branches, the
            last reader, numbered as a branch beyond the last, the stage's end.
        rows: number, as trained, of the channel at each place of its joined input; of the two
            branches at the stage's beginning empty: their input is the stage's.
    """

    order: np.ndarray
    pieces: Pieces
    rows: np.ndarray

    def as_trained(self) -> Pieces | None:
        """The pieces where the channels stay in the order as trained; None if that cuts none."""
        found, at = [], 0
        for reader, size in self.pieces:
            numbers = self.order[at : at + size]
            if (np.diff(numbers) != 1).any():
                return None
            found.append((int(numbers[0]), (reader, size)))
            at += size
        return tuple(piece for _, piece in sorted(found))


def routes(units: tuple[Unit, ...], wiring: Wiring) -> tuple[list[Branch], np.ndarray]:
    """Work out a stage.

    Returns:
        Its branches, shortcut first, and for every place of the stage's new output the number the
        channel has as trained.
    """
    first = units[0]
    channels = [(0, c) for c in range(first.shortcut)] + [(1, c) for c in range(first.main)]
    read: list[list[Channel]] = [[], []]
    for branch, unit in enumerate(units[1:], 2):
        channels = mixed(channels, wiring.deinterleave)
        half = len(channels) // 2
        halves = [channels[:half], channels[half:]]
        read.append(halves[wiring.processed])
        halves[wiring.processed] = [(branch, c) for c in range(unit.main)]
        channels = halves[0] + halves[1]
    if wiring.shuffled_end:
        channels = mixed(channels, False)
    reader = {c: number for number, inputs in enumerate([*read, channels]) for c in inputs}
    branches, widths = [], [first.shortcut, *(unit.main for unit in units)]
    for number, width in enumerate(widths):
        own = sorted(((number, c) for c in range(width)), key=lambda c: (reader[c], c))
        readers = [reader[c] for c in own]
        pieces = tuple((r, readers.count(r)) for r in sorted(set(readers)))
        rows = _places(read[number], reader, number)
        branches.append(Branch(np.array([c for _, c in own]), pieces, rows))
    return branches, _places(channels, reader, len(widths))


def mixed(channels: list, deinterleave: bool) -> list:
    """What a shuffle (or its inverse) makes of a list of channels."""
    if deinterleave:
        return channels[::2] + channels[1::2]
    half = len(channels) // 2
    return [c for pair in zip(channels[:half], channels[half:]) for c in pair]


def _places(inputs: list[Channel], reader: dict[Channel, int], number: int) -> np.ndarray:
    """Place in ``inputs`` of each channel of the join: pieces by maker, within one by number."""
    joined = sorted(c for c in inputs if reader[c] == number)
    place = {c: i for i, c in enumerate(inputs)}
    return np.array([place[c] for c in joined], int)
