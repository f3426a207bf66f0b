"""Whether it learns: methods compared on the same stored tasks, several seeds, paired."""

from __future__ import annotations

import numpy as np
import pytest

from zoolib.models.mtnet import evaluation
from zoolib.runtime import compat
from zoolib.runtime.compile import StepLoop


def learned(build, variant: str, iterations: int, seeds: range) -> np.ndarray:
    """Query errors after one step of every stored test task, [seeds, tasks]; compiled once."""
    settings = dict(
        variant=variant, iterations=iterations, meta_batch_size=8, dim_hidden=40, shots=10,
        queries=10, test_tasks=600, test_updates=1,
    )  # fmt: skip
    task, found = build(**settings), []
    kind = "xla" if compat.loops_under_xla() else "graph"
    loop = StepLoop(task.train_step, task.terms, 500, kind)
    for seed in seeds:
        other = build(**settings, seed=seed)
        for name, variable in other.state().items():
            task.state()[name].assign(variable)
        for start in range(0, iterations, loop.size):
            steps = range(start, min(start + loop.size, iterations))
            loop(other.batch(steps), other.draws(steps), len(steps))
        found.append(evaluation.curve(task)[1])
    return np.array(found)


def paired(worse: np.ndarray, better: np.ndarray) -> tuple[float, float]:
    """Mean difference over stored tasks (seeds averaged) and half its 95 % interval."""
    gap = (worse - better).mean(axis=0)
    return gap.mean(), 1.96 * gap.std() / np.sqrt(len(gap))


def test_mtnet_learns_faster_than_maml(build):
    """1000 steps of 8 tasks, three seeds: measured 2.29 against 3.16, gap 0.88 +- 0.12."""
    errors = {v: learned(build, v, 1000, range(3)) for v in ("maml", "mtnet")}
    gap, half = paired(errors["maml"], errors["mtnet"])
    assert gap - half > 0.4, (gap, half)
    assert (errors["maml"] - errors["mtnet"]).mean(axis=1).min() > 0.3  # for every seed
    assert errors["mtnet"].mean() < 2.7  # 4.268 for predicting 0


@pytest.mark.slow
def test_mtnet_below_tnet_below_maml(build):
    """3000 steps, three seeds: measured 1.14, 1.23, 1.56.

    T-net against MT-net holds for the mean of the seeds, not for each of them at this length.
    """
    errors = {v: learned(build, v, 3000, range(3)) for v in ("maml", "tnet", "mtnet")}
    for worse, better in (("maml", "tnet"), ("tnet", "mtnet"), ("maml", "mtnet")):
        gap, half = paired(errors[worse], errors[better])
        assert gap - half > 0, (worse, better, gap, half)
