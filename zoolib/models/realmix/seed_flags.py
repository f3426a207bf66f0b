"""What the flags of the published RealMix, MixMatch and Ascend programs mean here (spec 3).

Most are aliases of settings (`config`); here is the rest. Durations there are kibi-images, here
they are steps; `dataset` holds name, split seed, labels and validation images in one word.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from zoolib.core.config import Setting
from zoolib.errors import ConfigError

if TYPE_CHECKING:
    from zoolib.models.realmix.config import RealMixConfig

METHODS = (
    "realmix",
    "mixmatch",
    "supervised",
    "supervised_mixup",
    "pseudo_label",
    "pi_model",
    "mean_teacher",
    "vat",
    "ict",
)
SCHEDULES = ("none", "linear_schedule", "exp_schedule", "log_schedule")
MIXMODES = ("xxy.yxy", ".", "xx.", ".yy", "xx.yy", "xxy.", ".yxy", "xx.yxy", "xx.yx")
TRANSLATED = (
    "train_kimg",
    "epochs",
    "report_kimg",
    "save_kimg",
    "warmup_pos",
    "warmup_kimg",
    "nu",
    "eval_ckpt",
    "perform_inference",
)
MEANINGLESS = (
    "train_dir",
    "keep_ckpt",
    "class_mapping",
    "custom_dataset",
    "img_size",
    "memoize",
    "inference_dir",
    "inference_ckpt",
    "para_parse",
    "para_augment",
    "shuffle",
    "p_unlabeled",
    "log_device_placement",
    "epochs_ctrl",
    "steps_ctrl",
    "smoothing",
    "nouse_logdir",
)
KIMG = 1024
EPOCH_KIMG = 64  # report_kimg where it is not given
_DATASET = re.compile(r"^(?P<name>[\w-]+)\.(?P<seed>\d+)@(?P<labels>\d+)(-(?P<validation>\d+))?$")


def translate(config: RealMixConfig, values: dict[str, Any]) -> dict[str, Any]:
    """Turn flags that are no single setting into settings.

    Args:
        config: what holds where nothing is given.
        values: folded names -> values as given.

    Raises:
        ConfigError: for values out of range, and for what is a command of its own here.
    """
    rest = dict(values)
    if "nu" in rest:
        nu = _whole("nu", rest.pop("nu"), 1)
        if nu != 2:
            raise ConfigError(f"nu: expected 2 views of every unlabelled image, got {nu}")
    if str(rest.pop("eval_ckpt", "")).strip() not in ("", "none"):
        raise ConfigError("eval_ckpt: evaluating is a command of its own here: zoolib eval FOLDER")
    if str(rest.pop("perform_inference", "false")).lower() in ("true", "1", "yes", "on"):
        raise ConfigError(
            "perform_inference: predicting is a command of its own here: "
            "zoolib predict FOLDER IMAGES --to FILE.csv"
        )
    _sizes(rest)
    _dataset(rest)
    _durations(config, rest)
    return rest


def _sizes(rest: dict[str, Any]) -> None:
    """Lists of sizes to register names for; the last one is the largest, the first one is meant."""
    for name in ("label_size", "valid_size"):
        words = str(rest.get(name, "")).split()
        if len(words) > 1:  # registers names, chooses nothing
            rest.pop(name)


def _dataset(rest: dict[str, Any]) -> None:
    found = _DATASET.match(str(rest.get("dataset", "")))
    if not found:
        return
    rest["dataset"] = found["name"]
    told = {"split_seed": found["seed"], "labels": found["labels"]}
    if found["validation"] is not None:
        told["validation"] = found["validation"]
    if found["name"] == "digits":
        rest.pop("dataset")
        rest.setdefault("datasource", "digits")
    else:
        rest.setdefault("datasource", "records")
    for name, value in told.items():
        rest.setdefault(name, value)


def _durations(config: RealMixConfig, rest: dict[str, Any]) -> None:
    """Kibi-images and epochs become steps of the batch size that is to hold."""
    names = ("train_kimg", "epochs", "report_kimg", "save_kimg", "warmup_pos", "warmup_kimg")
    given = {name: rest.pop(name) for name in names if name in rest}
    if not given:
        return
    batch = rest.get("batch_size", rest.get("batch", config.batch_size))
    batch = _whole("batch_size", batch, 2)

    def steps(kimg: int) -> int:
        return max(kimg * KIMG // batch, 1)

    epoch = _whole("report_kimg", given.get("report_kimg", EPOCH_KIMG), 1)
    ends = []
    if "train_kimg" in given:
        ends.append(steps(_whole("train_kimg", given["train_kimg"], 1)))
    if "epochs" in given:
        ends.append(steps(_whole("epochs", given["epochs"], 1) * epoch))
    if ends and "iterations" not in rest:
        rest["iterations"] = min(ends)
    total = _whole("iterations", rest.get("iterations", config.iterations), 1)
    if "report_kimg" in given and "eval_every" not in rest:
        rest["eval_every"] = steps(epoch)
        most = _whole("report_every", rest.get("report_every", config.report_every), 1)
        rest["report_every"] = _divisor(steps(epoch), most)
    if "save_kimg" in given and "checkpoint_every" not in rest:
        rest["checkpoint_every"] = steps(_whole("save_kimg", given["save_kimg"], 1))
    if "warmup_kimg" in given:
        rest.setdefault("ramp_images", _whole("warmup_kimg", given["warmup_kimg"], 1) * KIMG)
    if "warmup_pos" in given:
        share = Setting("warmup_pos", float, 0.4, low=1e-6, high=1.0).parse(given["warmup_pos"])
        rest.setdefault("ramp_images", max(round(share * total * batch), 1))


def _divisor(number: int, most: int) -> int:
    """The largest divisor of a number that is no larger than ``most``."""
    return next(d for d in range(min(most, number), 0, -1) if number % d == 0)


def _whole(name: str, value: Any, low: int) -> int:
    return Setting(name, int, low, low=low, high=10**12).parse(value)
