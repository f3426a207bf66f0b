from __future__ import annotations

import math

import numpy as np
import pytest

from zoolib.optim import schedules
from zoolib.optim.schedules import schedule


def test_constant():
    found = schedule("constant", 0.3, range(5, 9), 10)
    assert found.dtype == np.float32 and found.tolist() == [np.float32(0.3)] * 4


def test_cosine_falls_from_the_start_to_zero_along_half_a_wave():
    found = schedule("cosine", 0.2, range(0, 101), 100)
    assert found[0] == np.float32(0.2) and found[-1] == 0.0
    assert found[50] == pytest.approx(0.1) and found[25] == pytest.approx(
        0.1 * (1 + math.sqrt(0.5))
    )
    assert np.all(np.diff(found) < 0)


WHOLE = range(0, 130)
STRETCH = range(37, 51)
EVERY = {
    "constant": lambda steps: schedule("constant", 0.2, steps, 100, warmup=40),
    "cosine": lambda steps: schedule("cosine", 0.2, steps, 100, 0.01, 40),
    "linear": lambda steps: schedule("linear", 0.2, steps, 100, 0.01),
    "piecewise": lambda steps: schedules.piecewise([40, 45], [1.0, 0.1, 0.01], steps),
    "exponential": lambda steps: schedules.exponential(0.1, 0.9, 7, steps),
    "staircase": lambda steps: schedules.exponential(0.1, 0.9, 7, steps, staircase=True),
    "ramp": lambda steps: schedules.swa_ramp(0.1, 0.01, steps, 60),
    "swa": lambda steps: schedules.swa(0.1, 0.01, steps, 40),
    "cyclic": lambda steps: schedules.swa(0.1, 0.01, steps, 40, 5, 0.05),
}


@pytest.mark.parametrize("name", EVERY)
def test_a_stretch_is_part_of_the_whole(name):
    whole = EVERY[name](WHOLE)
    assert whole.dtype == np.float32 and whole.shape == (130,) and len(set(whole.tolist())) > 1
    np.testing.assert_array_equal(EVERY[name](STRETCH), whole[37:51])
    np.testing.assert_array_equal(EVERY[name](range(44, 45)), whole[44:45])
    assert EVERY[name](range(3, 3)).shape == (0,)


def test_others_are_refused():
    with pytest.raises(ValueError, match="expected constant, cosine or linear, got 'step'"):
        schedule("step", 0.1, range(3), 3)
    for boundaries, values in (([3, 3], [1, 2, 3]), ([3], [1]), ([4, 2], [1, 2, 3])):
        with pytest.raises(ValueError, match="piecewise: expected rising boundaries"):
            schedules.piecewise(boundaries, values, range(3))


def test_linear_is_shufflenets_rule():
    """lr(t) = (lr0 - lrT) (1 - min(t, T) / T) + lrT."""
    found = schedules.linear(1e-3, 1e-6, range(0, 120), 100)
    assert found[0] == np.float32(1e-3) and (found[100:] == np.float32(1e-6)).all()
    assert found[25] == pytest.approx((1e-3 - 1e-6) * 0.75 + 1e-6, rel=1e-6)
    np.testing.assert_array_equal(found, schedule("linear", 1e-3, range(0, 120), 100, 1e-6))


def test_cosine_with_an_end_value_stays_there():
    found = schedules.cosine(0.4, 0.1, range(0, 120), 100)
    assert found[0] == np.float32(0.4) and (found[100:] == np.float32(0.1)).all()
    assert found[50] == pytest.approx(0.25)


def test_warmup_multiplies():
    warm = schedules.cosine(0.4, 0.0, range(0, 20), 100, warmup=10)
    plain = schedules.cosine(0.4, 0.0, range(0, 20), 100)
    np.testing.assert_allclose(warm[:10], plain[:10] * np.arange(1, 11) / 10, rtol=1e-6)
    np.testing.assert_array_equal(warm[9:], plain[9:])
    assert schedules.warmup_factor(range(0, 4), 2).tolist() == [0.5, 1.0, 1.0, 1.0]
    assert schedules.warmup_factor(range(0, 2), 0).tolist() == [1.0, 1.0]


