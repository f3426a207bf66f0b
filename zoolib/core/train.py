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
    """Pass events on, drawing a bar (terminal) or a line per tenth of the run (anything else)."""
    from tqdm import tqdm

    stream = stream or sys.stderr
    live = hasattr(stream, "isatty") and stream.isatty()
    bar, told = None, 0
    try:
        for event in events:
            if isinstance(event, Started):
                for note in event.notes:
                    print(f"note: {note}", file=stream)
                bar = tqdm(
                    total=event.total,
                    initial=event.step,
                    desc=event.config.model,
                    unit="step",
                    file=stream,
                    disable=not live,
                )
            elif isinstance(event, Stepped) and bar is not None:
                if live:
                    bar.update(event.step - bar.n)
                    bar.set_postfix_str(_line(event.metrics))
                elif event.step * 10 // bar.total > told:
                    told = event.step * 10 // bar.total
                    print(f"step {event.step}/{bar.total}  {_line(event.metrics)}", file=stream)
            yield event
    finally:
        if isinstance(events, Generator):
            events.close()  # saves now, not whenever the garbage is collected
        if bar is not None:
            bar.close()


def _line(metrics: dict[str, float]) -> str:
    return "  ".join(f"{k} {v:.4g}" for k, v in metrics.items() if k != "step")
