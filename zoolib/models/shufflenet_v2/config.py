"""Settings and presets of ShuffleNetV2; what the seed document's flags mean is in `seed_flags`."""

from __future__ import annotations

import dataclasses
from typing import Any

from zoolib.core.config import Config, setting
from zoolib.errors import ConfigError
from zoolib.models.shufflenet_v2 import seed_flags
from zoolib.models.shufflenet_v2.architecture import WIDTHS, WIRINGS, Architecture

IMAGENET = 1_281_144  # training images in the reference's records (23 are no RGB JPEGs)
FREEZE = ("none", "conv1", "stage2", "stage3", "stage4", "conv5")


@dataclasses.dataclass(frozen=True)
class ShuffleNetConfig(Config):
    """Settings of a ShuffleNetV2 and its training."""

    model = "shufflenet_v2"
    translated = seed_flags.TRANSLATED
    meaningless = seed_flags.MEANINGLESS

    iterations: int = setting(
        1000,
        "Training steps.",
        unit="steps",
        low=1,
        high=10**9,
        aliases=("max_train_steps", "max_train_step"),
    )
    report_every: int = setting(
        100,
        "Steps between two rows of the history.",
        unit="steps",
        low=1,
        aliases=("save_summary_steps",),
        advanced=True,
    )
    checkpoint_every: int = setting(
        1000,
        "Steps between checkpoints.",
        unit="steps",
        low=1,
        aliases=("save_checkpoints_steps",),
        advanced=True,
    )
    datasource: str = setting(
        "shapes",
        "shapes: generated pictures in memory; records: what `zoolib data build` made, in "
        "data_dir; synthetic: noise with random labels, for timing.",
        choices=("shapes", "records", "synthetic"),
    )
    data_dir: str = setting("data/imagenet", "Folder of the records (train_shards, val_shards).")
    width: str = setting("0.5", "Multiplier of the channels.", choices=tuple(WIDTHS))
    wiring: str = setting(
        "torchvision",
        "Which ShuffleNetV2: torchvision's, the TensorFlow 1 reference's or the authors' release.",
        choices=WIRINGS,
    )
    num_classes: int = setting(1000, "Number of classes.", unit="classes", low=2, high=100_000)
    image_size: int = setting(
        224, "Height and width of the network's input.", unit="pixels", low=32, high=1024
    )
    batch_size: int = setting(
        128,
        "Images per step and device.",
        unit="images",
        low=1,
        high=2**16,
        aliases=("train_batch_size",),
    )
    lr: float = setting(
        0.0625,
        "Step size at the start.",
        low=0.0,
        high=1e3,
        aliases=("initial_learning_rate", "learning_rate"),
    )
    end_lr: float = setting(
        1e-6,
        "Step size at the end.",
        low=0.0,
        high=1e3,
        aliases=("end_learning_rate",),
        advanced=True,
    )
    lr_decay: str = setting(
        "linear",
        "Course of lr; cosine_epochs is the seed document's: to 0, changed once per epoch.",
        choices=("linear", "cosine", "cosine_epochs", "constant"),
    )
    warmup_epochs: float = setting(
        0.0, "Epochs over which lr grows to its value.", unit="epochs", low=0.0, high=1e4
    )
    lr_scaling: str = setting(
        "none",
        "linear: multiply lr and end_lr by the number of devices.",
        choices=("none", "linear"),
        advanced=True,
    )
    weight_decay: float = setting(
        4e-5, "L2 penalty on kernels, depthwise ones excepted.", low=0.0, high=1.0
    )
    momentum: float = setting(0.9, "Momentum of SGD.", low=0.0, high=0.999)
    nesterov: bool = setting(True, "Nesterov's momentum, in TensorFlow 1's form.", advanced=True)
    label_smoothing: float = setting(
        0.0, "Share of a label's probability spread over all classes.", low=0.0, high=0.99
    )
    ema_decay: float = setting(
        0.0,
        "Evaluate an exponential average of the weights with this decay; 0, or SWA: the weights.",
        low=0.0,
        high=0.999999,
    )
    dropout: float = setting(
        0.0, "Share of features dropped before the classifier.", low=0.0, high=0.9, advanced=True
    )
    init: str = setting(
        "wiring",
        "Initial kernels: as the wiring's authors have them, Glorot's or He's uniform ones.",
        choices=("wiring", "xavier", "he_uniform"),
        aliases=("version", "alexnet_version"),
        advanced=True,
    )
    se: bool = setting(False, "Squeeze and excitation in every unit.", advanced=True)
    residual: bool = setting(False, "Residual units, for very deep networks.", advanced=True)
    weights: str = setting(
        "none",
        "Start from these: a .safetensors or .pth file, or a TensorFlow 1 checkpoint.",
        advanced=True,
    )
    new_classifier: bool = setting(
        False, "Take all of `weights` but the classifier, for other classes.", advanced=True
    )
    freeze: str = setting(
        "none", "Keep the network up to this block as it is.", choices=FREEZE, advanced=True
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
    eval_batch_size: int = setting(
        64, "Images per call of an evaluation.", unit="images", low=1, high=2**16, advanced=True
    )
    train_images: int = setting(
        IMAGENET,
        "Training images that an epoch counts, for schedules; records tell their own number.",
        unit="images",
        low=1,
        aliases=("train_dataset_size",),
        advanced=True,
    )
    shapes_per_class: int = setting(
        250, "Training pictures of each generated class (shapes).", low=1, high=2**16, advanced=True
    )
    augment: str = setting(
        "reference",
        "Variation of training pictures: the reference's crops, flips and colours; mild: larger "
        "crops and flips only.",
        choices=("reference", "mild", "none"),
        advanced=True,
    )
    log_dir: str = setting(
        "none", "Folder for log files in the seed document's layout.", advanced=True
    )
    log_name: str = setting(
        "shufflenet_v2_training.log", "Name of the training log in log_dir.", advanced=True
    )

    @property
    def architecture(self) -> Architecture:
        """The network."""
        return Architecture(
            self.width, self.wiring, self.num_classes, self.image_size, self.se, self.residual
        )

    @property
    def epoch_images(self) -> int:
        """Training images in an epoch, as far as the settings tell."""
        if self.datasource == "shapes":
            return self.num_classes * self.shapes_per_class
        return self.train_images

    def steps_per_epoch(self, devices: int = 1, images: int | None = None) -> int:
        """Whole steps in an epoch: floor(floor(images / batch) / devices), at least 1."""
        return max((images or self.epoch_images) // self.batch_size // devices, 1)

    def translate(self, values: dict[str, Any]) -> dict[str, Any]:
        """Accept the seed document's flags, and widths given as numbers."""
        return seed_flags.translate(self, values)

    def check(self) -> None:
        """Refuse settings that contradict one another."""
        _ = self.architecture  # raises where there is no such network
        if self.datasource == "shapes" and self.num_classes > 256:
            raise ConfigError(
                f"num_classes: expected at most 256 for shapes, got {self.num_classes}"
            )
        if self.weights == "none" and (self.new_classifier or self.freeze != "none"):
            raise ConfigError(
                "weights: expected a file, since new_classifier or freeze is set; got none"
            )
        if self.end_lr > self.lr and self.lr_decay != "constant":
            raise ConfigError(f"end_lr: expected at most lr ({self.lr:g}), got {self.end_lr:g}")


def smoke() -> ShuffleNetConfig:
    """`zoolib train shufflenet_v2 --preset smoke`: some 15 s, most of it building the graph."""
    return ShuffleNetConfig(
        iterations=60,
        report_every=5,
        checkpoint_every=20,
        width="0.25",
        num_classes=4,
        shapes_per_class=64,
        image_size=32,
        batch_size=16,
        augment="mild",
        lr=0.01,
        end_lr=0.0001,
        ema_decay=0.9,
    )


def tutorial() -> ShuffleNetConfig:
    """`zoolib train shufflenet_v2`: under two minutes; 8 kinds of shapes, 90 % and more."""
    return ShuffleNetConfig(
        iterations=600,
        report_every=25,
        eval_every=150,
        checkpoint_every=150,
        width="0.5",
        num_classes=8,
        image_size=64,
        augment="mild",
        batch_size=32,
        lr=0.02,
        end_lr=0.0,
        lr_decay="cosine",
        weight_decay=1e-4,
    )


def paper() -> ShuffleNetConfig:
    """`zoolib train shufflenet_v2 --preset paper`: ImageNet, days on a GPU; top-1 about 69.4 %.

    The authors' release at width 1.0: batches of 1024, lr from 0.5 to 0 in 300,000 steps.
    """
    return ShuffleNetConfig(
        iterations=300_000,
        checkpoint_every=5000,
        datasource="records",
        width="1.0",
        wiring="megvii",
        batch_size=1024,
        lr=0.5,
        end_lr=0.0,
        label_smoothing=0.1,
    )


def reference() -> ShuffleNetConfig:
    """`zoolib train shufflenet_v2 --preset reference`: ImageNet, days; top-1 about 60.7 %.

    The TensorFlow 1 code's run: width 0.5, 133 epochs, average of the weights evaluated.
    """
    return ShuffleNetConfig(
        iterations=133 * 10_008,
        report_every=500,
        checkpoint_every=10_008,
        datasource="records",
        wiring="reference",
        ema_decay=0.995,
        eval_batch_size=512,
    )


def seed() -> ShuffleNetConfig:
    """`zoolib train shufflenet_v2 --preset seed`: ImageNet, days; the seed document's table.

    As `reference`, with the table's warmup and label smoothing, which that code does not have.
    """
    return dataclasses.replace(
        reference(), report_every=100, checkpoint_every=1000, warmup_epochs=5, label_smoothing=0.1
    )


PRESETS = {
    "smoke": smoke,
    "tutorial": tutorial,
    "paper": paper,
    "reference": reference,
    "seed": seed,
}
