"""A trained classifier in use: pictures, files, export, figures, other runs' weights."""

from __future__ import annotations

import csv

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import zoolib
from zoolib.core.store import Checkpoint, RunFolder
from zoolib.errors import ConfigError, DataError


@pytest.fixture(scope="module")
def task(built, feed):
    made = built(lr=0.05, ema_decay=0.8, bn_momentum=0.7)
    for step in range(3):
        made.train_step(*feed(made, step))
    return made


@pytest.fixture
def folder(task, tmp_path):
    """Five test images as files, one of them larger and grey, and a file that is no picture."""
    (tmp_path / "more").mkdir()
    for i in range(4):
        Image.fromarray(task.data.test.images[i]).save(tmp_path / f"{i}.png")
    grey = Image.fromarray(task.data.test.images[4]).convert("L").resize((40, 30))
    grey.save(tmp_path / "more" / "4.bmp")
    (tmp_path / "notes.txt").write_text("no picture")
    return tmp_path


def test_predictions_are_the_averaged_weights(task, folder):
    with task.evaluator.averaged():
        expected = task.evaluator.of(task.data.test.images[:4])
    found = task.predict(folder)
    assert [p.picture.rpartition("/")[2] for p in found] == [
        *(f"{i}.png" for i in range(4)),
        "4.bmp",
    ]
    for row, each in zip(expected, found):
        assert each.names[0] == task.data.names[row.argmax()]
        by_class = dict(zip(each.names, each.probabilities))
        np.testing.assert_allclose([by_class[n] for n in task.data.names], row, atol=1e-6)
        assert list(each.probabilities) == sorted(each.probabilities, reverse=True)
    assert str(found[0]).startswith(str(folder / "0.png")) and "%" in str(found[0])


def test_one_file_several_and_arrays(task, folder):
    one = task.predict(folder / "1.png")
    two = task.predict([folder / "1.png", folder / "2.png"])
    images = task.data.test.images[1:3]
    assert one[0] == two[0]
    for given in (images, images.astype(np.float32) / 255):
        found = task.predict(given)
        assert [p.picture for p in found] == ["0", "1"]
        assert [p.probabilities for p in found] == [p.probabilities for p in two]


def test_pictures_that_are_none_are_refused(task, tmp_path):
    (tmp_path / "x.png").write_text("no picture")
    with pytest.raises(DataError, match=r"x\.png: expected a picture"):
        task.predict(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="expected pictures .* found none"):
        task.predict(tmp_path / "empty")
    with pytest.raises(DataError, match=r"expected \[N, 16, 16, 3\], got \[1, 8, 8, 3\]"):
        task.predict(np.zeros((1, 8, 8, 3), np.uint8))


def test_the_export_gives_the_averaged_weights_probabilities(task):
    module = task.export_module()
    images = task.data.test.images[:3]
    with task.evaluator.averaged():
        expected = task.evaluator.of(images)
    found = module.predict(tf.constant(images / np.float32(255)))
    np.testing.assert_allclose(found["probabilities"], expected, atol=1e-5)
    np.testing.assert_array_equal(found["classes"], expected.argmax(1))
    samples = task.export_samples()["images"]
    assert samples.shape == (128, 1, 16, 16, 3) and samples.max() <= 1.0
    assert module.serve(tf.constant(samples[0]))["logits"].shape == [1, 10]


def test_figures_have_their_arrays(task):
    data = task.figure_data()
    assert data["confusion"].sum() == len(task.data.test) == 500
    np.testing.assert_allclose(
        data["accuracies"][1, 2], 100 * np.trace(data["confusion"]) / 500, atol=1e-6
    )
    assert data["lambda_u"].shape == data["eta"].shape == (task.config.iterations,)
    guesses = data["guesses"]
    np.testing.assert_allclose(guesses["p"].mean(0), guesses["mean"], atol=1e-6)
    squares = guesses["mean"] ** 2
    expected = squares / squares.sum(1, keepdims=True)
    np.testing.assert_allclose(guesses["sharpened"], expected, atol=1e-6)
    assert guesses["views"].dtype == np.uint8 and np.isnan(data["ood"]["auroc"])


def test_foreign_images_are_told_apart_as_the_score_says(built):
    task = built(mismatch=0.5, labels=18)
    ood = task.figure_data()["ood"]
    assert len(task.data.names) == task.classes == 6
    assert 0.4 < ood["foreign"].mean() < 0.6 and 0.0 <= ood["auroc"] <= 1.0
    assert ood["confidence"].shape == ood["foreign"].shape == ood["index"].shape


def test_weights_of_another_run_to_start_from(task, built, tmp_path):
    run = RunFolder.create(tmp_path, task.config, {"precision": "float32"}, "checkpoints")
    arrays = {name: v.numpy() for name, v in task.state().items()}
    run.save(Checkpoint(3, arrays, {}, 0))
    run.unlock()
    made = built(start_from=str(run.path), seed=5)
    fresh = built(seed=5)
    for mine, theirs, new in zip(
        made.network.variables, task.network.variables, fresh.network.variables
    ):
        other = new if mine.name.startswith("dense") else theirs
        np.testing.assert_array_equal(mine, other)
    with pytest.raises(ConfigError, match=r"start_from: expected \[8\] for .*conv1/bias"):
        built(start_from=str(run.path), filters=8)


@pytest.mark.slow
def test_an_interrupted_run_goes_on_bit_for_bit_with_every_method(tmp_path):
    """The contract holds it for RealMix; here one with a teacher and one with noise."""
    for method in ("mean_teacher", "vat"):
        config = zoolib.get_model("realmix").preset(
            "smoke",
            method=method,
            iterations=6,
            report_every=2,
            checkpoint_every=3,
            filters=4,
            scales=1,
            batch_size=6,
        )
        whole = zoolib.train(config, "cpu", out=tmp_path, progress=False)
        events = zoolib.run(config, "cpu", out=tmp_path)
        folder = next(events).folder
        for event in events:
            if event.step == 3:
                break
        events.close()
        cut = zoolib.train(resume=folder, device="cpu", progress=False)
        assert cut.history == whole.history and cut.metrics == whole.metrics


def test_the_command_line_writes_a_table(tmp_path, folder, capsys):
    from zoolib.cli import main

    config = zoolib.get_model("realmix").preset(
        "smoke", iterations=2, filters=4, scales=1, batch_size=6, tuning_images=6
    )
    run = zoolib.train(config, "cpu", out=tmp_path / "runs", progress=False)
    target = folder / "found.csv"
    assert main(["predict", str(run.folder), str(folder), "--to", str(target)]) == 0
    rows = list(csv.reader(target.open()))
    assert rows[0] == ["picture", "class", "probability", *map(str, range(10))]
    assert len(rows) == 6 and rows[1][0].endswith("0.png")
    for row, expected in zip(rows[1:], run.task.predict(folder)):
        assert row[1] == expected.names[0] and float(row[2]) == max(map(float, row[3:]))
        assert sum(map(float, row[3:])) == pytest.approx(1.0, abs=1e-4)
    assert main(["predict", str(run.folder), str(folder), "--to", str(target)]) == 2
    assert main(["predict", str(run.folder), str(folder / "none")]) == 2
    capsys.readouterr()
    assert main(["predict", str(run.folder), str(folder / "1.png")]) == 0
    assert capsys.readouterr().out.startswith(f"{folder / '1.png'}: ")
