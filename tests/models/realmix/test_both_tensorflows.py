"""The same seed gives the same losses on TensorFlow 2.6.5 and on current TensorFlow."""

from __future__ import annotations

import numpy as np

import zoolib
from zoolib.runtime.device import open_session

# Loss of the first 20 steps of the smoke preset, seed 0, as TensorFlow 2.6.5 gives them;
# `python -m pytest -s -k losses` prints what another does. Current TensorFlow's faster kernels
# (oneDNN) round otherwise, and Adam brings the rounding of tiny gradients to full size: with a
# step size of 0.0001 the fifth digit is within half a unit, without oneDNN the sixth.
GOLDEN = [
    2.8509059,
    2.6720569,
    2.6567125,
    2.3490202,
    2.4880543,
    2.5750158,
    2.3661063,
    2.4297674,
    2.4731228,
    2.2731581,
    2.4448283,
    2.4063828,
    2.3506,
    2.235497,
    2.3461087,
    2.4531293,
    2.3992414,
    2.3709581,
    2.4797263,
    2.3120205,
]


def test_losses_of_twenty_steps_agree_to_five_digits():
    spec, session = zoolib.get_model("realmix"), open_session("cpu")
    task = spec.task_class()(spec.preset("smoke", lr=0.000001), session)
    task.build()
    loop = session.loop(task.train_step, task.terms, False, 1)
    losses = []
    for step in range(20):
        at = range(step, step + 1)
        losses.append(float(loop(task.batch(at), task.draws(at), 1)["loss"][0]))
    print([float(f"{loss:.8g}") for loss in losses])
    np.testing.assert_allclose(losses, GOLDEN, rtol=2.2e-5)