def test_piecewise_boundaries_belong_to_the_left_as_in_tensorflow():
    """AM3's drops on miniImageNet."""
    boundaries, values = [15000, 17500, 20000], [0.1, 0.01, 0.001, 0.0001]
    found = schedules.piecewise(boundaries, values, range(0, 25000))
    changes = np.flatnonzero(np.diff(found)) + 1
    assert changes.tolist() == [15001, 17501, 20001]
    assert found[[0, 15000, 15001, 20000, 20001]].tolist() == [
        np.float32(v) for v in (0.1, 0.1, 0.01, 0.001, 0.0001)
    ]
    tf = pytest.importorskip("tensorflow")
    rule = tf.compat.v1.train.piecewise_constant
    for step in (14999, 15000, 15001, 17500, 17501, 20001):
        theirs = rule(tf.constant(step), boundaries, values)
        theirs = theirs() if callable(theirs) else theirs
        assert found[step] == np.float32(theirs)


def test_exponential():
    smooth = schedules.exponential(0.1, 0.5, 10, range(0, 25))
    stairs = schedules.exponential(0.1, 0.5, 10, range(0, 25), staircase=True)
    assert smooth[10] == stairs[10] == np.float32(0.05)
    assert smooth[5] == pytest.approx(0.1 * math.sqrt(0.5)) and stairs[9] == np.float32(0.1)
    assert len(set(stairs.tolist())) == 3


def test_swa_ramp_of_the_specs_first_vector():
    """rate 0.1, swa_rate 0.01, start 20: 0.1 until 10, 0.01 from 18 on."""
    found = schedules.swa(0.1, 0.01, range(0, 40), 20)
    expected = [0.08875, 0.0775, 0.06625, 0.055, 0.04375, 0.0325, 0.02125]
    assert (found[:11] == np.float32(0.1)).all() and (found[18:] == np.float32(0.01)).all()
    np.testing.assert_allclose(found[11:18], expected, rtol=1e-6)


def test_swa_ramp_of_the_seeds_settings():
    found = schedules.swa_ramp(0.1, 0.001, range(0, 74), 74)
    assert found[37] == np.float32(0.1) and (found[67:] == np.float32(0.001)).all()
    assert found[[38, 50, 66]] == pytest.approx([0.0966554, 0.0565203, 0.0030068], abs=6e-8)


def test_swa_cycles_of_the_seeds_settings():
    """Epochs of 8 batches, cycles of 3 epochs from 0.003 down, start at epoch 74."""
    found = schedules.swa(0.1, 0.001, range(0, 100 * 8), 74 * 8, 24, 0.003)

    def at(epoch: int, batch: int) -> float:
        return float(found[epoch * 8 + batch])

    assert at(74, 0) == pytest.approx(0.00291667, rel=1e-5)
    assert at(74, 7) == pytest.approx(0.00233333, rel=1e-5)
    assert at(75, 7) == pytest.approx(0.00166667, rel=1e-5)
    assert at(77, 0) == pytest.approx(0.00291667, rel=1e-5)
    minima = found[74 * 8 + 23 :: 24]
    assert len(minima) == 8 and (minima == np.float32(0.001)).all()  # exactly
    assert found[74 * 8 :].max() < 0.003
    assert found[74 * 8 - 1] == np.float32(0.001)  # the ramp's end; then it jumps up


def test_swa_is_the_papers_cycle():
    """alpha(i) = (1 - t) alpha1 + t alpha2, t = (mod(i - 1, c) + 1) / c, i = 1, 2, …."""
    found = schedules.swa(0.5, 0.01, range(100, 160), 100, 20, 0.05)
    i = np.arange(1, 61)
    t = (np.mod(i - 1, 20) + 1) / 20
    np.testing.assert_allclose(found, (1 - t) * 0.05 + t * 0.01, rtol=1e-6)


def test_swa_from_the_first_step_on():
    assert schedules.swa(0.1, 0.01, range(0, 3), 0).tolist() == [np.float32(0.01)] * 3
