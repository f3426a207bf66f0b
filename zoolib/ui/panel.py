"""Run, Stop, Resume: a run in a notebook, with progress, a live curve and everything in words."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any, Callable

import ipywidgets as widgets

import zoolib
from zoolib.core.config import Config
from zoolib.errors import ZoolibError
from zoolib.ui.devices import DeviceChoice
from zoolib.ui.display import Display
from zoolib.ui.form import Form
from zoolib.ui.plots import Picture, learning_curve
from zoolib.ui.progress import Progress
from zoolib.ui.worker import Worker


class Panel(widgets.VBox):
    """Controls of a run.

    The buttons and the methods mean the same: ``panel.run(wait=True)`` is Run and waiting.

    Args:
        form: a :class:`~zoolib.ui.form.Form`, read when Run is pressed, or a config.
        out: folder in which run folders are made.
        keys: terms of the history shown in the curve.
        runner: makes the generator of events; :func:`zoolib.run` unless told.
        devices: what the machine offers; :func:`zoolib.devices` unless told.
        session: gives the open session; the runtime's unless told.
        loader: makes a result of a run folder; :func:`zoolib.load` unless told.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        form: Form | Config,
        out: str | Path = "runs",
        keys: tuple[str, ...] = ("loss",),
        runner: Callable[..., Any] | None = None,
        devices: Callable[[], Any] | None = None,
        session: Callable[[], Any] | None = None,
        loader: Callable[..., Any] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.form = form if isinstance(form, Form) else None
        self._config = None if self.form else form
        self.out, self._keys, self._clock = out, keys, clock
        self._runner, self._loader = runner, loader
        self._worker: Worker | None = None
        self._result: Any = None
        offered = (devices or zoolib.devices)()
        self.display = Display(keys, self._ended)
        session = session or _open_session
        self.choice = DeviceChoice(offered, session, self._refuse, self._recipe)
        self.run_button = _button("Run", "play", "Start a new run with these settings.")
        self.stop_button = _button("Stop", "stop", "Stop after the current steps and save.")
        self.resume_button = _button("Resume", "step-forward", "Go on where the run stopped.")
        self.run_button.on_click(lambda _: self._clicked(self.run))
        self.stop_button.on_click(lambda _: self._clicked(self.stop))
        self.resume_button.on_click(lambda _: self._clicked(self.resume))
        buttons = widgets.HBox([self.run_button, self.stop_button, self.resume_button])
        super().__init__([self.choice, buttons, *self.display.children])
        self._enable()

    # Verbs, the same for code and for clicks.

    def run(self, wait: bool = False) -> None:
        """Start a new run with the form's settings; with ``wait``, return at its end.

        Raises:
            ConfigError, DeviceError: for settings or a device that are not valid.
            BusyError: if a run is going on in this kernel.
            Exception: whatever ended the run, with ``wait``.
        """
        config = self.form.config if self.form else self._config
        device, precision = self.choice.choice()
        self._begin(self._name(), config, device, precision, None)
        if wait:
            self.wait()

    def stop(self) -> None:
        """Ask the run to stop after the compiled call under way, and to save."""
        worker = self._worker
        if worker is None or worker.over:
            self.display.say("nothing is running")
            return
        worker.stop()
        self._enable()

    def resume(self, wait: bool = False, folder: str | Path | None = None) -> None:
        """Go on with the run that stopped, with its settings, or with the one in ``folder``.

        Raises:
            ZoolibError: if there is nothing to go on with.
            Exception: as :meth:`run`.
        """
        device, precision = self.choice.choice()
        if folder is None:
            folder = self._resumable()
            if folder is None:
                raise ZoolibError("resume: expected a stopped run; press Run, or give folder=")
        else:
            precision = None  # the run's own
        self._begin(f"the run in {folder}", None, device, precision, folder)
        if wait:
            self.wait()

    def wait(self, timeout: float | None = None) -> None:
        """Wait for the end of the run. Ctrl-C stops it, saved.

        Raises:
            TimeoutError: if it is not over after ``timeout`` seconds.
            Exception: whatever ended the run.
        """
        if self._worker is not None:
            self._worker.wait(timeout)

    @property
    def state(self) -> str:
        """``idle``, ``running``, ``stopping``, ``stopped``, ``failed`` or ``finished``."""
        return self._worker.state if self._worker else "idle"

    @property
    def history(self) -> list[dict[str, float]]:
        """Rows of the run so far, evaluations included."""
        return [dict(row) for row in self._progress.history]

    @property
    def result(self) -> Any:
        """The :class:`~zoolib.core.result.Result` of the finished run.

        Raises:
            ZoolibError: if no run has finished.
        """
        if self.state != "finished" or not self._worker.over:
            raise ZoolibError(f"result: expected a finished run, it is {self.state}; run it first")
        if self._result is None:
            self._result = (self._loader or zoolib.load)(self._progress.folder)
        return self._result

    def figure(self) -> Picture:
        """The curve as a figure of its own, to keep in the notebook."""
        config = self._progress.config or self._config
        return learning_curve({getattr(config, "model", "") or "run": self.history}, self._keys)

    # What happens in between. Everything below may run in the worker's thread: traits only.

    @property
    def _progress(self) -> Progress:
        return self._worker.progress if self._worker else Progress()

    def _begin(self, name: str, config: Any, device: str, precision: Any, folder: Any) -> None:
        runner = self._runner or zoolib.run
        where = {"device": device, "precision": precision, **self.choice.options()}
        worker = Worker(
            name,
            lambda: runner(config, **where, out=self.out, resume=folder),
            self.display,
            self._clock,
        )
        worker.claim()
        self._worker, self._result = worker, None
        self.display.clear(device)
        self._lock(True)
        worker.start()

    def _ended(self, worker: Worker) -> None:
        """Called by the display after the last word on a run."""
        if self.form and isinstance(worker.progress.config, self.form.Config):
            self.form.set(worker.progress.config)  # a resumed run brings its own settings
        self._lock(False)
        self.choice.refresh()

    def _clicked(self, verb: Callable[[], None]) -> None:
        """Do what a button says; a refusal is shown, since nothing shows a callback's error."""
        try:
            verb()
        except ZoolibError as error:
            self._refuse(str(error))

    def _refuse(self, text: str) -> None:
        self.display.say(text, alarm=True)

    def _recipe(self) -> tuple[str, str, str | Path]:
        """The settings as Python and as a command line, and the folder of the runs."""
        form = self.form
        if form is None:  # of a config alone: by the form it would have
            known = self._config.model in zoolib.list_models()
            form = Form(zoolib.get_model(self._config.model) if known else type(self._config))
            form.set(self._config)
        return form.code(), form.command(), self.out

    def _resumable(self) -> Path | None:
        """The folder Resume would go on with."""
        worker = self._worker
        if worker is None or worker.state not in ("stopped", "failed"):
            return None
        if worker.state == "failed" and worker.progress.saved is None:
            return None
        return worker.progress.folder

    def _lock(self, running: bool) -> None:
        """Controls of a running or of a resting panel."""
        if self.form:
            self.form.locked = running
        self.choice.lock(running)
        self._enable()

    def _enable(self) -> None:
        state = self.state
        going = state in ("running", "stopping")
        self.run_button.disabled = going
        self.stop_button.disabled = state != "running"
        self.resume_button.disabled = self._resumable() is None

    def __repr__(self) -> str:
        return f"Panel({self._name()})"

    def __str__(self) -> str:
        told = f", {self._progress.words(self._keys[0])}" if self._worker else ""
        return f"{self!r}: {self.state}{told}"

    def _name(self) -> str:
        kind: Any = self.form.Config if self.form else type(self._config)
        return kind.model or kind.__name__


def _button(name: str, icon: str, tooltip: str) -> Any:
    return widgets.Button(description=name, icon=icon, tooltip=tooltip)


def _open_session() -> Any:
    """The open session, without importing TensorFlow to find that there is none."""
    device = sys.modules.get("zoolib.runtime.device")
    return device.current() if device else None
