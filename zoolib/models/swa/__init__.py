"""Stochastic weight averaging (Izmailov et al., UAI 2018): the callback and a method to try it."""

from zoolib.core.spec import ModelSpec
from zoolib.models.swa.config import PRESETS, SWAConfig

SPEC = ModelSpec(
    name="swa",
    title="SWA: averaging weights leads to wider optima and better generalization",
    paper="Izmailov, Podoprikhin, Garipov, Vetrov and Wilson, UAI 2018, arXiv:1803.05407",
    summary="averages the weights an optimizer visits late in training and refreshes batch norm "
    "for the average; also a Keras callback",
    Config=SWAConfig,
    presets=PRESETS,
    task="zoolib.models.swa.task:Classification",
    notebook="20_swa.ipynb",
)
