"""Figures of a comparison: the numbers behind the lines, bands, dots and intervals."""

from __future__ import annotations

import io

import matplotlib
import numpy as np
import pytest
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_hex
from PIL import Image

import zoolib
from zoolib.core.statistics import t_quantile
from zoolib.core.store import RunFolder
from zoolib.errors import ConfigError
from zoolib.ui import plots
from zoolib.ui.style import COLOURS, NEUTRAL, look

ENV = {"device": "cpu", "precision": "float32"}
STEPS = (100, 200, 300)
# variant -> final errors of seeds 0, 1, 2
FINAL = {"maml": (1.0, 2.0, 3.0), "tnet": (0.5, 1.4, 2.6), "mtnet": (1.1, 1.8, 3.1)}


def write(out, variant: str, seed: int, final: float, every: int = 100) -> str:
    """A finished run whose loss is ``final`` times 8, 4, 2 and whose error is half of that."""
    told = dict(variant=variant, seed=seed, report_every=every)
    folder = RunFolder.create(out, zoolib.get_model("mtnet").preset("smoke", **told), ENV, "c")
    folder.unlock()
    for step, factor in zip(STEPS, (8, 4, 2)):
        error = {"query_mse": final * factor / 2} if step != 200 else {}
        folder.append({"step": step, "loss": final * factor, **error})
    said = {"headline": "query_mse", "lower_is_better": True}
    folder.write_summary({"steps": 300, "metrics": {"query_mse": final}, **said})
    return folder.path


@pytest.fixture(scope="module")
def comparison(tmp_path_factory):
    out = tmp_path_factory.mktemp("runs")
    return zoolib.compare(
        *(write(out, v, s, x) for v, xs in FINAL.items() for s, x in enumerate(xs))
    )


@pytest.fixture(scope="module")
def figures(comparison):
    return {
        "curves": plots.compare_curves(comparison),
        "loss": plots.compare_curves(comparison, "loss", band="interval"),
        "paired": plots.paired(comparison),
    }


def texts(figure) -> str:
    return " | ".join(text.get_text() for text in figure.findobj(matplotlib.text.Text))


def band(axes, number: int) -> np.ndarray:
    """Lowest and highest edge at the first step, of the ``number``-th band."""
    shape = [c for c in axes.collections if isinstance(c, PolyCollection)][number]
    points = shape.get_paths()[0].vertices
    return np.sort(np.unique(points[points[:, 0] == 100.0, 1]))


def test_curves_are_means_over_seeds_and_bands_their_range(figures):
    axes = figures["curves"].axes[0]
    maml = axes.lines[0]
    assert maml.get_xdata().tolist() == [100, 300], "steps at which the error was evaluated"
    assert maml.get_ydata() == pytest.approx([8.0, 2.0])
    assert band(axes, 0) == pytest.approx([4.0, 12.0])
    told = texts(figures["curves"])
    assert "maml, 3 seeds" in told and "band: lowest to highest seed" in told
    assert axes.get_ylabel() == "query_mse" and axes.get_yscale() == "log"
    assert axes.get_xlim()[0] == 0


def test_interval_bands_are_students(figures):
    axes = figures["loss"].axes[0]
    assert axes.lines[0].get_xdata().tolist() == list(STEPS)
    half = t_quantile(2) * 8 / np.sqrt(3)
    assert band(axes, 0) == pytest.approx([16 - half, 16 + half])
    assert "band: 95 % interval of the mean" in texts(figures["loss"])
    assert axes.get_yscale() == "linear", "an interval that reaches below 0 has no logarithm"


def test_paired_shows_seeds_mean_and_interval(figures, comparison):
    axes = figures["paired"].axes[0]
    dots = [line for line in axes.lines if line.get_marker() == "."]
    assert dots[0].get_xdata() == pytest.approx([-0.5, -0.6, -0.4])
    means = [bar.lines[0].get_xdata()[0] for bar in axes.containers]
    assert means == pytest.approx([p.headline.estimate.mean for p in comparison.pairs])
    segment = axes.containers[0].lines[2][0].get_segments()[0]
    half = t_quantile(2) * 0.1 / np.sqrt(3)
    assert segment[:, 0] == pytest.approx([-0.5 - half, -0.5 + half])
    labels = [text.get_text() for text in axes.get_yticklabels()]
    assert labels == ["tnet\n− maml", "mtnet\n− maml", "mtnet\n− tnet"]
    assert [text.get_text() for text in axes.texts] == [
        "−0.50 ± 0.25\ntnet better",
        "0.00 ± 0.43\ntie",
        "0.50 ± 0.25\ntnet better",
    ]
    assert "below 0: the first is better" in axes.get_xlabel()


