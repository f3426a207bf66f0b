"""A trained classifier in every format, read back by another reader than TensorFlow's own graph."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

import zoolib
from zoolib.errors import ConfigError
from zoolib.models.shufflenet_v2 import evaluation
from zoolib.models.shufflenet_v2.export import samples

REFERENCE = pytest.param("reference", marks=pytest.mark.slow)  # the same code, other wiring


@pytest.fixture(scope="module", params=["torchvision", REFERENCE])
def task(request, small):
    """Statistics of batch norm and offsets as after a training, so that folding has work to do."""
    task = small(width="0.33", wiring=request.param, init="xavier", eval_batch_size=16)
    source = np.random.default_rng(0)
    for norm in (c.norm for c in task.network.convolutions):
        norm.momentum = 0.5
        norm.beta.assign(source.normal(size=norm.channels, scale=0.2).astype(np.float32))
    forward = tf.function(lambda images: task.network(images, training=True))
    for batch in task.batch(range(8))["images"]:
        forward(tf.constant(batch))
    if task.average is not None:  # what is exported are the weights that evaluations use
        for weight, shadow in zip(task.average.sources, task.average.shadows):
            shadow.assign(weight)
    return task


@pytest.fixture(scope="module")
def images(task):
    """Pictures nobody calibrated on."""
    return next(task.source.test.evaluation())["images"][:6]


@pytest.fixture(scope="module")
def expected(task, images):
    """Logits of the network that was trained, batch norm and shuffles in it."""
    with evaluation.averaged(task):
        logits = task.network(tf.constant(images)).numpy()
    assert logits.std() > 1e-3 and np.ptp(logits, axis=0).max() > 1e-4, "nothing to compare"
    return logits


def interpreted(path, images):
    """Outputs of a TFLite file by their key, image by image; and the kinds of its operators."""
    interpreter = tf.lite.Interpreter(str(path))
    interpreter.allocate_tensors()
    (entry,) = interpreter.get_input_details()
    assert entry["dtype"] == np.float32 and list(entry["shape"]) == [1, *images.shape[1:]]
    found = []
    for image in images:
        interpreter.set_tensor(entry["index"], image[None])
        interpreter.invoke()
        values = [interpreter.get_tensor(o["index"])[0] for o in interpreter.get_output_details()]
        floats = sorted((v for v in values if v.ndim), key=lambda v: abs(v.sum() - 1.0))
        (number,) = (v for v in values if not v.ndim)  # the classes are the only int32 output
        found.append({"probabilities": floats[0], "logits": floats[1], "classes": number})
    kinds = {op["op_name"] for op in interpreter._get_ops_details()}
    return {k: np.stack([f[k] for f in found]) for k in found[0]}, kinds


def test_a_saved_model_takes_any_number_of_images(task, images, expected, tmp_path):
    loaded = tf.saved_model.load(str(zoolib.export(task, "savedmodel", tmp_path / "model")))
    served = loaded.signatures["predict"](images=tf.constant(images))
    np.testing.assert_allclose(served["logits"], expected, atol=1e-4 * expected.std())
    names = loaded.classify(images)["names"].numpy()[:, 0]
    assert [n.decode() for n in names] == [task.source.names[i] for i in expected.argmax(1)]


def test_a_frozen_graph(task, images, expected, tmp_path):
    path = zoolib.export(task, "frozen", tmp_path / "model.pb")
    definition = tf.compat.v1.GraphDef.FromString(path.read_bytes())
    kinds = {node.op for node in definition.node}
    assert not kinds & {"Transpose", "FusedBatchNormV3", "GatherV2", "ReadVariableOp"}
    ports = {port.key: f"{port.name}:{port.index}" for port in path.conversion.outputs}
    with tf.Graph().as_default() as graph:
        tf.graph_util.import_graph_def(definition, name="")
        with tf.compat.v1.Session(graph=graph) as run:
            logits = [run.run(ports["logits"], {"images:0": image[None]})[0] for image in images]
    np.testing.assert_allclose(logits, expected, atol=1e-4 * expected.std())


def test_tflite(task, images, expected, tmp_path):
    path = zoolib.export(task, "tflite", tmp_path / "model.tflite")
    found, kinds = interpreted(path, images)
    np.testing.assert_allclose(found["logits"], expected, atol=1e-4 * expected.std())
    np.testing.assert_array_equal(found["classes"], expected.argmax(1))
    assert not any(kind.startswith("Flex") for kind in kinds)
    assert not kinds & {"TRANSPOSE", "GATHER", "BATCH_MATMUL"}, "a shuffle is left"


def test_tflite_in_eight_bits(task, images, expected, tmp_path):
    whole = zoolib.export(task, "tflite", tmp_path / "float.tflite")
    path = zoolib.export(task, "tflite-int8", tmp_path / "int8.tflite")
    found, kinds = interpreted(path, images)
    assert path.stat().st_size < 0.55 * whole.stat().st_size
    assert {"QUANTIZE", "DEQUANTIZE"} <= kinds
    error = np.abs(found["logits"] - expected).max()
    assert 0.0 < error < 0.25 * np.ptp(expected), "eight bits differ a little, and only a little"
    assert np.corrcoef(found["logits"].ravel(), expected.ravel())[0, 1] > 0.97
    np.testing.assert_allclose(found["probabilities"].sum(1), 1.0, atol=0.02)


def test_the_samples_are_the_runs_own_training_images(task):
    found = samples(task)["images"]
    assert found.dtype == np.float32 and found.shape == (128, 1, 32, 32, 3)
    np.testing.assert_array_equal(found, samples(task)["images"])
    first = task.source.train.batch(range(1))["images"][0]
    np.testing.assert_array_equal(found[: len(first), 0], first)
    assert 0.0 <= found.min() < 0.2 and 0.8 < found.max() <= 1.0


def test_samples_of_a_wrong_shape_are_refused(task, tmp_path, monkeypatch):
    monkeypatch.setattr(task, "export_samples", lambda: {"images": np.zeros((3, 32, 32, 3))})
    with pytest.raises(ConfigError, match=r"samples of images: expected \[n, \*\(1, 32, 32, 3\)\]"):
        zoolib.export(task, "tflite-int8", tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_onnx(task, images, expected, tmp_path):
    onnx = pytest.importorskip("onnx", reason="needs the extra `export`: onnx")
    pytest.importorskip("tf2onnx", reason="needs the extra `export`: tf2onnx")
    from onnx.reference import ReferenceEvaluator

    model = onnx.load(str(zoolib.export(task, "onnx", tmp_path / "model.onnx")))
    onnx.checker.check_model(model, full_check=True)
    assert [i.name for i in model.graph.input] == ["images"]
    assert {o.name for o in model.graph.output} == {"classes", "logits", "probabilities"}
    evaluator = ReferenceEvaluator(model)
    for image, logits in zip(images[:2], expected):
        found = evaluator.run(["logits", "classes"], {"images": image[None]})
        np.testing.assert_allclose(found[0][0], logits, atol=1e-4 * expected.std())
        assert found[1][0] == logits.argmax()


def test_onnx_without_its_converter_says_what_to_install(task, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "tf2onnx", None)
    with pytest.raises(ConfigError, match=r"tf2onnx \(pip install 'zoolib\[export\]'\)"):
        zoolib.export(task, "onnx", tmp_path / "model.onnx")
    assert not (tmp_path / "model.onnx").exists()
