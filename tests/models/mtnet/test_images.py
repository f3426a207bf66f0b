"""Few-shot classification end to end on generated glyphs and on folders in the real layouts."""

from __future__ import annotations

import numpy as np
import pytest

import zoolib
from zoolib.data.fixtures import stroke_glyphs, write_image_folders

SETTINGS = dict(
    shots=1, queries=1, num_filters=8, meta_batch_size=2, norm="batch_norm", update_lr=0.4,
    test_tasks=8, test_updates=2, iterations=12, report_every=4, checkpoint_every=6,
)  # fmt: skip


def train(out, **changes):
    config = zoolib.get_model("mtnet").preset("smoke", **{**SETTINGS, **changes})
    return zoolib.train(config, device="cpu", out=out, progress=False)


@pytest.fixture(scope="module")
def glyphs(tmp_path_factory):
    return train(tmp_path_factory.mktemp("runs"), datasource="glyphs")


def test_glyphs_train_and_report_accuracies_with_intervals(glyphs):
    names = {f"query_accuracy_step_{k}{end}" for k in (0, 1, 2) for end in ("", "_ci95")}
    assert names <= set(glyphs.metrics)
    assert all(0.0 <= glyphs.metrics[f"query_accuracy_step_{k}"] <= 1.0 for k in (0, 1, 2))
    assert all(np.isfinite(row["loss"]) for row in glyphs.history)
    assert "zero_mse" not in glyphs.metrics


def test_an_image_learner_gives_logits_per_class(glyphs):
    images = stroke_glyphs(5, 2).images
    learner = glyphs.task.adapt(images[::2], np.arange(5), steps=1)
    assert learner.predict(images[1::2]).shape == (5, 5)
    with pytest.raises(zoolib.DataError, match=r"\[N, H, W, C\]"):
        glyphs.task.adapt(images[0], np.arange(5))


def test_an_exported_image_learner_agrees(glyphs, tmp_path):
    import tensorflow as tf

    path = zoolib.export(glyphs.task, "savedmodel", tmp_path / "model")
    images = stroke_glyphs(5, 2).images
    loaded = tf.saved_model.load(str(path))
    loaded.adapt(images[::2], np.arange(5, dtype=np.int32))
    expected = glyphs.task.adapt(images[::2], np.arange(5)).predict(images[1::2])
    np.testing.assert_allclose(loaded.predict(images[1::2]), expected, rtol=1e-3, atol=1e-4)


def test_a_frozen_image_learner_agrees_and_suits_the_converter(glyphs, tmp_path):
    import tensorflow as tf

    path = zoolib.export(glyphs.task, "frozen", tmp_path / "model.pb")
    conversion = path.conversion
    assert conversion.remarks == () and conversion.input_format == "ND"
    assert [(p.name, p.dtype, p.layout) for p in conversion.inputs] == [
        ("support_x", "uint8", "NHWC"), ("support_y", "int32", "ND"), ("x", "uint8", "NHWC"),
    ]  # fmt: skip
    images = stroke_glyphs(5, 2).images
    feed = {"support_x:0": images[::2], "support_y:0": np.arange(5), "x:0": images[1::2]}
    with tf.Graph().as_default() as graph:
        graph_def = tf.compat.v1.GraphDef.FromString(path.read_bytes())
        tf.graph_util.import_graph_def(graph_def, name="")
        (output,) = conversion.outputs
        with tf.compat.v1.Session(graph=graph) as session:
            found = session.run(f"{output.name}:{output.index}", feed)
    expected = glyphs.task.adapt(images[::2], np.arange(5)).predict(images[1::2])
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)


def test_omniglot_is_read_from_its_folders(tmp_path):
    write_image_folders(stroke_glyphs(24, 3, size=105), tmp_path / "data" / "omniglot")
    result = train(tmp_path / "runs", datasource="omniglot", data_dir=str(tmp_path / "data"),
                   num_classes=2, iterations=2, report_every=1)  # fmt: skip
    assert len(result.history) == 2


@pytest.mark.parametrize("name", ["omniglot", "miniimagenet"])
def test_a_missing_data_set_is_named_before_anything_is_written(name, tmp_path):
    with pytest.raises(zoolib.DataError, match=name):
        train(tmp_path / "runs", datasource=name, data_dir=str(tmp_path), max_pool=True)
    assert not (tmp_path / "runs").exists()


def test_pooled_colour_images_train(tmp_path):
    base = tmp_path / "data" / "miniimagenet"
    for split, seed in (("train", 0), ("val", 1), ("test", 2)):
        classes = stroke_glyphs(3, 3, size=84, channels=3, seed=seed)
        renamed = type(classes)(
            classes.images, classes.class_of, tuple(f"{split}{i}" for i in range(3)),
            classes.checksum,
        )  # fmt: skip
        write_image_folders(renamed, base / split)
    result = train(tmp_path / "runs", datasource="miniimagenet", data_dir=str(tmp_path / "data"),
                   max_pool=True, num_classes=2, clip=10.0, iterations=2, report_every=1,
                   test_tasks=2, num_filters=4)  # fmt: skip
    assert np.isfinite(result.history[-1]["loss"])
