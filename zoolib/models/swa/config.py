"""Settings and presets of the SWA demonstrations: the seed's blobs, and digits.

Averaging itself is no setting of this method: every method of the zoo has `swa_start` and its
companions. Here they are the point, and the names keras-swa gives them are understood.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from zoolib.core.config import Config, setting
from zoolib.errors import ConfigError

TRAIN_DIGITS = 1000
_IN_EPOCHS = ("epochs", "start_epoch", "swa_freq", "lr_schedule")


@dataclasses.dataclass(frozen=True)
class SWAConfig(Config):
    """Settings of a one-hidden-layer classifier trained by SGD."""

    model = "swa"
    translated = ("epochs", "train_epochs", "start_epoch", "swa_freq", "lr_schedule")
    meaningless = ("data_path", "max_step", "train_steps", "verbose")

    datasource: str = setting(
        "digits",
        "digits: 8 x 8 handwritten digits; blobs: the seed's three overlapping Gaussian blobs.",
        choices=("digits", "blobs"),
    )
    label_noise: float = setting(
        0.0, "Share of training labels replaced by random ones (digits).", low=0.0, high=1.0
    )
    samples: int = setting(
        131072, "Training points (blobs).", unit="points", low=3, high=2**24, advanced=True
    )
    hidden: int = setting(64, "Units of the hidden layer.", unit="units", low=1, high=4096)
    norm: str = setting(
        "none",
        "batch_norm: normalise after the hidden layer's ReLU, as the seed does.",
        choices=("none", "batch_norm"),
    )
    batch_size: int = setting(32, "Examples per step.", unit="examples", low=1, high=2**20)
    lr: float = setting(
        0.1, "Step size at the start.", low=0.0, high=1e4, aliases=("learning_rate",)
    )
    lr_decay: str = setting(
        "constant",
        "Course of lr where SWA does not set it; to_1_percent is the paper's for plain SGD.",
        choices=("constant", "to_1_percent"),
    )
    momentum: float = setting(0.9, "Momentum of SGD.", low=0.0, high=0.999)
    weight_decay: float = setting(0.0, "L2 penalty on kernels.", low=0.0, high=1.0, advanced=True)
    bn_refresh: str = setting(
        "mean",
        "Batch-norm statistics of the average: mean of the batches' (the paper's code), pooled "
        "(exact), or what keras-swa really does in compiled mode (keras_swa: wrong, to compare).",
        choices=("mean", "pooled", "keras_swa"),
        advanced=True,
    )
    loss_scale: str = setting(
        "none",
        "Scaling of the loss for half precision.",
        choices=("none", "static", "dynamic"),
        advanced=True,
    )
    loss_scale_value: float = setting(
        1024.0, "Static scale, or the first dynamic one.", low=1.0, high=2.0**24, advanced=True
    )

    @property
    def train_samples(self) -> int:
        """Size of the training set."""
        return self.samples if self.datasource == "blobs" else TRAIN_DIGITS

    @property
    def steps_per_epoch(self) -> int:
        """Full batches in the training set; the examples left over come in another epoch."""
        return self.train_samples // self.batch_size

    @property
    def small_dense(self) -> bool:
        """Batches of some thousand rows and up keep all threads busy."""
        return self.batch_size <= 1024

    def translate(self, values: dict[str, Any]) -> dict[str, Any]:
        """Read keras-swa's arguments: counts of epochs, first epoch 1, and its schedules."""
        rest = dict(values)
        if "train_epochs" in rest:
            rest["epochs"] = rest.pop("train_epochs")
        epochs = {name: rest.pop(name) for name in _IN_EPOCHS if name in rest}
        if not epochs:
            return rest
        parsers = self.names()
        sized = {n: rest[n] for n in ("datasource", "samples", "batch_size") if n in rest}
        like = dataclasses.replace(self, **{n: parsers[n].parse(v) for n, v in sized.items()})
        for name, field, shift in (
            ("epochs", "iterations", 0),
            ("start_epoch", "swa_start", 1),
            ("swa_freq", "swa_every", 0),
        ):
            if name in epochs:
                whole = dataclasses.replace(parsers["batch_size"], name=name, low=1 + shift)
                count = whole.parse(epochs[name]) - shift
                rest[field] = count * like.steps_per_epoch
        self._schedule(epochs.get("lr_schedule"), rest)
        return rest

    def _schedule(self, name: str | None, rest: dict[str, Any]) -> None:
        if name is None:
            return
        if name not in ("manual", "constant", "cyclic"):
            raise ConfigError(f"lr_schedule: expected manual, constant or cyclic, got {name!r}")
        auto = 0.1 * float(rest.get("lr", rest.get("learning_rate", self.lr)))
        rest["swa_lr"] = 0.0 if name == "manual" else rest.get("swa_lr", self.swa_lr or auto)
        if name != "cyclic":
            rest["swa_lr2"] = 0.0

    def check(self) -> None:
        """Refuse settings that contradict one another."""
        if self.batch_size > self.train_samples:
            raise ConfigError(
                f"batch_size: expected at most the {self.train_samples} training examples, "
                f"got {self.batch_size}"
            )
        if self.label_noise and self.datasource == "blobs":
            raise ConfigError(
                f"label_noise: expected 0 for blobs, whose classes overlap; got {self.label_noise}"
            )
        if self.swa_start and self.swa_lr > self.lr:
            raise ConfigError(f"swa_lr: expected at most lr ({self.lr:g}), got {self.swa_lr:g}")


def _digits(**changes: Any) -> SWAConfig:
    """60 epochs of 31 steps; averaging from epoch 45 on, once per epoch, at a constant lr."""
    settings = dict(
        iterations=60 * 31,
        report_every=31,
        checkpoint_every=5 * 31,
        swa_start=44 * 31,
        swa_every=31,
        swa_lr=0.1,
    )
    return SWAConfig(**{**settings, **changes})


def smoke() -> SWAConfig:
    """`zoolib train swa --preset smoke`: a few seconds; twelve epochs of digits."""
    return _digits(iterations=12 * 31, swa_start=8 * 31, checkpoint_every=2 * 31, norm="batch_norm")


def tutorial() -> SWAConfig:
    """`zoolib train swa`: seconds; digits, 30 % random labels: about 6 points over the last w."""
    return _digits(label_noise=0.3)


def clean() -> SWAConfig:
    """`zoolib train swa --preset clean`: seconds; digits as they are: a tie with plain SGD."""
    return _digits()


def sgd() -> SWAConfig:
    """`zoolib train swa --preset sgd`: seconds; tutorial's budget without averaging, decayed lr."""
    return _digits(label_noise=0.3, swa_start=0, swa_lr=0.0, lr_decay="to_1_percent")


def paper() -> SWAConfig:
    """`zoolib train swa --preset paper`: the seed document's demonstration; accuracy about 0.82.

    131,072 points, batch 16,384, 100 epochs, averaging from epoch 75 on, lr cycles of three epochs
    from 0.003 down to 0.001.
    """
    return SWAConfig(
        datasource="blobs",
        hidden=50,
        norm="batch_norm",
        batch_size=16384,
        momentum=0.0,
        iterations=800,
        report_every=8,
        checkpoint_every=80,
        swa_start=74 * 8,
        swa_every=3 * 8,
        swa_lr=0.001,
        swa_lr2=0.003,
    )


PRESETS = {"smoke": smoke, "tutorial": tutorial, "clean": clean, "sgd": sgd, "paper": paper}
