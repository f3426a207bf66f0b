"""Sizes, penalties and forward passes of the four variants (specification, sections 1 and 9)."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from zoolib.errors import ConfigError
from zoolib.models.am3 import build
from zoolib.models.am3.backbone import Parts
from zoolib.models.am3.config import ATT_INPUTS
from zoolib.models.am3.metric import distances, mixed, prototypes
from zoolib.models.am3.network import Words
from zoolib.nn.batch_norm import BatchNorm
from zoolib.nn.layers import Dense

SMALL = {"filters": 4, "units": 1, "blocks": 3, "pools": 2, "hidden": 8}
ONE_BLOCK = {"filters": 512, "units": 1, "blocks": 1, "pools": 1}  # features of full width
# variant, auxiliary classes -> trained numbers, tensors, moving statistics, L2 terms, their sum
PUBLISHED = {
    ("protonet++", None): (7_996_800, 48, 7_680, 16, 0.141),
    ("am3-protonet++", None): (8_396_526, 60, 9_906, 20, 0.283),
    ("tadam", None): (15_141_144, 216, 7_680, 112, 1.330),
    ("tadam", 64): (15_173_976, 218, 7_680, 112, 1.330),
    ("am3-tadam", 64): (15_573_702, 230, 9_906, 116, 1.472),
    ("am3-tadam", 351): (15_720_933, 230, 9_906, 116, 1.472),
}


def pictures(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)


def filled(target, source):
    """Variables of equal names get the same values."""
    values = {v.name: v.numpy() for v in source.variables}
    for variable in target.variables:
        if variable.name in values:
            variable.assign(values[variable.name])
    return target


@pytest.mark.parametrize("case", PUBLISHED, ids=str)
def test_counts_and_penalties_are_the_published_ones(case):
    variant, aux = case
    net = build(variant, aux_classes=aux)
    numbers, tensors, moving, terms, penalty = PUBLISHED[case]
    assert (sum(int(np.prod(v.shape)) for v in net.trainable_variables)) == numbers
    assert len(net.trainable_variables) == tensors
    names = ("moving_mean", "moving_variance")
    stats = [v for v in net.variables if v.name.split(":")[0].rpartition("/")[2] in names]
    assert sum(int(np.prod(v.shape)) for v in stats) == moving
    found = net.l2_terms()
    assert len(found) == terms and all(t.shape == () for t in found)
    assert float(tf.add_n(found)) == pytest.approx(penalty, rel=0.03)


@pytest.mark.parametrize("size,sides", [(84, (42, 21, 11, 11)), (32, (16, 8, 4, 4))])
def test_sizes_of_the_feature_maps(size, sides):
    net = build("protonet++", image_size=size)
    maps = net.encoder.maps(pictures(1, size, size, 3), Parts(1, (1,)), False)
    assert [m.shape[1] for m in maps] == list(sides)
    assert net.features(pictures(2, size, size, 3), Parts(1, (2,)), False).shape == (2, 512)


def test_pictures_too_small_for_the_backbone_are_refused():
    with pytest.raises(ConfigError, match="image_size: expected at least 8"):
        build("protonet++", image_size=7)


def test_the_auxiliary_head_belongs_to_tadam():
    with pytest.raises(ConfigError, match="no auxiliary task"):
        build("protonet++", aux_classes=64)


def test_words_are_normalised_without_bias_conditioning_has_biases_without_normalisation():
    net = build("am3-tadam", aux_classes=8, **SMALL)
    for part in (net.g, net.h):
        assert len(part.layers) == 2
        assert all(layer.layer.bias is None for layer in part.layers)
        assert all(isinstance(layer.norm, BatchNorm) for layer in part.layers)
    dense = [m for m in net.ten.submodules if isinstance(m, Dense)]
    assert dense and all(layer.bias is not None for layer in dense)
    assert not [m for m in net.ten.submodules if isinstance(m, BatchNorm)]
    assert net.aux.bias is not None


def test_initial_kernels_have_the_spread_of_the_fan_out():
    net = build("am3-protonet++", seed=1)
    stds = {v.name.split(":")[0]: float(tf.math.reduce_std(v)) for v in net.trainable_variables}
    assert stds["encoder/conv0_1/kernel"] == pytest.approx(0.01863, rel=0.03)
    assert stds["encoder/conv3_1/kernel"] == pytest.approx(0.00659, rel=0.01)
    assert stds["class_encoder/mlp_layer/kernel"] == pytest.approx(0.02582, rel=0.02)
    assert stds["class_encoder/self_att_layer_1/kernel"] == pytest.approx(0.44721, rel=0.15)


# ---- forward passes


def episode(net, ways=5, shots=1, queries=6, tasks=2, size=16, training=True, words=True):
    """Logits and shares of random tasks."""
    support = tf.constant(pictures(tasks, ways * shots, size, size, 3))
    query = tf.constant(pictures(tasks, queries, size, size, 3, seed=1))
    vectors = np.random.default_rng(2).normal(size=(tasks, ways, 300)).astype(np.float32)
    told = Words(tf.constant(vectors), tf.ones([tasks, ways])) if words else None
    found = net.embedded(support, query, ways, training)
    return net.judge(*found, ways, told, training)


@pytest.mark.parametrize("kind", ATT_INPUTS)
@pytest.mark.parametrize("variant", ["am3-protonet++", "am3-tadam"])
def test_shares_start_around_a_half_for_every_input(variant, kind):
    net = build(variant, image_size=16, att_input=kind, **SMALL)
    judged = episode(net)
    share = judged.share.numpy()
    assert share.shape == ((2, 6, 5) if kind.startswith("query") else (2, 5))
    assert 0.0 < share.min() < share.max() < 1.0 and share.std() > 0.01
    assert share.mean() == pytest.approx(0.5, abs=0.1)
    assert judged.logits.shape == (2, 6, 5)
    assert (judged.logits.numpy() <= 0.0).all()  # minus a distance, whatever the input


@pytest.mark.parametrize(
    "with_words,without", [("am3-protonet++", "protonet++"), ("am3-tadam", "tadam")]
)
def test_a_share_of_one_is_the_variant_without_words(with_words, without):
    fixed = build(with_words, image_size=16, mixing="fixed", fixed_lambda=1.0, **SMALL)
    visual = build(with_words, image_size=16, mixing="visual", **SMALL)
    plain = filled(build(without, image_size=16, **SMALL), fixed)
    expected = episode(plain, words=False).logits.numpy()
    np.testing.assert_allclose(episode(fixed).logits.numpy(), expected, rtol=1e-6)
    np.testing.assert_allclose(episode(filled(visual, fixed)).logits.numpy(), expected, rtol=1e-6)


def test_words_only_do_not_see_the_support():
    net = build("am3-protonet++", image_size=16, mixing="words", **SMALL)
    ways, words = 5, Words(tf.ones([1, 5, 300]), tf.ones([1, 5]))
    query = tf.random.stateless_normal([1, 4, 16], [1, 2])
    one, two = (net.judge(tf.fill([1, ways, 16], v), query, ways, words, False) for v in (1.0, 9.0))
    np.testing.assert_array_equal(one.logits, two.logits)
    assert not one.share.numpy().any()


def test_at_the_start_tadam_is_the_scaled_prototype_network():
    plain = build("protonet++", image_size=16, **SMALL)
    tadam = filled(build("tadam", image_size=16, scale=7.0, **SMALL), plain)
    found = episode(tadam, words=False).logits.numpy()
    np.testing.assert_allclose(found, 7.0 * episode(plain, words=False).logits, rtol=1e-5)


def test_conditioning_acts_once_its_factors_leave_zero():
    net = build("tadam", image_size=16, **SMALL)
    before = episode(net, words=False, training=False).logits.numpy()
    for factor in net.ten.factors:
        factor.assign(1.0)
    after = episode(net, words=False, training=False).logits.numpy()
    assert np.abs(after - before).max() > 1e-4 * np.abs(before).max()


def test_film_scales_and_shifts_each_task_by_itself():
    parts = Parts(2, (2, 1))
    spread = parts.spread(tf.constant([[1.0], [5.0]])).numpy().ravel()
    assert spread.tolist() == [1.0, 1.0, 5.0, 5.0, 1.0, 5.0]


def test_parts_are_normalised_apart_and_move_the_running_statistics_in_turn():
    apart, together = (build("protonet++", image_size=16, **SMALL) for _ in range(2))
    support, query = pictures(4, 16, 16, 3), pictures(6, 16, 16, 3, seed=1)
    one = [apart.features(x, Parts(2, (len(x) // 2,)), True).numpy() for x in (support, query)]
    both = together.features(np.concatenate([support, query]), Parts(2, (2, 3)), True).numpy()
    np.testing.assert_allclose(both, np.concatenate(one), rtol=1e-4, atol=1e-6)
    for a, b in zip(apart.norms, together.norms):
        np.testing.assert_allclose(b.moving_mean, a.moving_mean, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(b.moving_variance, a.moving_variance, rtol=1e-5, atol=1e-6)


def test_classes_without_a_name_or_without_pictures():
    net = build("am3-protonet++", image_size=16, **SMALL)
    vectors = tf.random.stateless_normal([1, 3, 300], [3, 4])
    words = Words(vectors, tf.constant([[1.0, 0.0, 1.0]]), tf.constant([[1.0, 1.0, 0.0]]))
    support, query = tf.ones([1, 3, 16]), tf.zeros([1, 2, 16])
    share = net.judge(support, query, 3, words, False).share.numpy()[0]
    assert 0.0 < share[0] < 1.0 and share[1] == 1.0 and share[2] == 0.0


def test_zero_shots_leave_the_names():
    net = build("am3-protonet++", image_size=16, **SMALL)
    judged = episode(net, shots=0, training=False)
    assert judged.logits.shape == (2, 6, 5) and not judged.share.numpy().any()


def test_distances_are_plain_and_their_gradient_at_zero_is_finite():
    query, centres = tf.constant([[[3.0, 4.0]]]), tf.constant([[[0.0, 0.0], [3.0, 4.0]]])
    with tf.GradientTape() as tape:
        tape.watch(query)
        d = distances(query, centres)
    np.testing.assert_allclose(d[0, 0], [5.0, 1e-6], rtol=1e-6)
    assert np.isfinite(tape.gradient(d, query).numpy()).all()


def test_prototypes_are_means_of_consecutive_images_and_mix_by_the_share():
    p = prototypes(tf.reshape(tf.range(4.0), [1, 4, 1]), 2)
    assert p.numpy().ravel().tolist() == [0.5, 2.5]
    made = mixed(tf.constant([[[0.25], [1.0]]]), p, tf.zeros([1, 2, 1]))
    assert made.numpy().ravel().tolist() == [0.125, 2.5]


def test_a_polynomial_metric_starts_as_the_linear_one():
    one = build("tadam", image_size=16, **SMALL)
    three = filled(build("tadam", image_size=16, metric_order=3, **SMALL), one)
    np.testing.assert_array_equal(
        episode(three, words=False).logits, episode(one, words=False).logits
    )
    assert [v.trainable for v in three.metric] == [False, True, True]


@pytest.mark.parametrize("kind,g,h", [("non-linear", 245_224, 154_502), ("linear", 154_624, 514)])
def test_layers_of_the_semantic_branch(kind, g, h):
    net = build("am3-protonet++", mlp_type=kind, att_type=kind, **ONE_BLOCK)
    sizes = [sum(int(np.prod(v.shape)) for v in p.trainable_variables) for p in (net.g, net.h)]
    assert sizes == [g, h]


@pytest.mark.parametrize(
    "kind,count", [("proto", 154_502), ("word_original", 90_902), ("combined", 308_102)]
)
def test_sizes_of_h_by_its_input(kind, count):
    net = build("am3-protonet++", att_input=kind, **ONE_BLOCK)
    assert sum(int(np.prod(v.shape)) for v in net.h.trainable_variables) == count
