"""Sliders recompute, bursts do not queue, errors are seen, and a move is fast."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from zoolib.ui.explorer import Explorer, SineExplorer

PNG = b"\x89PNG fake "


def simple(predict, **options):
    sliders = {"height": (0.0, 10.0, 0.5, 2.0), "count": (1, 5, 1, 3)}
    return Explorer(predict, sliders, lambda result: PNG + repr(result).encode(), **options)


def test_a_move_recomputes_with_all_values():
    explorer = simple(lambda height, count: height * count, describe=lambda r: f"<area> {r:g}")
    assert explorer.image.value == PNG + b"6.0" and explorer.moves == 1
    explorer.sliders["height"].value = 4.0
    explorer.settle()
    assert explorer.image.value == PNG + b"12.0"
    assert "&lt;area&gt; 12" in explorer.words.value
    # With a tooltip, ipywidgets 8.1 shows "Click to show javascript error" in place of the image.
    assert explorer.image.tooltip is None
    assert "ms" in explorer.speed.value and len(explorer.milliseconds) == explorer.moves == 2


def test_a_burst_does_not_queue_up():
    started, go_on, computed = threading.Event(), threading.Event(), []

    def slow(height, count):
        computed.append(height)
        if len(computed) == 2:
            started.set()
            assert go_on.wait(20)
        return height

    explorer = simple(slow)
    explorer.sliders["height"].value = 0.5
    assert started.wait(20)
    for step in range(2, 20):
        explorer.sliders["height"].value = step / 2
    go_on.set()
    explorer.settle()
    assert computed == [2.0, 0.5, 9.5], "the one under way, then only the newest"
    assert explorer.image.value == PNG + b"9.5"
    names = [t.name for t in threading.enumerate()]
    assert names.count("zoolib explorer") <= 1, "no thread waits for the next move"


def test_errors_are_shown_raised_and_forgotten():
    def picky(height, count):
        if height > 5:
            raise ValueError("too <high>")
        return height

    explorer = simple(picky)
    explorer.sliders["height"].value = 6.0
    with pytest.raises(ValueError, match="too <high>"):
        explorer.settle()
    assert 'role="alert"' in explorer.words.value and "too &lt;high&gt;" in explorer.words.value
    explorer.sliders["height"].value = 1.0
    explorer.settle()
    assert explorer.image.value == PNG + b"1.0"
    with pytest.raises(ValueError):
        Explorer(picky, {"height": (0, 9, 1, 9), "count": (1, 5, 1, 3)}, lambda result: PNG)


def test_settle_has_an_end():
    go_on = threading.Event()
    explorer = simple(lambda height, count: height == 2.0 or go_on.wait(20))
    explorer.sliders["height"].value = 3.0
    with pytest.raises(TimeoutError):
        explorer.settle(0.01)
    go_on.set()
    explorer.settle()


def test_figures_are_drawn_too():
    from zoolib.ui import plots

    explorer = Explorer(
        lambda n: [{"step": i, "loss": 1.0} for i in range(1, n + 1)],
        {"n": (1, 9, 1, 4)},
        lambda history: plots.learning_curve({"a": history}),
    )
    assert bytes(explorer.image.value).startswith(b"\x89PNG\r\n")


# Sines


class Fake:
    """Steps half the remaining way from zero to the wave as high as its largest point."""

    def __init__(self):
        self.calls = []

    def __call__(self, support_x, support_y, grid_x, steps):
        assert support_x.shape == support_y.shape == (len(support_x), 1)
        assert {a.dtype for a in (support_x, support_y, grid_x)} == {np.dtype("float32")}
        self.calls.append((support_x[:, 0], support_y[:, 0], steps))
        goal = np.abs(support_y).max() * np.sin(grid_x[:, 0])
        return np.stack([goal * (1 - 0.5**k) for k in range(steps + 1)])


def test_sine_explorer_gives_the_model_the_wave():
    adapt = Fake()
    explorer = SineExplorer(adapt)
    explorer.sliders["amplitude"].value = 2.0
    explorer.sliders["shots"].value = 4
    explorer.settle()
    x, y, steps = adapt.calls[-1]
    assert len(x) == 4 and steps == 10 and np.abs(x).max() <= 5
    values = explorer.values
    np.testing.assert_allclose(y, 2 * np.sin(values["frequency"] * x - values["phase"]), rtol=1e-5)
    artists = explorer._figure.artists
    np.testing.assert_array_equal(artists["points"].get_xdata(), x)
    grid = artists["truth"].get_xdata()
    np.testing.assert_allclose(
        artists["truth"].get_ydata(), 2 * np.sin(values["frequency"] * grid - values["phase"])
    )
    assert not artists["before model"].get_ydata().any()


def test_another_step_count_needs_no_new_adaptation():
    adapt = Fake()
    explorer = SineExplorer(adapt)
    half = explorer._figure.artists["after model"].get_ydata().copy()
    calls, before = len(adapt.calls), explorer.image.value
    explorer.sliders["steps"].value = 2
    explorer.settle()
    assert len(adapt.calls) == calls and explorer.image.value != before
    np.testing.assert_allclose(explorer._figure.artists["after model"].get_ydata(), 1.5 * half)
    assert "after 2 steps" in explorer.words.value


def test_new_points_are_seeded_and_shots_add_to_them():
    adapt = Fake()
    explorer = SineExplorer(adapt, seed=4)
    first = adapt.calls[-1][0]
    explorer.sliders["shots"].value = 20
    explorer.settle()
    np.testing.assert_array_equal(adapt.calls[-1][0][:10], first)
    explorer.new_points.click()
    explorer.settle()
    assert not np.isin(first, adapt.calls[-1][0]).any()
    again = Fake()
    SineExplorer(again, seed=4)
    np.testing.assert_array_equal(again.calls[-1][0], first)


def test_several_models_share_one_picture():
    explorer = SineExplorer({"MAML": Fake(), "MT-net": Fake()})
    assert {"after MAML", "after MT-net"} <= set(explorer._figure.artists)
    assert "MAML: " in explorer.words.value and "MT-net: " in explorer.words.value


def test_divergence_is_said():
    explorer = SineExplorer(lambda sx, sy, gx, steps: np.full((steps + 1, len(gx)), np.nan))
    assert "model: diverged before, diverged after 1 step" in explorer.words.value


def test_sliders_are_labelled_and_range_beyond_training():
    explorer = SineExplorer(Fake())
    for name, slider in explorer.sliders.items():
        assert slider.description == name and len(slider.tooltip) > 20 and slider.continuous_update
    frequency, shots = explorer.sliders["frequency"], explorer.sliders["shots"]
    assert (frequency.min, frequency.max) == (0.5, 1.5) and (shots.min, shots.max) == (1, 20)
    assert isinstance(shots.value, int)
    assert explorer.new_points.description and explorer.new_points.tooltip
    assert repr(explorer) == "SineExplorer(amplitude, phase, frequency, shots, steps)"


def test_the_still_figure_shows_what_the_explorer_shows():
    explorer = SineExplorer(Fake())
    explorer.sliders["amplitude"].value = 1.0
    still = explorer.figure()
    live = explorer._figure.artists["truth"].get_ydata()
    np.testing.assert_array_equal(still.axes[0].lines[0].get_ydata(), live)
    assert still._repr_png_()[0].startswith(b"\x89PNG")


def test_a_move_takes_less_than_a_tenth_of_a_second():
    explorer = SineExplorer({"MAML": Fake(), "MT-net": Fake()})
    for tenth in range(1, 21):
        explorer.sliders["amplitude"].value = tenth / 10
        explorer.settle()
    assert explorer.moves == 21
    # The best of them: what else the machine is busy with is not the explorer's fault.
    assert min(explorer.milliseconds) < 50