def test_a_winner_has_its_curves_look_and_a_tie_has_none(figures):
    marks = [bar.lines[0] for bar in figures["paired"].axes[0].containers]
    tnet = look(1)
    assert [to_hex(mark.get_color()) for mark in marks] == [tnet["color"], NEUTRAL, tnet["color"]]
    assert [mark.get_markerfacecolor() for mark in marks][1] == "none"
    curve = figures["curves"].axes[0].lines[1]
    assert (to_hex(curve.get_color()), curve.get_marker()) == (tnet["color"], marks[0].get_marker())
    assert set(COLOURS) >= {to_hex(line.get_color()) for line in figures["curves"].axes[0].lines}


def test_every_figure_is_transparent_readable_and_repeatable(figures, comparison):
    again = plots.to_png(plots.paired(comparison))
    assert again == plots.to_png(figures["paired"])
    for name, figure in figures.items():
        png = plots.to_png(figure)
        picture = Image.open(io.BytesIO(png)).convert("RGBA")
        assert picture.getpixel((0, 0))[3] == 0 and len(png) < 90_000, name
        for text in figure.findobj(matplotlib.text.Text):
            if text.get_text() and text.get_visible():
                assert to_hex(text.get_color()) == NEUTRAL and text.get_fontsize() >= 9
        assert len(repr(figure)) < 110


def test_a_panel_for_each_method_and_for_each_metric(comparison, line, tmp_path):
    folders = [run.folder for run in comparison.runs[:6]]
    for seed in range(2):
        for rate, final in ((0.01, 3.0), (0.02, 1.0)):
            told = line.preset("smoke", seed=seed, rate=rate)
            folder = RunFolder.create(tmp_path, told, ENV, "c")
            folder.unlock()
            folder.append({"step": 50, "loss": final + seed})
            said = {"headline": "test_accuracy", "lower_is_better": False}
            folder.write_summary({"metrics": {"test_accuracy": final + seed / 9}, **said})
            folders.append(folder.path)
    both = zoolib.compare(*folders)
    upper, lower = plots.compare_curves(both).axes
    assert (upper.get_title(loc="left"), lower.get_title(loc="left")) == ("mtnet", "line")
    assert (upper.get_ylabel(), lower.get_ylabel()) == ("query_mse", "loss")
    first, second = plots.paired(both).axes
    assert "query_mse" in first.get_xlabel() and "test_accuracy" in second.get_xlabel()
    assert "above 0: the first is better" in second.get_xlabel()
    assert "rate=0.01 better" in second.texts[0].get_text()


def test_one_seed_has_a_curve_but_no_band_and_a_mark_but_no_interval(tmp_path):
    alone = zoolib.compare(write(tmp_path, "maml", 4, 1.0), write(tmp_path, "tnet", 4, 2.0))
    curves = plots.compare_curves(alone)
    assert not [c for c in curves.axes[0].collections if isinstance(c, PolyCollection)]
    assert "maml, seed 4" in texts(curves) and "band" not in texts(curves)
    figure = plots.paired(alone)
    assert figure.axes[0].texts[0].get_text() == "1\none seed"
    assert len(plots.to_png(figure)) > 0


def test_what_cannot_be_drawn_is_said(comparison, tmp_path):
    with pytest.raises(ConfigError, match="metric: expected one of loss, query_mse, got 'speed'"):
        plots.compare_curves(comparison, "speed")
    with pytest.raises(ConfigError, match="band: expected one of range, interval, got 'wide'"):
        plots.compare_curves(comparison, band="wide")
    with pytest.raises(ConfigError, match="paired: expected two groups with seeds and metrics"):
        plots.paired(zoolib.compare(write(tmp_path, "maml", 0, 1.0)))
    infinite = zoolib.compare(
        write(tmp_path, "tnet", 1, float("inf")), write(tmp_path, "mtnet", 1, 1.0)
    )
    assert "not finite" in texts(plots.paired(infinite))
    assert len(plots.to_png(plots.paired(infinite))) > 0
    assert len(plots.to_png(plots.compare_curves(infinite))) > 0
