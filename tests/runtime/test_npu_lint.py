"""The graph lint: every rule has a function that breaks it, and is told by name."""

from __future__ import annotations

import collections
import json

import numpy as np
import pytest
import tensorflow as tf

import zoolib
from zoolib.runtime import compat, npu_ops
from zoolib.runtime.npu_report import PROBLEMS, WARNINGS

X = tf.TensorSpec([4, 3], tf.float32)


def kinds(report) -> set[str]:
    return {line.split(":")[0] for line in report.problems}


def doubled(x):
    return 2.0 * x


class Model:
    """Least squares, written as the rules want it."""

    def __init__(self):
        self.w = tf.Variable(tf.ones([3, 2]))
        self.count = tf.Variable(0)

    def step(self, x, rate):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(tf.nn.relu(tf.matmul(x, self.w))))
        self.w.assign_sub(rate * tape.gradient(loss, self.w))
        self.count.assign_add(1)
        return loss


# ---- functions that break one rule each


def not_accepted(x):
    return tf.sin(x) + tf.numpy_function(np.sin, [x], tf.float32)


def unlisted(x):
    return tf.math.bessel_i0e(x)


def float64(x):
    return tf.cast(tf.cast(x, tf.float64) ** 2.0, tf.float32)


def float64_constant(x):
    return x * tf.cast(tf.constant(np.ones(3)), tf.float32)


def random(x):
    return x + tf.random.normal([4, 3])


def random_stateless(x):
    return x + tf.random.stateless_uniform([4, 3], seed=[1, 2])


def random_branch(x):
    return tf.cond(tf.reduce_sum(x) > 0, lambda: tf.random.uniform([4, 3]), lambda: x)


def while_loop(x):
    for _ in tf.range(3):
        x = 0.5 * x
    return x


def mapped(x):
    return tf.map_fn(doubled, x)


def sieve(x):
    return tf.reduce_sum(tf.boolean_mask(x, x > 0.0))


def text(x):
    return tf.strings.as_string(x)


def printed(x):
    tf.print(x)
    return x


def complex_numbers(x):
    return tf.abs(tf.cast(x, tf.complex64))


def test_a_good_step_passes_and_nothing_is_run():
    model = Model()
    report = zoolib.npu_check(model.step, X, tf.TensorSpec([], tf.float32))
    assert report.ok and report.problems == [] and report.warnings == []
    assert (report.retraces, report.eager_variable_operations, report.steps) == (0, 0, 50)
    assert (report.variables, report.library_functions) == (2, 0)
    assert report.copies == {"in": 2, "out": 1}
    assert report.copied_bytes == {"in": 4 * 3 * 4 + 4, "out": 4}
    assert report.operators["ai_core_float32"]["MatMul"] == 2
    assert report.operators["graph_engine"]["ReadVariableOp"] >= 1
    assert report.nodes == sum(sum(ops.values()) for ops in report.operators.values())
    assert model.count.numpy() == 0 and (model.w.numpy() == 1.0).all()


@pytest.mark.parametrize(
    "function, kind, told",
    [
        (not_accepted, "operator not accepted", "PyFunc"),
        (unlisted, "operator not accepted", "BesselI0e"),
        (float64, "float64", "Cast"),
        (float64_constant, "float64", "Const"),
        (random, "random operator", "RandomStandardNormal"),
        (random_stateless, "random operator", "StatelessRandomUniform"),
        (random_branch, "random operator", "RandomUniform"),
        (while_loop, "while loop", "While"),
        (mapped, "while loop", "While"),
        (mapped, "unsupported type", "variant"),
        (sieve, "unknown shape", "Where"),
        (text, "unsupported type", "string"),
        (text, "operator not accepted", "AsString"),
        (printed, "unsupported type", "StringFormat"),
        (complex_numbers, "unsupported type", "complex64"),
    ],
)
def test_each_rule_is_told_by_name(function, kind, told):
    report = zoolib.npu_check(function, X)
    assert not report.ok
    lines = [line for line in report.problems if line.startswith(f"{kind}: ")]
    assert any(told in line for line in lines), report.problems
    assert report.name == function.__name__ and f"problem: {kind}: " in report.table()


