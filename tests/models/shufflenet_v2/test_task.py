"""Training, evaluation, prediction and export of a run's object."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from zoolib.core.events import Evaluated, Finished, Started, Stepped
from zoolib.errors import ConfigError, DataError
from zoolib.models.shufflenet_v2 import evaluation
from zoolib.models.shufflenet_v2.config import PRESETS
from zoolib.models.shufflenet_v2.evaluation import hits
from zoolib.models.shufflenet_v2.logs import logged
from zoolib.models.shufflenet_v2.sources import make
from zoolib.runtime.device import open_session


@pytest.fixture(scope="module")
def task(small):
    """A smoke task; tests leave its variables as they find them."""
    return small()


def test_three_steps_of_the_reference(small, fill, numbers):
    """Values that the TensorFlow 1.15 code gave (specification, 1.6)."""
    task = small(
        "reference",
        datasource="synthetic",
        image_size=64,
        batch_size=4,
        eval_batch_size=4,
        lr=1e-3,
        iterations=100,
        ema_decay=0.0,
    )
    fill(task.network)
    images = numbers(1000, 4 * 64 * 64 * 3).reshape(4, 64, 64, 3).astype(np.float32)
    rate = task.batch(range(3))["rate"]
    rows = []
    for step in range(3):
        batch = {"images": images, "labels": np.array([3, 7, 11, 999], np.int32)}
        batch = {k: tf.constant(v) for k, v in {**batch, "rate": rate[step]}.items()}
        rows.append({k: float(v) for k, v in task.train_step(batch, {}).items()})
        if step == 0:
            kernel = task.network.stem.kernel.numpy()[0, 0, 0, :3]
    entropy, l2 = ([row[k] for row in rows] for k in ("cross_entropy_loss", "regularization_loss"))
    np.testing.assert_allclose(entropy[0], 7.225157, atol=2e-5)
    np.testing.assert_allclose(l2[0], 0.157780, atol=1e-6)
    np.testing.assert_allclose(rows[0]["loss"], 7.382937, atol=2e-5)
    np.testing.assert_allclose(kernel, [0.095805, 0.197699, 0.406890], atol=1e-5)
    assert entropy[1] == pytest.approx(7.16194, abs=1e-4)
    assert entropy[2] == pytest.approx(7.190, abs=0.02)
    np.testing.assert_allclose(l2[1], 0.157781, atol=1e-6)
    variance = task.network.stem.norm.moving_variance.numpy()[:3]
    np.testing.assert_allclose(variance, [0.936801, 1.026899, 0.974656], atol=1e-5)
    bias = task.network.classifier.bias.numpy()[[0, 1, 2, 3, 7]]
    expected = [-0.058098, -0.052411, -0.016808, 0.005414, 0.074685]
    np.testing.assert_allclose(bias, expected, atol=1e-5)


def test_weight_decay_is_part_of_the_gradient(small):
    """Of kernels, depthwise ones excepted; a first step goes by rate (1 + 0.9) times it."""
    ends, decay = {}, 0.5
    for chosen in (0.0, decay):
        task = small(weight_decay=chosen, ema_decay=0.0)
        start = [v.numpy() for v in task.network.trained]
        feed = {name: tf.constant(rows[0]) for name, rows in task.batch(range(1)).items()}
        task.train_step(feed, {})
        ends[chosen] = [v.numpy() for v in task.network.trained]
    decayed, rate = {v.name for v in task.decayed}, float(feed["rate"])
    assert 0 < len(decayed) < len(start) and rate > 0
    for v, w, plain, pulled in zip(task.network.trained, start, ends[0.0], ends[decay]):
        share = 1.9 * rate * decay if v.name in decayed else 0.0
        np.testing.assert_allclose(pulled - plain, -share * w, atol=2e-6, err_msg=v.name)


def test_label_smoothing(task):
    logits = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
    smoothed = dataclasses.replace(task.config, label_smoothing=0.1)
    target = 0.9 * np.eye(4)[[1, 0, 3]] + 0.1 / 4
    log = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    before, task.config = task.config, smoothed
    found = task.cross_entropy(tf.constant(logits), tf.constant([1, 0, 3])).numpy()
    task.config = before
    np.testing.assert_allclose(found, -(target * log).sum(-1), rtol=1e-5)


def test_hits_count_ties_at_the_border():
    logits = tf.constant([[3.0, 2.0, 2.0, 1.0], [0.0, 1.0, 2.0, 3.0], [1.0, 1.0, 1.0, 1.0]])
    labels = tf.constant([2, 0, 3])
    np.testing.assert_array_equal(hits(logits, labels, 1), [0, 0, 1])
    np.testing.assert_array_equal(hits(logits, labels, 2), [1, 0, 1])
    np.testing.assert_array_equal(hits(logits, labels, 4), [1, 1, 1])


def test_a_step_moves_the_average_as_the_reference_does(small):
    task = small(datasource="synthetic", ema_decay=0.995)
    feed = {k: tf.constant(v[0]) for k, v in task.batch(range(1)).items()}
    bias, sources = task.network.classifier.bias, task.average.sources
    assert len(sources) == 170
    start = bias.numpy().copy()
    task.train_step(feed, task.draws(range(1)))
    shadow = next(s for s, v in zip(task.average.shadows, sources) if v is bias).numpy()
    now = bias.numpy()
    np.testing.assert_allclose(shadow, 2 / 11 * start + 9 / 11 * now, rtol=1e-4, atol=1e-7)


def test_frozen_blocks_do_not_move_and_swa_has_its_statistics(small, tmp_path):
    """Fine-tuning: a new classifier on a frozen network; statistics refreshed where trained."""
    donor = small(datasource="synthetic", num_classes=3, ema_decay=0.0)
    path = tmp_path / "w.npz"
    np.savez(path, **_as_torch(donor.network))
    task = small(
        datasource="synthetic",
        weights=str(path),
        new_classifier=True,
        freeze="stage4",
        swa_start=10,
        swa_every=5,
        swa_lr=0.01,
        ema_decay=0.9,
    )
    assert task.average is None, "SWA stands in for the average"
    assert len(task.averaged_variables()) == 5 and len(task.statistics()) == 2
    kept = task.network.stages[2].units[1].layers[0]
    before = [v.numpy().copy() for v in (kept.kernel, kept.norm.moving_mean)]
    donors = donor.network.stages[2].units[1].layers[0].kernel.numpy()
    np.testing.assert_array_equal(before[0], donors)
    feed = {k: tf.constant(v[0]) for k, v in task.batch(range(12, 13)).items()}
    assert feed["rate"] == np.float32(0.01)
    head = task.network.classifier.kernel.numpy().copy()
    task.train_step(feed, {})
    assert not np.array_equal(task.network.classifier.kernel.numpy(), head)
    for value, variable in zip(before, (kept.kernel, kept.norm.moving_mean)):
        np.testing.assert_array_equal(variable.numpy(), value)
    task.refresh_statistics()
    images = tf.constant(task.source.train.batch(range(1))["images"][0])
    last = task.network.features(images)[3]
    expected = task.network.last.convolved(last).numpy().reshape(-1, 512)
    mean, variance = (v.numpy() for v in task.statistics())
    np.testing.assert_allclose(mean, expected.mean(0), atol=1e-4)
    np.testing.assert_allclose(variance, expected.var(0, ddof=1), rtol=1e-3, atol=1e-5)


def _as_torch(network) -> dict[str, np.ndarray]:
    """A state dict in torchvision's form."""
    from zoolib.models.shufflenet_v2.weights import _torch_places

    parts = {c.layer.name: c for c in network.convolutions}
    state = {}
    for layer, place, norm in _torch_places(network.architecture, False):
        if layer.kind == "dense":
            state[f"{place}.weight"] = network.classifier.kernel.numpy().T
            state[f"{place}.bias"] = network.classifier.bias.numpy()
            continue
        part = parts[layer.name]
        order = (2, 3, 0, 1) if layer.kind == "depthwise" else (3, 2, 0, 1)
        state[f"{place}.weight"] = part.kernel.numpy().transpose(order)
        theirs = ("weight", "bias", "running_mean", "running_var")
        mine = (part.norm.gamma, part.norm.beta, part.norm.moving_mean, part.norm.moving_variance)
        state.update({f"{norm}.{n}": v.numpy() for n, v in zip(theirs, mine)})
    return state


