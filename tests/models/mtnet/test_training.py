"""Adam, clipping, schedules, normalisation, checkpoint state and resuming."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

import zoolib
from zoolib.core.events import Started
from zoolib.data.episodes import EpisodeSampler
from zoolib.data.image_classes import ImageClasses
from zoolib.errors import StoreError
from zoolib.models.mtnet.config import MTNetConfig
from zoolib.nn.normalise import standardise
from zoolib.optim.schedules import schedule
from zoolib.runtime import compat

GOLDEN_LOSSES = [4.8283567, 2.3798976, 6.7913227, 3.1824021]
PARAMETERS = ["T1", "T2", "T3", "W1", "W2", "W3", "b1", "b2", "b3", "zeta1", "zeta2", "zeta3"]
GOLDEN_NAMES = [
    *PARAMETERS[:6],
    "adam/count",
    *(f"adam/m/{name}" for name in PARAMETERS),
    *(f"adam/v/{name}" for name in PARAMETERS),
    *PARAMETERS[6:],
]


def take(task, steps: range, reference) -> list[float]:
    """Train, and return the losses."""
    batch, draws, losses = task.batch(steps), task.draws(steps), []
    for i in range(len(steps)):
        arrays = ({k: v[i] for k, v in group.items()} for group in (batch, draws))
        losses.append(float(task.train_step(*map(reference.tensors, arrays))["loss"]))
    return losses


def test_state_holds_the_optimizer_under_stable_unique_names(build, reference):
    """The golden list is what files of both TensorFlows hold (bug 8 of the earlier code)."""
    task = build(variant="mtnet")
    assert sorted(task.state()) == GOLDEN_NAMES
    take(task, range(1), reference)
    assert sorted(task.state()) == GOLDEN_NAMES
    for name, variable in task.state().items():
        kind = name.split("/")[1] if name.startswith("adam") else None
        parameter = task.state()[name.split("/")[-1]] if kind != "count" else variable
        assert variable.dtype == tf.float32 and variable.shape == parameter.shape
    assert np.abs(task.state()["adam/m/T2"].numpy()).max() > 0


@pytest.mark.parametrize(
    "settings",
    [
        dict(variant="mtnet_full", pretrain_iterations=2, loss_scale="dynamic"),
        dict(variant="mtnet", norm="layer_norm"),
        dict(variant="tnet", norm="batch_norm"),
    ],
)
def test_every_variable_has_a_name_of_its_own(build, settings):
    task = build(**settings)
    assert len(task.state()) == len(task.variables)
    assert {id(v) for v in task.state().values()} == {id(v) for v in task.variables}


def test_first_losses_are_golden(build, reference):
    """On every machine and TensorFlow: weights, tasks, noise and Adam together."""
    task = build(variant="mtnet", dim_hidden=40, meta_batch_size=4, shots=10, queries=10)
    np.testing.assert_allclose(take(task, range(4), reference), GOLDEN_LOSSES, rtol=1e-4)


def test_a_cut_run_goes_on_with_the_same_numbers(build, reference):
    whole, one, other = (build(variant="mtnet_full") for _ in range(3))
    losses = take(whole, range(6), reference)
    assert take(one, range(3), reference) == losses[:3]
    for name, variable in one.state().items():
        other.state()[name].assign(variable)
    assert take(other, range(3, 6), reference) == losses[3:]
    for name, variable in other.state().items():
        np.testing.assert_array_equal(variable.numpy(), whole.state()[name].numpy())
    forgetful = build(variant="mtnet_full")  # the earlier code's resume: Adam from zero
    for name, variable in one.state().items():
        if not name.startswith("adam"):
            forgetful.state()[name].assign(variable)
    take(forgetful, range(3, 6), reference)
    assert (forgetful.network.theta[2].numpy() != whole.network.theta[2].numpy()).any()


def test_resuming_through_files(tmp_path, monkeypatch):
    """In a folder called "model" (bug 4); a finished run resumes to nothing (bug 2)."""
    monkeypatch.setattr(compat, "loops_under_xla", lambda: False)  # three compilations less
    config = MTNetConfig(
        iterations=8, report_every=2, checkpoint_every=2, dim_hidden=4, test_tasks=4, test_updates=1
    )
    out = tmp_path / "my_model_7"
    whole = zoolib.train(config, "cpu", out=out, progress=False)
    assert whole.folder.is_dir() and [row["step"] for row in whole.history] == [2, 4, 6, 8]
    events = zoolib.run(config, "cpu", out=out)
    folder = next(event.folder for event in events if isinstance(event, Started))
    assert folder != whole.folder
    while next(events).step < 4:
        pass
    events.close()
    resumed = zoolib.train(resume=folder, device="cpu", progress=False)
    assert resumed.history == whole.history and resumed.metrics == whole.metrics
    again = zoolib.train(resume=folder, device="cpu", progress=False)
    assert again.history == whole.history and again.metrics == whole.metrics
    for name, value in whole.task.state().items():
        np.testing.assert_array_equal(value.numpy(), again.task.state()[name].numpy())


def test_runs_whose_seed_names_collide_stay_apart(tmp_path):
    """Bug 9 of the earlier code: they silently resumed each other. Bug 15: nothing is invented."""
    folders = []
    for meta_lr in (0.001, 0.01):
        events = zoolib.run(MTNetConfig(meta_lr=meta_lr), "cpu", out=tmp_path)
        folders.append(next(events).folder)
        events.close()
    assert folders[0] != folders[1]
    with pytest.raises(StoreError, match="meta_lr"):
        next(zoolib.run(MTNetConfig(meta_lr=0.01), "cpu", resume=folders[0]))
    for file in (folders[0] / "checkpoints").rglob("*"):
        if file.is_file():
            file.unlink()
    with pytest.raises(StoreError):
        zoolib.load(folders[0]).task.evaluate()


def test_adam_over_all_parameters_by_formula(recorded, build, reference):
    task, step = recorded(variant="mtnet", norm="layer_norm", update_lr=0.1)
    real = build(variant="mtnet", norm="layer_norm", update_lr=0.1)
    batch, draws = (reference.first(a) for a in (task.batch(range(1)), task.draws(range(1))))
    before = reference.values_of(real.network.trainable_variables)
    assert set(before) == set(PARAMETERS) | {"scale1", "scale2", "offset1", "offset2"}
    _, slopes = step(batch, draws)
    real.train_step(reference.tensors(batch), reference.tensors(draws))
    for name, g in slopes.items():
        m, v = 0.1 * g, 0.001 * g.astype("f8") ** 2
        wanted = before[name] - 0.001 * np.sqrt(0.001) / 0.1 * m / (np.sqrt(v) + 1e-8)
        found = real.state()[name].numpy()
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-7, err_msg=name)


def test_clipping_is_per_element_and_after_unscaling(recorded, reference):
    found = {}
    for kind in ({}, {"clip": 0.02}, {"clip": 0.02, "loss_scale": "static"}):
        task, step = recorded(variant="mtnet", **kind)
        batch, draws = (reference.first(a) for a in (task.batch(range(1)), task.draws(range(1))))
        for w in task.network.theta:
            w.assign(np.random.RandomState(0).normal(size=tuple(w.shape)))
        found[len(kind)] = step(batch, draws)[1]
    for name, value in found[0].items():
        wanted = np.clip(value, -0.02, 0.02)
        np.testing.assert_allclose(found[1][name], wanted, rtol=1e-6)
        np.testing.assert_allclose(found[2][name], wanted, rtol=1e-3, atol=1e-7)
    assert max(np.abs(v).max() for v in found[0].values()) > 0.1


def test_cosine_decay():
    rates = schedule("cosine", 0.001, range(0, 101), 100)
    np.testing.assert_allclose(rates[[0, 25, 50, 100]], [1e-3, 8.5355339e-4, 5e-4, 0], atol=1e-9)
    np.testing.assert_array_equal(schedule("cosine", 0.001, range(40, 50), 100), rates[40:50])
    assert (schedule("constant", 0.5, range(3), 100) == 0.5).all()


def test_the_schedule_reaches_the_step(build):
    task = build(meta_lr_decay="cosine", iterations=10, meta_lr=0.1)
    np.testing.assert_allclose(task.batch(range(5, 6))["beta"], [0.05], rtol=1e-6)


def test_normalisation_by_formula():
    x = np.random.RandomState(0).normal(2.0, 3.0, size=(2, 5, 4)).astype("f4")
    for axes, epsilon in (([1], 1e-3), ([2], 1e-12)):
        mean, var = x.mean(tuple(axes), keepdims=True), x.var(tuple(axes), keepdims=True)
        wanted = (x - mean) / np.sqrt(var + epsilon)
        np.testing.assert_allclose(standardise(x, axes, epsilon), wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("norm", ["batch_norm", "layer_norm"])
def test_hidden_layers_are_normalised_after_t_and_before_relu(build, reference, norm):
    task = build(variant="tnet", norm=norm, meta_batch_size=2)
    source = np.random.RandomState(0)
    for v in task.network.trainable_variables:
        v.assign(source.normal(size=tuple(v.shape)))
    p = reference.values_of(task.network.trainable_variables)
    x = source.normal(size=(2, 6, 1)).astype("f4")
    h = x
    for n in "12":
        h = (h @ p["W" + n] + p["b" + n]) @ p["T" + n]
        axis, epsilon = (1, 1e-3) if norm == "batch_norm" else (2, 1e-12)
        h = (h - h.mean(axis, keepdims=True)) / np.sqrt(h.var(axis, keepdims=True) + epsilon)
        h = np.maximum(h * p.get("scale" + n, 1.0) + p["offset" + n], 0)
    wanted = (h @ p["W3"] + p["b3"]) @ p["T3"]
    found = task.network(task.network.tasks_own(2), x)
    np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-4)


def test_no_class_is_left_out():
    """Bug 5 of the earlier code: "all classes" was all but the last."""
    images = np.zeros((60, 2, 2, 1), np.uint8)
    classes = ImageClasses.from_arrays(
        images, np.repeat(np.arange(12), 5), [f"c{i:02d}" for i in range(12)]
    )
    sampler = EpisodeSampler(
        classes, ways=5, shots=1, queries=1, rotate=False, seed=0, split_name="train"
    )
    index = sampler.indices(range(100), 4)
    assert set(np.unique(index["classes"])) == set(range(12))
    assert set(np.unique(np.concatenate([index["support"], index["query"]]))) == set(range(60))
