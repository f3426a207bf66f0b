"""Weights from elsewhere, against forward passes written here with NumPy alone."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tensorflow as tf

from zoolib.errors import DataError
from zoolib.models.shufflenet_v2.network import build
from zoolib.models.shufflenet_v2.safetensors import read_safetensors
from zoolib.models.shufflenet_v2.weights import load_weights

CLASSES, SIZE = 6, 64
STAGES = {"torchvision": (24, 48, 96), "megvii": (32, 64, 128)}
WIDTH = {"torchvision": "0.25", "megvii": "0.33"}


# ---- PyTorch's operators, NCHW, as its documentation defines them


def conv(x, weight, stride=1, padding=0, groups=1):
    x = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    n, channels, height, width = x.shape
    out, inner, kh, kw = weight.shape
    rows, columns = (height - kh) // stride + 1, (width - kw) // stride + 1
    y = np.zeros((n, out, rows, columns))
    for i in range(kh):
        for j in range(kw):
            window = x[:, :, i : i + rows * stride : stride, j : j + columns * stride : stride]
            if groups == 1:
                y += np.einsum("nchw,oc->nohw", window, weight[:, :, i, j])
            else:
                y += window * weight[:, 0, i, j][None, :, None, None]
    return y


def norm(x, state, name):
    p = {k: state[f"{name}.{k}"] for k in ("weight", "bias", "running_mean", "running_var")}
    p = {k: v[None, :, None, None].astype(np.float64) for k, v in p.items()}
    return (x - p["running_mean"]) / np.sqrt(p["running_var"] + 1e-5) * p["weight"] + p["bias"]


def relu(x):
    return np.maximum(x, 0)


def pool(x):
    x = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)), constant_values=-np.inf)
    rows, columns = (x.shape[2] - 3) // 2 + 1, (x.shape[3] - 3) // 2 + 1
    parts = [
        x[:, :, i : i + 2 * rows : 2, j : j + 2 * columns : 2] for i in range(3) for j in range(3)
    ]
    return np.max(parts, axis=0)


def branch(x, state, name, stride, shortcut):
    def piece(x, number, act, **options):
        weight = state[f"{name}.{number}.weight"]
        y = norm(conv(x, weight, **options), state, f"{name}.{number + 1}")
        return relu(y) if act else y

    if shortcut:
        x = piece(x, 0, False, stride=stride, padding=1, groups=x.shape[1])
        return piece(x, 2, True)
    x = piece(x, 0, True)
    x = piece(x, 3, False, stride=stride, padding=1, groups=x.shape[1])
    return piece(x, 5, True)


def torchvision(state, images):
    """The definition in torchvision: a shuffle ends every unit."""

    def shuffle(x):
        n, c, h, w = x.shape
        return x.reshape(n, 2, c // 2, h, w).transpose(0, 2, 1, 3, 4).reshape(n, c, h, w)

    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    x = ((images - mean) / std).transpose(0, 3, 1, 2)
    x = pool(relu(norm(conv(x, state["conv1.0.weight"], 2, 1), state, "conv1.1")))
    for stage, repeats in ((2, 4), (3, 8), (4, 4)):
        for unit in range(repeats):
            name = f"stage{stage}.{unit}"
            if unit == 0:
                left = branch(x, state, f"{name}.branch1", 2, True)
                right = branch(x, state, f"{name}.branch2", 2, False)
            else:
                left, right = np.split(x, 2, axis=1)
                right = branch(right, state, f"{name}.branch2", 1, False)
            x = shuffle(np.concatenate([left, right], axis=1))
    x = relu(norm(conv(x, state["conv5.0.weight"]), state, "conv5.1")).mean(axis=(2, 3))
    return x @ state["fc.weight"].T + state["fc.bias"]


def megvii(state, images):
    """The authors' release: units of stride 1 take even and odd channels apart."""
    x = images.transpose(0, 3, 1, 2)[:, ::-1] * 255.0
    x = pool(relu(norm(conv(x, state["first_conv.0.weight"], 2, 1), state, "first_conv.1")))
    number = 0
    for repeats in (4, 8, 4):
        for unit in range(repeats):
            name = f"features.{number}"
            stride = 2 if unit == 0 else 1
            if unit == 0:
                kept, main = branch(x, state, f"{name}.branch_proj", 2, True), x
            else:
                kept, main = x[:, 0::2], x[:, 1::2]
            main = branch(main, state, f"{name}.branch_main", stride, False)
            x = np.concatenate([kept, main], axis=1)
            number += 1
    x = relu(norm(conv(x, state["conv_last.0.weight"]), state, "conv_last.1")).mean(axis=(2, 3))
    return x @ state["classifier.0.weight"].T


