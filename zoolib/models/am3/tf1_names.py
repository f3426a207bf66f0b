"""Names of the TensorFlow 1 scripts' variables, to read their checkpoints (spec 5.3)."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import tensorflow as tf

from zoolib.errors import DataError
from zoolib.runtime.compile import Bulk

_PREFIXES = (  # of our names -> of theirs
    ("encoder/", "Model/feature_extractor_encoder/"),
    ("class_encoder/mlp_layer", "Model/class_encoder/mlp_transformer/mlp_layer"),
    ("class_encoder/self_att_layer", "Model/class_encoder/self_attention/self_att_layer"),
    ("conditioning/", "Model/cbn_params_raw/"),
    ("pretrain_logits/", "Model/pretrain_logits/"),
    ("metric/", "Model_1/polynomial_head/polynomial_metric/"),
)
_ENDINGS = (("/kernel", "/weights"), ("/bias", "/biases"))


def checkpoint_name(name: str) -> str:
    """What a variable of ours is called there; kernels have the same layout."""
    for ours, theirs in _PREFIXES:
        if name.startswith(ours):
            name = theirs + name[len(ours) :]
            break
    for ours, theirs in _ENDINGS:
        if name.endswith(ours):
            return name[: -len(ours)] + theirs
    return name.replace("/batch_norm/", "/batch_normalization/")


def import_checkpoint(network: Any, path: str | os.PathLike[str]) -> list[str]:
    """Fill a network from a checkpoint of the TensorFlow 1 scripts.

    Args:
        network: a :class:`~zoolib.models.am3.network.FewShotNet` of the same variant.
        path: prefix of the checkpoint's files, or their folder.

    Returns:
        Names of the checkpoint's model variables that the network has no place for, such as an
        auxiliary head.

    Raises:
        DataError: if it cannot be read, or a variable is missing there or has another shape.
    """
    try:
        reader = tf.train.load_checkpoint(os.fspath(path))
        shapes = reader.get_variable_to_shape_map()
    except (tf.errors.OpError, ValueError, RuntimeError) as error:
        raise DataError(f"{path}: expected a TensorFlow checkpoint ({error})") from None
    own = {v.name.split(":")[0]: v for v in network.variables}
    values = {}
    for name, variable in own.items():
        there = checkpoint_name(name)
        if name.startswith("metric/") and there not in shapes:
            values[name] = variable.numpy()  # V1 and V2 have no such scalar
            continue
        if there not in shapes or list(shapes[there]) != list(variable.shape):
            raise DataError(
                f"{path}: expected {there} with shape {list(variable.shape)}, found "
                f"{shapes.get(there, 'no such variable')}"
            )
        values[name] = np.asarray(reader.get_tensor(there), np.float32)
    Bulk(own).write(values)
    taken = {checkpoint_name(name) for name in own}
    slots = ("/Momentum", "/PretrainOptimizer")
    rest = (n for n in shapes if n.startswith("Model") and not n.endswith(slots))
    return sorted(name for name in rest if name not in taken)
