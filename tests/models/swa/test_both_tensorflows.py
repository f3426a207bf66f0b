"""The same seed gives the same run on TensorFlow 2.6.5 and on current TensorFlow."""

from __future__ import annotations

import numpy as np
import pytest

import zoolib

# Loss of the first 20 steps at the preset's step size, seed 0, and what the mean of the weights
# after steps 12, 16 and 20 reaches; `python -m pytest -s -k losses` prints what a TensorFlow gives.
GOLDEN = [
    2.7417316,
    1.9795287,
    1.474815,
    0.86958128,
    0.70745611,
    0.7377919,
    0.59897411,
    0.5727967,
    0.36326313,
    0.46343115,
    0.3087272,
    0.4461529,
    0.38128442,
    0.19469431,
    0.2475324,
    0.15035731,
    0.19030526,
    0.18070504,
    0.14689684,
    0.27456051,
]
AVERAGED = 0.23316634


def test_losses_of_twenty_steps_agree_to_five_digits(tmp_path):
    changes = dict(iterations=20, report_every=1, swa_start=8, swa_every=4, checkpoint_every=20)
    config = zoolib.get_model("swa").preset("smoke", **changes)
    assert config.lr == config.swa_lr == 0.1 and config.norm == "batch_norm"
    result = zoolib.train(config, "cpu", out=tmp_path, progress=False)
    losses = [row["loss"] for row in result.history]
    averaged = result.metrics["swa_test_loss"]
    print([float(f"{loss:.8g}") for loss in losses], f"{averaged:.8g}")
    np.testing.assert_allclose(losses, GOLDEN, rtol=1e-5)
    assert averaged == pytest.approx(AVERAGED, rel=1e-5)