def test_evaluation_looks_at_every_image_once(task):
    """200 images in batches of 64: the last one is filled up."""
    metrics = task.evaluate()
    test = task.source.test
    assert test.count == 200 and test.batch_size == 64
    with evaluation.averaged(task):
        images = np.concatenate([b["images"] for b in test.evaluation()])[:200]
        labels = np.concatenate([b["labels"] for b in test.evaluation()])[:200]
        logits = task.network(tf.constant(images)).numpy().astype(np.float64)
        decay = sum(0.5 * np.sum(np.square(v.numpy().astype(np.float64))) for v in task.decayed)
    entropy = np.log(np.exp(logits).sum(1)) - logits[np.arange(200), labels]
    assert metrics["top1"] == pytest.approx((logits.argmax(1) == labels).mean(), abs=1e-12)
    assert metrics["top5"] == 1.0
    assert metrics["cross_entropy"] == pytest.approx(entropy.mean(), rel=1e-4)
    expected = entropy.mean() + task.config.weight_decay * decay
    assert metrics["eval_loss"] == pytest.approx(expected, rel=1e-4)
    assert task.evaluate() == metrics


def test_sharded_evaluation_is_that_of_one_process(task, monkeypatch):
    """Three ranks: what each found is summed, as the collective would."""
    alone = task.evaluate()
    session, parts = task.session, []
    whole = task.source
    for rank in range(3):
        monkeypatch.setattr(task, "source", make(task.config, rank, 3))
        monkeypatch.setitem(task._compiled, "total", lambda rows: parts.append(rows) or rows)
        task.evaluate()
    total = sum(part.numpy() for part in parts)
    monkeypatch.setattr(task, "source", whole)
    monkeypatch.setitem(task._compiled, "total", lambda rows: tf.constant(total))
    together = task.evaluate()
    assert task.session is session
    assert together["top1"] == alone["top1"] and together["top5"] == alone["top5"]
    assert together["cross_entropy"] == pytest.approx(alone["cross_entropy"], rel=1e-6)


