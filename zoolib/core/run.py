"""The one loop. Notebooks, widgets, command line and tests all iterate this generator."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from zoolib.core import files
from zoolib.core.averaging import averaging_of, evaluate
from zoolib.core.board import Board
from zoolib.core.claim import check_same, claim
from zoolib.core.config import Config
from zoolib.core.events import Evaluated, Event, Failed, Finished, Saved, Started, Stepped
from zoolib.core.interrupts import deferred
from zoolib.core.npu_settings import npu_options
from zoolib.core.selection import selection_of
from zoolib.core.spec import get_model
from zoolib.core.store import Checkpoint, RunFolder
from zoolib.core.task import Task
from zoolib.errors import ConfigError, NonFiniteLoss
from zoolib.runtime.device import open_session


def run(
    config: Config | None = None,
    device: str = "auto",
    precision: str | None = None,
    out: str | Path = "runs",
    resume: str | Path | None = None,
    options: Any = None,
) -> Iterator[Event]:
    """Train, and tell what happens.

    To stop, stop iterating (``close()`` the generator, or press Ctrl-C): the state is saved. To go
    on, call again with ``resume``; the numbers are those of an uninterrupted run, bit for bit.

    Args:
        config: the settings; may be left out when resuming.
        device: ``"auto"``, ``"cpu"``, ``"gpu:0"``, ``"npu:0"`` (see :func:`zoolib.devices`).
        precision: one of the device's precisions; float32 unless told, when resuming the run's own.
        out: folder in which the run's own folder is made.
        resume: a run folder to go on with, instead of a new one.
        options: settings of the NPU adapter (:class:`zoolib.runtime.npu.NpuOptions`), without
            effect on other devices; when resuming, the run's own unless told.

    With several ranks each calls this with the same arguments; rank 0 alone writes the folder.

    Yields:
        Started, then Stepped, Evaluated and Saved as they come, at last Finished; Failed before an
        error is raised.

    Raises:
        ConfigError, DeviceError, DataError: before anything is written.
        StoreError: for folders that cannot be written, are in use, or belong to other settings.
        NonFiniteLoss: when a loss term is NaN or infinite; the last good checkpoint is kept.
    """
    folder = None
    if resume is not None:
        folder = RunFolder.open(resume)
        check_same(folder, config, precision)
        config, precision = folder.config, folder.env["precision"]
        options = options or npu_options(folder.env.get("npu_options", {}))
    elif config is None:
        raise ConfigError("config: expected a config, or resume=FOLDER; got neither")
    else:
        files.check_writable(Path(out))
    session = open_session(device, precision or "float32", options, config.small_dense)
    with session.placement():
        task = get_model(config.model).task_class()(config, session)
        task.restoring = folder is not None and folder.latest()[0] is not None
        task.build()
    folder = claim(folder, task, Path(out))
    try:
        with deferred():  # TensorFlow makes errors of its own of a signal that comes in here
            training = _Training(task, session, folder)
        yield from training.events()
    finally:
        folder.unlock()


class _Training:
    """One run in progress.

    ``step``, ``pending`` and the history file match the variables whenever ``consistent`` is true;
    otherwise nothing is saved and the last checkpoint stands.
    """

    def __init__(self, task: Any, session: Any, folder: RunFolder) -> None:
        from zoolib.runtime.compile import Bulk

        self.task, self.session, self.folder, self.config = task, session, folder, task.config
        with session.placement():
            self.averaging = averaging_of(task)
        self.variables = {**task.state(), **(self.averaging.state() if self.averaging else {})}
        self.bulk = Bulk(self.variables)
        self.selection = selection_of(task, self.averaging, folder)
        self.step, self.saved_at, self.evaluated_at, self.consistent = 0, -1, -1, True
        self.pending: dict[str, np.ndarray] = {name: np.zeros(0, "f4") for name in task.terms}
        self.latest: dict[str, float] = {}
        self.told: set[str] = set()
        self.seconds = 0.0

    def events(self) -> Iterator[Event]:
        """Everything that happens, in order."""
        with deferred():
            remarks = self.restore()
        first, session = self.step, self.session
        yield Started(
            self.step,
            total=self.config.iterations,
            folder=self.folder.path,
            device=session.device.name,
            precision=session.precision,
            config=self.config,
            history=tuple(self.folder.history()),
            notes=tuple(remarks),
        )
        summary = self.folder.summary()
        if summary is None:
            self.board = Board(self.folder.path / "tensorboard", silent=session.rank > 0)
            try:
                yield from self.train()
                summary = self.conclude(self.step - first)
            except (GeneratorExit, KeyboardInterrupt):
                if self.consistent and self.saved_at != self.step:
                    self.save()
                raise
            except Exception as error:
                yield Failed(self.step, error=error, folder=self.folder.path)
                raise
            finally:
                self.board.close()
            yield Evaluated(self.step, summary["metrics"])
        told = {k: summary[k] for k in ("metrics", "seconds", "steps_per_second")}
        yield Finished(self.step, folder=self.folder.path, **told)

    def train(self) -> Iterator[Event]:
        """Steps, reports, evaluations and checkpoints up to the last step."""
        config = self.config
        loop = self.session.loop(
            self.task.train_step, self.task.terms, self.config.small_dense, self.config.report_every
        )
        for steps, batch, draws in self.feeds(loop.size):
            with deferred(), self.session.placement():
                begin, self.consistent = time.perf_counter(), False
                self.absorb(loop(batch, draws, len(steps)), steps)
                elapsed = time.perf_counter() - begin
                self.seconds += elapsed
                if self.averaging and self.averaging.due(self.step):
                    self.averaging.snapshot()
                evaluated = config.evaluates(self.step)
                if evaluated:
                    self.latest, self.evaluated_at = self.evaluate(final=False), self.step
                row = self.means()
                report = self.due(config.report_every)
                if report:
                    self.report({**row, **(self.latest if evaluated else {})})
                self.consistent = True
                if evaluated:
                    self.select()
            yield Stepped(self.step, row, len(steps) / elapsed, report)
            if evaluated:
                yield Evaluated(self.step, self.latest)
            if self.due(config.checkpoint_every):
                yield Saved(self.step, self.save())

    def conclude(self, steps: int) -> dict[str, Any]:
        """Evaluate the finished model and write the summary."""
        with deferred(), self.session.placement():
            best = self.take_best()
            fresh = self.evaluated_at == self.step and not best and not self.splits_evaluation
            metrics = self.latest if fresh else self.evaluate()
            self.board.scalars(self.step, metrics)
            summary = {
                "model": self.config.model,
                "preset": self.config.preset,
                "steps": self.step,
                "metrics": metrics,
                "headline": self.task.headline,
                "lower_is_better": self.task.lower_is_better,
                "seconds": self.seconds,
                "steps_per_second": steps / self.seconds if self.seconds else 0.0,
                "device": self.session.device.name,
                "precision": self.session.precision,
                **best,
            }
            for name, text in self.task.documents(self.folder.history(), summary).items():
                self.folder.write_document(name, text)
            self.folder.write_summary(summary)
        return summary

    @property
    def splits_evaluation(self) -> bool:
        """Whether the final evaluation is another one than those during training."""
        return type(self.task).validate is not Task.validate

    def evaluate(self, final: bool = True) -> dict[str, float]:
        """Metrics of the weights, and of their average if there is one."""
        return evaluate(self.task, self.averaging, self.step, final)

    def select(self) -> None:
        """Keep this state if it is the best so far, for methods that select."""
        if self.selection and self.selection.better(self.latest):
            self.selection.keep(self.state(), self.latest)

    def take_best(self) -> dict[str, int]:
        """Put the best state into the task, for methods that select; tells its step."""
        if self.selection is None:
            return {}
        if self.evaluated_at != self.step:
            self.latest, self.evaluated_at = self.evaluate(final=False), self.step
            self.select()
        return {"best_step": self.selection.take(self.bulk, list(self.variables.values()))}

    def restore(self) -> list[str]:
        """Take up the newest whole checkpoint; returns remarks about damaged ones."""
        checkpoint, remarks = self.folder.latest()
        if self.folder.summary() is None:
            self.folder.rewind(checkpoint)
        if checkpoint is not None:
            with self.session.placement():
                self.bulk.write(checkpoint.arrays)
            self.step = self.saved_at = checkpoint.step
            self.pending = checkpoint.pending
        with self.session.placement():
            self.session.broadcast(list(self.variables.values()))
        told = self.session.remarks(getattr(self.config, "loss_scale", None))
        return [*remarks, *told, *self.task.remarks()]

    def save(self) -> Path:
        """Write a checkpoint of this moment.

        Raises:
            NonFiniteLoss: if a variable is not finite (the loss will be, one step later).
            StoreError: if it cannot be written; earlier checkpoints are untouched.
        """
        with deferred():
            path = self.folder.save(self.state())
            self.saved_at = self.step
        return path

    def state(self) -> Checkpoint:
        """This moment.

        Raises:
            NonFiniteLoss: as :meth:`save`.
        """
        with self.session.placement():
            if self.averaging and self.step == self.config.iterations:
                self.averaging.settle(self.step)
            arrays = self.bulk.read()
        for name, values in arrays.items():
            if not np.isfinite(values).all():
                raise self.refusal(f"variable {name} is not finite after", self.step, name)
        return Checkpoint(self.step, arrays, self.pending, self.folder.metrics_bytes())

    def feeds(self, size: int) -> Iterator[tuple[range, dict, dict]]:
        """Data and random numbers of each compiled call, prepared one call ahead."""
        task, ahead = self.task, None

        def prepare(steps: range) -> tuple[range, dict, dict]:
            return steps, task.batch(steps), task.draws(steps)

        with ThreadPoolExecutor(1) as pool:
            for steps in self.stretches(size):
                following = pool.submit(prepare, steps)
                if ahead is not None:
                    yield ahead.result()
                ahead = following
            if ahead is not None:
                yield ahead.result()

    def stretches(self, size: int) -> Iterator[range]:
        """Steps of each call: at most ``size``, never across a report, checkpoint or snapshot."""
        step, end = self.step, self.config.iterations
        while step < end:
            stops = [step + size, end]
            for every in (self.config.report_every, self.config.checkpoint_every):
                stops.append(step + every - step % every)
            start, every = self.config.swa_start, self.config.swa_every
            if start:
                stops.append(start if step < start else step + every - (step - start) % every)
            yield range(step, min(stops))
            step = min(stops)

    def due(self, every: int) -> bool:
        """Whether something done every so many steps, and at the end, is to be done now."""
        return self.step % every == 0 or self.step == self.config.iterations

    def absorb(self, values: dict[str, np.ndarray], steps: range) -> None:
        """Take in the loss terms of a call, or refuse them at the first that is not finite."""
        wrong = np.stack([~np.isfinite(values[name]) for name in self.task.terms])
        if wrong.any():
            offset = int(np.argmax(wrong.any(axis=0)))
            term = self.task.terms[int(np.argmax(wrong[:, offset]))]
            step = steps[offset] + 1
            raise self.refusal(f"{term} became {values[term][offset]} at", step, term)
        self.pending = {k: np.concatenate([self.pending[k], v]) for k, v in values.items()}
        self.step = steps.stop

    def refusal(self, found: str, step: int, term: str) -> NonFiniteLoss:
        """The error for numbers that are not finite."""
        kept = f"step {self.saved_at}" if self.saved_at > 0 else "the start (none was due yet)"
        return NonFiniteLoss(
            f"{found} step {step}; training stopped. The checkpoint of {kept} in "
            f"{self.folder.path} is untouched. Lower the learning rates, clip gradients, or use a "
            "higher precision or loss scaling",
            step,
            term,
        )

    def means(self) -> dict[str, float]:
        """Mean of each term since the last report; exact sums, so cuts do not show."""
        counted = {"step": self.step}
        for name in self.task.terms:
            values = self.pending[name]
            counted[name] = math.fsum(values.tolist()) / max(len(values), 1)
        return counted

    def report(self, row: dict[str, float]) -> None:
        """Close a row of the history."""
        self.folder.append(row)
        self.board.scalars(self.step, {k: v for k, v in row.items() if k != "step"})
        for concern in self.task.concerns(row):
            if concern not in self.told and not self.session.rank:
                logging.getLogger("zoolib").warning(concern)
            self.told.add(concern)
        self.pending = {name: np.zeros(0, "f4") for name in self.task.terms}
