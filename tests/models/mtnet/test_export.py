"""Exported meta-learners still adapt, and agree with the task they come from."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

import zoolib
from zoolib.models.mtnet.learner import prediction_curve
from zoolib.models.mtnet.task import MTNet

X = np.linspace(-4.0, 4.0, 5, dtype=np.float32)[:, None]
Y = np.sin(X)
GRID = np.linspace(-5.0, 5.0, 4, dtype=np.float32)[:, None]


@pytest.fixture(scope="module", params=["maml", "mtnet", "mtnet_full"])
def task(request, build):
    """A task whose weights are large enough for adaptation to be visible."""
    task = build(variant=request.param, update_lr=0.05)
    for variable in task.network.theta:
        noise = np.random.RandomState(0).normal(size=variable.shape)
        variable.assign(variable + 0.3 * noise.astype(np.float32))
    return task


def test_a_saved_model_adapts_and_predicts_as_the_task_does(task, tmp_path):
    path = zoolib.export(task, "savedmodel", tmp_path / "model")
    loaded = tf.saved_model.load(str(path))
    before = loaded.predict(GRID).numpy()
    losses = loaded.adapt(X, Y).numpy()
    learner = task.adapt(X, Y)
    np.testing.assert_allclose(losses, learner.support_loss, rtol=1e-5)
    np.testing.assert_allclose(loaded.predict(GRID), learner.predict(GRID), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(before, task.adapt(X, Y, steps=0).predict(GRID), rtol=1e-5)
    assert not np.allclose(before, loaded.predict(GRID), atol=1e-4)


def test_adapting_again_starts_from_the_meta_learned_weights(task, tmp_path):
    loaded = tf.saved_model.load(str(zoolib.export(task, "savedmodel", tmp_path / "model")))
    loaded.adapt(X, 3.0 * Y)
    first = loaded.adapt(X, Y).numpy()
    np.testing.assert_array_equal(first, loaded.adapt(X, Y).numpy())
    further = loaded.adapt_more(X, Y).numpy()
    np.testing.assert_allclose(further[0], first[-1], rtol=1e-5)
    expected = task.adapt(X, Y, steps=2).predict(GRID)
    np.testing.assert_allclose(loaded.predict(GRID), expected, rtol=1e-4, atol=1e-5)


def test_a_saved_model_takes_any_number_of_points(task, tmp_path):
    loaded = tf.saved_model.load(str(zoolib.export(task, "savedmodel", tmp_path / "model")))
    loaded.adapt(X[:2], Y[:2])
    assert loaded.predict(np.zeros([7, 1], np.float32)).shape == (7, 1)


def test_a_frozen_graph_computes_what_the_task_does(task, tmp_path):
    path = zoolib.export(task, "frozen", tmp_path / "model.pb")
    graph_def = tf.compat.v1.GraphDef.FromString(path.read_bytes())
    assert not [n.op for n in graph_def.node if "Variable" in n.op or "Placeholder" == n.op][3:]
    with tf.Graph().as_default() as graph:
        tf.graph_util.import_graph_def(graph_def, name="")
        inputs = {o.name.split(":")[0]: o.outputs[0] for o in graph.get_operations()
                  if o.type == "Placeholder"}  # fmt: skip
        assert all(t.shape.is_fully_defined() for t in inputs.values())
        output = graph.get_operations()[-1].outputs[0]
        with tf.compat.v1.Session(graph=graph) as run:
            feed = {inputs["support_x"]: X, inputs["support_y"]: Y, inputs["x"]: GRID}
            got = run.run(output, feed)
    np.testing.assert_allclose(got, task.adapt(X, Y).predict(GRID), rtol=1e-4, atol=1e-5)


def test_export_refuses_what_it_would_overwrite_or_cannot_write(task, tmp_path):
    kept = tmp_path / "kept"
    kept.write_text("precious")
    with pytest.raises(zoolib.StoreError, match="exists"):
        zoolib.export(task, "frozen", kept)
    assert kept.read_text() == "precious"
    with pytest.raises(zoolib.ConfigError, match="savedmodel, frozen, onnx, tflite"):
        zoolib.export(task, "pickle", tmp_path / "model")


def test_adapting_says_what_does_not_fit(task):
    with pytest.raises(zoolib.DataError, match="5 inputs and 4 targets"):
        task.adapt(X, Y[:4])
    with pytest.raises(zoolib.ConfigError, match="at least 0"):
        task.adapt(X, Y, steps=-1)
    with pytest.raises(zoolib.ConfigError, match="expected, sampled or thresholded"):
        task.adapt(X, Y, mask="best")


def test_the_prediction_curve_is_the_learner_at_every_step_and_traced_once(task):
    curve = prediction_curve(task, X, Y, GRID, steps=3)
    for steps in (0, 1, 3):
        expected = task.adapt(X, Y, steps=steps).predict(GRID)[:, 0]
        np.testing.assert_allclose(curve[steps], expected, rtol=1e-4, atol=1e-5)
    call = task._compiled[("prediction curve", 3)]
    assert call.experimental_get_tracing_count() == 1
    prediction_curve(task, X[:2], Y[:2], GRID[:3], steps=3)
    assert call.experimental_get_tracing_count() == 1


def test_the_migration_page_shows_the_command_of_the_seeds_run(
    session, root, tmp_path, monkeypatch
):
    task = MTNet(zoolib.get_model("mtnet").preset("seed"), session)
    task.build()
    monkeypatch.chdir(tmp_path)
    told = zoolib.export(task, "frozen", "model.pb").conversion.text()
    command = told[told.index("atc \\\n") :].split("\n\n")[0]
    assert f"```\n{command}\n```" in (root / "docs" / "migration.md").read_text(encoding="utf-8")