def test_an_evaluation_leaves_the_weights_alone(task):
    before = [v.numpy().copy() for v in (*task.average.sources[:3], *task.average.shadows[:3])]
    task.evaluate()
    after = [v.numpy() for v in (*task.average.sources[:3], *task.average.shadows[:3])]
    for a, b in zip(before, after):
        np.testing.assert_array_equal(a, b)


def test_predictions_on_files_and_arrays(task, tmp_path):
    images = next(task.source.test.evaluation())["images"][:3]
    path = tmp_path / "picture.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (50, 70), np.uint8)).save(path)
    found = task.predict([path, str(path)])
    assert found[0].names == found[1].names and str(path) in str(found[0])
    assert set(found[0].names) == set(task.source.names)
    assert sum(found[0].probabilities) == pytest.approx(1.0, abs=1e-5)
    assert list(found[0].probabilities) == sorted(found[0].probabilities, reverse=True)
    with evaluation.averaged(task):
        logits = task.network(tf.constant(images)).numpy()
    assert [p.numbers[0] for p in task.predict(images)] == list(logits.argmax(1))
    with pytest.raises(DataError, match=r"images: expected \[N, 32, 32, 3\]"):
        task.predict(np.zeros((1, 64, 64, 3), np.float32))
    with pytest.raises(DataError, match="expected a picture"):
        task.predict(tmp_path / "missing.jpg")
    (tmp_path / "broken.jpg").write_bytes(path.read_bytes()[:40])
    with pytest.raises(DataError, match="expected a picture"):
        task.predict(tmp_path / "broken.jpg")


