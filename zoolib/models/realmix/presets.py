"""Presets of RealMix: tests, the demonstration on digits, the paper's and the seed's settings."""

from __future__ import annotations

from typing import Any

from zoolib.models.realmix.config import RealMixConfig

EPOCH = 1024  # steps of 64 images: 65,536 images, which the published programs call an epoch


def _digits(**changes: Any) -> RealMixConfig:
    """The embedded digits (spec 5.8): 16 x 16 pixels, three labels per class."""
    values: dict[str, Any] = dict(
        iterations=700,
        report_every=10,
        eval_every=70,
        checkpoint_every=70,
        filters=8,
        repeat=1,
        scales=2,
        batch_size=32,
        lr=0.01,
        ema_decay=0.99,
        bn_momentum=0.95,
        unlabelled_weight=15.0,
        ramp_images=0,
        tuning_images=160,
        recalibration_images=640,
    )
    return RealMixConfig(**{**values, **changes})


def smoke() -> RealMixConfig:
    """`zoolib train realmix --preset smoke`: a few seconds; every part of the method on."""
    return _digits(
        iterations=40,
        report_every=4,
        eval_every=0,
        checkpoint_every=12,
        batch_size=16,
        lr=0.02,
        ema_decay=0.9,
        bn_momentum=0.9,
        unlabelled_weight=3.0,
        tsa="linear_schedule",
        mask_fraction=0.25,
        tuning_images=32,
        recalibration_images=64,
    )


def tutorial() -> RealMixConfig:
    """`zoolib train realmix`: about a minute; 30 labelled digits, 80 to 95 % by the split."""
    return _digits(tsa="linear_schedule")


def supervised() -> RealMixConfig:
    """`zoolib train realmix --preset supervised`: seconds; the 30 labels alone, some 75 %."""
    return _digits(method="supervised")


def supervised_mixup() -> RealMixConfig:
    """`zoolib train realmix --preset supervised_mixup`: seconds; the labels alone, mixed."""
    return _digits(method="supervised_mixup")


def mixmatch() -> RealMixConfig:
    """`zoolib train realmix --preset mixmatch`: about a minute; tutorial without annealing."""
    return _digits(method="mixmatch")


def paper() -> RealMixConfig:
    """`zoolib train realmix --preset paper`: CIFAR-10, 250 labels: 90.2 % by the paper.

    1,024 epochs of 65,536 images on a Wide ResNet 28-2: about a day on a GPU; first make the
    records: `zoolib data build cifar10`.
    """
    return RealMixConfig(
        iterations=1024 * EPOCH,
        report_every=64,
        eval_every=EPOCH,
        checkpoint_every=EPOCH,
        datasource="records",
        dataset="cifar10",
        labels=250,
        validation=5000,
        split_seed=3,
    )


def seed() -> RealMixConfig:
    """`zoolib train realmix --preset seed`: CIFAR-10, the seed document's command; 89.87 % there.

    700 epochs with linear annealing; the 50 stored copies of each image are drawn on the fly.
    """
    return RealMixConfig(
        iterations=700 * EPOCH,
        report_every=64,
        eval_every=EPOCH,
        checkpoint_every=EPOCH,
        datasource="records",
        dataset="cifar10",
        labels=250,
        validation=500,
        split_seed=1,
        tsa="linear_schedule",
    )


def _baseline(method: str, weight: float, **changes: Any) -> RealMixConfig:
    """A method of the published comparison with its settings for CIFAR-10 (spec 3.4)."""
    total = 1024 * EPOCH
    values: dict[str, Any] = dict(
        iterations=total,
        report_every=64,
        eval_every=EPOCH,
        checkpoint_every=EPOCH,
        datasource="records",
        labels=250,
        validation=5000,
        split_seed=3,
        method=method,
        unlabelled_weight=weight,
        ramp_images=round(0.4 * total * 64),
    )
    return RealMixConfig(**{**values, **changes})


def pseudo_label() -> RealMixConfig:
    """`zoolib train realmix --preset pseudo_label`: CIFAR-10, hours on a GPU."""
    return _baseline("pseudo_label", 1.0)


def pi_model() -> RealMixConfig:
    """`zoolib train realmix --preset pi_model`: CIFAR-10, hours on a GPU."""
    return _baseline("pi_model", 20.0)


def mean_teacher() -> RealMixConfig:
    """`zoolib train realmix --preset mean_teacher`: CIFAR-10, hours on a GPU."""
    return _baseline("mean_teacher", 50.0, weight_decay=0.2)


def vat() -> RealMixConfig:
    """`zoolib train realmix --preset vat`: CIFAR-10, hours on a GPU."""
    return _baseline("vat", 0.3)


def ict() -> RealMixConfig:
    """`zoolib train realmix --preset ict`: CIFAR-10, hours on a GPU."""
    return _baseline("ict", 1000.0)


PRESETS = {
    make.__name__: make
    for make in (
        smoke,
        tutorial,
        supervised,
        supervised_mixup,
        mixmatch,
        paper,
        seed,
        pseudo_label,
        pi_model,
        mean_teacher,
        vat,
        ict,
    )
}
