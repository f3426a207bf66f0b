"""The SWA demonstrations: data, settings, batch norm for the average, the arrays of the figures."""

from __future__ import annotations

import numpy as np
import pytest

import zoolib
from zoolib.data import blobs, digits
from zoolib.errors import ConfigError
from zoolib.models.swa import evaluation, figures, quadratic, sources

SPEC = zoolib.get_model("swa")
# Loss of the first 20 steps of preset smoke, seed 0.
GOLDEN = [
    2.741732,
    1.979529,
    1.474815,
    0.8695813,
    0.7074561,
    0.7377919,
    0.5989741,
    0.5727967,
    0.3632631,
    0.4634311,
    0.3087272,
    0.4461529,
    0.3812844,
    0.1946943,
    0.2475324,
    0.1503573,
    0.1903053,
    0.180705,
    0.1468968,
    0.2745605,
]


# ---- data


def test_blobs_are_scikit_learns():
    """Sums of make_blobs(131072, centers=3, n_features=2, cluster_std=2, random_state=2)."""
    x, y = blobs.blobs(131072)
    assert x.astype(np.float64).sum() == pytest.approx(-702480.072, abs=0.01)
    assert np.bincount(y).tolist() == [43691, 43691, 43690]
    x, y = blobs.blobs(1000)
    assert x.astype(np.float64).sum() == pytest.approx(-5456.2811, abs=1e-3)


def test_digits_are_whole():
    images, labels = digits.digits()
    assert images.shape == (1797, 8, 8) and images.max() == 16
    assert np.bincount(labels).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]


def test_an_epoch_sees_every_batch_once_and_orders_differ():
    source = sources.make(SPEC.preset("tutorial"))
    x, y = source.batches(0, range(62), 32)
    assert x.shape == (62, 32, 64) and y.shape == (62, 32)
    once, twice = (np.concatenate(list(x[part])) for part in (slice(0, 31), slice(31, 62)))
    assert len(np.unique(once, axis=0)) > 980 and not np.array_equal(once, twice)
    np.testing.assert_array_equal(source.batches(0, range(40, 45), 32)[0], x[40:45])


def test_label_noise_touches_training_labels_only():
    clean, noisy = (sources.make(SPEC.preset("tutorial", label_noise=n)) for n in (0.0, 0.3))
    changed = np.mean(clean.y != noisy.y)
    assert 0.24 < changed <= 0.3  # a tenth of the random labels are right by chance
    np.testing.assert_array_equal(clean.test_y, noisy.test_y)
    assert len(clean.x) == 1000 and len(clean.test_x) == 797


# ---- settings


def test_keras_swas_names_mean_epochs():
    config = SPEC.preset("paper").replace(
        epochs=50, start_epoch=40, swa_freq=2, lr_schedule="constant", learning_rate=0.2
    )
    assert (config.iterations, config.swa_start, config.swa_every) == (400, 312, 16)
    assert (config.lr, config.swa_lr, config.swa_lr2) == (0.2, 0.001, 0.0)
    manual = config.replace(lr_schedule="manual")
    assert manual.swa_lr == 0.0


def test_the_paper_preset_is_the_seeds_demonstration():
    config = SPEC.preset("paper")
    same = SPEC.preset("paper").replace(
        epochs=100, start_epoch=75, swa_freq=3, lr_schedule="cyclic", swa_lr=0.001, swa_lr2=0.003
    )
    assert config == same and config.steps_per_epoch == 8
    assert (config.samples, config.batch_size, config.momentum) == (131072, 16384, 0.0)


@pytest.mark.parametrize(
    "changes, said",
    [
        (dict(lr_schedule="linear"), "lr_schedule: expected manual, constant or cyclic"),
        (dict(start_epoch=1), "start_epoch: expected an integer"),
        (dict(swa_freq=0), "swa_freq: expected an integer"),
        (dict(epochs="many"), "epochs: expected an integer"),
        (dict(batch_size=1001), "batch_size: expected at most the 1000 training examples"),
        (dict(datasource="blobs", label_noise=0.1), "label_noise: expected 0 for blobs"),
    ],
)
def test_bad_settings_are_named(changes, said):
    with pytest.raises(ConfigError, match=said):
        SPEC.preset("tutorial", **changes)


def test_rates_and_snapshots_of_the_seeds_demonstration(built):
    """The vectors of the spec (1.3), epoch and batch counted from 0."""
    task = built("paper", samples=16384 * 8)
    data = task.figure_data()
    rate = data["rate"]
    expected = {
        (37, 0): 0.1,
        (38, 0): 0.0966554,
        (50, 0): 0.0565203,
        (66, 0): 0.0030068,
        (67, 0): 0.001,
        (74, 0): 0.00291667,
        (74, 7): 0.00233333,
        (75, 7): 0.00166667,
        (76, 7): 0.001,
        (77, 0): 0.00291667,
    }
    for (epoch, batch), value in expected.items():
        assert rate[epoch * 8 + batch] == pytest.approx(value, abs=5e-8), (epoch, batch)
    assert (data["snapshots"] / 8).tolist() == [77, 80, 83, 86, 89, 92, 95, 98]
    assert np.allclose(rate[data["snapshots"] - 1], 0.001)


