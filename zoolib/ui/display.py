"""What a panel shows of a run: bar, status, numbers, curve, table, and what went wrong."""

from __future__ import annotations

import html
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Callable

import ipywidgets as widgets

from zoolib.ui.curve import WIDTH, LiveCurve
from zoolib.ui.fields import ALARM, MUTED, WIDE
from zoolib.ui.progress import Progress
from zoolib.ui.style import SCREEN_DPI
from zoolib.ui.worker import View, Worker

ADVICE = {
    "ConfigError": "Change the setting named above and press Run again.",
    "DeviceError": "Choose another device or precision above.",
    "DamagedCheckpoint": "Start a new run; the damaged folder is left as it is.",
    "StoreError": "Check that the folder exists, is writable and has space; or start a new run.",
    "DataError": "Check the data on a terminal: python -m zoolib data check NAME.",
    "NonFiniteLoss": "Lower the learning rates or use float32, then press Run.",
    "ResourceExhaustedError": "Choose smaller batches or another device.",
    "MemoryError": "Choose smaller batches, or close other notebooks.",
    "OSError": "Check that the folder exists, is writable and has space.",
}
OTHERWISE = "Read the traceback; if a checkpoint was saved, Resume goes on from there."


class Display(View):
    """The lower half of a panel. Only sets traits, so it may be called from any thread.

    Args:
        keys: terms of the history shown in the curve.
        ended: called last when a run is over.
    """

    def __init__(self, keys: Sequence[str], ended: Callable[[Worker], None]) -> None:
        self.keys, self._ended = tuple(keys), ended
        width = widgets.Layout(width="100%", max_width=f"{WIDTH * SCREEN_DPI:.0f}px")
        self.bar = widgets.IntProgress(
            description="Progress", tooltip="Steps done of all steps.", style=WIDE, layout=width
        )
        # Two lines: what happens is announced by screen readers, ten numbers a second are not.
        self.status, self.figures = widgets.HTML(), widgets.HTML()
        self.image = widgets.Image(format="png", layout=widgets.Layout(display="none"))
        self.rows = widgets.HTML(Progress().table())
        self.table = widgets.Accordion([self.rows], selected_index=None)
        self.table.titles = ("Numbers behind the picture",)
        self.effective, self.details = widgets.HTML(), widgets.HTML()
        self.children = [
            self.bar,
            self.status,
            self.figures,
            self.effective,
            self.details,
            self.image,
            self.table,
        ]
        self.live: LiveCurve | None = None
        self.say("ready")

    def say(self, text: str, alarm: bool = False) -> None:
        """Put a sentence into the status line."""
        style = ALARM if alarm else "font-weight: 600"
        mark = "✗ " if alarm else ""
        self.status.value = (
            f'<div role="status" aria-live="polite" style="{style}">{mark}{html.escape(text)}</div>'
        )

    def clear(self, device: str) -> None:
        """Make ready for a new run."""
        self.live = LiveCurve(self.keys)
        self.bar.value, self.bar.bar_style = 0, ""
        self.figures.value = self.effective.value = self.details.value = ""
        self.say(f"opening {device}, building and compiling; the first steps take longest …")

    def started(self, progress: Progress) -> None:
        """Show the device and precision in effect, and where the run is kept."""
        self.bar.max, self.bar.value = progress.total, progress.step
        self._tell_effective(
            progress, f"; folder <code>{html.escape(near(progress.folder))}</code>"
        )
        self.say("running" if not progress.step else f"running on from step {progress.step:,}")

    def _tell_effective(self, progress: Progress, where: str) -> None:
        notes = "".join(f"<br>note: {html.escape(note)}" for note in progress.notes)
        self.effective.value = (
            f'<div style="{MUTED}">in effect: {html.escape(progress.device)}, '
            f"{html.escape(progress.precision)}{where}{notes}</div>"
        )

    def stopping(self, progress: Progress) -> None:
        """Say that the run will stop."""
        self.say(f"stopping after step {progress.step:,} …")

    def numbers(self, progress: Progress) -> None:
        """Show step, loss, best, speed and remaining time."""
        self.bar.value = progress.step
        told = progress.words(self.keys[0]), progress.pace()
        self._write("; ".join(part for part in told if part))

    def _write(self, text: str) -> None:
        self.figures.value = f"<div>{html.escape(text)}</div>"

    def curve(self, progress: Progress) -> None:
        """Redraw the curve and the table under it."""
        self.rows.value = progress.table()
        if self.live is None or not progress.history:
            return
        self.live.update(progress.history, progress.total)
        self.image.value = self.live.png()
        self.image.layout.display = None
        self.image.layout.width = "100%"
        self.image.layout.max_width = f"{WIDTH * SCREEN_DPI:.0f}px"

    def ended(self, worker: Worker) -> None:
        """Say how the run ended."""
        progress = worker.progress
        self.bar.value = progress.step
        self._write(progress.words(self.keys[0]))
        if progress.device and worker.state != "failed":
            self._tell_effective(progress, "")  # the folder is in the last word
        if worker.state == "finished":
            self.bar.bar_style = "success"
            self.say(f"finished after {progress.step:,} steps, saved in {near(progress.folder)}")
        elif worker.state == "stopped":
            kept = "saved in" if progress.step else "folder"
            self.say(f"stopped at step {progress.step:,}, {kept} {near(progress.folder)}")
        else:
            self._failed(worker)
        self._ended(worker)

    def _failed(self, worker: Worker) -> None:
        error: Any = worker.error
        self.bar.bar_style = "danger"
        self.say(f"failed at step {worker.progress.step:,}: {error or type(error).__name__}", True)
        self.details.value = (
            f"<p><b>What to try:</b> {html.escape(advice(error))}</p>"
            f"<details><summary>Traceback ({html.escape(type(error).__name__)})</summary>"
            f'<pre style="white-space: pre-wrap">{html.escape(_trace(error))}</pre></details>'
        )


def near(folder: Any) -> str:
    """A folder as seen from the working directory, where it is inside it."""
    path = Path(str(folder))
    return str(path.relative_to(Path.cwd())) if Path.cwd() in path.parents else str(path)


def advice(error: BaseException) -> str:
    """What to try after an error, by the nearest of its classes that is known."""
    for kind in type(error).__mro__:
        if kind.__name__ in ADVICE:
            return ADVICE[kind.__name__]
    return OTHERWISE


def _trace(error: BaseException) -> str:
    return "".join(traceback.format_exception(type(error), error, error.__traceback__))
