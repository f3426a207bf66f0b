"""The protocol between the loop and a method: what a task must offer.

A task holds variables and says what one training step does with them. It knows nothing of
devices, logs, checkpoints or widgets. Randomness reaches it as data: `draws` for steps i..j is a
pure function of (seed, step), so a run can be cut anywhere and goes on with the same numbers.
"""

from __future__ import annotations

import abc
from typing import TYPE_CHECKING, Any, Callable

import numpy as np
import tensorflow as tf

from zoolib.core.config import Config
from zoolib.errors import ConfigError

if TYPE_CHECKING:
    from zoolib.runtime.device import Session

Arrays = dict[str, np.ndarray]


class Task(tf.Module, abc.ABC):
    """Base of every method's task; see DESIGN, section 4.

    Attributes:
        config: the settings.
        session: the open device; offers `compile`, `matmul`, `all_reduce`.
        terms: names of what a step returns.
        headline, lower_is_better: the metric by which runs compare, and its direction.
        selection: the metric of :meth:`validate` by which a run keeps its best state, which then is
            what is evaluated at the end, and loaded; empty for the last state.
        mixed_tolerance: relative difference of the headline that mixed precision may make.
        takes_pictures: whether ``predict`` takes files of pictures; see `zoolib predict`.
        restoring: whether a checkpoint follows on `build`, which need not read weights elsewhere.
    """

    terms: tuple[str, ...] = ("loss",)
    headline: str = "loss"
    lower_is_better: bool = True
    selection: str = ""
    mixed_tolerance: float = 0.05
    takes_pictures: bool = False
    restoring: bool = False

    def __init__(self, config: Config, session: Session) -> None:
        super().__init__(name=type(self).__name__)
        self.config = config
        self.session = session

    @abc.abstractmethod
    def build(self) -> None:
        """Create every variable, eagerly, optimizer slots included. Called once, device open."""

    def batch(self, steps: range) -> Arrays:
        """Data of the given steps (0-based), each array with a leading step axis; may be empty."""
        return {}

    @abc.abstractmethod
    def draws(self, steps: range) -> Arrays:
        """Random numbers of the given steps, each array with a leading step axis."""

    @abc.abstractmethod
    def train_step(self, batch: dict[str, tf.Tensor], draws: dict[str, tf.Tensor]) -> dict:
        """One step: update the variables, return scalars: ``loss`` and every named term.

        Pure in (variables, arguments): static shapes, no random ops, no Python state.
        """

    @abc.abstractmethod
    def evaluate(self) -> dict[str, float]:
        """Metrics on the held-out set, by name; the same numbers whenever the variables are."""

    def validate(self) -> dict[str, float]:
        """Metrics during training, for methods whose test set has to wait: all unless told."""
        return self.evaluate()

    def documents(self, history: list[dict[str, Any]], summary: dict[str, Any]) -> dict[str, str]:
        """Files a finished run has beside the common ones: name -> text.

        Args:
            history: its rows.
            summary: what ``summary.json`` will hold.
        """
        return {}

    def evaluation_functions(self) -> dict[str, tuple[Callable, tuple]]:
        """What :meth:`evaluate` compiles: name -> (Python function, example arguments).

        Arguments are tensor specs, tensors or nests of them. `npu-check` looks at these graphs, so
        everything that an evaluation runs on the device is to be among them; one entry for each
        set of shapes, since each is a graph of its own.
        """
        return {}

    def state(self) -> dict[str, tf.Variable]:
        """What a checkpoint needs, by stable name; by default every variable of the module."""
        return {v.name.split(":")[0]: v for v in self.variables}

    def averaged_variables(self) -> list[tf.Variable]:
        """What SWA averages (`zoolib.core.averaging`): by default every trainable variable."""
        return list(self.trainable_variables)

    def statistics(self) -> list[tf.Variable]:
        """Batch-norm moving statistics: never averaged, recomputed for averaged weights."""
        return []

    def refresh_statistics(self) -> None:
        """Recompute :meth:`statistics` for the weights as they are; no weight changes."""

    def share_statistics(self) -> None:
        """After a step: each rank normalised its own part, running statistics are common."""
        if self.session.size > 1 and self.statistics():
            common = self.session.all_reduce([tf.identity(v) for v in self.statistics()])
            for variable, value in zip(self.statistics(), common):
                variable.assign(value)

    @abc.abstractmethod
    def figure_data(self) -> dict[str, Any]:
        """Arrays behind the method's own figures."""

    def export_module(self) -> tf.Module:
        """A module for :func:`zoolib.export`, whose ``signatures()`` are its concrete functions.

        ``serve`` among them is stateless with static shapes; frozen, ONNX and TFLite files hold it.
        """
        raise ConfigError(f"export: {self.config.model} has nothing to export")

    def export_samples(self) -> Arrays:
        """Inputs of ``serve`` by name, [samples, *shape], on which eight-bit ranges are measured.

        From the run's own training data, always the same ones.
        """
        raise ConfigError(
            f"format: {self.config.model} names no training inputs to measure eight-bit ranges on"
        )

    def remarks(self) -> list[str]:
        """What a user should know before training starts: effective rates, sizes of an epoch."""
        return []

    def concerns(self, row: dict[str, float]) -> list[str]:
        """Warnings that a row of the history gives cause for; each is told once, as it stands."""
        return []

    def checkpoint_folder(self) -> str:
        """Folder of the checkpoints inside the run folder."""
        return "checkpoints"
