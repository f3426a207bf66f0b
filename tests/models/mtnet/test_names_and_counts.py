"""Folder names of the seed documents (spec 1.9) and the regression network's form (spec 1.6)."""

from __future__ import annotations

import numpy as np
import pytest

import zoolib
from zoolib.models.mtnet.config import MTNetConfig, folder_name
from zoolib.models.mtnet.network import Network

SEED = "cls_5.mbs_4.ubs_10.numstep1.updatelr0.01.temp1.0"
GOLDEN_W2 = [0.009199364, 0.010652892, -0.0044704569]
NAMES = [
    ({}, SEED + "MTnetnonorm"),  # the seed's own
    (dict(variant="maml"), SEED + "MAMLnonorm"),
    (dict(variant="tnet"), SEED + "Tnetnonorm"),
    (dict(variant="mnet"), SEED + "Mnetnonorm"),
    (dict(variant="mnet_full"), SEED + "Mnet_nosharenonorm"),
    (dict(variant="mtnet_full"), SEED + "MTnet_nosharenonorm"),
    (dict(max_pool=True), SEED + "MTnetnonorm"),  # pooling means nothing to regression
    (dict(datasource="polynomial", max_pool=True, poly_order=0), SEED + "MTnetord0nonorm"),
    (dict(datasource="polynomial", poly_order=2, norm="layer_norm"), SEED + "MTnetord2layernorm"),
    (dict(poly_order=2), SEED + "MTnetnonorm"),
    (dict(first_order=True), SEED + "MTnetstopgradnonorm"),
    (dict(baseline="oracle"), SEED + "MTnetoraclenonorm"),
    (dict(num_filters=32), SEED + "MTnethidden32nonorm"),
    (dict(dim_hidden=80, meta_lr=0.1, logit_init=2.0, iterations=7), SEED + "MTnetnonorm"),
    (
        dict(update_lr=1e-3, temp=0.5, num_updates=5, shots=5, meta_batch_size=25),
        "cls_5.mbs_25.ubs_5.numstep5.updatelr0.001.temp0.5MTnetnonorm",
    ),
    (dict(update_lr=1), "cls_5.mbs_4.ubs_10.numstep1.updatelr1.0.temp1.0MTnetnonorm"),
    (dict(update_lr=1e-5), "cls_5.mbs_4.ubs_10.numstep1.updatelr1e-05.temp1.0MTnetnonorm"),
    (
        dict(datasource="omniglot", shots=1, update_lr=0.4, meta_batch_size=32, norm="batch_norm"),
        "cls_5.mbs_32.ubs_1.numstep1.updatelr0.4.temp1.0MTnetbatchnorm",
    ),
    (
        dict(datasource="omniglot", num_classes=20, max_pool=True, norm="batch_norm"),
        "cls_20.mbs_4.ubs_10.numstep1.updatelr0.01.temp1.0MTnetmaxpoolbatchnorm",
    ),
    (
        dict(datasource="miniimagenet", max_pool=True, num_filters=32, num_train_classes=20,
             first_order=True, norm="batch_norm", variant="tnet"),
        SEED + "Tnetntc20hidden32maxpoolstopgradbatchnorm",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("settings", "name"), NAMES, ids=[n for _, n in NAMES])
def test_folder_names(settings, name):
    assert folder_name(MTNetConfig(**settings)) == name


def test_the_seeds_command_line_gives_the_seeds_name():
    config = MTNetConfig().replace(
        metatrain_iterations="60000", meta_batch_size="4", update_lr="0.01", norm="None",
        update_batch_size="10", use_T="True", use_M="True", share_M="True",
    )  # fmt: skip
    assert folder_name(config) == SEED + "MTnetnonorm"
    assert folder_name(zoolib.get_model("mtnet").preset("paper")) == SEED + "MTnetnonorm"


def test_the_norm_is_none_by_default():
    """Bug 17 of the earlier code: batch norm also for regression."""
    assert MTNetConfig().norm == "none"


def counts(session, **settings) -> tuple[int, int, int]:
    network = Network(MTNetConfig(**settings), session)
    return tuple(
        sum(v.shape.num_elements() for v in group)
        for group in (network.theta, network.T, network.zeta)
    )


@pytest.mark.parametrize(
    ("variant", "wanted"),
    [
        ("maml", (1761, 0, 0)),
        ("tnet", (1761, 3201, 0)),
        ("mnet", (1761, 0, 81)),
        ("mtnet", (1761, 3201, 81)),
        ("mnet_full", (1761, 0, 1761)),
        ("mtnet_full", (1761, 3201, 1761)),
    ],
)
def test_regression_counts(session, variant, wanted):
    assert counts(session, variant=variant) == wanted
    network = Network(MTNetConfig(variant=variant), session)
    everything = network.theta + network.T + network.zeta
    assert {v.name for v in network.trainable_variables} == {v.name for v in everything}


def test_the_oracle_has_four_inputs(build):
    assert tuple(build(baseline="oracle", dim_hidden=40).network.theta[0].shape) == (4, 40)


def test_regression_starts(session):
    network = Network(MTNetConfig(variant="mtnet", logit_init=0.5), session)
    weights = np.concatenate([w.numpy().ravel() for w in network.theta[::2]])
    assert np.abs(weights).max() <= 0.02 and weights.std() == pytest.approx(0.0088, rel=0.05)
    assert all((b.numpy() == 0).all() for b in network.theta[1::2])
    assert [T.numpy().tolist() for T in network.T] == [np.eye(n).tolist() for n in (40, 40, 1)]
    assert all((z.numpy() == 0.5).all() for z in network.zeta)


def test_full_masks_ignore_logit_init(session):
    one, other = (
        Network(MTNetConfig(variant="mtnet_full", logit_init=x), session).zeta for x in (0.0, 9.0)
    )
    for a, b in zip(one, other):
        np.testing.assert_array_equal(a.numpy(), b.numpy())
        assert np.abs(a.numpy()).max() <= 0.2


def test_initial_weights_depend_on_the_seed_and_not_on_the_device_or_tensorflow(session):
    first, again, other = (
        Network(MTNetConfig(seed=s), session).theta[2].numpy() for s in (0, 0, 1)
    )
    assert (first == again).all() and (first != other).all()
    np.testing.assert_allclose(first[0, :3], GOLDEN_W2, rtol=1e-6)


def test_variants_start_from_the_same_weights(session):
    """Comparisons are paired: the same seed gives the same start to every method."""
    starts = [Network(MTNetConfig(variant=v), session).theta for v in ("maml", "tnet", "mtnet")]
    for weights in zip(*starts):
        assert all((w.numpy() == weights[0].numpy()).all() for w in weights)
