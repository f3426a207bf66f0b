"""MT-net, T-net and MAML: gradient-based meta-learning (Lee & Choi, ICML 2018)."""

from zoolib.core.spec import ModelSpec
from zoolib.models.mtnet.config import PRESETS, MTNetConfig

SPEC = ModelSpec(
    name="mtnet",
    title="MT-net: gradient-based meta-learning with learned layerwise metric and subspace",
    paper="Lee and Choi, ICML 2018, arXiv:1801.05558",
    summary="learns initial weights, a metric and a subspace from which a few gradient steps "
    "fit a new task (MAML, T-net, M-net, MT-net)",
    Config=MTNetConfig,
    presets=PRESETS,
    task="zoolib.models.mtnet.task:MTNet",
    notebook="10_mtnet.ipynb",
)
