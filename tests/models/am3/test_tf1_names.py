"""Checkpoints of the TensorFlow 1 scripts are read by their names (specification, 5.3)."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from zoolib.errors import DataError
from zoolib.models.am3 import build, import_checkpoint
from zoolib.models.am3.tf1_names import checkpoint_name

TINY = {"filters": 2, "units": 1, "blocks": 2, "pools": 2, "hidden": 4, "image_size": 8}


def save(path, values):
    names, tensors = list(values), [tf.constant(v) for v in values.values()]
    tf.raw_ops.SaveV2(
        prefix=str(path), tensor_names=names, shape_and_slices=[""] * len(names), tensors=tensors
    )


@pytest.mark.parametrize(
    "ours,theirs",
    [
        ("encoder/conv0_2/kernel", "feature_extractor_encoder/conv0_2/weights"),
        (
            "encoder/shortcut3/batch_norm/gamma",
            "feature_extractor_encoder/shortcut3/batch_normalization/gamma",
        ),
        ("class_encoder/mlp_layer_1/kernel", "class_encoder/mlp_transformer/mlp_layer_1/weights"),
        (
            "class_encoder/self_att_layer/batch_norm/moving_mean",
            "class_encoder/self_attention/self_att_layer/batch_normalization/moving_mean",
        ),
        ("conditioning/projection_beta012/bias", "cbn_params_raw/projection_beta012/biases"),
        ("conditioning/gamma_weight31", "cbn_params_raw/gamma_weight31"),
        ("pretrain_logits/kernel", "pretrain_logits/weights"),
    ],
)
def test_names(ours, theirs):
    assert checkpoint_name(ours) == f"Model/{theirs}"


def test_a_checkpoint_fills_a_network(tmp_path):
    net = build("am3-tadam", **TINY)
    source = np.random.default_rng(0)
    values = {
        checkpoint_name(v.name.split(":")[0]): source.random(v.shape).astype(np.float32)
        for v in net.variables
    }
    extra = {"Model/pretrain_logits/biases": np.zeros(3, np.float32)}
    kernel = "Model/feature_extractor_encoder/conv0_0/weights"
    slots = {f"{kernel}/Momentum": np.zeros(2, np.float32)}
    save(tmp_path / "model-1", {**values, **extra, **slots})
    assert import_checkpoint(net, tmp_path / "model-1") == ["Model/pretrain_logits/biases"]
    for variable in net.variables:
        expected = values[checkpoint_name(variable.name.split(":")[0])]
        np.testing.assert_array_equal(variable, expected)
    assert "Model_1/polynomial_head/polynomial_metric/power_weight1" in values


def test_checkpoints_that_do_not_fit_are_refused(tmp_path):
    net = build("protonet++", **TINY)
    with pytest.raises(DataError, match="expected a TensorFlow checkpoint"):
        import_checkpoint(net, tmp_path / "nothing")
    save(tmp_path / "other", {"Model/x": np.zeros(1, np.float32)})
    with pytest.raises(DataError, match="no such variable"):
        import_checkpoint(net, tmp_path / "other")
