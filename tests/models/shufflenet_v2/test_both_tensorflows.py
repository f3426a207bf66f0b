"""The same seed gives the same losses on TensorFlow 2.6.5 and on current TensorFlow.

Training itself is chaotic: a rounding error of 1e-7 grows some twentyfold with every step at usual
step sizes, on either TensorFlow. With a tiny one, 20 steps hold data, augmentation, forward pass,
batch statistics and penalty together; the updates are held by `test_three_steps_of_the_reference`.
"""

from __future__ import annotations

import numpy as np

# `python -m pytest -s -k twenty_steps` prints what a TensorFlow gives.
GOLDEN = [
    1.466902,
    1.403495,
    1.494976,
    1.309081,
    1.432748,
    1.378538,
    1.440123,
    1.519558,
    1.362427,
    1.579321,
    1.474047,
    1.366812,
    1.502324,
    1.420005,
    1.552662,
    1.439316,
    1.422466,
    1.519237,
    1.330766,
    1.486883,
]


def test_losses_of_twenty_steps_agree_to_five_digits(small):
    task = small(lr=1e-8, end_lr=1e-8, iterations=20)
    loop = task.session.loop(task.train_step, task.terms, False, 1)
    steps = range(20)
    batch, losses = task.batch(steps), []
    for step in steps:
        feed = {name: rows[step : step + 1] for name, rows in batch.items()}
        losses.extend(loop(feed, task.draws(range(step, step + 1)), 1)["loss"])
    print([float(f"{loss:.8g}") for loss in losses])
    np.testing.assert_allclose(losses, GOLDEN, rtol=1e-5)
    assert np.std(losses) > 0.01, "every step has images of its own"
