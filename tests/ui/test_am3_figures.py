"""Figures of AM3 show the right numbers and words, and its board follows what is typed."""

from __future__ import annotations

import io

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

import zoolib
from zoolib.core.statistics import estimate
from zoolib.errors import ConfigError
from zoolib.models.am3 import published
from zoolib.ui import am3_figures, am3_pictures
from zoolib.ui.style import Picture, to_png

RANDOM = np.random.default_rng(0)
NAMES = ("red plain disc", "lime dotted ring", "blue striped bar")
DRAWN = {
    "names": NAMES,
    "support": RANDOM.integers(0, 255, (3, 2, 8, 8, 3), np.uint8),
    "query": RANDOM.integers(0, 255, (7, 8, 8, 3), np.uint8),
    "labels": np.array([0, 1, 1, 2, 0, 1, 1]),
}
CHANCES = {
    "pictures": np.array([[0.5, 0.3, 0.2]] * 7),
    "names": np.array([[0.1, 0.7, 0.2]] * 7),
}
SHOTS = np.array([1, 5, 10])
ONE = SHOTS, np.array([[50.0, 60.0, 70.0], [52.0, 61.0, 69.0], [54.0, 62.0, 71.0]])
TWO = SHOTS, ONE[1] + [[9.0, 4.0, 1.0], [8.0, 3.0, 0.0], [7.0, 5.0, -1.0]]
SPACE = {
    "names": NAMES,
    "vectors": RANDOM.normal(size=(3, 12)),
    "words": RANDOM.normal(size=(3, 4)),
    "visual": RANDOM.normal(size=(3, 4)),
    "share": np.array([0.4, 0.2, 0.3], np.float32),
}
HISTORY = [
    {"step": 8, "lambda_mean": 0.5, "lambda_std": 0.1},
    {"step": 16, "lambda_mean": 0.3, "lambda_std": 0.05},
    {"step": 16, "val_accuracy": 0.6},
]
SHARES = {"true names": {1: [0.3, 0.4], 5: [0.6, 0.7]}, "shuffled names": {1: [0.8], 5: [0.9]}}
MAKERS = {
    "episode": lambda: am3_pictures.episode(DRAWN, rows=3),
    "verdicts": lambda: am3_pictures.verdicts(DRAWN, CHANCES, [0, 3]),
    "board": lambda: am3_pictures.board(
        DRAWN["query"][0],
        [DRAWN["support"][0], DRAWN["query"][:0], DRAWN["query"][:5]],
        ("red", "", "blue"),
        (0.2, 0.7, 0.1),
        (0.25, 1.0, 0.0),
        "a red plain disc",
    ),
    "spaces": lambda: am3_figures.spaces(SPACE),
    "curves": lambda: am3_figures.shot_curves(
        {"ProtoNet++": ONE, "AM3-ProtoNet++": TWO}, {"AM3-ProtoNet++": (SHOTS, TWO[1] - ONE[1])}
    ),
    "shares": lambda: am3_figures.picture_shares(HISTORY, SHARES),
    "conditioning": lambda: am3_figures.conditioning(
        {"TADAM": TWO}, {"TADAM": ONE}, {"gamma": [0.1, -0.3], "beta": [0.0, 0.2]}
    ),
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
    # Photographs may reach a corner, but never all four.
    assert pixels[[0, 0, -1, -1], [0, -1, 0, -1], 3].min() == 0
    assert 0 < (pixels[..., 3] > 0).mean() < 1


def test_a_task_has_its_classes_in_columns_and_no_query_in_anothers(figures):
    grid = np.array(figures["episode"].axes).reshape(5, 3)
    assert [axes.get_title() for axes in grid[0]] == [
        "red plain\ndisc",
        "lime dotted\nring",
        "blue striped\nbar",
    ]
    shown = [[len(axes.images) for axes in row] for row in grid]
    assert shown == [[1, 1, 1], [1, 1, 1], [1, 1, 1], [1, 1, 0], [0, 1, 0]]
    np.testing.assert_array_equal(grid[1, 2].images[0].get_array(), DRAWN["support"][2, 1])
    np.testing.assert_array_equal(grid[3, 1].images[0].get_array(), DRAWN["query"][2])


def test_verdicts_frame_the_right_class_and_embolden_the_answer(figures):
    grid = np.array(figures["verdicts"].axes).reshape(2, 4)
    framed = [[axes.spines["left"].get_visible() for axes in row[1:]] for row in grid]
    assert framed == [[True, False, False], [False, False, True]]
    bold = [
        [[t.get_fontweight() == "bold" for t in axes.texts] for axes in row[1:]] for row in grid
    ]
    assert bold == [[[True, False], [False, True], [False, False]]] * 2
    assert [t.get_text() for t in grid[0, 2].texts] == ["30%", "70%"]
    np.testing.assert_array_equal(grid[1, 0].images[0].get_array(), DRAWN["query"][3])


def test_the_board_tells_names_chances_and_shares(figures):
    told = texts(figures["board"])
    assert {"red  20%", "▸ (no name)  70%", "blue  10%", "λ 0.25", "λ 1.00", "λ 0.00"} <= set(told)
    images = [len(axes.images) for part in figures["board"].subfigs for axes in part.axes]
    assert images[0] == 1 and sum(images[1:]) == 2 + 0 + 5


def test_the_plane_keeps_distances_of_what_lies_in_a_plane():
    flat = RANDOM.normal(size=(9, 2))
    turned = np.linalg.qr(RANDOM.normal(size=(30, 2)))[0]
    seen = am3_figures.plane(flat @ turned.T + 7.0)

    def apart(rows):
        return np.linalg.norm(rows[:, None] - rows[None], axis=-1)

    np.testing.assert_allclose(apart(seen), apart(flat), atol=1e-10)
    np.testing.assert_allclose(am3_figures.plane(flat @ turned.T), seen, atol=1e-10)


def test_a_point_looks_as_its_class_is_called(figures):
    left, right = figures["spaces"].axes
    assert len(left.lines) == 3 and len(right.lines) == 9  # three threads, names, pictures
    disc, ring, bar = left.lines
    assert (disc.get_color(), disc.get_marker()) == (am3_figures.PAINTS["red"], "o")
    assert ring.get_markerfacecolor() == "none" and disc.get_markerfacecolor() != "none"
    assert bar.get_marker() not in ("o", "s")
    for thread, name, seen in zip(right.lines[:3], right.lines[3:6], right.lines[6:]):
        np.testing.assert_allclose(thread.get_xdata(), [*name.get_xdata(), *seen.get_xdata()])
    assert right.lines[3].get_markersize() > right.lines[6].get_markersize()


def test_names_of_other_data_sets_are_drawn_plainly():
    left, right = am3_figures.spaces({**SPACE, "names": ("crane", "file", "n1")}).axes
    assert {line.get_marker() for line in left.lines} == {"o"}
    words, seen = right.lines[3:6], right.lines[6:]
    assert {line.get_color() for line in words}.isdisjoint(line.get_color() for line in seen)


def test_gains_have_intervals_of_students_t(figures):
    curves, gains = figures["curves"].axes
    np.testing.assert_allclose(curves.lines[0].get_ydata(), ONE[1].mean(axis=0))
    (bars,) = gains.containers
    assert [t.get_text() for t in gains.get_xticklabels()] == ["1", "5", "10"]
    low, high = np.array(bars.lines[2][0].get_segments())[0][:, 1]
    found = estimate([9.0, 8.0, 7.0])
    np.testing.assert_allclose([low, high], [found.low, found.high])
    two = am3_figures.shot_curves({"A": ONE}, {"A": (SHOTS, ONE[1][:2])}).axes[1].containers[0]
    assert np.ptp(np.array(two.lines[2][0].get_segments())[..., 1], axis=1).max() == 0, (
        "no interval"
    )
    legends = [t.get_text() for a in (curves, gains) for t in a.get_legend().get_texts()]
    assert legends == ["ProtoNet++", "AM3-ProtoNet++", "AM3-ProtoNet++"]
    assert gains.lines[1].get_color() == curves.lines[1].get_color(), "one learner, one colour"


def test_shares_are_means_over_classes_and_over_seeds(figures):
    left, right = figures["shares"].axes
    np.testing.assert_allclose(left.lines[0].get_xydata(), [[8, 0.5], [16, 0.3]])
    (band,) = left.collections
    np.testing.assert_allclose(band.get_datalim(left.transData).intervaly, [0.25, 0.6])
    means = {line.get_label(): line.get_ydata() for line in right.lines}
    np.testing.assert_allclose(means["true names"], [0.35, 0.65])


def test_conditioning_is_on_minus_off_and_factors_have_sizes(figures):
    left, right = figures["conditioning"].axes
    (bars,) = left.containers
    gaps = np.asarray(bars.lines[0].get_ydata(), float)
    np.testing.assert_allclose(gaps, (TWO[1] - ONE[1]).mean(axis=0))
    np.testing.assert_allclose(right.lines[0].get_ydata(), [0.1, 0.3])


# ---- what was measured


def test_stored_measurements_hold_what_the_notebook_shows():
    rows = published.runs()
    pairs = ("ProtoNet++", "AM3-ProtoNet++", "TADAM", "AM3-TADAM")
    seeds = published.seeds(rows, *pairs)
    assert seeds
    for kind in pairs:
        shots, values = published.curve(rows, kind, seeds)
        assert shots.tolist() == [1, 2, 3, 5, 10] and values.shape == (len(seeds), 5)
        assert (values[:, 0] < values[:, -1]).all(), "more pictures are better"
    for kind in pairs[2:]:
        assert published.curve(rows, kind, seeds, key="shots_ten_off")[1].shape == (len(seeds), 5)
    for kind in ("AM3-ProtoNet++", "AM3-ProtoNet++, shuffled"):
        share = published.lambdas(rows, kind)
        assert list(share)[:2] == [1, 5]
        assert all(((each > 0) & (each < 1)).all() for each in share.values())


# ---- the board


@pytest.fixture(scope="module")
def learner():
    """A learner that reads names, untrained: names and pictures count all the same."""
    from zoolib.runtime.device import open_session

    spec = zoolib.get_model("am3")
    config = spec.preset("smoke", eval_balanced=True)
    session = open_session("cpu", "float32", None, config.small_dense)
    with session.placement():
        task = spec.task_class()(config, session)
        task.build()
    return task


@pytest.fixture
def explorer(learner):
    from zoolib.ui.am3_widget import NameExplorer

    return NameExplorer(learner, number=1)


def test_a_stored_task_is_the_one_that_is_tested_on(learner):
    from zoolib.models.am3 import examples

    one, three = (examples.stored_task(learner, 2, shots) for shots in (1, 3))
    assert one["names"] == three["names"] and len(set(one["names"])) == 5
    assert one["support"].shape == (5, 1, 16, 16, 3) and one["query"].shape == (15, 16, 16, 3)
    np.testing.assert_array_equal(one["support"][:, 0], three["support"][:, 0])
    assert np.bincount(one["labels"]).tolist() == [3] * 5
    found = examples.answers(learner, one)
    assert found.names == one["names"] and found.probabilities.shape == (15, 5)


def test_renaming_changes_names_only(learner):
    from zoolib.models.am3 import evaluate_split, examples

    right = {naming: examples.renamed(learner, naming) for naming in examples.NAMINGS}
    whole = evaluate_split(learner).correct
    np.testing.assert_array_equal(right["true"], whole)
    assert right["none"].shape == whole.shape and not np.array_equal(right["exchanged"], whole)
    with pytest.raises(ConfigError, match="naming: expected one of true, exchanged, none, got 'x'"):
        examples.renamed(learner, "x")


def test_typing_changes_the_prediction(explorer):
    before, moves = explorer.result["found"], explorer.moves
    assert before.names == tuple(row.text.value for row in explorer.rows)
    assert (before.share > 0).all() and (before.share < 1).all()
    first = explorer.rows[0]
    first.text.value = "lime"
    explorer.settle()
    after = explorer.result["found"]
    assert explorer.moves > moves and after.names[0] == "lime"
    assert after.share[0] != before.share[0]
    assert (after.share[1:] == before.share[1:]).all(), "other classes keep their names"
    assert not np.array_equal(after.probabilities, before.probabilities)
    explorer.true_names.click()
    explorer.settle()
    np.testing.assert_array_equal(explorer.result["found"].probabilities, before.probabilities)


def test_a_class_may_lack_its_name_or_its_pictures_but_not_both(explorer):
    one, two = explorer.rows[:2]
    one.text.value, two.count.value = " ", 0
    explorer.settle()
    assert explorer.result["found"].share[:2].tolist() == [1.0, 0.0]
    assert "only its pictures count" in one.note.value
    one.count.value = 0
    with pytest.raises(ConfigError, match="class 1: expected a known word or a picture"):
        explorer.settle()
    assert 'role="alert"' in explorer.words.value
    one.count.value = 5
    explorer.settle()
    assert [len(pictures) for pictures in explorer.result["support"]] == [5, 0, 1, 1, 1]


def test_unknown_words_are_named_with_the_nearest_known(explorer, caplog):
    row = explorer.rows[2]
    row.text.value = "Lime, strped <ring> zzz"
    explorer.settle()
    assert row.known == "lime ring", "the others count"
    assert row.complaint == "unknown word “strped”, did you mean “striped”?; “zzz”"
    assert "zzz" in row.note.value and 'aria-live="polite"' in row.note.value
    row.text.value = "zzz"
    explorer.settle()
    assert explorer.result["found"].share[2] == 1.0
    row.text.value = "lime ring"
    assert "✗" not in row.note.value and "reads: lime ring" in row.note.value
    assert not caplog.records, "nothing is logged below the cell"


def test_other_pictures_and_another_query(explorer):
    before = explorer.result
    explorer.other_pictures.click()
    explorer.settle()
    assert not np.array_equal(explorer.result["support"][0], before["support"][0])
    explorer.sliders["query"].value = 15
    explorer.settle()
    assert explorer.result["truth"] == explorer.rows[4].text.value, "queries stand class by class"
    assert explorer.figure().alt.startswith("a query and its probabilities")


def test_every_control_has_a_label_and_the_keyboard_comes_by_in_order(explorer):
    controls = [c for row in explorer.rows for c in (row.text, row.count)]
    assert all(c.description and c.tooltip for c in controls)
    assert all(c.tabbable is not False for c in controls)
    assert [type(c).__name__ for c in explorer.rows[0].children] == ["Text", "IntSlider", "HTML"]
    places = [explorer.children.index(row) for row in explorer.rows]
    assert places == sorted(places) and explorer.children.index(explorer.image) > places[-1]


def test_a_learner_without_names_is_refused(learner):
    import types

    from zoolib.ui.am3_widget import NameExplorer

    blind = types.SimpleNamespace(
        source=types.SimpleNamespace(words=0), config=types.SimpleNamespace(variant="protonet++")
    )
    with pytest.raises(ConfigError, match="protonet.. reads none"):
        NameExplorer(blind)