# ---- state dicts of random numbers in the two releases' shapes


def state_dict(kind):
    source, state = np.random.default_rng(7), {}

    def add(conv_name, norm_name, outputs, inputs, window=1):
        shape = (outputs, inputs, window, window)
        std = (2.0 / (inputs * window**2)) ** 0.5
        state[f"{conv_name}.weight"] = source.normal(0, std, shape)
        state[f"{norm_name}.weight"] = source.uniform(0.8, 1.2, outputs)
        state[f"{norm_name}.bias"] = source.uniform(-0.2, 0.2, outputs)
        state[f"{norm_name}.running_mean"] = source.uniform(-0.1, 0.1, outputs)
        state[f"{norm_name}.running_var"] = source.uniform(0.8, 1.2, outputs)
        state[f"{norm_name}.num_batches_tracked"] = np.array(5)

    def branches(name, inputs, inner, outputs, shortcut, words):
        main, short = words
        add(f"{name}.{main}.0", f"{name}.{main}.1", inner, inputs)
        add(f"{name}.{main}.3", f"{name}.{main}.4", inner, 1, 3)
        add(f"{name}.{main}.5", f"{name}.{main}.6", outputs, inner)
        if shortcut:
            add(f"{name}.{short}.0", f"{name}.{short}.1", inputs, 1, 3)
            add(f"{name}.{short}.2", f"{name}.{short}.3", shortcut, inputs)

    theirs = kind == "megvii"
    stem, last, head = (
        ("first_conv", "conv_last", "classifier.0") if theirs else ("conv1", "conv5", "fc")
    )
    words = ("branch_main", "branch_proj") if theirs else ("branch2", "branch1")
    add(f"{stem}.0", f"{stem}.1", 24, 3, 3)
    inputs, number = 24, 0
    for stage, (channels, repeats) in enumerate(zip(STAGES[kind], (4, 8, 4)), 2):
        half = channels // 2
        for unit in range(repeats):
            name = f"features.{number}" if theirs else f"stage{stage}.{unit}"
            number += 1
            if unit:
                branches(name, half, half, half, 0, words)
            else:
                shortcut = inputs if theirs else half
                branches(name, inputs, half, channels - shortcut, shortcut, words)
        inputs = channels
    add(f"{last}.0", f"{last}.1", 512, inputs)
    state[f"{head}.weight"] = source.normal(0, 0.05, (CLASSES, 512))
    if not theirs:
        state["fc.bias"] = source.normal(0, 0.1, CLASSES)
    return {k: np.asarray(v, np.float32 if v.ndim else np.int64) for k, v in state.items()}


def write_safetensors(path, state, kinds=None):
    names = {"float32": "F32", "float16": "F16", "int64": "I64"}
    table, blobs, place = {"__metadata__": {"format": "pt"}}, [], 0
    for name, values in state.items():
        blob = np.ascontiguousarray(values).tobytes()
        kind = (kinds or {}).get(name, names[str(values.dtype)])
        ends = [place, place + len(blob)]
        table[name] = {"dtype": kind, "shape": list(values.shape), "data_offsets": ends}
        blobs.append(blob)
        place = ends[1]
    head = json.dumps(table).encode()
    path.write_bytes(len(head).to_bytes(8, "little") + head + b"".join(blobs))
    return path


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(3).uniform(size=(2, SIZE, SIZE, 3))


@pytest.mark.parametrize("kind", ["torchvision", "megvii"])
def test_published_weights_give_the_logits_of_an_independent_forward_pass(kind, tmp_path, images):
    state = state_dict(kind)
    expected = {"torchvision": torchvision, "megvii": megvii}[kind](state, images)
    model = build(WIDTH[kind], kind, CLASSES, SIZE)
    load_weights(model, write_safetensors(tmp_path / "w.safetensors", state))
    found = model(tf.constant(images, tf.float32)).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-4 * expected.std())


def test_classes_are_put_into_the_order_of_the_data(tmp_path):
    """The weights know classes by sorted identifiers, the data by another order."""
    wnids, state = ["n05", "n01", "n04", "n02", "n06", "n03"], state_dict("torchvision")
    model = build("0.25", "torchvision", CLASSES, SIZE)
    told = load_weights(model, write_safetensors(tmp_path / "w.safetensors", state), wnids)
    assert any("order" in line for line in told)
    order = [4, 0, 3, 1, 5, 2]
    np.testing.assert_array_equal(model.classifier.kernel.numpy().T, state["fc.weight"][order])
    np.testing.assert_array_equal(model.classifier.bias.numpy(), state["fc.bias"][order])


