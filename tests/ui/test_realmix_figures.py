"""Figures of RealMix show the right pictures, numbers and words, and read on both pages."""

from __future__ import annotations

import io

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from zoolib.core.statistics import estimate
from zoolib.ui import realmix_figures, realmix_scores
from zoolib.ui.style import NEUTRAL, Picture, to_png

SOURCE = np.random.default_rng(5)
PICTURES = SOURCE.integers(1, 256, (12, 4, 4, 3), dtype=np.uint8)
LABELS = np.array([0, 0, 1, 2, 2])
NAMES = ("ant", "bee", "cat")
P = SOURCE.dirichlet(np.ones(3), (2, 2)).astype(np.float32)
GUESSES = {
    "views": PICTURES[:4].reshape(2, 2, 4, 4, 3),
    "p": P,
    "mean": P.mean(0),
    "sharpened": P.mean(0) ** 2 / (P.mean(0) ** 2).sum(1, keepdims=True),
    "truth": np.array([2, -1]),
}
MIXED = {
    "first": PICTURES[:2],
    "second": PICTURES[2:4],
    "mixed": PICTURES[4:6],
    "weight": np.array([0.5, 0.9]),
    "targets": np.array([[0.5, 0.0, 0.5], [0.001, 0.999, 0.0]]),
    "kind": ["label", "guess"],
}
HISTORY = [
    {"step": 10, "loss": 1.0},
    {"step": 20, "raw_test": 0.5, "ema_test": 0.25},
    {"step": 40, "raw_test": 0.75, "ema_test": 0.875},
]
METHODS = {
    "RealMix": {"raw": [80.0, 84.0, 88.0], "ema": [90.0, 91.0, 92.0]},
    "none": {"ema": [70.0]},
}
SURE = np.array([0.9, 0.8, 0.7, 0.4, 0.3, 0.8])
OOD = {"confidence": SURE, "foreign": np.array([0, 0, 0, 1, 1, 1], bool), "auroc": 5 / 6}
MAKERS = {
    "start": lambda: realmix_figures.start(PICTURES[:5], LABELS, NAMES, PICTURES[5:]),
    "views": lambda: realmix_figures.augmentations(
        {"plain": (PICTURES[0], PICTURES[1:4]), "wild": (PICTURES[4], PICTURES[5:8])}
    ),
    "guesses": lambda: realmix_figures.guesses(GUESSES, NAMES),
    "mixing": lambda: realmix_figures.mixing(MIXED, NAMES),
    "annealing": lambda: realmix_figures.annealing(
        {"linear": np.linspace(0.1, 1, 5), "log": np.linspace(0.1, 1, 5) ** 0.5},
        {"eta": np.linspace(0.1, 1, 4), "target": np.linspace(0, 1, 4), "compat": np.ones(4)},
    ),
    "curves": lambda: realmix_scores.accuracy_curves({"RealMix": HISTORY, "other": HISTORY}),
    "methods": lambda: realmix_scores.methods(METHODS, "accuracy, %"),
    "mismatch": lambda: realmix_scores.mismatch(
        (0.0, 0.5),
        {
            "EMA": {"none": [[90, 80], [70, 60]], "mask": [[80, 80], [60, 70]]},
            "raw": {"mask": [[1], [2]]},
        },
        ("level", {"EMA": [50, 60], "raw": [1, 2]}),
    ),
    "confidence": lambda: realmix_scores.confidence(OOD, mask=0.5),
}


@pytest.fixture(scope="module")
def figures() -> dict[str, Figure]:
    return {name: make() for name, make in MAKERS.items()}


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.findobj(matplotlib.text.Text) if text.get_text()]


@pytest.mark.parametrize("name", MAKERS)
def test_a_picture_with_words_in_its_place_and_nothing_behind_it(name, figures):
    figure = figures[name]
    assert isinstance(figure, Picture) and len(figure.alt) > 20
    one = to_png(figure)
    assert one == to_png(MAKERS[name]()), "equal figures give equal bytes"
    pixels = np.asarray(Image.open(io.BytesIO(one)).convert("RGBA"))
    assert pixels[0, 0, 3] == 0 and 0 < (pixels[..., 3] > 0).mean() < 1


