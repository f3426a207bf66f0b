"""The method's formulas by themselves: golden values of the specification, 7.5."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from zoolib.models.realmix import mixing, schedules, selection
from zoolib.models.realmix.guessing import entropy, mean_of_views, sharpen
from zoolib.models.realmix.network import automatic_scales


def test_sharpening():
    found = sharpen(tf.constant([[0.5, 0.3, 0.2]])).numpy()[0]
    np.testing.assert_allclose(found, [0.657895, 0.236842, 0.105263], atol=1e-6)
    p = tf.constant([[0.5, 0.3, 0.2], [0.1, 0.1, 0.8]])
    np.testing.assert_allclose(sharpen(p, 1.0), p, atol=1e-6)
    powers = p.numpy() ** (1 / 0.3)
    expected = powers / powers.sum(1, keepdims=True)
    np.testing.assert_allclose(sharpen(p, 0.3), expected, atol=1e-6)


def test_a_guess_is_the_mean_of_both_views_and_carries_no_gradient(source):
    z = tf.constant(source.normal(size=(8, 5)).astype(np.float32))
    with tf.GradientTape() as tape:
        tape.watch(z)
        found = mean_of_views(z)
    p = tf.nn.softmax(z).numpy()
    np.testing.assert_allclose(found, (p[:4] + p[4:]) / 2, atol=1e-6)
    assert tape.gradient(found, z) is None


def test_entropy_of_certainty_and_of_ignorance():
    p = tf.constant([[0.0, 1.0, 0.0, 0.0], [0.25] * 4])
    np.testing.assert_allclose(entropy(p), [0.0, np.log(4)], atol=1e-6)


# ---- MixUp


@pytest.mark.parametrize("beta", [0.2, 0.5, 0.75, 1.0, 4.0])
def test_coefficients_are_those_of_the_folded_beta_distribution(beta):
    uniform = (np.arange(200_000) + 0.5) / 200_000
    found = mixing.coefficients(uniform, beta)
    assert found.dtype == np.float32 and found.min() >= 0.5 and found.max() <= 1.0
    drawn = np.random.default_rng(0).beta(beta, beta, 400_000)
    drawn = np.maximum(drawn, 1 - drawn)
    shares = np.linspace(0.02, 0.98, 25)
    np.testing.assert_allclose(np.quantile(found, shares), np.quantile(drawn, shares), atol=5e-3)


def test_a_known_distribution():
    """Beta(1, 1) is uniform: lambda' is uniform in [0.5, 1]."""
    uniform = np.linspace(0.0, 0.999, 100)
    np.testing.assert_allclose(mixing.coefficients(uniform, 1.0), 1 - uniform / 2, atol=1e-6)


ROWS = {
    "xxy.yxy": (range(12), range(12)),
    "xx.yy": (range(4), range(4, 12)),
    "xx.yxy": (range(4), range(12)),
    "xx.yx": (range(4), range(4)),
    "xxy.": (range(12), None),
    ".yy": (None, range(4, 12)),
    ".": (None, None),
}


@pytest.mark.parametrize("mode", ROWS)
def test_partners_are_of_the_kind_the_mode_tells(mode, source):
    uniform = source.uniform(size=(200, 2, 12)).astype(np.float32)
    chosen, mixes = mixing.partners(uniform, mode)
    assert chosen.shape == (200, 12) and chosen.dtype == np.int32
    for part, allowed in zip((slice(0, 4), slice(4, 12)), ROWS[mode]):
        if allowed is None:
            assert not mixes[part].any() and (chosen[:, part] == np.arange(12)[part]).all()
        else:
            assert mixes[part].all() and set(np.unique(chosen[:, part])) == set(allowed)
    if mode == "xxy.yxy":
        assert (np.sort(chosen, axis=1) == np.arange(12)).all(), "one permutation of all rows"


def test_mixing_follows_the_equation(source):
    images = source.normal(size=(6, 2, 2, 3)).astype(np.float32)
    targets = source.dirichlet(np.ones(3), 6).astype(np.float32)
    weight = source.uniform(0.5, 1, 6).astype(np.float32)
    partner = source.permutation(6)
    mixed, mixed_targets = mixing.mixup(
        *map(tf.constant, (images, targets, weight)), tf.constant(partner)
    )
    w = weight[:, None, None, None]
    np.testing.assert_allclose(mixed, w * images + (1 - w) * images[partner], atol=1e-6)
    w = weight[:, None]
    np.testing.assert_allclose(mixed_targets, w * targets + (1 - w) * targets[partner], atol=1e-6)


# ---- interleaving


@pytest.mark.parametrize(
    ("rows", "expected"),
    [(64, [0, 21, 42, 64]), (32, [0, 10, 21, 32]), (50, [0, 16, 33, 50]), (8, [0, 2, 5, 8])],
)
def test_groups(rows, expected):
    assert mixing.offsets(rows) == expected


