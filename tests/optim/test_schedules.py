from __future__ import annotations

import math

import numpy as np
import pytest

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


def test_a_stretch_is_part_of_the_whole():
    whole = schedule("cosine", 0.2, range(0, 100), 100)
    np.testing.assert_array_equal(schedule("cosine", 0.2, range(37, 51), 100), whole[37:51])


def test_others_are_refused():
    with pytest.raises(ValueError, match="schedule: expected constant or cosine, got 'step'"):
        schedule("step", 0.1, range(3), 3)
