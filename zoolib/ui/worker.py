"""A run in a thread of its own, so that the Stop button is alive. One at a time in a kernel."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Callable

from zoolib.core.events import Event, Started
from zoolib.errors import ZoolibError
from zoolib.ui.progress import Progress, Throttle

NUMBERS_PERIOD, CURVE_PERIOD = 0.1, 0.25  # seconds: numbers at most 10, pictures at most 4 a second
UI_SHARE = 0.1  # at most this part of a run's time goes into showing it


class BusyError(ZoolibError, RuntimeError):
    """Another run is going on in this kernel."""


_guard = threading.Lock()
_active: Worker | None = None


class View:
    """What a worker tells; every method is called from the worker's thread."""

    def started(self, progress: Progress) -> None:
        """The run folder exists and the model is built."""

    def stopping(self, progress: Progress) -> None:
        """A stop was asked for; called from the thread that asks."""

    def numbers(self, progress: Progress) -> None:
        """There are newer numbers."""

    def curve(self, progress: Progress) -> None:
        """The history has new rows."""

    def ended(self, worker: Worker) -> None:
        """The run is over; ``worker.state`` says how."""


class Worker:
    """Consumes the events of one run and shows them.

    Args:
        name: what runs, for messages.
        start: makes the generator of events; called in the thread.
        view: shown to.
        clock: seconds, monotonic.

    Attributes:
        state: ``"running"``, ``"stopping"``, ``"stopped"``, ``"failed"`` or ``"finished"``.
        progress: what the events told so far.
        error: what ended a failed run.
    """

    def __init__(
        self,
        name: str,
        start: Callable[[], Iterator[Event]],
        view: View,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name, self._start, self._view = name, start, view
        self.progress, self.state = Progress(), "running"
        self.error: BaseException | None = None
        self._trace: TracebackType | None = None
        self._numbers = Throttle(NUMBERS_PERIOD, UI_SHARE, clock)
        self._curve = Throttle(CURVE_PERIOD, UI_SHARE, clock)
        self._rows_drawn = 0
        self._stop, self._over = threading.Event(), threading.Event()
        self._turn = threading.Lock()

    def claim(self) -> None:
        """Take the kernel's one place for runs; :meth:`start` must follow.

        Raises:
            BusyError: if another run of this kernel is not over; says which.
        """
        global _active
        with _guard:
            if _active is not None:
                other = _active
                raise BusyError(
                    f"{other.name} is running in this kernel ({other.progress.words()}); "
                    "stop it or wait for its end, then press Run again"
                )
            _active = self

    def start(self) -> None:
        """Start the thread."""
        threading.Thread(target=self._work, name=f"zoolib {self.name}", daemon=True).start()

    def stop(self) -> None:
        """Ask the run to end after the call that is under way."""
        with self._turn:  # so that "stopping" never comes after the last word
            if self.state != "running":
                return
            self.state = "stopping"
            self._view.stopping(self.progress)
        self._stop.set()

    @property
    def over(self) -> bool:
        """Whether the run has ended and everything about its end is shown."""
        return self._over.is_set()

    def wait(self, timeout: float | None = None) -> None:
        """Wait for the end. Ctrl-C (Interrupt the kernel) stops the run, which saves it.

        Raises:
            TimeoutError: if it is not over after ``timeout`` seconds.
            Exception: whatever ended a failed run.
        """
        try:
            if not self._over.wait(timeout):
                raise TimeoutError(f"{self.name} is still {self.state}: {self.progress.words()}")
        except KeyboardInterrupt:
            self.stop()
            self._over.wait()
            raise
        if self.error is not None:
            raise self.error.with_traceback(self._trace)

    def _work(self) -> None:
        try:
            state = self._consume()
            self._view.curve(self.progress)
        except BaseException as error:
            self.error, self._trace, state = error, error.__traceback__, "failed"
        with self._turn:
            self.state = state
        self._release()
        try:
            self._view.ended(self)
        finally:
            self._over.set()

    def _release(self) -> None:
        global _active
        with _guard:
            _active = None

    def _consume(self) -> str:
        """Iterate until the end or a stop; returns the state the run ends in."""
        events: Any = self._start()
        try:
            for event in events:
                self.progress.take(event)
                self._show(event)
                if self._stop.is_set():
                    break
        finally:
            events.close()  # this saves a run that is not over
        return "finished" if self.progress.finished else "stopped"

    def _show(self, event: Event) -> None:
        if isinstance(event, Started):
            self._view.started(self.progress)
        self._numbers(lambda: self._view.numbers(self.progress))
        rows = len(self.progress.history)
        if rows != self._rows_drawn and self._curve(lambda: self._view.curve(self.progress)):
            self._rows_drawn = rows
