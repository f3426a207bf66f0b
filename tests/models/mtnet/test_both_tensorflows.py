"""The same seed gives the same losses on TensorFlow 2.6.5 and on current TensorFlow."""

from __future__ import annotations

import numpy as np
import pytest

# Query loss of the first 20 steps of the seed's setting, seed 0; `python -m pytest -s -k losses`
# prints what a TensorFlow gives.
GOLDEN = {
    "maml": [
        4.8284574,
        2.3749673,
        6.7924991,
        3.2208197,
        3.9759533,
        6.6666903,
        6.7676616,
        5.0773945,
        4.0353489,
        5.6282134,
        6.4947124,
        5.1831903,
        4.3899541,
        3.5998523,
        3.5333169,
        8.4647808,
        7.557436,
        5.2715983,
        3.2853317,
        4.0304503,
    ],
    "mtnet": [
        4.8283563,
        2.3798971,
        6.7913232,
        3.1824024,
        3.9759998,
        6.6664009,
        6.7540379,
        5.0664077,
        4.0352116,
        5.6444182,
        6.5003757,
        5.1827908,
        4.3898797,
        3.5977545,
        3.5326288,
        8.4635668,
        7.546288,
        5.248858,
        3.2912927,
        4.0299983,
    ],
    "mtnet_full": [
        4.8297939,
        2.3752992,
        6.7857862,
        3.1763854,
        3.9759166,
        6.6659102,
        6.767694,
        5.0731444,
        4.0372062,
        5.6287336,
        6.4580092,
        5.2108002,
        4.3898473,
        3.5975339,
        3.5306509,
        8.4690762,
        7.5560112,
        5.2673068,
        3.2898109,
        4.033555,
    ],
}


@pytest.mark.parametrize("variant", GOLDEN)
def test_losses_of_twenty_steps_agree_to_five_digits(variant, session, build):
    task = build(variant=variant, dim_hidden=40, meta_batch_size=4, shots=10, queries=10)
    loop = session.loop(task.train_step, task.terms, True, 20)
    steps = range(20)
    losses = loop(task.batch(steps), task.draws(steps), 20)["loss"]
    print(variant, [float(f"{loss:.8g}") for loss in losses])
    np.testing.assert_allclose(losses, GOLDEN[variant], rtol=1e-5)