def test_a_rule_of_its_own_is_the_only_one_told():
    for function, kind in ((random, "random operator"), (while_loop, "while loop")):
        assert kinds(zoolib.npu_check(function, X)) == {kind}
    assert kinds(zoolib.npu_check(unlisted, X)) == {"operator not accepted"}


def test_shapes_must_be_known():
    report = zoolib.npu_check(doubled, tf.TensorSpec([None, 3], tf.float32))
    assert kinds(report) == {"unknown shape"} and report.count("unknown shape") >= 2


def test_nested_functions_are_told_however_deep_and_looked_into():
    inner = tf.function(lambda x: x + tf.random.normal([4, 3]))
    middle = tf.function(lambda x: inner(x) * 2.0)

    def outer(x):
        return middle(x) + 1.0

    report = zoolib.npu_check(outer, X)
    assert kinds(report) == {"nested call", "random operator"}
    assert (report.count("nested call"), report.library_functions) == (2, 2)
    assert report.operators["slow_path"] == {"RandomStandardNormal": 1}


def test_a_compiled_function_is_checked_itself_not_as_a_nested_call():
    assert zoolib.npu_check(tf.function(doubled), X).ok
    model = Model()
    model.compiled = tf.function(model.step)
    assert zoolib.npu_check(model.compiled, X, 0.1).ok


def test_branches_are_accepted_and_looked_into():
    def branch(x):
        return tf.cond(tf.reduce_sum(x) > 0.0, lambda: 2.0 * x, lambda: tf.math.lgamma(x))

    report = zoolib.npu_check(branch, X)
    assert report.ok and report.library_functions == 2
    assert [w.split(" (")[0] for w in report.warnings] == ["slow path: Lgamma"]


def test_slow_operators_and_int64_warn_and_pass():
    def slow(x):
        return tf.einsum("ij,kj->ik", x, x), tf.argmax(x, axis=1)

    report = zoolib.npu_check(slow, X)
    assert report.ok
    assert {w.split(":")[0] for w in report.warnings} == {"slow path", "int64"}
    assert report.operators["slow_path"] == {"Einsum": 1}


def test_assertions_may_have_their_text():
    def asserted(x):
        tf.debugging.assert_greater(x, 0.0, message="expected positive numbers")
        return x

    assert zoolib.npu_check(asserted, X).ok