def test_the_exported_module_says_what_the_network_says(task):
    images = tf.constant(next(task.source.test.evaluation())["images"][:4])
    module = task.export_module()
    with evaluation.averaged(task):
        expected = task.network(images).numpy()
    served = module.predict(images)
    np.testing.assert_allclose(served["logits"], expected, atol=1e-4)
    np.testing.assert_array_equal(served["classes"], expected.argmax(1))
    np.testing.assert_allclose(tf.reduce_sum(served["probabilities"], -1), 1.0, rtol=1e-5)
    told = module.classify(images)
    best = [task.source.names[i] for i in expected.argmax(1)]
    assert [name.decode() for name in told["names"].numpy()[:, 0]] == best
    assert not module.trainable_variables


def test_dropout_is_data(small):
    task = small(datasource="synthetic", dropout=0.25)
    keep = task.draws(range(40))["keep"]
    assert keep.shape == (40, 16, 512) and set(np.unique(keep)) == {0.0, np.float32(1 / 0.75)}
    assert keep.mean() == pytest.approx(1.0, abs=0.01)
    np.testing.assert_array_equal(task.draws(range(7, 9))["keep"], keep[7:9])


def test_steps_do_not_depend_on_how_they_are_asked_for(task):
    whole = task.batch(range(10, 14))
    for step in range(10, 14):
        one = task.batch(range(step, step + 1))
        for name, values in one.items():
            np.testing.assert_array_equal(values[0], whole[name][step - 10])
    assert whole["images"].dtype == np.float32 and whole["images"].shape == (4, 16, 32, 32, 3)


def test_bad_data(small, tmp_path):
    with pytest.raises(ConfigError, match="batch_size: expected at most 8"):
        small(shapes_per_class=2, batch_size=64)
    with pytest.raises(DataError):
        small(datasource="records", data_dir=str(tmp_path / "none"))
    with pytest.raises(DataError, match="expected a TensorFlow checkpoint"):
        small(datasource="synthetic", weights=str(tmp_path / "none"))


def test_logs_in_the_seed_documents_layout(tmp_path):
    config = PRESETS["smoke"]().replace(log_dir=str(tmp_path), log_name="alexnet_training.log")
    row = {"loss": 1.5, "cross_entropy_loss": 1.25, "learning_rate": 0.05}
    metrics = {"top1": 0.75, "top5": 1.0, "eval_loss": 0.5, "cross_entropy": 0.4}
    events = [
        Started(0, total=60, folder=Path("x"), device="cpu", precision="float32", config=config),
        Stepped(5, {"step": 5, **row}, 10.0, True),
        Stepped(6, {"step": 6, **row}, 20.0, False),
        Evaluated(60, metrics),
        Finished(60, folder=Path("x"), metrics=metrics, seconds=6.0, steps_per_second=10.0),
    ]
    assert list(logged(iter(events))) == events
    folder = tmp_path / "output" / "0"
    told = (folder / "train_0.log").read_text()
    assert "global_step/sec: 10.0" in told and "loss = 1.5000000, step = 5" in told
    assert "accuracy = 0.750000, global_step = 60" in told
    case = "ShuffleNetV2_bs16_1p_acc"
    assert (folder / f"train_{case}_loss.txt").read_text() == "1.5000000\n"
    values = dict(line.split(" = ") for line in (folder / f"{case}.log").read_text().splitlines())
    assert values["ActualFPS"] == "320.00" and values["TrainingTime"] == "50.00"
    assert values["TrainAccuracy"] == "0.750000" and values["ActualLoss"] == "1.5000000"
    assert list(values)[:5] == ["Network", "RankSize", "BatchSize", "DeviceType", "CaseName"]
    assert "images/s 160.0" in (tmp_path / "alexnet_training.log").read_text()


def test_no_logs_unless_asked_for():
    config = PRESETS["smoke"]()
    start = Started(0, total=60, folder=Path("x"), device="cpu", precision="float32", config=config)
    events = [start, Evaluated(60, {"top1": 1.0})]
    assert list(logged(events)) == events


def test_a_session_of_two_ranks_scales_the_rate(small):
    task = small(datasource="synthetic", lr_scaling="linear")
    plain = task.rates(range(3))
    task.session = open_session("cpu")
    task.session.size = 2
    np.testing.assert_allclose(task.rates(range(3)), 2 * plain, rtol=1e-6)
    assert "on 2 device(s)" in task.remarks()[0]
