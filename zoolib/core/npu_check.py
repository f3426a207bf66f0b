"""`npu-check`: a method's real step, with its real shapes, as an Ascend NPU would get it."""

from __future__ import annotations

import dataclasses
from typing import Any

from zoolib.core.config import Config
from zoolib.core.spec import get_model
from zoolib.runtime.device import open_session

STEPS = 50
TRAINING = "training step"


@dataclasses.dataclass(frozen=True)
class ModelReport:
    """The functions a method runs on the device, each with its report.

    Attributes:
        config: the settings checked.
        functions: name -> :class:`zoolib.runtime.npu_report.StepReport`; the training step first.
    """

    config: Config
    functions: dict[str, Any]

    @property
    def ok(self) -> bool:
        """Whether nothing stands against any of them."""
        return all(report.ok for report in self.functions.values())

    @property
    def problems(self) -> list[str]:
        """What fails the check, the function's name first."""
        return [f"{name}: {line}" for name, r in self.functions.items() for line in r.problems]

    @property
    def warnings(self) -> list[str]:
        """What is slow but accepted, the function's name first."""
        return [f"{name}: {line}" for name, r in self.functions.items() for line in r.warnings]

    def table(self) -> str:
        """The reports as plain text, and the verdict."""
        title = f"{self.config.model}, preset {self.config.preset}"
        verdict = "ready for the NPU" if self.ok else f"{len(self.problems)} problems"
        tables = [report.table() for report in self.functions.values()]
        return "\n\n".join([*tables, f"{title}: {verdict}"])

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "model": self.config.model,
            "preset": self.config.preset,
            "settings": self.config.to_dict(),
            "ok": self.ok,
            "problems": self.problems,
            "warnings": self.warnings,
            "functions": {name: report.to_dict() for name, report in self.functions.items()},
        }


def check_model(config: Config, steps: int = STEPS) -> ModelReport:
    """Trace a method's training step and evaluation on the CPU and compare them with the tables.

    The task is the real one, with data and random numbers of its own; the step has the form an NPU
    gets, one step per call. Steps are fed and traced but not run, so large networks cost no more
    than their tracing.

    Args:
        config: the settings.
        steps: training steps over which retraces are counted.

    Raises:
        ConfigError, DataError: for settings or data a run would refuse, too.
        DeviceError: if this process has an NPU open; the check wants a process of its own.
    """
    from zoolib.runtime.npu_lint import Watched, check_steps, npu_check

    session = open_session("cpu", "float32", None, config.small_dense)
    session.pieces_under_xla = False  # the graph an NPU gets
    with session.placement():
        task = get_model(config.model).task_class()(config, session)
        task.build()
        watched = Watched(task.train_step)
        # Neither small nor dense, whatever it is: only so does a CPU session, like that of an NPU,
        # take one step per call.
        loop = session.loop(watched, task.terms, False, 1)

        def trace(step: int) -> Any:
            at = range(step, step + 1)
            return loop.trace(task.batch(at), task.draws(at), 1)

        reports = {TRAINING: check_steps(trace, watched, TRAINING, min(steps, config.iterations))}
        for name, (function, arguments) in task.evaluation_functions().items():
            reports[name] = npu_check(function, *arguments, name=name, autograph=False)
    return ModelReport(config, reports)
