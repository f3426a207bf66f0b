"""What the tests of all methods share: training steps compared one by one.

Training is chaotic: whatever two TensorFlows round differently in one step comes back enlarged in
the next. So that all of a step can be compared at usual step sizes, each one starts here from a
state that is prescribed by seeded NumPy generators and does not hang on what steps before it did.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from typing import Any, Callable

import numpy as np
import pytest
import tensorflow as tf

COLUMNS = (
    "loss",
    "loss after",
    *(
        f"{part}, {what}"
        for part in ("weights", "statistics", "averages")
        for what in ("norm", "direction")
    ),
)
STEPS = 20
MOVEMENT = 0.1  # of a weight in the last state, as far as 20 real steps move one
DONE = 10  # steps that count as done before the first
# Measured between TensorFlow 2.6.5 and 2.21: losses 2e-6, norms 1e-6, directions 4e-5. The last
# cannot be as good as the others: float32 weights of size 1 that move by 1e-3 or less keep some
# four digits of it, and one row of a ReLU that is on here and off there is seen in them.
LOSS, NORM, DIRECTION = 1e-5, 1e-5, 1e-4
# Steps that may be off nevertheless, not by their first loss: where an input of a ReLU, or the
# difference of two that are pooled, is within rounding of 0. None was among those measured, but
# other processors round otherwise. What is wrong is wrong in all of them.
KINKS = 2


def drawn(purpose: str, name: str) -> np.random.Generator:
    """A generator of its own for each purpose and variable, whatever their order."""
    seeds = [zlib.crc32(word.encode()) for word in (purpose, name)]
    return np.random.Generator(np.random.PCG64(seeds))


class Prescribed:
    """States of a task that stand for those along a run, and what a step does there.

    Weights are the initial ones, moved along a random direction and farther from state to state;
    averaged weights (EMA) are those, moved on. Adam's moments and SGD's accumulators are what
    random gradients of spread ``gradient`` leave behind; running statistics are random. Shifts of
    batch norms are larger by ``lift``, so that fewer inputs of a ReLU lie next to 0, where its
    gradient jumps.
    """

    def __init__(self, task: Any, loop: Callable, gradient: float, lift: float) -> None:
        from zoolib.optim.adam import Adam
        from zoolib.optim.averaging import ExponentialAverage
        from zoolib.optim.sgd import SGD
        from zoolib.runtime.compile import Bulk

        self.task, self.loop, self.gradient, self.lift = task, loop, gradient, lift
        self.variables = task.state()
        self.names = {id(v): name for name, v in self.variables.items()}
        self.bulk = Bulk(self.variables)
        self.start = self.bulk.read()
        self.adams = [m for m in task.submodules if isinstance(m, Adam)]
        self.sgds = [m for m in task.submodules if isinstance(m, SGD)]
        trained = [v for m in (*self.adams, *self.sgds) for v in m.variables_trained]
        self.averages = [m for m in task.submodules if isinstance(m, ExponentialAverage)]
        shadows = [v for m in self.averages for v in m.shadows]
        self.parts = [self.named(part) for part in (trained, task.statistics(), shadows) if part]

    def named(self, variables: Iterable[tf.Variable]) -> list[str]:
        """Names in the task's state, each once."""
        return list(dict.fromkeys(self.names[id(v)] for v in variables))

    def normal(self, purpose: str, variable: tf.Variable) -> np.ndarray:
        return drawn(purpose, self.names[id(variable)]).standard_normal(variable.shape)

    def state(self, step: int) -> dict[str, np.ndarray]:
        """Values of all variables before a step."""
        found = {}
        far = MOVEMENT * (step + 1) / STEPS
        for name in self.parts[0]:
            lift = self.lift if name.endswith("/beta") else 0.0
            moved = far * self.normal("weights", self.variables[name])
            found[name] = self.start[name] + lift + moved
        for average in self.averages:
            for shadow, source in zip(average.shadows, average.sources):
                moved = far * self.normal("average", shadow)
                found[self.names[id(shadow)]] = found[self.names[id(source)]] + moved
        for at, v in enumerate(self.task.statistics()):  # means and variances in turn
            random = drawn("statistics", self.names[id(v)])
            values = random.uniform(0.5, 2.0, v.shape) if at % 2 else random.normal(size=v.shape)
            found[self.names[id(v)]] = values
        found.update(self.slots(DONE + step))
        return {n: np.asarray(found.get(n, a), a.dtype) for n, a in self.start.items()}

    def slots(self, done: int) -> dict[str, np.ndarray]:
        """Those of the optimizers after ``done`` steps."""
        found, size = {}, self.gradient
        for m in self.adams:
            for v in m.first:
                values = size * self.normal("first", v) * (1 - m.beta1**done)
                found[self.names[id(v)]] = values
            for v in m.second:
                spread = drawn("second", self.names[id(v)]).uniform(0.5, 2.0, v.shape)
                found[self.names[id(v)]] = size**2 * spread * (1 - m.beta2**done)
            found[self.names[id(m.count)]] = done
        for m in self.sgds:
            left = 2.0 * size  # of momentum 0.9
            found.update({self.names[id(v)]: left * self.normal("a", v) for v in m.accumulators})
        return found

    def row(self, step: int) -> list[float]:
        """One training step from its state, and the loss of another on its batch; see `COLUMNS`."""
        self.bulk.write(self.state(step))
        before, loss = self.bulk.read(), self.loss(step)
        after, again = self.bulk.read(), self.loss(step)
        row = [loss, again]
        for names in self.parts:
            changes = {n: after[n].astype(np.float64) - before[n] for n in names}
            row += [float(np.sqrt(sum(np.sum(c**2) for c in changes.values()))), along(changes)]
        return row

    def loss(self, step: int) -> float:
        """That of a training step from the state as it is."""
        at = range(step, step + 1)
        return float(self.loop(self.task.batch(at), self.task.draws(at), 1)["loss"][0])


