"""Each baseline's step against what its paper says, from logits of the network itself."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from zoolib.models.realmix.baselines import BASELINES, kl, unit
from zoolib.models.realmix.trainer import scaled


def softmax(z):
    e = np.exp(z - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def settled(built, feed, method, **changes):
    """A task some steps on, and the feeds of the next one."""
    task = built(method=method, iterations=20, lr=0.05, ema_decay=0.8, ramp_images=6, **changes)
    for step in range(4):
        task.train_step(*feed(task, step))
    return task, *feed(task, 4)


def logits(task, images, averaged=False):
    if not averaged:
        return task.network(images, training=True, update=False).numpy()
    with task.evaluator.averaged():
        return task.network(images, training=True, update=False).numpy()


def cross_entropy(task, batch):
    z = logits(task, scaled(batch["x"]))
    return -np.log(softmax(z)[np.arange(len(z)), batch["labels"].numpy()]).mean()


def test_supervised(built, feed):
    task, batch, draws = settled(built, feed, "supervised")
    assert "u" not in batch
    expected = cross_entropy(task, batch)
    assert float(task.train_step(batch, draws)["loss"]) == pytest.approx(expected, rel=1e-4)


def test_supervised_with_mixup(built, feed):
    task, batch, draws = settled(built, feed, "supervised_mixup")
    x, w = scaled(batch["x"]).numpy(), draws["weight"].numpy()[:6]
    y = np.eye(10)[batch["labels"].numpy()]
    mixed = w[:, None, None, None] * x + (1 - w)[:, None, None, None] * x[::-1]
    target = w[:, None] * y + (1 - w)[:, None] * y[::-1]
    z = logits(task, tf.constant(mixed, tf.float32))
    expected = -(target * np.log(softmax(z))).sum(1).mean()
    assert float(task.train_step(batch, draws)["loss"]) == pytest.approx(expected, rel=1e-4)


def test_pi_model_and_mean_teacher(built, feed):
    for method, averaged in (("pi_model", False), ("mean_teacher", True)):
        task, batch, draws = settled(built, feed, method)
        u = scaled(batch["u"])
        target = softmax(logits(task, u[0], averaged))
        expected = ((softmax(logits(task, u[1])) - target) ** 2).mean()
        labelled = cross_entropy(task, batch)
        before = [v.numpy() for v in task.average.shadows]
        found = task.train_step(batch, draws)
        assert float(found["unlabelled_loss"]) == pytest.approx(expected, rel=1e-3)
        total = labelled + task.config.unlabelled_weight * expected
        assert float(found["loss"]) == pytest.approx(total, rel=1e-3)
        for old, shadow, v in zip(before, task.average.shadows, task.average.sources):
            np.testing.assert_allclose(shadow, 0.8 * old + 0.2 * v.numpy(), atol=1e-6)


def test_pseudo_labels_are_masked_row_by_row(built, feed):
    task, batch, draws = settled(built, feed, "pseudo_label")
    p = softmax(logits(task, scaled(batch["u"][0])))
    middle = float(np.sort(p.max(1))[2:4].mean())
    task.config = task.config.replace(confidence=middle)
    sure = p.max(1) > middle
    assert sure.sum() == 3
    expected = (-np.log(p.max(1)) * sure).mean()
    found = task.train_step(batch, draws)
    assert float(found["unlabelled_loss"]) == pytest.approx(expected, rel=1e-3)


def test_vat_moves_images_where_predictions_change(built, feed):
    task, batch, draws = settled(built, feed, "vat", vat_radius=2.0)
    u1, u2 = scaled(batch["u"])
    moved, p = task.question(u1, u2, draws)
    r = (moved - u1).numpy().reshape(6, -1)
    np.testing.assert_allclose(np.linalg.norm(r, axis=1), 2.0, rtol=1e-3)
    np.testing.assert_allclose(p, softmax(logits(task, u1)), atol=1e-5)
    against = float(kl(p, tf.constant(logits(task, moved))))
    random = u1 + 2.0 * unit(draws["noise"])
    assert against > 1.5 * float(kl(p, tf.constant(logits(task, random))))
    noise = np.concatenate([task.draws(range(i, i + 1))["noise"].ravel() for i in range(4)])
    assert abs(noise.mean()) < 0.05 and noise.std() == pytest.approx(1.0, abs=0.05)
    found = task.train_step(batch, draws)
    assert float(found["unlabelled_loss"]) == pytest.approx(against, rel=0.02)


def test_ict_mixes_images_and_the_teachers_answers(built, feed):
    task, batch, draws = settled(built, feed, "ict")
    u1, w = scaled(batch["u"][0]).numpy(), draws["weight"].numpy()[6:12]
    answer = softmax(logits(task, tf.constant(u1), averaged=True))
    mixed = w[:, None, None, None] * u1 + (1 - w)[:, None, None, None] * u1[::-1]
    target = w[:, None] * answer + (1 - w)[:, None] * answer[::-1]
    expected = ((softmax(logits(task, tf.constant(mixed, tf.float32))) - target) ** 2).mean()
    found = task.train_step(batch, draws)
    assert float(found["unlabelled_loss"]) == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("method", BASELINES)
def test_the_labelled_batch_alone_moves_batch_norm(built, feed, method):
    task = built(method=method, lr=0.0, bn_momentum=0.9)
    batch, draws = feed(task)
    task.train_step(batch, draws)
    images = task.tuning_rows(batch, draws)[0]
    stem = task.network.stem(images).numpy()
    norm = task.network.norms[0]
    np.testing.assert_allclose(norm.moving_mean, 0.1 * stem.mean((0, 1, 2)), atol=1e-5)
    assert set(task.train_step(batch, draws)) == set(task.terms)


@pytest.mark.parametrize("method", ["supervised_mixup", "mean_teacher", "vat"])
def test_they_suit_an_npu(method):
    import zoolib
    from zoolib.core.npu_check import check_model

    config = zoolib.get_model("realmix").preset(
        "smoke", method=method, filters=4, scales=1, batch_size=6
    )
    report = check_model(config, steps=2)
    assert report.problems == []
