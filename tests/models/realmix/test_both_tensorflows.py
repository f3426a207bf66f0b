"""The same seed gives the same losses on TensorFlow 2.6.5 and on current TensorFlow."""

from __future__ import annotations

import numpy as np

import zoolib
from zoolib.runtime.device import open_session

# Loss of the first 20 steps of the smoke preset, seed 0, with a small step size: Adam brings the
# rounding of tiny gradients to full size, so that at usual ones the digits part sooner. The step's
# update is held by `test_step`. `python -m pytest -s -k losses` prints what a TensorFlow gives.
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


def test_losses_of_twenty_steps_agree_to_five_digits():
    spec, session = zoolib.get_model("realmix"), open_session("cpu")
    task = spec.task_class()(spec.preset("smoke", lr=1e-6), session)
    task.build()
    loop = session.loop(task.train_step, task.terms, False, 1)
    losses = []
    for step in range(20):
        at = range(step, step + 1)
        losses.append(float(loop(task.batch(at), task.draws(at), 1)["loss"][0]))
    print([float(f"{loss:.8g}") for loss in losses])
    np.testing.assert_allclose(losses, GOLDEN, rtol=1e-5)
