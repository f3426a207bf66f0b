"""Settings of RealMix and its relatives; presets are in `presets`, old flags in `seed_flags`."""

from __future__ import annotations

import dataclasses
from typing import Any

from zoolib.core.config import Config, setting
from zoolib.errors import ConfigError
from zoolib.models.realmix import seed_flags
from zoolib.models.realmix.seed_flags import METHODS, MIXMODES, SCHEDULES


@dataclasses.dataclass(frozen=True)
class RealMixConfig(Config):
    """Settings of a semi-supervised classifier; all schedules count labelled images."""

    model = "realmix"
    translated = seed_flags.TRANSLATED
    meaningless = seed_flags.MEANINGLESS

    method: str = setting(
        "realmix",
        "realmix; mixmatch: it without annealing and mask; or a baseline on the same trainer.",
        choices=METHODS,
    )
    datasource: str = setting(
        "digits",
        "digits: 8 x 8 handwritten digits, in the package; records: what `zoolib data build` made.",
        choices=("digits", "records"),
    )
    data_dir: str = setting("data", "Folder of the records.", aliases=("ml_data",))
    dataset: str = setting("cifar10", "Name of the data set in data_dir (records).")
    labels: int = setting(
        30,
        "Labelled training images.",
        unit="images",
        low=1,
        high=10**7,
        aliases=("label_split_size", "label_size"),
    )
    validation: int = setting(
        50,
        "Images held out of the unlabelled ones.",
        unit="images",
        low=0,
        high=10**7,
        aliases=("valid_size",),
    )
    split_seed: int = setting(
        -1, "Seed of the split; 0: file order; -1: the run's seed.", low=-1, high=2**31 - 1
    )
    mismatch: float = setting(
        -1.0,
        "Share of unlabelled images of classes without labels; -1: all classes have labels.",
        low=-1.0,
        high=1.0,
    )
    mismatch_variant: str = setting(
        "constant_total",
        "What stays as the share grows: the unlabelled images, or those of labelled classes.",
        choices=("constant_total", "constant_in_class"),
        advanced=True,
    )
    augment: str = setting(
        "auto",
        "Variation of training images: auto (the data set's own), digits, cifar10, svhn, stl10, "
        "color, cutout, strong, none, or some joined by +.",
    )
    num_classes: int = setting(
        0,
        "Outputs of the network; 0: as many as the data have classes.",
        unit="classes",
        low=0,
        high=100_000,
        aliases=("nclass",),
        advanced=True,
    )
    arch: str = setting("resnet", "The network.", choices=("resnet", "convnet", "shake"))
    filters: int = setting(32, "Channels of the first scale.", unit="channels", low=1, high=4096)
    repeat: int = setting(4, "Residual blocks per scale.", unit="blocks", low=1, high=64)
    scales: int = setting(
        0, "Scales of the network; 0: as many as leave 8 x 8 places.", low=0, high=12
    )
    whiten: bool = setting(False, "Normalise channels by the training images.", advanced=True)
    start_from: str = setting(
        "none",
        "A run folder whose weights to start from, all but the last layer's.",
        aliases=("load_checkpoint",),
        advanced=True,
    )
    batch_size: int = setting(
        64,
        "Labelled images per step and device; as many unlabelled ones, each seen twice.",
        unit="images",
        low=2,
        high=2**16,
        aliases=("batch",),
    )
    lr: float = setting(0.002, "Step size of Adam.", low=0.0, high=1e3)
    weight_decay: float = setting(
        0.02, "Kernels shrink by lr times this per step.", low=0.0, high=1e3, aliases=("wd",)
    )
    ema_decay: float = setting(
        0.999, "Decay of the averaged weights.", low=0.0, high=0.999999, aliases=("ema",)
    )
    bn_momentum: float = setting(
        0.999, "Momentum of batch norm's running statistics.", low=0.0, high=0.999999
    )
    mixup_beta: float = setting(
        0.75, "MixUp's coefficients are Beta(beta, beta).", low=1e-3, high=1e3, aliases=("beta",)
    )
    mixmode: str = setting(
        "xxy.yxy",
        "With whom labelled (before the dot) and unlabelled images (behind it) mix.",
        choices=MIXMODES,
        advanced=True,
    )
    temperature: float = setting(
        0.5, "Sharpening of guesses: p^(1 / T).", low=0.01, high=10.0, advanced=True
    )
    unlabelled_weight: float = setting(
        75.0,
        "Weight of the unlabelled loss at the end of its ramp.",
        low=0.0,
        high=1e6,
        aliases=("w_match", "weight"),
    )
    ramp_images: int = setting(
        2**20,
        "Images over which the weight of the unlabelled loss grows; 0: the whole run.",
        unit="images",
        low=0,
    )
    tsa: str = setting(
        "none",
        "Training signal annealing: leave out labelled rows predicted too well for this time.",
        choices=SCHEDULES,
    )
    tsa_rule: str = setting(
        "target",
        "target: compare with the target, as meant; compat: with the logit, as published (inert).",
        choices=("target", "compat"),
        advanced=True,
    )
    tsa_images: int = setting(
        0, "Images over which annealing ends; 0: the whole run.", unit="images", low=0
    )
    mask_fraction: float = setting(
        -1.0,
        "Share of least confident unlabelled rows left out; 0 or less: none.",
        low=-1.0,
        high=1.0,
        aliases=("percent_mask", "ood_mask"),
    )
    mask_mode: str = setting(
        "percentile",
        "percentile: the mask takes a share; absolute: rows below mask_threshold.",
        choices=("percentile", "absolute"),
        advanced=True,
    )
    mask_threshold: float = setting(
        0.0, "Confidence below which a row is left out (absolute).", low=0.0, high=1.0
    )
    confidence: float = setting(
        0.95, "Of a pseudo-label, to count (pseudo_label).", low=0.0, high=1.0, advanced=True
    )
    vat_radius: float = setting(
        6.0, "Length of the adversarial step (vat).", low=0.0, high=1e3, advanced=True
    )
    entropy_weight: float = setting(
        0.06, "Weight of the entropy (vat).", low=0.0, high=1e3, aliases=("entmin",), advanced=True
    )
    tuning_images: int = setting(
        16384,
        "Images of the tuning pass behind the rows tuned_raw and tuned_ema.",
        unit="images",
        low=0,
        advanced=True,
    )
    recalibration_images: int = setting(
        4096,
        "Training images for the statistics behind the row recal_ema, at most.",
        unit="images",
        low=1,
        advanced=True,
    )
    eval_batch_size: int = setting(
        250, "Images per call of an evaluation.", unit="images", low=1, high=2**16, advanced=True
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
    def images_per_step(self) -> int:
        """Labelled images of a step, on one device: what the progress bar counts."""
        return self.batch_size

    def evaluation_line(self, step: int, metrics: dict[str, float], ranks: int = 1) -> str:
        """The published report's line: accuracies of the averaged weights in percent."""
        from zoolib.models.realmix.reports import kimg_line

        shares = [
            100 * metrics.get(f"ema_{n}", float("nan")) for n in ("labelled", "valid", "test")
        ]
        return kimg_line(step * self.batch_size * ranks, *shares)

    @property
    def images(self) -> int:
        """Labelled images of the whole run, on one device."""
        return self.iterations * self.batch_size

    def translate(self, values: dict[str, Any]) -> dict[str, Any]:
        """Accept the published programs' flags."""
        return seed_flags.translate(self, values)

    def check(self) -> None:
        """Refuse settings that contradict one another."""
        if self.mask_fraction >= 1.0:
            raise ConfigError(
                f"mask_fraction: expected a share below 1, or 0 and less for no mask, got "
                f"{self.mask_fraction:g}"
            )
        if self.augment != "auto":
            from zoolib.data.views import Views

            Views(self.augment)  # raises for a kind that does not exist
        if -1.0 < self.mismatch < 0.0:
            raise ConfigError(
                f"mismatch: expected a share from 0 to 1, or -1 for none, got {self.mismatch:g}"
            )
        if self.swa_start and self.swa_lr:
            raise ConfigError(
                f"swa_lr: expected 0 (the step size of Adam is constant), got {self.swa_lr:g}"
            )