def test_a_mosaic_has_every_picture_in_its_place_and_gaps_between():
    whole = realmix_figures.mosaic([[PICTURES[0], None], [PICTURES[1], PICTURES[2]]], gap=1)
    assert whole.shape == (9, 9, 4)
    np.testing.assert_array_equal(whole[:4, :4, :3], PICTURES[0])
    np.testing.assert_array_equal(whole[5:, 5:, :3], PICTURES[2])
    assert (whole[:4, :4, 3] == 255).all() and not whole[:4, 5:].any() and not whole[4].any()


def test_labelled_images_stand_in_the_column_of_their_class(figures):
    left, right = figures["start"].axes
    (shown,) = left.images
    columns = shown.get_array()
    np.testing.assert_array_equal(columns[:4, 6:10, :3], PICTURES[2])  # the only one of class 1
    np.testing.assert_array_equal(columns[6:, 12:, :3], PICTURES[4])
    assert not columns[6:, 6:10].any(), "class 1 has no second picture"
    assert [t.get_text() for t in left.get_xticklabels()] == list(NAMES)
    assert "5 images with labels" in left.get_title(loc="left")
    assert "7 without, here 7" in right.get_title(loc="left")


def test_bars_are_the_probabilities_and_only_a_known_class_is_ticked(figures):
    grid = np.array(figures["guesses"].axes).reshape(2, 6)
    for row in range(2):
        shown = [[bar.get_height() for bar in grid[row, c].patches] for c in (1, 3, 4, 5)]
        wanted = [P[0, row], P[1, row], GUESSES["mean"][row], GUESSES["sharpened"][row]]
        np.testing.assert_allclose(shown, wanted)
    assert [len(axes.texts) for axes in grid[0]] == [0, 1, 0, 1, 1, 1]
    assert not any(len(axes.texts) for axes in grid[1]), "nobody knows what the second one is"
    colours = {bar.get_facecolor() for bar in grid[0, 4].patches}
    assert len(colours) == 2


def test_a_mixed_row_tells_its_coefficient_and_the_parts_of_its_target(figures):
    told = texts(figures["mixing"])
    assert "label\nλ' = 0.50" in told and "guess\nλ' = 0.90" in told
    assert "ant: 50%\ncat: 50%" in told and "bee: 100%" in told


def test_raw_and_averaged_accuracies_are_percent_of_the_steps_that_have_them(figures):
    (axes,) = figures["curves"].axes
    raw, ema, *others = axes.lines
    assert len(others) == 2
    for line, wanted in ((raw, [50, 75]), (ema, [25, 87.5])):
        np.testing.assert_allclose(line.get_xdata(), [20, 40])
        np.testing.assert_allclose(line.get_ydata(), wanted)
    assert raw.get_color() == ema.get_color() and raw.get_alpha() < 1


def test_every_seed_is_a_dot_beside_mean_and_interval(figures):
    told = texts(figures["methods"])
    half = estimate(METHODS["RealMix"]["raw"]).half
    assert f"raw  84.0 ± {half:.1f}" in told and "ema  70.0" in told
    dots = [line for line in figures["methods"].axes[0].lines if line.get_marker() == "."]
    assert sorted(len(line.get_xdata()) for line in dots) == [1, 3, 3]


def test_a_sweeps_line_goes_through_the_means(figures):
    axes, other = figures["mismatch"].axes
    assert other.get_title(loc="left") == "raw"
    lines = {line.get_label(): line for line in axes.lines}
    np.testing.assert_allclose(lines["none"].get_ydata(), [85, 65])
    np.testing.assert_allclose(lines["mask"].get_ydata(), [80, 65])
    np.testing.assert_allclose(lines["level"].get_ydata(), [55, 55])
    assert lines["level"].get_color() == NEUTRAL


def test_the_curve_of_a_detector_has_the_area_it_claims(figures):
    left, right = figures["confidence"].axes
    assert "AUROC 0.83" in right.get_title(loc="left")
    x, y = (np.asarray(v) / 100 for v in right.lines[0].get_data())
    area = float(np.sum((x[1:] - x[:-1]) * (y[1:] + y[:-1]) / 2))
    assert area == pytest.approx(OOD["auroc"])
    cut = left.lines[-1].get_xdata()[0]
    assert cut == pytest.approx(np.quantile(SURE, 0.5))


def test_without_foreign_images_there_is_no_curve():
    alone = {"confidence": SURE, "foreign": np.zeros(6, bool), "auroc": float("nan")}
    right = realmix_scores.confidence(alone).axes[1]
    assert len(right.lines) == 1, "the diagonal"
