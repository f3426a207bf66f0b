"""A template for a method of your own: a small network that tells two moons apart."""

from zoolib.models.moons.config import PRESETS, MoonsConfig

from zoolib.core.spec import ModelSpec

SPEC = ModelSpec(
    name="moons",
    title="Two moons: a template",
    paper="yours",
    summary="a two-layer network separates two interleaved half circles",
    Config=MoonsConfig,
    presets=PRESETS,
    task="zoolib.models.moons.task:Moons",
    notebook="91_add_your_model.ipynb",
)