# ---- batch norm


def test_losses_of_twenty_steps_agree_on_both_tensorflows(built):
    task = built("smoke")
    loop = task.session.loop(task.train_step, task.terms, True, 20)
    with task.session.placement():
        losses = loop(task.batch(range(20)), task.draws(range(20)), 20)["loss"]
    np.testing.assert_allclose(losses, GOLDEN, rtol=1e-5)


def test_batch_norm_rules(built):
    """keras-swa's reaches 1 - 0.99^N of the mean; the others the mean itself."""
    task = built("smoke")
    weights = [v.numpy() for v in task.network.trainable_variables]
    rules = evaluation.compare_rules(task)
    batches = -(-1000 // 32)
    assert rules["keras_swa"]["moving_mean_ratio"] == pytest.approx(1 - 0.99**batches, abs=0.01)
    for rule in ("mean", "pooled"):
        assert rules[rule]["moving_mean_error"] < 1e-5
    norm, h = task.network.norm, None
    with task.session.placement():
        h = np.maximum(task.network.hidden(task.source.x).numpy(), 0)
        evaluation.refresh(task, "pooled")
    np.testing.assert_allclose(norm.moving_variance.numpy(), h.var(0), rtol=1e-4, atol=1e-6)
    for before, after in zip(weights, task.network.trainable_variables):
        np.testing.assert_array_equal(before, after.numpy())


# ---- figures


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    config = SPEC.preset("smoke", norm="none", hidden=8, label_noise=0.3)
    return zoolib.train(config, "cpu", out=tmp_path_factory.mktemp("runs"), progress=False)


def test_the_plane_holds_snapshots_and_average(result):
    before = [v.numpy() for v in result.task.network.trainable_variables]
    plane = figures.plane(result, size=5)
    w = figures.snapshots(result)
    flat = np.linalg.norm(plane["snapshots"][:, None] - plane["snapshots"], axis=-1)
    np.testing.assert_allclose(flat, np.linalg.norm(w[:, None] - w, axis=-1), rtol=1e-4, atol=1e-4)
    assert plane["train_loss"].shape == plane["test_error"].shape == (5, 5)
    for left, right in zip(before, result.task.network.trainable_variables):
        np.testing.assert_array_equal(left, right.numpy())


def test_lines_and_rays_start_at_the_weights(result):
    metrics = {k[4:]: v for k, v in result.metrics.items() if k.startswith("swa_")}
    loss, error = figures.rays(result, [0.0, 5.0], count=2)
    assert loss.shape == (2, 2)
    np.testing.assert_allclose(loss[:, 0], metrics["train_loss"], rtol=1e-5)
    np.testing.assert_allclose(error[:, 0], 1 - metrics["test_accuracy"], atol=1e-6)
    assert (loss[:, 1] > loss[:, 0]).all()
    loss, _ = figures.line(result, result, [0.0, 1.0])
    np.testing.assert_allclose(loss, metrics["train_loss"], rtol=1e-5)


# ---- the closed form


def test_variances_of_the_noisy_quadratic():
    counts = np.array([1, 5, 50])
    for rate in (0.1, 1.0, 1.5):
        path = quadratic.simulate(1.0, rate, 1.0, 50, 20000)
        found = [path[:, :n].mean(1).var() for n in counts]
        expected = quadratic.mean_variance(1.0, rate, 1.0, counts)
        np.testing.assert_allclose(found, expected, rtol=0.05)
    assert quadratic.mean_variance(1.0, 0.3, 1.0, 1) == pytest.approx(
        quadratic.iterate_variance(1.0, 0.3, 1.0)
    )
    assert quadratic.mean_variance(2.0, 0.5, 3.0, 10**6) == pytest.approx(9 / 4 / 1e6, rel=1e-3)
    with pytest.raises(ValueError, match="rate: expected between 0 and 1"):
        quadratic.iterate_variance(2.0, 1.0, 1.0)


# ---- the claim


@pytest.mark.slow
def test_averaging_pays_with_noisy_labels_and_ties_on_clean_ones(tmp_path):
    gaps = {}
    for noise in (0.0, 0.3):
        found = [
            zoolib.train(
                SPEC.preset("tutorial", label_noise=noise, seed=seed),
                "cpu",
                out=tmp_path,
                progress=False,
            ).metrics
            for seed in range(5)
        ]
        gaps[noise] = [m["swa_test_accuracy"] - m["test_accuracy"] for m in found]
    assert min(gaps[0.3]) > 0.01
    assert abs(np.mean(gaps[0.0])) < 0.01


@pytest.mark.slow
def test_the_seeds_demonstration(tmp_path):
    metrics = zoolib.train(SPEC.preset("paper"), "cpu", out=tmp_path, progress=False).metrics
    shown = metrics["swa_train_accuracy_batch_statistics"]
    assert abs(metrics["swa_train_accuracy"] - shown) < 0.005
    assert metrics["swa_train_accuracy"] == pytest.approx(0.824, abs=0.003)
    assert metrics["swa_moving_mean_error"] < 1e-4
