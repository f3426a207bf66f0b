"""Figures hold the right data, read on both pages, show once, and are the same bytes each time."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import threading
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from PIL import Image

import zoolib
from zoolib.ui import plots, style
from zoolib.ui.curve import LiveCurve
from zoolib.ui.style import COLOURS, INK, NEUTRAL, PAGES, contrast, look, to_png


def rows(count: int, every: int = 10) -> list[dict]:
    return [{"step": every * i, "loss": 4.0 / i} for i in range(1, count + 1)]


def texts(figure: Figure) -> str:
    return " | ".join(text.get_text() for text in figure.findobj(matplotlib.text.Text))


STEPS = (0, 1, 5, 10)
CURVES = {
    "MAML": (STEPS, (3.2, 0.7, 0.9, 300.0), (0.2, 0.1, 0.2, 90.0)),
    "MT-net": (STEPS, (3.2, 0.5, 0.2, 0.15), (0.2, 0.05, 0.02, 0.02)),
    "T-net": (STEPS, (3.2, 0.6, np.inf, np.nan), (0.2, 0.05, 0.1, 0.1)),
}


def fits() -> dict:
    x = np.linspace(-5, 5, 50)
    truth = np.stack([np.sin(x), 3 * np.sin(x - 1)])
    support = np.array([[-3.0, 0.0, 2.0], [-1.0, 1.0, 4.0]])
    closer = np.stack([truth * part for part in (0.0, 0.5, 0.8, 1.0)], axis=1)
    wild = closer.copy()
    wild[0, 3] = 1e6
    return {
        "x": x,
        "truth": truth,
        "support_x": support,
        "support_y": np.stack([np.sin(support[0]), 3 * np.sin(support[1] - 1)]),
        "steps": STEPS,
        "predictions": {"MAML": closer, "T-net": wild},
    }


MASKS = {f"order {n}": [np.linspace(0, 1, 40), np.full(1, 0.25)] for n in range(3)}
BARS = {"after 1 step": {"MAML": (0.7, 0.1), "MT-net": (0.5, 0.05)}}
ALPHAS = {"MAML": ((2.0, 2.3, 6.0), (0.2, 0.2, 0.4))}
MAKERS = {
    "curve": lambda: plots.learning_curve({"a": rows(200), "b": rows(5)}, baseline=("zero", 4.27)),
    "fits": lambda: plots.sine_fits(fits()),
    "steps": lambda: plots.error_by_step(CURVES, zero=4.27, trained=1),
    "alpha": lambda: plots.step_size_robustness((0.01, 0.1, 1.0), ALPHAS, zero=4.27),
    "masks": lambda: plots.mask_probabilities(MASKS),
    "bars": lambda: plots.compare_bars(BARS, reference=("earlier", 0.512)),
    "sketch": plots.computation_sketch,
}


@pytest.fixture(scope="module")
def figures() -> dict[str, Figure]:
    return {name: make() for name, make in MAKERS.items()}


# Colours


def test_contrast_is_the_standards():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


def test_text_has_the_best_contrast_one_colour_can_have_on_both_pages():
    best = contrast(PAGES["white"], PAGES["dark"]) ** 0.5
    worst = {
        level: min(contrast(f"#{level:02x}{level:02x}{level:02x}", page) for page in PAGES.values())
        for level in range(256)
    }
    assert best < 4.5, "4.5 on both is out of reach for any one colour"
    assert min(contrast(NEUTRAL, page) for page in PAGES.values()) == max(worst.values())
    assert max(worst.values()) > best - 0.01


def test_ink_for_a_known_page_is_well_above_the_norm():
    assert contrast(INK["light"], PAGES["white"]) >= 7
    assert contrast(INK["dark"], PAGES["dark"]) >= 7


def test_data_colours_reach_three_on_both_pages():
    for colour in COLOURS:
        for page in PAGES.values():
            assert contrast(colour, page) >= 3, colour


def test_no_two_series_look_alike_and_none_by_colour_alone():
    seen = [(s["color"], str(s["linestyle"]), s["marker"]) for s in map(look, range(12))]
    assert len(set(seen)) == 12
    assert len({(dash, marker) for _, dash, marker in seen[:4]}) == 4


@pytest.mark.parametrize("name", ["curve", "fits", "steps", "alpha", "masks", "bars", "sketch"])
def test_every_figure_is_transparent_readable_and_repeatable(figures, name):
    figure = figures[name]
    one, two = to_png(figure), to_png(MAKERS[name]())
    assert one == two and one == to_png(figure)
    picture = Image.open(io.BytesIO(one))
    assert picture.format == "PNG" and "Software" not in picture.info
    assert picture.convert("RGBA").getpixel((0, 0))[3] == 0
    assert len(one) < 90_000
    for text in figure.findobj(matplotlib.text.Text):
        if text.get_text() and text.get_visible():
            assert matplotlib.colors.to_hex(text.get_color()) == NEUTRAL, text.get_text()
            assert text.get_fontsize() >= 9
    assert "0x" not in repr(figure) and len(repr(figure)) < 110


def test_themes_repaint_and_put_back(figures):
    figure = figures["steps"]
    before = to_png(figure)
    dark = Image.open(io.BytesIO(to_png(figure, theme="dark", palette=None))).convert("RGBA")
    found = {pixel[:3] for _, pixel in dark.getcolors(1 << 22) if pixel[3] == 255}
    assert (0xD0, 0xD0, 0xD0) in found and (0x79, 0x79, 0x79) not in found
    assert to_png(figure) == before
    with pytest.raises(ValueError, match="expected one of neutral, light, dark"):
        to_png(figure, theme="sepia")


def test_a_figure_shows_once_in_a_fresh_kernel(tmp_path):
    code = """
        from IPython.core.interactiveshell import InteractiveShell
        shell = InteractiveShell.instance()
        from zoolib.ui import plots
        figure = plots.learning_curve({"a": [{"step": 1, "loss": 2.0}, {"step": 2, "loss": 1.0}]})
        data, meta = shell.display_formatter.format(figure)
        assert sorted(data) == ["image/png", "text/plain"], sorted(data)
        assert meta["image/png"] == {"width": 691, "height": 326}, meta
        assert data["text/plain"] == "<figure: loss against training steps for a>"
        import sys
        assert "matplotlib.pyplot" not in sys.modules
        from IPython.core.pylabtools import select_figure_formats
        select_figure_formats(shell, {"png"})  # what the inline backend does
        import matplotlib.pyplot as plt
        data, _ = shell.display_formatter.format(figure)
        assert sorted(data) == ["image/png", "text/plain"]
        assert plt.get_fignums() == [], "pyplot would show it a second time"
    """
    script = tmp_path / "cell.py"
    script.write_text("\n".join(line[8:] for line in code.splitlines()))
    home = str(Path(zoolib.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, str(script)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": home},
    )
    assert done.returncode == 0, done.stderr


# Data behind the artists


def test_learning_curve_holds_the_rows():
    figure = plots.learning_curve({"a": rows(5), "b": rows(9)}, baseline=("zero", 4.27))
    a, b, level = figure.axes[0].lines
    assert a.get_xdata().tolist() == [10, 20, 30, 40, 50]
    assert a.get_ydata() == pytest.approx([4, 2, 4 / 3, 1, 0.8])
    assert len(b.get_xdata()) == 9 and list(level.get_ydata()) == [4.27, 4.27]
    assert figure.axes[0].get_yscale() == "log"
    assert "zero 4.27" in texts(figure) and "training steps" in texts(figure)


def test_learning_curve_leaves_out_rows_without_a_key_and_copes_with_what_is_odd():
    history = [{"step": 1, "loss": 2.0}, {"step": 2, "loss": -1.0, "query": 3.0}]
    figure = plots.learning_curve({"": history}, keys=("loss", "query"))
    loss, query = figure.axes[0].lines
    assert query.get_xdata().tolist() == [2] and query.get_label() == "query"
    assert figure.axes[0].get_yscale() == "linear", "no logarithm of negative values"
    assert len(to_png(plots.learning_curve({"empty": []}))) > 0
    assert len(to_png(plots.learning_curve({"nan": [{"step": 1, "loss": float("nan")}]}))) > 0


def test_long_curves_show_raw_and_running_mean():
    noisy = [{"step": i, "loss": 2.0 + (-1) ** i} for i in range(1, 401)]
    raw, mean = plots.learning_curve({"a": noisy}).axes[0].lines
    assert set(raw.get_ydata()) == {1.0, 3.0}
    assert np.abs(mean.get_ydata() - 2).max() < 0.1 and mean.get_label() == "a"


def test_downsampling_keeps_ends_and_peaks():
    x, y = np.arange(10_000.0), np.sin(np.arange(10_000.0) / 300)
    y[4321], y[7000] = 50, -50
    small_x, small_y = plots.downsample(x, y, 200)
    assert len(small_x) <= 200 and (np.diff(small_x) > 0).all()
    assert small_x[0] == 0 and small_x[-1] == 9999
    assert 50 in small_y and -50 in small_y
    y[100:300] = np.nan
    assert len(plots.downsample(x, y, 200)[0]) <= 200
    same = plots.downsample(x[:150], y[:150], 200)
    assert same[0] is not None and len(same[0]) == 150


def test_sine_fits_put_each_thing_in_its_place(figures):
    data, figure = fits(), figures["fits"]
    cells = np.array(figure.axes).reshape(2, 2)
    assert [axes.get_title(loc="left") for axes in cells[0]] == ["MAML", "T-net"]
    lines = cells[1, 0].lines
    np.testing.assert_array_equal(lines[0].get_ydata(), data["truth"][1])
    for number in range(4):
        expected = data["predictions"]["MAML"][1, number]
        np.testing.assert_array_equal(lines[1 + number].get_ydata(), expected)
    np.testing.assert_array_equal(lines[5].get_xdata(), data["support_x"][1])
    np.testing.assert_array_equal(lines[5].get_ydata(), data["support_y"][1])
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == ["true curve", "before", "after 1 step", "after 5 steps", "after 10 steps",
                      "points seen"]  # fmt: skip
    styles = {(line.get_color(), str(line._dash_pattern)) for line in lines[1:5]}
    assert len(styles) == 4
    assert [t.get_text() for t in cells[0, 1].texts] == ["diverges by step 10"]
    assert not cells[0, 0].texts and cells[0, 1].get_ylim()[1] < 2


def test_error_by_step_marks_divergence_and_the_zero_predictor(figures):
    axes = figures["steps"].axes[0]
    by_label = {line.get_label(): line for line in axes.lines}
    np.testing.assert_array_equal(by_label["MT-net"].get_ydata(), CURVES["MT-net"][1])
    shown = by_label["MAML"].get_ydata()
    assert np.isnan(shown[3]) and shown[2] == 0.9
    bands = [c for c in axes.collections if isinstance(c, PolyCollection)]
    assert len(bands) == 3
    mt = bands[1].get_paths()[0].vertices
    assert mt[:, 1].max() == pytest.approx(3.4) and mt[:, 1].min() == pytest.approx(0.13)
    told = texts(figures["steps"])
    assert "MAML diverges" in told and "T-net diverges" in told and "MT-net diverges" not in told
    crosses = [line for line in axes.lines if line.get_marker() == "x"]
    assert [line.get_xdata().tolist() for line in crosses] == [[10], [5, 10]]
    assert crosses[0].get_ydata()[0] != crosses[1].get_ydata()[0], "one does not hide the other"
    assert "zero predictor 4.27" in told and "trained for 1 step" in told
    assert axes.get_yscale() == "log" and "95 % interval" in axes.get_ylabel()


def test_step_size_axis_is_logarithmic_with_the_values_tried(figures):
    axes = figures["alpha"].axes[0]
    assert axes.get_xscale() == "log" and list(axes.get_xticks()) == [0.01, 0.1, 1.0]
    assert axes.lines[0].get_ydata().tolist() == [2.0, 2.3, 6.0]


def test_mask_probabilities_show_every_unit_and_the_mean(figures):
    axes = figures["masks"].axes[0]
    dots = [line for line in axes.lines if line.get_linestyle() == "None"]
    assert [len(line.get_ydata()) for line in dots] == [40, 1] * 3
    np.testing.assert_allclose(dots[0].get_ydata(), np.linspace(0, 1, 40))
    assert [text.get_text() for text in axes.texts] == ["0.50", "0.25"] * 3
    assert [t.get_text() for t in axes.get_xticklabels()] == ["layer 1", "layer 2"]


def test_compare_bars_write_the_numbers_out(figures):
    axes = figures["bars"].axes[0]
    assert [bar.get_width() for bar in axes.patches] == [0.7, 0.5]
    told = texts(figures["bars"])
    assert "MAML  0.7 ± 0.1" in told and "MT-net  0.5 ± 0.05" in told and "earlier: 0.512" in told


def test_the_sketch_says_what_adapts(figures):
    told = texts(figures["sketch"])
    for word in ("W\\,x + b", "T\\,", "M\\,\\odot", "inner loop", "meta-learned", "\\nabla"):
        assert word in told


def test_live_curve_moves_its_artists():
    curve = LiveCurve()
    raw, mean = curve.lines["loss"]
    curve.update([], 100)
    empty = curve.png()
    curve.update(rows(30), 1000)
    assert raw.get_xdata().tolist() == list(range(10, 301, 10)) and curve.axes.get_xlim()[1] == 1000
    assert curve.lines["loss"] == (raw, mean) and curve.png() != empty
    curve.update(rows(50_000), 500_000)
    assert len(raw.get_xdata()) <= 1200 and len(mean.get_xdata()) <= 1200
    curve.update([{"step": 1, "loss": -1.0}, {"step": 2, "loss": float("nan")}], 10)
    assert curve.axes.get_yscale() == "linear" and len(curve.png()) > 0


def test_drawing_from_two_threads_gives_the_same_bytes(figures):
    alone, got = to_png(figures["steps"]), []
    others = [threading.Thread(target=lambda: got.append(to_png(MAKERS["steps"]())))
              for _ in range(2)]  # fmt: skip
    for thread in others:
        thread.start()
    got.append(to_png(figures["steps"]))
    for thread in others:
        thread.join()
    assert got == [alone] * 3


def test_log_ticks_are_plain_numbers():
    figure = style.Picture(4, 3)
    axes = figure.add_subplot()
    style.log_scale(axes.yaxis, 0.02, 40)
    figure.canvas.draw()
    shown = [t.get_text() for t in axes.get_yticklabels()]
    assert "0.1" in shown and "10" in shown and not any("10^" in text for text in shown)
