"""A config with every kind of field, a fake machine and fake runs."""

from __future__ import annotations

import dataclasses
import threading
import types
from pathlib import Path
from typing import Any, ClassVar

import pytest

from zoolib.core.config import Config, setting
from zoolib.core.events import Evaluated, Finished, Saved, Started, Stepped
from zoolib.core.spec import ModelSpec
from zoolib.errors import ConfigError
from zoolib.ui.form import Form
from zoolib.ui.panel import Panel


@dataclasses.dataclass(frozen=True)
class ToyConfig(Config):
    model: ClassVar[str] = "toy"

    rate: float = setting(1e-3, "Step size.", low=0.0, aliases=("lr",))
    width: int = setting(40, "Units per layer.", unit="units", low=1, high=64)
    norm: str = setting("none", "Normalisation.", choices=("none", "batch_norm"))
    sizes: int = setting(32, "Picture size.", unit="pixels", choices=(28, 32, 84))
    second: bool = setting(True, "Second order <gradients>.", advanced=True)
    folder: str = setting("data it's", "Where the data are.", advanced=True)
    low: float = setting(0.0, "Lower end.")
    high: float = setting(1.0, "Upper end.")

    def check(self) -> None:
        if self.low >= self.high:
            raise ConfigError(f"low: expected less than high ({self.high:g}), got {self.low:g}")


def tutorial() -> ToyConfig:
    """Two minutes on two cores."""
    return ToyConfig(iterations=400, report_every=10)


def tiny() -> ToyConfig:
    """Numbers that are hard to print."""
    return ToyConfig(rate=1e-5, low=-1e-7, high=0.1 + 0.2, second=False, norm="batch_norm")


SPEC = ModelSpec(
    name="toy",
    title="Toy",
    paper="none",
    summary="none",
    Config=ToyConfig,
    presets={"tutorial": tutorial, "tiny": tiny},
    task="nowhere:Nothing",
    notebook="none.ipynb",
)


@dataclasses.dataclass(frozen=True)
class Machine:
    name: str
    kind: str
    precisions: tuple
    available: bool = True
    reason: str = ""


CPU = Machine("cpu", "cpu", ("float32", "mixed_bfloat16"))
NO_GPU = Machine("gpu:0", "gpu", ("float32", "mixed_float16"), False, "no GPU is visible")
NPU = Machine("npu:0", "npu", ("float32", "allow_mix_precision"))


class FakeRuns:
    """Stands in for ``zoolib.run``: ten steps a call; waits for :meth:`let` when told to.

    Attributes:
        calls: arguments of each call.
        closed: steps at which a generator was closed before its end.
        threads: names of the threads that consumed it.
    """

    def __init__(self, error_at: int | None = None, hold_at: int | None = None) -> None:
        self.error_at, self.hold_at = error_at, hold_at
        self.error: Exception = RuntimeError("bad <luck>")
        self.calls: list[dict[str, Any]] = []
        self.closed: list[int] = []
        self.threads: list[str] = []
        self.held, self.go_on = threading.Event(), threading.Event()

    def let(self) -> None:
        self.go_on.set()

    def __call__(self, config, device, precision, out, resume):
        self.calls.append(
            {"config": config, "device": device, "precision": precision, "resume": resume}
        )
        folder = Path(out) / "toy-1"
        if config is None:
            config = self.calls[0]["config"]
        total = config.iterations
        step = self.closed[-1] if resume and self.closed else 0
        rows = tuple({"step": s, "loss": 100 / s} for s in range(10, step + 1, 10))
        self.threads.append(threading.current_thread().name)
        try:
            yield Started(step, total, folder, device, precision or "float32", config, rows)
            while step < total:
                if self.error_at == step:
                    raise self.error
                if self.hold_at == step:
                    self.held.set()
                    assert self.go_on.wait(20)
                step += 10
                yield Stepped(step, {"loss": 100 / step, "step": step}, 1000.0, True)
                if step == 100:
                    yield Saved(step, folder / "checkpoints")
            yield Evaluated(step, {"query_mse": 0.5})
            yield Finished(step, {"query_mse": 0.5}, folder, 1.0, 1000.0)
        except GeneratorExit:
            self.closed.append(step)
            raise


@pytest.fixture
def spec() -> ModelSpec:
    return SPEC


@pytest.fixture
def fake_runs() -> type[FakeRuns]:
    return FakeRuns


@pytest.fixture
def machines() -> tuple[Machine, Machine, Machine]:
    """A processor, a GPU that is absent, and an NPU."""
    return CPU, NO_GPU, NPU


@pytest.fixture
def make():
    """Makes a panel on fake runs and a fake machine."""

    def panel(runner=None, machines=(CPU, NO_GPU), session=None, form=None, **options) -> Panel:
        return Panel(
            form if form is not None else Form(SPEC),
            runner=runner or FakeRuns(),
            devices=lambda: list(machines),
            session=session if callable(session) else lambda: session,
            loader=lambda folder: types.SimpleNamespace(folder=folder),
            **options,
        )

    return panel