def test_a_new_classifier(tmp_path):
    path = write_safetensors(tmp_path / "w.safetensors", state_dict("torchvision"))
    model = build("0.25", "torchvision", 3, SIZE)
    with pytest.raises(DataError, match="num_classes to the weights' own, or new_classifier"):
        load_weights(model, path)
    before = model.classifier.kernel.numpy()
    load_weights(model, path, new_classifier=True)
    np.testing.assert_array_equal(model.classifier.kernel.numpy(), before)
    kernel = read_safetensors(path)["conv1.0.weight"].transpose(2, 3, 1, 0)
    np.testing.assert_array_equal(model.stem.kernel.numpy(), kernel)


def test_a_checkpoint_of_the_reference(tmp_path):
    """Averages are preferred, momentum is passed over, statistics have no averages."""
    theirs = build("0.25", "reference", CLASSES, SIZE, seed=5)
    names, values = ["global_step"], [tf.constant(7, tf.int64)]
    for v in theirs.variables:
        name = v.name.split(":")[0]
        trained = any(v is t for t in theirs.trainable_variables)
        if trained and "Stage4" not in name:  # a part without averages is taken as it is
            names += [name, f"{name}/ExponentialMovingAverage"]
            values += [tf.zeros(v.shape), tf.identity(v)]
        else:
            names.append(name)
            values.append(tf.identity(v))
        if trained:
            names.append(f"optimizer/{name}/Momentum")
            values.append(tf.ones(v.shape))
    prefix = str(tmp_path / "model.ckpt-7")
    tf.raw_ops.SaveV2(
        prefix=prefix, tensor_names=names, shape_and_slices=[""] * len(names), tensors=values
    )
    model = build("0.25", "reference", CLASSES, SIZE, seed=6)
    load_weights(model, prefix, wnids=["b", "a", "c", "d", "e", "f"])  # already devkit's order
    for mine, its in zip(model.variables, theirs.variables):
        np.testing.assert_array_equal(mine.numpy(), its.numpy())


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"width": "0.33", "wiring": "torchvision"}, "Set width and wiring to the weights' own"),
        ({"width": "1.0", "wiring": "reference"}, "here 1.0, reference"),
    ],
)
def test_weights_of_another_network(options, told, tmp_path):
    path = write_safetensors(tmp_path / "w.safetensors", state_dict("torchvision"))
    model = build(num_classes=CLASSES, image_size=SIZE, **options)
    with pytest.raises(DataError, match=told):
        load_weights(model, path)


def test_files_that_are_no_weights(tmp_path):
    model = build("0.25", "torchvision", CLASSES, SIZE)
    other = write_safetensors(tmp_path / "other.safetensors", {"a": np.zeros(3, np.float32)})
    with pytest.raises(DataError, match=r"conv1\.0\.weight is not among its names"):
        load_weights(model, other)
    with pytest.raises(DataError, match="expected a TensorFlow checkpoint"):
        load_weights(model, tmp_path / "missing")
    with pytest.raises(DataError, match="cannot be read"):
        load_weights(model, tmp_path / "missing.safetensors")
    (tmp_path / "w.pth").write_bytes(b"")
    with pytest.raises(DataError, match="PyTorch|state dict"):
        load_weights(model, tmp_path / "w.pth")


def test_safetensors_types(tmp_path):
    halves = np.array([1.5, -2.25], np.float32)
    state = {
        "half": np.array([1.5, 2], np.float16),
        "brain": np.frombuffer((halves.view(np.uint32) >> 16).astype("<u2").tobytes(), np.int16),
    }
    state["brain"] = state["brain"].view(np.float16)
    path = write_safetensors(tmp_path / "t.safetensors", state, {"brain": "BF16"})
    found = read_safetensors(path)
    np.testing.assert_array_equal(found["half"], [1.5, 2])
    np.testing.assert_array_equal(found["brain"], halves)
    assert found["brain"].dtype == np.float32


@pytest.mark.parametrize(
    "damage",
    [
        lambda b: b"",
        lambda b: b[:-1],
        lambda b: b[:20],
        lambda b: (2**60).to_bytes(8, "little") + b[8:],
        lambda b: b.replace(b'"F32"', b'"F99"'),
        lambda b: b.replace(b"[0, 12]", b"[0, 13]"),
        lambda b: b.replace(b"[0, 12]", b"[-1,11]"),
        lambda b: b.replace(b'"shape": [3]', b'"shape": [9]'),
    ],
)
def test_damaged_safetensors(damage, tmp_path):
    path = write_safetensors(tmp_path / "w.safetensors", {"a": np.arange(3, dtype=np.float32)})
    content = path.read_bytes()
    assert damage(content) != content
    path.write_bytes(damage(content))
    with pytest.raises(DataError):
        read_safetensors(path)
