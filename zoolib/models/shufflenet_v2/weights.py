"""Weights trained elsewhere: torchvision's, the authors' release, the TensorFlow 1 reference's.

What differs from here, and is seen to: names; OIHW kernels, [C, 1, 3, 3] depthwise kernels and a
transposed classifier in PyTorch; and the order of the classes. PyTorch's users number ImageNet's
classes by sorted WordNet identifiers, the reference by the devkit, and no class has the same number
in both. Padding, epsilon, scale of the input and wiring belong to the network (`wirings`), so the
wiring has to be the weights' own.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from zoolib.errors import DataError
from zoolib.models.shufflenet_v2.architecture import Architecture, Layer
from zoolib.models.shufflenet_v2.network import ShuffleNetV2
from zoolib.models.shufflenet_v2.safetensors import read_safetensors
from zoolib.runtime.compile import Bulk

Values = dict[str, np.ndarray]
_SHADOW = "/ExponentialMovingAverage"
_HEAD = "classifier/"


def load_weights(
    network: ShuffleNetV2,
    path: str | os.PathLike[str],
    wnids: Sequence[str] = (),
    new_classifier: bool = False,
) -> list[str]:
    """Put weights of a file into a network.

    Args:
        network: of the width, wiring and number of classes of the weights.
        path: ``.safetensors``, ``.pth`` or ``.pt`` (needs PyTorch), ``.npz`` (PyTorch's names), or
            the prefix of a TensorFlow 1 checkpoint (averages are preferred, as in its evaluation).
        wnids: WordNet's identifier of each class here. PyTorch's classifiers are then put in this
            order; without, theirs stays: sorted identifiers.
        new_classifier: keep the network's own.

    Returns:
        What was done, in words.

    Raises:
        DataError: for files that cannot be read or are of another network.
    """
    source, own = os.fspath(path), network.architecture
    torch = source.endswith((".safetensors", ".pth", ".pt", ".npz"))
    found = _from_torch(_read_torch(source), own) if torch else _from_checkpoint(source, own)
    done = [f"weights from {source}"]
    wanted = {v.name.split(":")[0]: v for v in network.variables}
    if new_classifier:
        wanted = {n: v for n, v in wanted.items() if not n.startswith(_HEAD)}
        done.append("classifier new")
    elif torch and len(wnids) == own.num_classes:
        found = _reordered(found, wnids)
        done.append("classes put from the order of sorted identifiers into this data's order")
    _check(found, wanted, source, own)
    Bulk(wanted).write({name: found[name] for name in wanted})
    return done


def start_from(task: Any) -> None:
    """Start a run from ``config.weights``.

    A run that is taken up again gets its weights from its checkpoint, so the file may be gone then.
    """
    config = task.config
    if getattr(task, "restoring", False) and not _there(config.weights):
        return
    load_weights(task.network, config.weights, task.source.wnids, config.new_classifier)


def _there(path: str) -> bool:
    return Path(path).exists() or Path(f"{path}.index").exists()


def _read_torch(path: str) -> Values:
    """A state dict as arrays."""
    if path.endswith(".safetensors"):
        found = read_safetensors(path)
    elif path.endswith(".npz"):
        try:
            with np.load(path, allow_pickle=False) as archive:
                found = dict(archive)
        except (OSError, ValueError) as error:
            raise DataError(f"{path}: expected arrays ({error})") from None
    else:
        found = _unpickled(path)
    return {name[7:] if name.startswith("module.") else name: v for name, v in found.items()}


def _unpickled(path: str) -> Values:
    """Through PyTorch, which reads tensors only and refuses anything that would run."""
    try:
        torch = importlib.import_module("torch")
    except ImportError:
        raise DataError(
            f"{path}: reading this format needs PyTorch. Where that is installed, write the state "
            "dict as .safetensors, or as .npz with numpy.savez"
        ) from None
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # PyTorch raises whatever it meets
        raise DataError(f"{path}: expected a state dict ({error})") from None
    state = state.get("state_dict", state)
    return {name: value.numpy() for name, value in state.items()}


def _from_torch(state: Values, own: Architecture) -> Values:
    """Our names and layouts; which of the two releases it is, the names tell."""
    theirs = "features.0.branch_main.0.weight" in state
    found: Values = {}
    for layer, place, norm in _torch_places(own, theirs):
        kernel = _get(state, f"{place}.weight")
        if layer.kind == "dense":
            found[f"{layer.name}/weights"] = kernel.T
            if f"{place}.bias" in state:
                found[f"{layer.name}/biases"] = state[f"{place}.bias"]
            continue
        if kernel.ndim != 4:
            raise DataError(f"{place}.weight: expected a kernel, got shape {kernel.shape}")
        depthwise = layer.kind == "depthwise"
        order, word = ((2, 3, 0, 1), "depthwise_") if depthwise else ((2, 3, 1, 0), "")
        found[f"{layer.name}/{word}weights"] = kernel.transpose(order)
        for mine, its in (
            ("gamma", "weight"),
            ("beta", "bias"),
            ("moving_mean", "running_mean"),
            ("moving_variance", "running_var"),
        ):
            found[f"{layer.name}/batch_norm/{mine}"] = _get(state, f"{norm}.{its}")
    return {name: np.ascontiguousarray(v, np.float32) for name, v in found.items()}


def _torch_places(own: Architecture, authors: bool) -> list[tuple[Layer, str, str]]:
    """(layer, name of its convolution there, name of its batch norm there)."""
    main = ((0, 1), (3, 4), (5, 6))  # numbers of convolution and batch norm in a branch
    short = ((0, 1), (2, 3))
    first, *_ = layers = own.layers()
    by_name = {layer.name: layer for layer in layers}
    stem, last, head = ("first_conv", "conv_last", "classifier.0")
    if not authors:
        stem, last, head = ("conv1", "conv5", "fc")
    found = [(first, f"{stem}.0", f"{stem}.1")]
    number = 0
    for stage, units in enumerate(own.units(), 2):
        for place, unit in enumerate(units):
            block = f"features.{number}" if authors else f"stage{stage}.{place}"
            names = ("branch_main", "branch_proj") if authors else ("branch2", "branch1")
            slots = [(names[0], pair) for pair in main] + [(names[1], pair) for pair in short]
            for layer, (branch, (conv, norm)) in zip(unit.layers, slots):
                found.append((layer, f"{block}.{branch}.{conv}", f"{block}.{branch}.{norm}"))
            number += 1
    end = next(layer for name, layer in by_name.items() if name.endswith("Conv5"))
    found.append((end, f"{last}.0", f"{last}.1"))
    if "classifier" in by_name:
        found.append((by_name["classifier"], head, ""))
    return found


def _from_checkpoint(path: str, own: Architecture) -> Values:
    """A checkpoint of the reference: its names are ours; averages stand for what they average."""
    try:
        reader = tf.train.load_checkpoint(path)
        names = reader.get_variable_to_shape_map()
    except (tf.errors.OpError, ValueError, RuntimeError) as error:
        raise DataError(f"{path}: expected a TensorFlow checkpoint ({error})") from None
    found = {}
    for name in names:
        if name.endswith(_SHADOW):
            found[name[: -len(_SHADOW)]] = reader.get_tensor(name)
        elif f"{name}{_SHADOW}" not in names and "Momentum" not in name:
            found[name] = reader.get_tensor(name)
    return found


def _reordered(found: Values, wnids: Sequence[str]) -> Values:
    """Columns of a classifier of sorted classes, in the order of ``wnids``."""
    rank = {wnid: place for place, wnid in enumerate(sorted(wnids))}
    order = [rank[wnid] for wnid in wnids]
    moved = {n: v[..., order] for n, v in found.items() if n.startswith(_HEAD)}
    return {**found, **moved}


def _get(state: Values, name: str) -> np.ndarray:
    if name not in state:
        some = ", ".join(list(state)[:3])
        raise DataError(
            f"weights: expected a ShuffleNetV2 of torchvision or of its authors, but {name} is not "
            f"among its names ({some} …)"
        )
    return state[name]


def _check(found: Values, wanted: dict[str, Any], source: str, own: Architecture) -> None:
    for name in sorted(wanted, key=lambda n: n.startswith(_HEAD)):  # what tells most goes first
        variable = wanted[name]
        if name in found and found[name].shape == tuple(variable.shape):
            continue
        got = f"shape {found[name].shape}" if name in found else "nothing"
        hint = f"Set width and wiring to the weights' own (here {own.width}, {own.wiring})"
        if name.startswith(_HEAD):
            hint = "Set num_classes to the weights' own, or new_classifier to train another one"
        raise DataError(
            f"{source}: expected {name} of shape {tuple(variable.shape)}, got {got}. {hint}"
        )
