"""The same seed gives the same losses and the same steps on TensorFlow 2.6.5 and on current one.

Adam brings the rounding of tiny gradients to full size, so that at usual step sizes the digits of
two TensorFlows part within a few steps. Hence two tests. The first goes on by itself for 20 steps
at a step size so small that weights hardly move: it holds initial weights, data, views, MixUp,
guesses, both losses and batch statistics to five digits, and next to nothing of updates. The second
holds those, at the preset's step size: every one of 20 steps starts from a prescribed state, and
gradients, moments, weight decay, running statistics and averaged weights all show in what it
changes and in the loss behind it.
"""

from __future__ import annotations

import numpy as np
import pytest

import zoolib
from zoolib.runtime.device import open_session

# `python -m pytest -s -k twenty_steps` prints what a TensorFlow gives; `steps_agree` tells columns.
GOLDEN = [
    2.8509059,
    2.6733544,
    2.6593332,
    2.3499718,
    2.4916916,
    2.5835502,
    2.3676844,
    2.4368348,
    2.4832337,
    2.2753403,
    2.4531429,
    2.4125879,
    2.3598626,
    2.2372932,
    2.3457417,
    2.4689748,
    2.4045496,
    2.3902299,
    2.4931192,
    2.3218348,
]


STEPS = """
5.313393 4.732578 1.314787 0.1171764 5.204588 0.2856343 0.1370059 -0.4605934
5.614305 5.023909 1.3362 -0.1361652 5.260643 0.3155131 0.1548745 0.02940325
6.149658 5.589602 1.345115 -0.423395 5.422633 0.4305879 0.1787872 0.6277473
4.907929 4.255347 1.326482 0.4458573 5.561546 0.4419231 0.2058689 0.7476319
5.664862 5.096089 1.352425 -0.1717519 5.554674 0.514055 0.2387296 1.041431
6.391997 5.732488 1.33588 -0.2991898 5.616777 0.6077058 0.2708715 1.256716
5.310522 4.783457 1.357263 -0.0402223 5.647397 0.6739841 0.3070698 1.375754
5.422754 4.836167 1.347278 -0.08248244 5.698758 0.7239516 0.3428829 1.43374
5.987132 5.370138 1.34885 -0.418224 5.699379 0.8284223 0.3791936 1.480343
5.12561 4.560452 1.364777 0.177031 5.717396 0.8694941 0.4164135 1.469451
5.588258 4.971748 1.34283 -0.1398687 5.752984 0.9327144 0.4537926 1.634273
5.164186 4.574116 1.354185 -0.06457106 5.858607 1.002341 0.4918934 1.645149
5.156968 4.615665 1.367304 -0.1668179 5.741512 1.020525 0.5299186 1.71388
5.013679 4.431332 1.3621 -0.3336008 5.79205 1.081135 0.5680038 1.723312
5.458164 4.888126 1.367783 0.02639473 5.861187 1.134709 0.6065779 1.762367
5.930742 5.271234 1.365167 -0.5441001 5.936922 1.143955 0.6449953 1.812273
5.517669 4.888271 1.369129 0.131405 5.889603 1.153653 0.6835574 1.778522
6.455184 5.760414 1.357955 -0.4503848 6.016268 1.202247 0.7222939 1.871501
5.802258 5.106716 1.367647 -0.1784944 6.071684 1.224567 0.7611643 1.869301
5.045904 4.435198 1.376494 0.1092176 6.127979 1.219954 0.8000865 1.838279
"""


@pytest.fixture(scope="module")
def task():
    spec, session = zoolib.get_model("realmix"), open_session("cpu")
    task = spec.task_class()(spec.preset("smoke"), session)
    task.build()
    return task


@pytest.fixture(scope="module")
def loop(task):
    return task.session.loop(task.train_step, task.terms, False, 1)


def test_losses_of_twenty_steps_agree_to_five_digits(task, loop):
    start = {name: v.numpy() for name, v in task.state().items()}
    losses = []
    for step in range(20):
        at = range(step, step + 1)
        batch = {**task.batch(at), "rate": np.full(1, 1e-6, np.float32)}
        losses.append(float(loop(batch, task.draws(at), 1)["loss"][0]))
    for name, v in task.state().items():
        v.assign(start[name])
    print([float(f"{loss:.8g}") for loss in losses])
    np.testing.assert_allclose(losses, GOLDEN, rtol=1e-5)


def test_updates_of_twenty_steps_agree(task, loop, steps_agree):
    assert task.batch(range(1))["rate"] == np.float32(0.02), "the preset's own"
    # Shifts of 2 keep most leaky ReLUs on; without them 2 of 20 states have one at its kink.
    steps_agree(task, loop, STEPS, gradient=0.005, lift=2.0)