def test_what_a_concatenation_leaves_in_its_gradient_is_folded():
    """ConcatOffset and BroadcastGradientArgs of constants never reach the adapter."""

    def gradient(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = tf.reduce_sum(tf.concat([x, 2.0 * x], axis=1) ** 2.0 + tf.reduce_mean(x, 0)[0])
        return tape.gradient(y, x)

    report = zoolib.npu_check(gradient, X)
    assert report.ok and report.operators["graph_engine"]["ConcatOffset"] == 1
    free = zoolib.npu_check(gradient, tf.TensorSpec([None, 3], tf.float32))
    assert "unknown shape" in kinds(free)


def test_variables_made_in_the_step():
    made = []

    def late(x):
        if not made:
            made.append(tf.Variable(1.0, name="late"))
        return made[0] * x

    report = zoolib.npu_check(late, X)
    assert "variable created in the step" in kinds(report) and "late" in report.problems[0]


def test_resources_that_are_no_variables():
    pairs = tf.lookup.KeyValueTensorInitializer(tf.constant([1, 2]), tf.constant([3, 4]))
    table = tf.lookup.StaticHashTable(pairs, 0)
    report = zoolib.npu_check(lambda keys: table.lookup(keys), tf.TensorSpec([2], tf.int32))
    assert kinds(report) == {"operator not accepted", "unsupported type"}


@pytest.mark.parametrize(
    "feed, retraces",
    [
        (lambda i: (tf.fill([3], float(i)), tf.constant(float(i))), 0),
        (lambda i: (np.full(3, i, np.float32), np.float32(1.0)), 0),
        (lambda i: (tf.zeros([3]), float(i)), 49),
        (lambda i: (tf.zeros([i % 3 + 1]), 1.0), 2),
        (lambda i: (tf.zeros([3], tf.float32 if i else tf.float16), 1.0), 1),
    ],
)
def test_retraces_over_fifty_steps(feed, retraces):
    def scaled(x, rate):
        return x * tf.cast(rate, x.dtype)

    report = zoolib.npu_check(scaled, feed=feed)
    assert report.retraces == retraces and report.ok == (retraces == 0)
    assert kinds(report) == ({"retrace"} if retraces else set())


def test_eager_operations_on_variables_are_counted_per_step():
    v = tf.Variable([1.0, 2.0])

    def feed(i):
        v.assign(v * 0.5)
        return (tf.constant(v.numpy()),)

    report = zoolib.npu_check(doubled, feed=feed, steps=11)
    assert report.eager_variable_operations == 3.0
    assert kinds(report) == {"eager variable operation"}
    assert "AssignVariableOp, 10 in 10 steps" in report.table()


def test_the_counter_sees_variables_only_and_only_while_it_counts():
    v = tf.Variable(1.0)
    inside = tf.function(lambda x: v.assign_add(x) * v)
    inside(tf.constant(1.0))
    with compat.eager_variable_operations() as found:
        inside(tf.constant(1.0))  # a compiled call
        tf.constant(1.0) + 1.0
        assert found == []
        made = tf.Variable(2.0)
        made.assign_add(1.0)
        tf.raw_ops.ReadVariableOp(resource=v.handle, dtype=tf.float32)
    v.numpy()
    found = collections.Counter(found)
    assert found == {
        "VarHandleOp": 1,
        "AssignVariableOp": 1,
        "AssignAddVariableOp": 1,
        "ReadVariableOp": 1,
    }


def test_the_report_as_plain_values():
    report = zoolib.npu_check(random, X, name="a name")
    document = json.loads(json.dumps(report.to_dict()))
    assert document["name"] == "a name" and not document["ok"]
    assert document["problems"] == report.problems
    assert document["random_operators"] == 1 and document["not_accepted"] == 0
    assert document["operators"]["slow_path"] == {"RandomStandardNormal": 1}
    assert document["copies"] == {"in": 1, "out": 1}
    assert (document["retraces"], document["eager_variable_operations_per_step"]) == (0, 0)
    lines = report.table().splitlines()
    assert lines[0] == "a name: not for the NPU as it is"
    for title in npu_ops.CLASSES.values():
        assert any(line.startswith(f"  {title} ") for line in lines)
    assert max(map(len, lines[: len(lines) - len(report.problems)])) <= 100


def test_the_tables():
    assert npu_ops.class_of("MatMul") == "ai_core_float32"
    assert npu_ops.class_of("MaxPoolGradGrad") == "ai_core_float16"
    assert npu_ops.class_of("HcomAllReduce") == "graph_engine"
    assert npu_ops.class_of("TensorListReserve") == "slow_path"
    assert npu_ops.class_of("SegmentMean") == npu_ops.class_of("Unheard") == "not_accepted"
    listed = " ".join(
        getattr(npu_ops, name)
        for name in ("_AI_CORE_FLOAT32", "_AI_CORE_FLOAT16", "_GRAPH_ENGINE", "_SLOW_PATH")
    ).split()
    assert len(set(listed)) == len(listed), "an operator is in two tables"
    assert not set(PROBLEMS) & set(WARNINGS)
    drawn = "RandomUniform StatelessMultinomial TruncatedNormal StatefulUniform RngReadAndSkip"
    assert all(npu_ops.is_random(op) for op in drawn.split())
    plain = "Range Round StatelessIf StatelessWhile StatefulPartitionedCall DropOutDoMask Unpack"
    assert not any(npu_ops.is_random(op) for op in plain.split())
