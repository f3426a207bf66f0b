"""What is known of a run so far, gathered from its events, and the same in words."""

from __future__ import annotations

import html
import math
from typing import Any, Callable, Optional

from zoolib.core.events import Evaluated, Event, Failed, Finished, Saved, Started, Stepped

SLOWING = 0.02  # a pause is at least this part of the time gone by


class Throttle:
    """Lets something happen at most every ``period`` seconds, and for at most a share of the time.

    The longer it goes on, the longer the pauses, up to fifty periods: a client that only reads
    when a cell is done (nbval) loses messages beyond some two thousand.

    Args:
        period: seconds between two times, at first.
        share: largest part of the time it may take; what takes longer happens less often.
        clock: seconds, monotonic.
    """

    def __init__(self, period: float, share: float, clock: Callable[[], float]) -> None:
        self.period, self.share, self.clock = period, share, clock
        self._first: Optional[float] = None
        self._next = -math.inf

    def __call__(self, action: Callable[[], None]) -> bool:
        """Do ``action`` if its time has come; tells whether it did."""
        begin = self.clock()
        if begin < self._next:
            return False
        action()
        spent = self.clock() - begin
        self._first = begin if self._first is None else self._first
        pause = min(max(self.period, SLOWING * (begin - self._first)), 50 * self.period)
        self._next = begin + max(pause, spent / self.share)
        return True


class Progress:
    """The state of one run as its events tell it.

    Attributes:
        step, total: steps done and to do.
        rate: steps per second, smoothed; 0 before the first.
        history: rows so far, each with ``step``; evaluations are part of their step's row.
        latest: newest value of each term.
        folder, device, precision, config, notes: as told at the start; ``None`` before.
        saved: step of the last checkpoint, ``None`` without one.
        finished: whether the last step is done and evaluated.
    """

    def __init__(self) -> None:
        self.step = self.total = 0
        self.rate = 0.0
        self.history: list[dict[str, float]] = []
        self.latest: dict[str, float] = {}
        self.folder = self.config = self.saved = None
        self.device = self.precision = ""
        self.notes: tuple[str, ...] = ()
        self.finished = False

    def take(self, event: Event) -> None:
        """Take in one event."""
        self.step = event.step
        if isinstance(event, Started):
            self.total, self.folder, self.config = event.total, event.folder, event.config
            self.device, self.precision, self.notes = event.device, event.precision, event.notes
            self.history = [dict(row) for row in event.history]
        elif isinstance(event, Stepped):
            rate = event.steps_per_second
            self.rate = 0.7 * self.rate + 0.3 * rate if self.rate else rate
            self.latest.update(event.metrics)
            if event.report:
                self._row(event.step, event.metrics)
        elif isinstance(event, Evaluated):
            self._row(event.step, event.metrics)
        elif isinstance(event, Saved):
            self.saved = event.step
        elif isinstance(event, Failed):
            self.folder = event.folder
        elif isinstance(event, Finished):
            self.folder, self.finished = event.folder, True

    def _row(self, step: int, metrics: dict[str, float]) -> None:
        if not self.history or self.history[-1]["step"] != step:
            self.history.append({"step": step})
        self.history[-1].update(metrics)

    def best(self, key: str = "loss") -> float | None:
        """Smallest finite value of ``key`` in the history."""
        values = [row[key] for row in self.history if math.isfinite(row.get(key, math.nan))]
        return min(values, default=None)

    def words(self, key: str = "loss") -> str:
        """One line, e.g. ``step 400 of 1,000, loss 0.21, best 0.19``."""
        parts = [f"step {self.step:,} of {self.total:,}"]
        if key in self.latest:
            parts.append(f"{key} {self.latest[key]:.3g}")
        best = self.best(key)
        if best is not None:
            parts.append(f"best {best:.3g}")
        return ", ".join(parts)

    def pace(self) -> str:
        """Speed and remaining time in words; empty before the first step."""
        if not self.rate:
            return ""
        left = (self.total - self.step) / self.rate
        told = f"{left:.0f} s" if left < 90 else f"{left / 60:.0f} min"
        return f"{self.rate:,.3g} steps/s".replace("e+03", "k") + f", about {told} left"

    def table(self, rows: int = 12, columns: int = 8) -> str:
        """The newest rows as an HTML table; of a long evaluation the first columns."""
        shown = self.history[-rows:]
        if not shown:
            return "<p>no numbers yet</p>"
        names = list(dict.fromkeys(name for row in shown for name in row))[:columns]
        head = "".join(f'<th scope="col">{html.escape(name)}</th>' for name in names)
        body = "".join(
            "<tr>" + "".join(f"<td>{_cell(name, row.get(name))}</td>" for name in names) + "</tr>"
            for row in shown
        )
        told = f"last {len(shown)} of {len(self.history)} rows of the history"
        return (
            f"<table><caption>{told}</caption><thead><tr>{head}</tr></thead>"
            f"<tbody>{body}</tbody></table>"
        )


def _cell(name: str, value: Any) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if name == "step" else f"{value:.5g}"
