"""A trained classifier as a TFLite file."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

import zoolib


@pytest.mark.parametrize(("form", "within"), [("tflite", 1e-6), ("tflite-int8", 0.05)])
def test_a_tflite_file_predicts_what_the_task_does(built, form, within, tmp_path):
    task = built("smoke")
    path = zoolib.export(task, form, tmp_path / "model.tflite")
    interpreter = tf.lite.Interpreter(str(path))
    interpreter.allocate_tensors()
    (entry,), (out,) = interpreter.get_input_details(), interpreter.get_output_details()
    x, found = np.asarray(task.source.x[:20], np.float32), []
    for row in x:
        interpreter.set_tensor(entry["index"], row[None])
        interpreter.invoke()
        found.append(interpreter.get_tensor(out["index"])[0])
    expected = task.predict(x)
    assert np.ptp(expected, axis=0).max() > within
    np.testing.assert_allclose(found, expected, atol=within)
