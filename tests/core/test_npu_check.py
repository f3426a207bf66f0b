"""`npu-check`: real steps of real methods, and what it says of a method that is not fit."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tensorflow as tf

import zoolib
from zoolib.cli import main
from zoolib.core.npu_check import TRAINING, check_model

SMALL = {"meta_batch_size": 2, "shots": 2, "queries": 1, "test_tasks": 3, "test_updates": 2}
IMAGES = {**SMALL, "datasource": "glyphs", "shots": 1, "num_filters": 2, "norm": "batch_norm"}
VARIANTS = "maml tnet mnet mtnet mnet_full mtnet_full".split()
MTNET = {
    **{f"sinusoid {name}": {"variant": name} for name in VARIANTS},
    "several inner steps": {"num_updates": 2, "variant": "mtnet_full"},
    "first order": {"first_order": True},
    "batch norm": {"norm": "batch_norm"},
    "layer norm": {"norm": "layer_norm"},
    "oracle": {"baseline": "oracle"},
    "polynomial": {"datasource": "polynomial", "poly_order": 2},
    "pretraining": {"pretrain_iterations": 3, "clip": 1.0},
    "static loss scale": {"loss_scale": "static"},
    "dynamic loss scale": {"loss_scale": "dynamic", "pretrain_iterations": 3},
    "glyphs, strided": IMAGES,
    "glyphs, pooled": {**IMAGES, "max_pool": True},
    "glyphs, full masks": {**IMAGES, "variant": "mtnet_full", "num_updates": 2},
    "glyphs, layer norm": {**IMAGES, "norm": "layer_norm", "variant": "tnet"},
    "glyphs, dense": {**IMAGES, "conv": False, "variant": "maml"},
}


@pytest.mark.parametrize("name", MTNET)
def test_mtnet_suits_the_npu(name):
    config = zoolib.get_model("mtnet").preset("smoke", **{**SMALL, **MTNET[name]})
    report = check_model(config)
    assert report.ok and report.problems == []
    assert list(report.functions)[0] == TRAINING
    assert any(title.startswith("evaluation") for title in report.functions)
    for each in report.functions.values():
        kinds = "operator not accepted, unknown shape, float64, int64, random operator".split(", ")
        assert [each.count(kind) for kind in kinds] == [0] * 5
        assert (each.retraces, each.eager_variable_operations, each.steps) == (0, 0, 50)
        # The finiteness test of the loss scale, once, is all that is slow.
        scaled = each.name == TRAINING and config.loss_scale != "none"
        assert each.operators["slow_path"] == ({"IsFinite": 1} if scaled else {})
        assert "ConcatOffset" not in each.operators["graph_engine"]
    training = report.functions[TRAINING]
    assert training.copies["out"] == 2 and training.variables > 0
    pools = training.operators["ai_core_float16"].get("MaxPoolGradGrad", 0)
    assert (pools > 0) == config.max_pool


def test_every_shape_of_an_evaluation_is_looked_at():
    """With a mask for each parameter sampled masks come per inner step: a graph of their own."""
    names = []
    for variant in ("maml", "mtnet", "mtnet_full"):
        config = zoolib.get_model("mtnet").preset("smoke", variant=variant, **SMALL)
        names.append(list(check_model(config, steps=2).functions)[1:])
    sampled, expected = "evaluation, sampled masks", "evaluation, expected masks"
    assert names[0] == ["evaluation"]
    assert names[1] == [sampled, "mask logits"]
    assert names[2] == [sampled, expected, "mask logits"]


# ---- methods that are not fit


@pytest.fixture
def spoil(line, monkeypatch):
    """Changes a function of the small method `line` for the time of a test."""
    task = line.task_class()

    def change(name, make):
        monkeypatch.setattr(task, name, make(getattr(task, name)))

    return change


def noisy(step):
    def changed(self, batch, draws):
        terms = step(self, batch, draws)
        return {**terms, "penalty": terms["penalty"] + tf.random.uniform([])}

    return changed


def peeking(draws):
    def changed(self, steps):
        self.w.numpy()
        return draws(self, steps)

    return changed


def growing(draws):
    def changed(self, steps):
        found = draws(self, steps)
        return {k: np.repeat(v, 1 + steps.start % 2, axis=1) for k, v in found.items()}

    return changed


def evaluated(_):
    def changed(self):
        spec = tf.TensorSpec([None, 3], tf.float32)
        return {"evaluation": (lambda x: tf.reduce_sum(self.predict(x)), (spec,))}

    return changed


@pytest.mark.parametrize(
    "name, make, told",
    [
        ("train_step", noisy, f"{TRAINING}: random operator: RandomUniform"),
        ("draws", peeking, f"{TRAINING}: eager variable operation: ReadVariableOp, 49 in 49 steps"),
        ("draws", growing, f"{TRAINING}: retrace: 2 traces in 50 steps"),
        ("evaluation_functions", evaluated, "evaluation: unknown shape: Placeholder (None, 3)"),
    ],
)
def test_what_is_wrong_is_told(line, spoil, name, make, told):
    assert check_model(line.preset("smoke")).ok
    spoil(name, make)
    report = check_model(line.preset("smoke"))
    assert not report.ok and report.problems[0].startswith(told)
    assert len({problem.split(":")[1] for problem in report.problems}) == 1
    assert report.table().endswith(f"line, preset smoke: {len(report.problems)} problems")


def test_a_step_in_a_loop_is_checked_as_single_steps(line):
    """The NPU gets one step per call, whatever the device here would."""
    report = check_model(line.preset("smoke", looped=True))
    assert report.ok and report.functions[TRAINING].count("while loop") == 0


# ---- the command


def test_status_0_and_a_table(capfd, line):
    assert main("npu-check line --preset smoke --rate 0.5 --device npu --obs_dir x".split()) == 0
    out, _ = capfd.readouterr()
    assert out.startswith("training step: ready for the NPU")
    assert out.endswith("line, preset smoke: ready for the NPU\n")


def test_json_has_every_figure(capfd, line):
    assert main("npu-check line --json --width 5".split()) == 0
    out, _ = capfd.readouterr()
    document = json.loads(out)
    assert (document["model"], document["preset"], document["ok"]) == ("line", "tutorial", True)
    assert document["settings"]["width"] == 5
    training = document["functions"][TRAINING]
    assert training["operators"]["ai_core_float32"]["MatMul"] >= 2
    for name in "not_accepted unknown_shapes float64 random_operators retraces".split():
        assert training[name] == 0


def test_status_1_for_a_step_that_is_not_fit(capfd, line, spoil):
    spoil("train_step", noisy)
    assert main(["npu-check", "line"]) == 1
    out, _ = capfd.readouterr()
    assert "problem: random operator: RandomUniform (1 node, first " in out
    assert main(["npu-check", "line", "--json"]) == 1
    assert json.loads(capfd.readouterr()[0])["ok"] is False


@pytest.mark.parametrize(
    "words, told",
    [
        ("", "npu-check: expected a model, one of "),
        ("--json", "npu-check: expected a model, one of "),
        ("mtent", "model: expected one of "),
        ("mtnet --preset huge", "preset: expected one of "),
        ("mtnet --shots 0", "shots: expected an integer from 1 to 1000, got '0'"),
        ("mtnet --shotz 3", "unrecognized arguments: --shotz 3"),
        ("mtnet --datasource omniglot --data_dir nowhere", "nowhere/omniglot"),
    ],
)
def test_status_2_for_bad_input(capfd, words, told):
    assert main(["npu-check", *words.split()]) == 2
    out, err = capfd.readouterr()
    assert out == "" and err.count("\n") == 1 and err.startswith("zoolib: ") and told in err


def test_help_names_the_models(capfd):
    assert main(["npu-check", "--help"]) == 0
    assert "mtnet" in capfd.readouterr()[0]
