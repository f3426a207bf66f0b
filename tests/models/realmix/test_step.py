"""One training step: order of updates, batch norm's one update, losses against NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from zoolib.models.realmix.mixing import interleave
from zoolib.models.realmix.trainer import scaled
from zoolib.nn.layers import kernels


def softmax(z):
    e = np.exp(z - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def values_of(variables):
    return [v.numpy() for v in variables]


def test_images_become_minus_one_to_one():
    found = scaled(tf.constant([0, 255, 51], tf.uint8)).numpy()
    np.testing.assert_allclose(found, [-1.0, 1.0, -0.6], atol=1e-6)


def by_hand(task, batch, draws):
    """Terms of a step in NumPy, from logits of the network itself, one batch at a time."""
    config, B, C = task.config, task.config.batch_size, task.classes
    x = batch["x"].numpy() * (2 / 255) - 1
    u = batch["u"].numpy() * (2 / 255) - 1

    def logits(images):
        images = tf.constant(images, tf.float32)
        return task.network(images, training=True, update=False).numpy()

    p = (softmax(logits(u[0])) + softmax(logits(u[1]))) / 2
    q = p**2 / (p**2).sum(1, keepdims=True)
    images = np.concatenate([x, u[0], u[1]])
    targets = np.concatenate([np.eye(C)[batch["labels"].numpy()], q, q])
    w, partner = draws["weight"].numpy(), draws["partner"].numpy()
    images = w[:, None, None, None] * images + (1 - w)[:, None, None, None] * images[partner]
    targets = w[:, None] * targets + (1 - w)[:, None] * targets[partner]
    order = interleave(tf.range(3 * B)).numpy()
    z = np.concatenate([logits(images[order][i : i + B]) for i in (0, B, 2 * B)])[order]
    labelled = -(targets[:B] * np.log(softmax(z[:B]))).sum(1)
    eta = batch["eta"].numpy()
    kept = ((targets[:B] > 0) & (softmax(z[:B]) < eta * targets[:B])).any(1)
    d = ((targets[B:] - softmax(z[B:])) ** 2).sum(1)
    confidence = softmax(z[B:]).max(1)
    threshold = np.sort(confidence)[int(np.float32(2 * B) * np.float32(config.mask_fraction))]
    inside = confidence > threshold
    l_x = labelled[kept].sum() / max(kept.sum(), 1)
    l_u = d[inside].sum() / max(C * inside.sum(), 1)
    return {
        "labelled_loss": l_x,
        "unlabelled_loss": l_u,
        "loss": l_x + batch["lambda_u"].numpy() * l_u,
        "labelled_kept": kept.mean(),
        "unlabelled_kept": inside.mean(),
    }


def test_a_step_is_the_papers(built, feed):
    task = built(iterations=10, lr=0.03, batch_size=7)
    for step in range(4):
        expected = by_hand(task, *feed(task, step))
        found = task.train_step(*feed(task, step))
        for name, value in expected.items():
            assert found[name].numpy() == pytest.approx(value, abs=2e-5), (step, name)
    assert 0 < found["labelled_kept"].numpy() <= 1
    assert found["unlabelled_kept"].numpy() == pytest.approx(10 / 14)


def test_decay_then_adam_then_average(built, feed):
    """Spec 1.8, with the gradients of the step itself."""
    task = built(lr=0.01, weight_decay=0.02, ema_decay=0.9)
    w = task.optimizer.variables_trained
    before, taken = values_of(w), []
    for shadow, value in zip(task.average.shadows, before):
        np.testing.assert_array_equal(shadow, value)
    improve = task.improve
    task.improve = lambda g, rate: (taken.extend(g), improve(g, rate))
    task.train_step(*feed(task))
    decayed = {id(v) for v in kernels(task.network)}
    factor = np.float32(1 - 0.01 * 0.02)
    root = np.sqrt(1 - 0.999) / (1 - 0.9)
    for v, start, g, shadow in zip(w, before, taken, task.average.shadows):
        p = start * factor if id(v) in decayed else start
        g = np.zeros(v.shape, "f4") if g is None else g.numpy()
        p = p - 0.01 * root * (0.1 * g) / (np.sqrt(0.001 * g**2) + 1e-8)
        np.testing.assert_allclose(v, p, atol=1e-6)
        np.testing.assert_allclose(shadow, 0.9 * start + 0.1 * v.numpy(), atol=1e-6)


def test_the_papers_decay_is_0_99996_on_kernels_only(built):
    task = built(lr=0.002)
    assert 1 - task.config.lr * task.optimizer.weight_decay == pytest.approx(0.99996)
    assert (
        len(task.optimizer.decayed)
        == len(kernels(task.network))
        < len(task.optimizer.variables_trained)
    )


def test_batch_norm_moves_once_a_step_by_the_first_interleaved_batch(built, feed):
    task = built(lr=0.0, bn_momentum=0.9)
    batch, draws = feed(task)
    moved = []
    for norm in task.network.norms:
        move = norm._move
        norm._move = lambda m, v, n, move=move, norm=norm: (moved.append(norm), move(m, v, n))
    task.train_step(batch, draws)
    assert moved == task.network.norms
    x, _, u = task.inputs(batch)
    rows, w = np.concatenate([x, u]), draws["weight"].numpy()[:, None, None, None]
    mixed = w * rows + (1 - w) * rows[draws["partner"].numpy()]
    B = task.config.batch_size
    first = np.concatenate([mixed[0:2], mixed[B + 2 : B + 4], mixed[2 * B + 4 :]])
    stem = task.network.stem(tf.constant(first)).numpy()
    norm = task.network.norms[0]
    np.testing.assert_allclose(norm.moving_mean, 0.1 * stem.mean((0, 1, 2)), atol=1e-5)


def test_schedules_count_the_images_of_all_ranks(built):
    import copy

    task = built(
        iterations=100, batch_size=32, unlabelled_weight=75, ramp_images=6400, tsa="linear_schedule"
    )
    np.testing.assert_allclose(task.ramp(range(250))[::100], [0, 37.5, 75])
    np.testing.assert_allclose(task.thresholds(range(100))[::50], [0.1, 0.55])
    task.session = copy.copy(task.session)
    task.session.size = 2
    np.testing.assert_allclose(task.ramp(range(150))[::50], [0, 37.5, 75])


def test_mixmatch_is_realmix_with_parts_switched_off(built, feed):
    full = built(method="mixmatch", tsa="linear_schedule", mask_fraction=0.5)
    bare = built(method="realmix", tsa="none", mask_fraction=-1)
    found = [t.train_step(*feed(t)) for t in (full, bare)]
    assert {k: float(v) for k, v in found[0].items()} == {k: float(v) for k, v in found[1].items()}
    assert found[0]["labelled_kept"].numpy() == found[0]["unlabelled_kept"].numpy() == 1.0


def test_switches_change_the_step(built, feed):
    base = dict(tsa="linear_schedule", mask_fraction=0.5, iterations=10)
    plain = built(**base).train_step(*feed(built(**base), 5))
    for change in (
        {"mixmode": "xx.yy"},
        {"temperature": 1.0},
        {"mask_mode": "absolute", "mask_threshold": 0.13},
        {"mixup_beta": 3.0},
        {"augment": "none"},
        {"whiten": True},
    ):
        task = built(**base, **change)
        found = task.train_step(*feed(task, 5))
        assert float(found["loss"]) != float(plain["loss"]), change


def test_annealing_by_the_intended_rule_keeps_more_as_time_goes_on(built, feed):
    kept = {}
    for rule in ("target", "compat"):
        task = built(tsa="linear_schedule", tsa_rule=rule, iterations=60, batch_size=30, lr=0.02)
        rows = [task.train_step(*feed(task, step))["labelled_kept"] for step in range(8)]
        kept[rule] = np.array(rows)
    assert kept["target"][0] < 0.5 and kept["target"][-1] > 0.9
    assert np.abs(kept["target"] - kept["compat"]).max() > 0.3


def test_an_absolute_mask(built, feed):
    for threshold, kept in ((0.0, 1.0), (1.0, 0.0)):
        task = built(mask_mode="absolute", mask_threshold=threshold)
        found = task.train_step(*feed(task))
        assert found["unlabelled_kept"].numpy() == kept
    assert found["unlabelled_loss"].numpy() == 0.0


def test_ranks_take_parts_of_the_same_draws(built):
    import copy

    whole = built()
    parts = []
    for rank in range(2):
        session = copy.copy(whole.session)
        session.rank, session.size = rank, 2
        parts.append(built(session=session))
    draws = [part.draws(range(2, 4)) for part in parts]
    for name in ("weight", "partner"):
        assert draws[0][name].shape == (2, 18) and (draws[0][name] != draws[1][name]).any()
    images = [part.batch(range(2, 4))["u"] for part in parts]
    assert (images[0] != images[1]).any()
