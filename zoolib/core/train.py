"""Drain a run behind a progress bar."""

from __future__ import annotations

import sys
from collections.abc import Generator, Iterable, Iterator
from pathlib import Path
from typing import Any

from zoolib.core.config import Config
from zoolib.core.events import Evaluated, Event, Finished, Started, Stepped
from zoolib.core.result import Result, load


def train(
    config: Config | None = None,
    device: str = "auto",
    precision: str | None = None,
    out: str | Path = "runs",
    resume: str | Path | None = None,
    options: Any = None,
    progress: bool = True,
) -> Result:
    """Train to the end; arguments and errors are those of :func:`zoolib.run`.

    Args:
        progress: show a bar on a terminal or in a notebook, plain lines elsewhere.

    Returns:
        The result, with the trained object at ``.task``.
    """
    from zoolib.core.run import run
    from zoolib.runtime.device import current

    events: Iterable[Event] = run(config, device, precision, out, resume, options)
    if progress:
        events = shown(events)
    rows: list[dict[str, Any]] = []
    for event in events:
        if isinstance(event, Started):
            config, rows = event.config, list(event.history)
        elif isinstance(event, Stepped) and event.report:
            rows.append(dict(event.metrics))
        elif isinstance(event, Evaluated) and config.eval_every and rows:
            rows[-1].update(event.metrics)
        elif isinstance(event, Finished):
            if current().rank:  # rank 0 may still be writing what `load` reads
                return Result(config, dict(event.metrics), rows, event.folder, device)
            return load(event.folder, device)
    raise AssertionError("a run ends in Finished or raises")


def shown(events: Iterable[Event], stream: Any = None) -> Iterator[Event]:
    """Pass events on, drawing a bar (terminal) or a line per tenth of the run (anything else).

    Methods that count images get them instead of steps: at the moment's rate, with the average.
    """
    stream = stream or sys.stderr
    bar = None
    try:
        for event in events:
            if isinstance(event, Started):
                for note in event.notes:
                    print(f"note: {note}", file=stream)
                bar = _Bar(event, stream)
            elif isinstance(event, Stepped) and bar is not None:
                bar.stepped(event)
            elif isinstance(event, Evaluated) and bar is not None:
                bar.evaluated(event)
            yield event
    finally:
        if isinstance(events, Generator):
            events.close()  # saves now, not whenever the garbage is collected
        if bar is not None:
            bar.close()


class _Bar:
    """A run's progress on a stream."""

    def __init__(self, started: Started, stream: Any) -> None:
        from tqdm import tqdm

        from zoolib.runtime.device import current

        self._stream, self._config = stream, started.config
        self._ranks = getattr(current(), "size", 1)
        self._live = hasattr(stream, "isatty") and stream.isatty()
        self._images = self._config.images_per_step * self._ranks
        self._total, self._first, self._told = started.total, started.step, 0
        self._done: int | None = None
        self._seconds = 0.0
        each = self._images or 1
        self._tqdm = tqdm(
            total=started.total * each,
            initial=started.step * each,
            desc=self._config.model,
            unit="img" if self._images else "step",
            file=stream,
            disable=not self._live,
        )

    def stepped(self, event: Stepped) -> None:
        """One compiled call is done."""
        rate = event.steps_per_second
        done, each = event.step, self._images or 1
        if self._done is None:  # the first call was compiled, too, which says nothing
            self._first = done
        else:
            self._seconds += (done - self._done) / rate
        self._done = done
        told = _line(event.metrics)
        if self._images and self._seconds:
            mean = (done - self._first) * self._images / self._seconds
            told = f"average {mean:.0f} img/s  {told}"
        if self._live:
            self._tqdm.update(done * each - self._tqdm.n)
            self._tqdm.set_postfix_str(told)
        elif done * 10 // self._total > self._told:
            self._told = done * 10 // self._total
            if self._images:
                told = f"{rate * self._images:.0f} img/s  {told}"
            stream = self._stream
            print(f"step {done}/{self._total}  {told}", file=stream)

    def evaluated(self, event: Evaluated) -> None:
        """What the method says of an evaluation, above the bar."""
        line = self._config.evaluation_line(event.step, event.metrics, self._ranks)
        if line:
            self._tqdm.write(line, file=self._stream)

    def close(self) -> None:
        """Leave the bar as it is."""
        self._tqdm.close()


def _line(metrics: dict[str, float]) -> str:
    return "  ".join(f"{k} {v:.4g}" for k, v in metrics.items() if k != "step")