def test_interleaving_mixes_the_first_batch_and_undoes_itself():
    names = [f"{letter}{i}" for letter in "xuv" for i in range(7)]
    found = mixing.interleave(tf.constant(names)).numpy().astype(str).tolist()
    assert found[:7] == "x0 x1 u2 u3 v4 v5 v6".split()
    assert found[7:14] == "u0 u1 x2 x3 u4 u5 u6".split()
    assert found[14:] == "v0 v1 v2 v3 x4 x5 x6".split()
    again = mixing.interleave(mixing.interleave(tf.constant(names)))
    assert again.numpy().astype(str).tolist() == names


# ---- annealing


ETA = {
    "linear_schedule": [0.100, 0.190, 0.325, 0.550, 0.775, 0.910, 1.000],
    "exp_schedule": [0.106064, 0.109998, 0.121166, 0.173876, 0.357854, 0.645878, 1.000],
    "log_schedule": [0.100, 0.454122, 0.742146, 0.926124, 0.978834, 0.990002, 0.993936],
    "none": [1.0] * 7,
}


@pytest.mark.parametrize("schedule", ETA)
def test_thresholds_of_annealing(schedule):
    r = np.array([0, 0.1, 0.25, 0.5, 0.75, 0.9, 1])
    np.testing.assert_allclose(schedules.annealing(schedule, r, 10), ETA[schedule], atol=1e-6)


def test_an_unknown_schedule_is_refused():
    with pytest.raises(ValueError, match="expected none, linear_schedule"):
        schedules.annealing("cosine", 0.5, 10)


def logits_of(*p: float) -> list[float]:
    return np.log(np.array(p)).tolist()


ANNEALED = [  # probabilities, target, eta, kept as meant, kept as published
    ([0.8, 0.1, 0.1], [1, 0, 0], 0.5, 0, 0),
    ([0.4, 0.3, 0.3], [1, 0, 0], 0.5, 1, 0),
    ([0.8, 0.1, 0.1], [1, 0, 0], 0.9, 1, 0),
    ([0.6, 0.3, 0.1], [0.6, 0.4, 0], 0.5, 0, 0),  # both classes have half of their mass
    ([0.9, 0.05, 0.05], [0.6, 0.4, 0], 0.5, 1, 0),  # the second class has not
]


@pytest.mark.parametrize(("p", "target", "eta", "target_rule", "compat_rule"), ANNEALED)
def test_rows_kept_by_annealing(p, target, eta, target_rule, compat_rule):
    z, target = tf.constant([logits_of(*p)]), tf.constant([np.float32(target)])
    z = tf.cast(z, tf.float32)
    assert selection.annealed(z, target, tf.constant(eta), "target").numpy() == [target_rule]
    assert selection.annealed(z, target, tf.constant(eta), "compat").numpy() == [compat_rule]


def test_the_published_rule_keeps_rows_for_their_logits():
    """The same probabilities with logits moved up: a positive logit elsewhere keeps the row."""
    z = tf.constant([[5.0, 3.0, 3.0]])
    target = tf.constant([[1.0, 0.0, 0.0]])
    for rule, kept in (("target", 0.0), ("compat", 1.0)):
        assert selection.annealed(z, target, tf.constant(0.3), rule).numpy() == [kept]


# ---- masks


@pytest.mark.parametrize(
    ("fraction", "kept"), [(0.1, 115), (0.25, 95), (0.5, 63), (0.75, 31), (0.9, 12)]
)
def test_the_mask_keeps_the_published_count(fraction, kept, source):
    confidence = source.permutation(128).astype(np.float32) / 128
    mask = selection.confident(tf.constant(confidence), fraction).numpy()
    assert mask.sum() == kept
    assert confidence[mask == 1].min() > confidence[mask == 0].max()


def test_ties_with_the_threshold_are_left_out(source):
    confidence = source.integers(0, 5, 40).astype(np.float32) / 5
    for fraction in (0.2, 0.5, 0.7):
        threshold = np.sort(confidence)[int(np.float32(40) * np.float32(fraction))]
        mask = selection.confident(tf.constant(confidence), fraction).numpy()
        np.testing.assert_array_equal(mask, confidence > threshold)


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.1])
def test_a_share_out_of_range_is_refused(fraction):
    with pytest.raises(ValueError, match="between 0 and 1"):
        selection.confident(tf.zeros([4]), fraction)


def test_a_mean_over_no_rows_is_nothing():
    values = tf.constant([1.0, 3.0, 5.0])
    assert selection.masked_mean(values, tf.zeros([3])).numpy() == 0.0
    assert selection.masked_mean(values, tf.constant([1.0, 0.0, 1.0])).numpy() == 3.0


# ---- ramps


def test_the_ramp_counts_images():
    epochs = np.array([0, 1, 8, 16, 20]) * 65_536
    found = schedules.ramp(75.0, epochs, 2**20)
    np.testing.assert_allclose(found, [0, 4.6875, 37.5, 75, 75])


@pytest.mark.parametrize(("pixels", "scales"), [(32, 3), (96, 5), (64, 4), (33, 4), (8, 1)])
def test_automatic_scales(pixels, scales):
    assert automatic_scales(pixels) == scales
