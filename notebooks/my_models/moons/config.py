"""Settings of the template; each declared once, for form, command line, JSON and errors."""

from __future__ import annotations

import dataclasses

from zoolib.core.config import Config, setting


@dataclasses.dataclass(frozen=True)
class MoonsConfig(Config):
    """Settings of the two-moons classifier."""

    model = "moons"

    units: int = setting(16, "Hidden units.", unit="units", low=1, high=1024)
    learning_rate: float = setting(0.01, "Adam's step size.", low=0.0, high=10.0)
    noise: float = setting(0.15, "Standard deviation of the points' noise.", low=0.0, high=1.0)
    batch_size: int = setting(64, "Points per step.", unit="points", low=2, high=65536)

    @property
    def small_dense(self) -> bool:
        """A tiny network: let the runtime put many steps into one compiled call."""
        return True


def smoke() -> MoonsConfig:
    """`zoolib train moons --preset smoke`: seconds; the loss falls."""
    return MoonsConfig(iterations=200, report_every=20, checkpoint_every=100)


def tutorial() -> MoonsConfig:
    """`zoolib train moons`: seconds; accuracy above 95 %."""
    return MoonsConfig(iterations=2000, report_every=50)


PRESETS = {"smoke": smoke, "tutorial": tutorial}
