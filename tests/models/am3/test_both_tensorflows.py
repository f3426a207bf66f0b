"""The same seed gives the same losses on TensorFlow 2.6.5 and on current TensorFlow."""

from __future__ import annotations

import numpy as np
import pytest

# Loss of the first 20 steps of a small step size, seed 0; `python -m pytest -s -k losses` prints
# what a TensorFlow gives.
GOLDEN = {
    "am3-protonet++": [
        2.0080292,
        1.5831261,
        1.8773099,
        1.8567475,
        1.7340978,
        1.5946472,
        1.7133116,
        1.8300612,
        1.6271645,
        1.833759,
        1.6432903,
        1.8125354,
        1.7887424,
        1.719162,
        1.7384542,
        1.6687965,
        1.8359538,
        1.8760028,
        1.789197,
        1.9092755,
    ],
    "am3-tadam": [
        13.294329,
        6.3346143,
        13.84181,
        11.203855,
        9.6418858,
        9.2152271,
        8.3633051,
        7.650135,
        8.2724295,
        10.259159,
        7.8803849,
        10.955871,
        9.6088991,
        8.8226213,
        9.0729189,
        7.5913954,
        9.4235897,
        8.7607164,
        9.2901688,
        6.6607981,
    ],
}


@pytest.mark.parametrize("variant", ["am3-protonet++", "am3-tadam"])
def test_losses_of_twenty_steps_agree_to_five_digits(variant, built, stepped):
    own = {"aux": True, "aux_batch": 16, "blocks": 2} if variant.endswith("tadam") else {}
    task = built(variant=variant, lr=0.002, lr_decay="constant", h_dropout=0.5, **own)
    losses = [row["loss"] for row in stepped(task, range(20))]
    print(variant, [float(f"{loss:.8g}") for loss in losses])
    np.testing.assert_allclose(losses, GOLDEN[variant], rtol=1e-5)
