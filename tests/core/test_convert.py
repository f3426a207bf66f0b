"""Frozen graphs: what the converter is told is what the file holds, whatever the method."""

from __future__ import annotations

import shlex
import subprocess
import types

import numpy as np
import pytest
import tensorflow as tf

import zoolib
from zoolib.core.convert import ACCEPTED, CHIP
from zoolib.runtime.device import open_session


def task_of(function, **specs):
    """A task whose `serve` is this function."""
    session = open_session("cpu")
    named = [tf.TensorSpec(*spec, name=name) for name, spec in specs.items()]
    serve = session.compile(function, named)
    module = tf.Module()
    module.signatures = lambda: {"serve": serve.get_concrete_function()}
    return types.SimpleNamespace(session=session, export_module=lambda: module)


def options(conversion):
    """The converter's options, as a shell would split them."""
    program, *words = shlex.split(conversion.command)
    assert program == "atc"
    return dict(word[2:].split("=", 1) for word in words)


def as_a_shell_reads(command):
    """Arguments of `atc` in a command of several lines."""
    program = 'atc() { printf "%s\\n" "$@"; }\n' + command
    done = subprocess.run(["sh", "-c", program], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def nodes(path):
    return {n.name: n for n in tf.compat.v1.GraphDef.FromString(path.read_bytes()).node}


def told_inputs(conversion):
    """Names and shapes as the converter would read them."""
    pairs = (item.split(":") for item in options(conversion)["input_shape"].split(";"))
    return {name: [int(n) for n in shape.split(",") if n] for name, shape in pairs}


def told_outputs(conversion):
    return options(conversion)["out_nodes"].split(";")


def run_from_the_command(path, feed):
    """Outputs of the file, its nodes found by the command's words alone."""
    graph_def = tf.compat.v1.GraphDef.FromString(path.read_bytes())
    with tf.Graph().as_default() as graph:
        tf.graph_util.import_graph_def(graph_def, name="")
        with tf.compat.v1.Session(graph=graph) as session:
            placed = {f"{name}:0": feed[name] for name in told_inputs(path.conversion)}
            return session.run(told_outputs(path.conversion), placed)


@pytest.fixture(params=zoolib.list_models())
def task(request):
    """Every method at the start of its smoke preset."""
    spec = zoolib.get_model(request.param)
    config = spec.preset("smoke")
    session = open_session("cpu", "float32", None, config.small_dense)
    with session.placement():
        task = spec.task_class()(config, session)
        task.build()
    return task


def test_every_method_freezes_to_what_the_command_says(task, tmp_path):
    path = zoolib.export(task, "frozen", tmp_path / "model.pb")
    found, conversion = nodes(path), path.conversion
    placeholders = {name for name, node in found.items() if node.op == "Placeholder"}
    assert set(told_inputs(conversion)) == placeholders == {p.name for p in conversion.inputs}
    for port in conversion.inputs:
        node, sizes = found[port.name], told_inputs(conversion)[port.name]
        assert tf.as_dtype(node.attr["dtype"].type).name == port.dtype
        assert [d.size for d in node.attr["shape"].shape.dim] == sizes == list(port.shape)
        assert port.layout == ("NHWC" if len(sizes) == 4 else "ND")
    assert {name.split(":")[0] for name in told_outputs(conversion)} <= set(found)
    assert conversion.remarks == ()
    functions = tf.compat.v1.GraphDef.FromString(path.read_bytes()).library.function
    assert not functions and not [n.op for n in found.values() if "Variable" in n.op]

    source = np.random.default_rng(0)
    feed = {p.name: some(source, p) for p in conversion.inputs}
    with task.session.placement():
        serve = task.export_module().signatures()["serve"]
        expected = tf.nest.flatten(serve(**{k: tf.constant(v) for k, v in feed.items()}))
    got = run_from_the_command(path, feed)
    assert len(got) == len(expected) == len(conversion.outputs) > 0
    for value, other, port in zip(got, expected, conversion.outputs):
        assert (value.shape, value.dtype.name) == (port.shape, port.dtype)
        np.testing.assert_allclose(value, other, rtol=1e-4, atol=1e-5)


def some(source, port):
    if port.dtype.startswith("float"):
        return source.uniform(0, 2, port.shape).astype(port.dtype)
    return source.integers(0, 2, port.shape).astype(port.dtype)


def several(images, factor, mask):
    """Outputs that are in the file under names of their own making, not in the order computed."""
    scaled = tf.cast(images, tf.float32) * factor
    high, low = tf.split(scaled, 2, axis=1)
    return {"part": low, "also": high, "mask": tf.logical_not(mask), "sum": tf.reduce_sum(scaled)}


def test_scalars_several_outputs_and_layouts_that_differ(tmp_path):
    task = task_of(
        several, images=([2, 4, 3, 1], tf.uint8), factor=([], tf.float32), mask=([3], tf.bool)
    )
    path = zoolib.export(task, "frozen", tmp_path / "it's a model")
    told = options(path.conversion)
    assert told["input_shape"] == "images:2,4,3,1;factor:;mask:3"
    assert told["input_format"] == "ND", "one layout for all inputs"
    assert told["model"] == str(tmp_path / "it's a model") == told["output"]
    assert [p.key for p in path.conversion.outputs] == ["also", "mask", "part", "sum"]
    images = np.arange(24, dtype=np.uint8).reshape(2, 4, 3, 1)
    feed = {"images": images, "factor": np.float32(0.5), "mask": np.array([True, False, True])}
    also, mask, part, total = run_from_the_command(path, feed)
    np.testing.assert_array_equal(part, 0.5 * images[:, 2:])
    np.testing.assert_array_equal(also, 0.5 * images[:, :2])
    assert mask.tolist() == [False, True, False] and total == 0.5 * images.sum()
    table = path.conversion.table().splitlines()
    assert table[1].split() == ["input", "images", "uint8", "[2,", "4,", "3,", "1]", "NHWC"]
    assert "(also)" in table[4] and table[2].split()[-2:] == ["[]", "ND"]


def test_images_alone_are_told_as_such(tmp_path):
    task = task_of(lambda x: tf.nn.relu(x - 1.0), x=([1, 8, 8, 3], tf.float32))
    path = zoolib.export(task, "frozen", tmp_path / "sub" / "net.pb")
    told = options(path.conversion)
    assert told["input_format"] == "NHWC" and told["output"] == str(tmp_path / "sub" / "net")
    assert told["framework"] == "3" and told["soc_version"] == CHIP
    assert told["precision_mode"] == "allow_fp32_to_fp16"
    beside = (tmp_path / "sub" / "net.pb.convert.txt").read_text()
    assert beside == path.conversion.text()
    lines = beside[beside.index("atc \\\n") :].split("\n\n")[0]
    assert as_a_shell_reads(lines) == list(path.conversion.words[1:])
    assert "npu-smi info" in beside and str(path.conversion.table()) in beside


def test_what_the_converter_would_refuse_is_refused_and_nothing_is_written(tmp_path):
    free = task_of(lambda x: x + 1.0, x=([None, 3], tf.float32))
    with pytest.raises(zoolib.ConfigError, match=r"expected static shapes .* got x of \(None, 3\)"):
        zoolib.export(free, "frozen", tmp_path / "model")
    double = task_of(lambda x: x + 1.0, x=([3], tf.float64))
    with pytest.raises(zoolib.ConfigError, match=f"expected inputs of {', '.join(ACCEPTED)}, got"):
        zoolib.export(double, "frozen", tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


def test_what_a_910_has_not_is_remarked(tmp_path):
    def odd(x):
        return tf.cast(tf.cast(tf.linalg.inv(x), tf.bfloat16), tf.float32) + tf.math.bessel_i0(x)

    conversion = zoolib.export(task_of(odd, x=([2, 2], tf.float32)), "frozen", tmp_path / "m")
    assert any("BesselI0" in line for line in conversion.conversion.remarks)
    assert any(line.startswith("bfloat16") for line in conversion.conversion.remarks)
    assert "On an Ascend 910: bfloat16" in (tmp_path / "m.convert.txt").read_text()


def test_neither_file_is_overwritten(tmp_path):
    task = task_of(lambda x: x + 1.0, x=([3], tf.float32))
    kept = tmp_path / "m.pb.convert.txt"
    kept.write_text("precious")
    with pytest.raises(zoolib.StoreError, match="m.pb.convert.txt exists"):
        zoolib.export(task, "frozen", tmp_path / "m.pb")
    assert kept.read_text() == "precious" and not (tmp_path / "m.pb").exists()


def test_other_formats_have_no_such_command(tmp_path):
    task = task_of(lambda x: x + 1.0, x=([3], tf.float32))
    task.export_module().serve = tf.function(lambda x: x + 1.0)
    path = zoolib.export(task, "savedmodel", tmp_path / "saved")
    assert path.conversion is None and [p.name for p in tmp_path.iterdir()] == ["saved"]