def along(changes: dict[str, np.ndarray]) -> float:
    """How far changes go along a random direction, sign included; some number around 1.

    Each variable counts as much as any other, however little it moves.
    """
    found = 0.0
    for name, change in changes.items():
        norm = np.linalg.norm(change)
        if norm:
            direction = drawn("along", name).standard_normal(change.shape)
            found += np.vdot(direction, change) / norm
    return found / len(changes) ** 0.5


def assert_agree(found: np.ndarray, golden: np.ndarray) -> None:
    """Rows [STEPS, columns] within the tolerances above."""
    assert found.shape == golden.shape
    norms = [LOSS, LOSS, *[NORM, DIRECTION] * 3][: found.shape[1]]
    scale = np.abs(golden)
    scale[:, 3::2] = 1.0
    deviation = np.abs(found - golden) / scale
    off = deviation > np.array(norms)
    worst = dict(zip(COLUMNS, deviation.max(0)))
    assert not off[:, 0].any(), worst
    assert off.any(1).sum() <= KINKS, (worst, np.flatnonzero(off.any(1)))


@pytest.fixture(scope="session")
def steps_agree() -> Callable[..., None]:
    """Compares 20 steps from prescribed states: ``steps_agree(task, loop, golden, gradient)``.

    Args of the function: a built task, which stays as it is; its loop of single steps; the rows
    expected, as text; the spread of gradients, and the lift, see `Prescribed`. A row has the loss,
    the loss of a second step, and of the changes of weights, running statistics and averaged
    weights, of what there is, each the norm and the direction.
    """

    def check(task: Any, loop: Callable, golden: str, gradient: float, lift: float = 0.0) -> None:
        prescribed = Prescribed(task, loop, gradient, lift)
        found = np.array([prescribed.row(step) for step in range(STEPS)])
        prescribed.bulk.write(prescribed.start)
        print("\n".join(" ".join(f"{value:.7g}" for value in row) for row in found))
        assert_agree(found, np.array([line.split() for line in golden.split("\n") if line], float))

    return check
