"""A method small enough to test the core with: a line fitted to points."""

import dataclasses
from typing import ClassVar

from zoolib.core.config import Config, setting
from zoolib.core.spec import ModelSpec


@dataclasses.dataclass(frozen=True)
class LineConfig(Config):
    model: ClassVar[str] = "line"
    translated: ClassVar = ("double_width",)
    meaningless: ClassVar = ("obs_dir",)

    iterations: int = setting(100, "Steps.", low=1, aliases=("train_steps",))
    rate: float = setting(0.01, "Adam's step size.", low=0.0, high=1.0)
    width: int = setting(3, "Inputs.", unit="inputs", low=1, high=64)
    kind: str = setting("plain", "No meaning.", choices=("plain", "fancy"))
    looped: bool = setting(False, "Many steps in one compiled call.")
    poison: str = setting("none", "What breaks.", choices=("none", "loss", "penalty", "state"))
    poison_at: int = setting(0, "The step at which it breaks; 0 never.", low=0)
    wait: float = setting(0.0, "Time a batch takes to come.", unit="seconds", low=0.0)

    @property
    def small_dense(self):
        return self.looped

    def translate(self, values):
        values = dict(values)
        if values.pop("double_width", "false") in ("true", True):
            values["width"] = 2 * self.width
        return values


def smoke() -> LineConfig:
    """`zoolib train line --preset smoke`: a second; the loss falls."""
    return LineConfig(report_every=10, checkpoint_every=20)


def tutorial() -> LineConfig:
    """`zoolib train line`: seconds; the loss falls to the noise."""
    return LineConfig(iterations=2000)


SPEC = ModelSpec(
    name="line",
    title="A line through points",
    paper="Legendre 1805",
    summary="least squares",
    Config=LineConfig,
    presets={"smoke": smoke, "tutorial": tutorial},
    task="zoolib.models.line.task:Line",
    notebook="none.ipynb",
)
