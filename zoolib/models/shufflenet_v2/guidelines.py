"""The paper's four guidelines, measured on the device at hand (Ma et al. 2018, section 2).

Each guideline compares blocks of equal multiply-adds; if these decided the time, all would take
the same. Every block is compiled; one round runs each of them once, so that a machine that slows
down slows down all of them, and speeds are the median over rounds of the time of the round's first
block divided by the block's own.

The blocks are ours where the paper leaves room: grouped convolutions are a cut, one product per
group and a join; parallel fragments add up; G4's bottleneck is 4c -> c -> c -> 4c.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Sequence
from typing import Callable

import numpy as np
import tensorflow as tf

from zoolib.data.draws import generator
from zoolib.runtime.device import Session, current, open_session

SIZE = 56  # height and width of the feature maps, as in the paper
REPEATS = 4  # blocks in a row; the paper has 10
RULES = {
    "G1": "equal channel width",
    "G2": "groups cost",
    "G3": "fragments cost",
    "G4": "element-wise operations cost",
}
BLOCKS = {
    "G1": ("1:1", "1:2", "1:6", "1:12"),
    "G2": ("1 group", "2 groups", "4 groups", "8 groups"),
    "G3": ("one", "2 in series", "4 in series", "2 in parallel", "4 in parallel"),
    "G4": ("ReLU + shortcut", "ReLU", "shortcut", "neither"),
}
# Tables 1 to 4 at their smallest number of channels (G3 on a GPU: 128): batches/s on a GTX 1080 Ti,
# images/s on a Snapdragon 810 (ARM).
PAPER = {
    "G1": {"GPU": (1480, 1296, 876, 748), "ARM": (76.2, 72.9, 69.1, 57.6)},
    "G2": {"GPU": (2451, 1725, 1026, 634), "ARM": (40.0, 35.0, 32.9, 27.8)},
    "G3": {"GPU": (2446, 1790, 752, 1537, 691), "ARM": (40.2, 38.6, 38.4, 33.4, 35.0)},
    "G4": {"GPU": (2427, 2647, 2672, 2842), "ARM": (56.7, 61.9, 57.3, 66.3)},
}


@dataclasses.dataclass(frozen=True)
class Measured:
    """One guideline on this device.

    Attributes:
        rule: G1 to G4.
        blocks: names, the first one being what the others are compared with.
        speed: of each block, relative to the first; 1 for the first.
        milliseconds: median time of each.
        multiply_adds: of each, for one run.
        paper: device of the paper -> its speeds, relative to the first.
    """

    rule: str
    blocks: tuple[str, ...]
    speed: tuple[float, ...]
    milliseconds: tuple[float, ...]
    multiply_adds: tuple[int, ...]
    paper: dict[str, tuple[float, ...]]


class Block:
    """Convolutions in a row, compiled, with the input they are timed on.

    Args:
        session: where.
        shapes: (window, inputs, outputs) of every kernel.
        forward: (x, kernels) -> the last output.
        channels: of the input, a feature map [1, SIZE, SIZE, channels].
    """

    def __init__(
        self,
        session: Session,
        shapes: Sequence[tuple[int, int, int]],
        forward: Callable,
        channels: int,
        size: int,
    ) -> None:
        source = generator(0, "shufflenet_v2/guidelines")
        self.multiply_adds = sum(w * w * i * o for w, i, o in shapes) * size**2
        self.kernels = [
            tf.constant(source.standard_normal((w, w, i, o), np.float32) / math.sqrt(w * w * i))
            for w, i, o in shapes
        ]
        self.x = tf.constant(source.random((1, size, size, channels), np.float32))

        def run(x: tf.Tensor, kernels: list[tf.Tensor]) -> tf.Tensor:
            return tf.reduce_mean(forward(x, kernels))

        self._run = session.compile(run)

    def time(self) -> float:
        """Seconds of one run, its result on the host."""
        begin = time.perf_counter()
        self._run(self.x, self.kernels).numpy()
        return time.perf_counter() - begin


def measure(
    session: Session | None = None,
    rounds: int = 15,
    rules: Sequence[str] = tuple(RULES),
    size: int = SIZE,
    channels: int = 128,
) -> list[Measured]:
    """Time the blocks of each guideline.

    Args:
        session: the device; the open one, or the best there is.
        rounds: how often each block is timed, after one run that is not counted.
        rules: of RULES.
        size: height and width of the feature maps.
        channels: of the first block (a quarter of it inside G4's bottleneck).
    """
    session = session or current() or open_session("auto")
    makers = {"G1": _ratios, "G2": _groups, "G3": _fragments, "G4": _elements}
    found = []
    with session.placement():
        for rule in rules:
            blocks = [Block(session, *made, size) for made in makers[rule](session, channels)]
            for block in blocks:
                block.time()
            seconds = np.array([[block.time() for block in blocks] for _ in range(rounds)])
            found.append(_summary(rule, blocks, seconds))
    return found


def _summary(rule: str, blocks: Sequence[Block], seconds: np.ndarray) -> Measured:
    """From seconds [rounds, blocks]."""
    paper = {name: tuple(v / row[0] for v in row) for name, row in PAPER[rule].items()}
    return Measured(
        rule,
        BLOCKS[rule],
        tuple(np.median(seconds[:, :1] / seconds, axis=0).tolist()),
        tuple((1e3 * np.median(seconds, axis=0)).tolist()),
        tuple(block.multiply_adds for block in blocks),
        paper,
    )


def table(measured: Sequence[Measured]) -> str:
    """Relative speeds here and in the paper, as plain text."""
    lines = []
    for one in measured:
        lines.append(f"{one.rule}: {RULES[one.rule]:32} here     ms   GPU*   ARM*")
        rows = zip(one.blocks, one.speed, one.milliseconds, one.paper["GPU"], one.paper["ARM"])
        lines += [f"    {n:32} {s:4.2f} {t:6.1f} {g:6.2f} {a:6.2f}" for n, s, t, g, a in rows]
    return "\n".join([*lines, "* the paper's tables 1 to 4: GTX 1080 Ti, Snapdragon 810"])


# ---- blocks: (shapes of the kernels, forward pass, channels of the input)


def _ratios(session: Session, channels: int) -> list[tuple]:
    """G1: pairs of 1 x 1 convolutions a -> b -> a with a b constant."""
    made = []
    for ratio in (1, 2, 6, 12):
        narrow = round(channels / math.sqrt(ratio))
        wide = round(channels**2 / narrow)
        shapes = [(1, narrow, wide), (1, wide, narrow)] * REPEATS
        made.append((shapes, _chain(session), narrow))
    return made


def _chain(session: Session) -> Callable:
    def forward(x: tf.Tensor, kernels: list[tf.Tensor]) -> tf.Tensor:
        for kernel in kernels:
            x = tf.nn.relu(_pointwise(session, x, kernel))
        return x

    return forward


def _pointwise(session: Session, x: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    return session.conv2d(x, kernel, strides=1, padding="SAME")


def _groups(session: Session, channels: int) -> list[tuple]:
    """G2: g products of c / g channels each, c growing as sqrt(g)."""
    made = []
    for groups in (1, 2, 4, 8):
        each = round(channels * math.sqrt(groups) / groups)
        shapes = [(1, each, each)] * (2 * REPEATS * groups)

        def forward(x: tf.Tensor, kernels: list[tf.Tensor], groups: int = groups) -> tf.Tensor:
            for start in range(0, len(kernels), groups):
                parts = tf.split(x, groups, axis=-1) if groups > 1 else [x]
                pairs = zip(parts, kernels[start : start + groups])
                parts = [_pointwise(session, part, kernel) for part, kernel in pairs]
                x = tf.nn.relu(tf.concat(parts, axis=-1) if groups > 1 else parts[0])
            return x

        made.append((shapes, forward, each * groups))
    return made


def _fragments(session: Session, channels: int) -> list[tuple]:
    """G3: one convolution of c channels, or n of c / sqrt(n), one behind or beside the other."""
    made = []
    for count, parallel in ((1, False), (2, False), (4, False), (2, True), (4, True)):
        width = round(channels / math.sqrt(count))
        shapes = [(1, width, width)] * (2 * REPEATS * count)
        together = count if parallel else 1

        def forward(x: tf.Tensor, kernels: list[tf.Tensor], n: int = together) -> tf.Tensor:
            for start in range(0, len(kernels), n):
                parts = [_pointwise(session, x, kernel) for kernel in kernels[start : start + n]]
                x = tf.nn.relu(tf.add_n(parts) if n > 1 else parts[0])
            return x

        made.append((shapes, forward, width))
    return made


def _elements(session: Session, channels: int) -> list[tuple]:
    """G4: bottlenecks with and without ReLU and shortcut."""
    inner = channels // 4
    shapes = [(1, channels, inner), (3, inner, inner), (1, inner, channels)] * REPEATS
    made = []
    for relu, shortcut in ((True, True), (True, False), (False, True), (False, False)):

        def forward(
            x: tf.Tensor, kernels: list[tf.Tensor], relu: bool = relu, shortcut: bool = shortcut
        ) -> tf.Tensor:
            for start in range(0, len(kernels), 3):
                y = x
                for kernel in kernels[start : start + 3]:
                    y = _pointwise(session, y, kernel)
                    y = tf.nn.relu(y) if relu else y
                x = x + y if shortcut else y
            return x

        made.append((shapes, forward, channels))
    return made
