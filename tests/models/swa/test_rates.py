"""Learning rates and snapshot epochs: vectors measured on keras-swa for the specification."""

from __future__ import annotations

import numpy as np
import pytest

from zoolib.models.swa.snapshots import snapshot_epochs
from zoolib.optim.schedules import swa, swa_ramp


def test_the_ramp_of_a_constant_schedule():
    found = swa_ramp(0.1, 0.01, range(25), 20)
    falling = [0.08875, 0.0775, 0.06625, 0.055, 0.04375, 0.0325, 0.02125]
    np.testing.assert_allclose(found, [0.1] * 11 + falling + [0.01] * 7, rtol=1e-6)
    assert found[24] == np.float32(0.01) and found[10] == np.float32(0.1)  # exactly


def test_the_ramp_of_the_seed_demonstration():
    measured = {37: 0.1, 38: 0.0966554, 50: 0.0565203, 66: 0.0030068, 67: 0.001, 73: 0.001}
    for epoch, rate in measured.items():
        assert swa_ramp(0.1, 0.001, range(epoch, epoch + 1), 74)[0] == pytest.approx(rate, abs=5e-8)


def test_the_cycles_of_the_seed_demonstration():
    whole = swa(0.1, 0.001, range(100 * 8), 74 * 8, 24, 0.003)

    def rate(epoch, batch):
        return whole[epoch * 8 + batch]

    measured = {(74, 0): 0.00291667, (74, 7): 0.00233333, (75, 7): 0.00166667, (77, 0): 0.00291667}
    for (epoch, batch), expected in measured.items():
        assert rate(epoch, batch) == pytest.approx(expected, abs=5e-9)
    assert rate(76, 7) == np.float32(0.001)  # the lowest, exactly, where the snapshot is taken


def test_snapshots():
    seed = snapshot_epochs(74, 3, 100)
    assert seed == list(range(76, 100, 3))  # ends of the cycles
    earlier = snapshot_epochs(74, 3, 99, at_end=False)  # keras-swa: its last epoch is no training
    assert [e + 1 for e in earlier] == list(range(75, 100, 3)) and len(earlier) == 9
    assert snapshot_epochs(74, 1, 100) == snapshot_epochs(74, 1, 100, at_end=False)
    assert len(snapshot_epochs(74, 1, 99)) == 25 and len(snapshot_epochs(74, 1, 100)) == 26
    assert snapshot_epochs(4, 2, 5) == []
