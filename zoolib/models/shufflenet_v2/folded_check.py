"""The folded network beside the one it came from: size, operations, numbers, speed."""

from __future__ import annotations

import dataclasses
import time
from typing import Any, Callable

import numpy as np
import tensorflow as tf

from zoolib.models.shufflenet_v2.folding import FoldedNet
from zoolib.models.shufflenet_v2.network import ShuffleNetV2
from zoolib.runtime.device import current, open_session

_PASSIVE = ("Placeholder", "Const", "Identity", "NoOp", "ReadVariableOp")


@dataclasses.dataclass(frozen=True)
class Compared:
    """Network and folded network on the same images.

    Attributes:
        numbers: form -> numbers it holds, ``network`` (with moving statistics) and ``folded``.
        operations: form -> operations of its graph, reading of variables and constants apart.
        transposes: form -> those among them that shuffle.
        difference: largest difference of logits, as a share of the largest logit.
        speed: images per second of the folded over that of the network, paired, median.
    """

    numbers: dict[str, int]
    operations: dict[str, int]
    transposes: dict[str, int]
    difference: float
    speed: float


def compare_folded(network: ShuffleNetV2, images: np.ndarray, rounds: int = 15) -> Compared:
    """Fold a network and compare.

    Args:
        network: the trained one.
        images: float32 [N, size, size, 3], RGB in [0, 1].
        rounds: in each both forms are timed once.
    """
    session = current() or open_session("auto")
    with session.placement():
        folded = FoldedNet(network)
        x = tf.constant(images)
        forms: dict[str, Callable] = {"network": network, "folded": folded}
        signature = [tf.TensorSpec(x.shape, x.dtype)]
        calls = {k: session.compile(_one(form), signature) for k, form in forms.items()}
        logits = {k: call(x).numpy() for k, call in calls.items()}
        pairs = [[_seconds(calls[k], x) for k in ("network", "folded")] for _ in range(rounds)]
    kinds = {k: _kinds(call.get_concrete_function()) for k, call in calls.items()}
    apart = np.abs(logits["network"] - logits["folded"]).max() / np.abs(logits["network"]).max()
    return Compared(
        numbers={"network": _held(network), "folded": _held(folded)},
        operations={k: len(found) for k, found in kinds.items()},
        transposes={k: found.count("Transpose") for k, found in kinds.items()},
        difference=float(apart),
        speed=float(np.median([slow / fast for slow, fast in pairs])),
    )


def _one(form: Callable) -> Callable:
    return lambda images: form(images)


def _seconds(call: Callable, x: tf.Tensor) -> float:
    begin = time.perf_counter()
    call(x).numpy()
    return time.perf_counter() - begin


def _kinds(function: Any) -> list[str]:
    return [op.type for op in function.graph.get_operations() if op.type not in _PASSIVE]


def _held(form: tf.Module) -> int:
    return sum(int(np.prod(v.shape)) for v in form.variables)
