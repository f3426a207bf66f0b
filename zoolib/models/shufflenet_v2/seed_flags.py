"""What the flags of the seed document and of the earlier Ascend code mean here.

The seed's table was taken over from another model's documentation; the reference knows none of its
names. Most are aliases of settings (`config`); here is the rest. Two deviations are deliberate:
`max_train_steps` has no default (100 there would end training after a minute), and `mode evaluate`
is a command of its own.
"""

from __future__ import annotations

import dataclasses
import os
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from zoolib.errors import ConfigError

if TYPE_CHECKING:
    from zoolib.models.shufflenet_v2.config import ShuffleNetConfig

TRANSLATED = (
    "max_epochs",
    "num_epochs",
    "epochs_between_evals",
    "rank_size",
    "synthetic",
    "do_checkpoint",
    "mode",
    "checkpoint_dir",
    "train_data_dir",
    "eval_data_dir",
)
MEANINGLESS = (
    "iterations_per_loop",
    "eval_dataset_size",
    "model_dir",
    "autotune",
    "bind_core",
)
_MODES = ("train", "train_and_evaluate", "evaluate")
_NEVER = 10**9
_SPELLINGS = {"he_uniorm": "he_uniform", "he_uniform_custom": "he_uniform"}


def translate(config: ShuffleNetConfig, values: dict[str, Any]) -> dict[str, Any]:
    """Turn flags that are no single setting into settings.

    Args:
        config: what holds where nothing is given.
        values: folded names -> values as given.

    Raises:
        ConfigError: for values out of range, and for what is a command of its own here.
    """
    rest = dict(values)
    if isinstance(rest.get("width"), (int, float)):
        rest["width"] = _width(rest["width"])
    for name in ("init", "version", "alexnet_version"):
        if name in rest:
            rest[name] = _SPELLINGS.get(str(rest[name]), rest[name])
    _data(config, rest)
    _checkpoints(config, rest)
    _epochs(config, rest)
    return rest


def _width(number: float) -> str:
    return f"{number:.1f}" if number * 10 == round(number * 10) else f"{number:g}"


def _data(config: ShuffleNetConfig, rest: dict[str, Any]) -> None:
    """A folder means records; the two folders of the earlier code have one parent."""
    if "synthetic" in rest and _switch(config, "synthetic", rest.pop("synthetic")):
        rest["datasource"] = "synthetic"
    roots = {PurePath(rest.pop(n)).parent for n in ("train_data_dir", "eval_data_dir") if n in rest}
    if len(roots) > 1:
        told = ", ".join(sorted(map(str, roots)))
        raise ConfigError(
            f"train_data_dir, eval_data_dir: expected two folders in one, got {told}. Give data_dir"
        )
    for root in roots:
        rest.setdefault("data_dir", str(root))
    if rest.get("data_dir", config.data_dir) != config.data_dir:
        rest.setdefault("datasource", "records")


def _checkpoints(config: ShuffleNetConfig, rest: dict[str, Any]) -> None:
    if "do_checkpoint" in rest and not _switch(config, "do_checkpoint", rest.pop("do_checkpoint")):
        rest["checkpoint_every"] = _NEVER  # the last one is written all the same
    place = str(rest.pop("checkpoint_dir", "none"))
    mode = rest.pop("mode", "train")
    if mode not in _MODES:
        raise ConfigError(f"mode: expected one of {', '.join(_MODES)}, got {mode!r}")
    if mode == "evaluate":
        folder = "FOLDER" if place.lower() == "none" else place
        raise ConfigError(
            f"mode: evaluating is a command of its own here: zoolib eval {folder} (a run's folder)"
        )
    if place.lower() != "none":
        raise ConfigError(
            f"checkpoint_dir: expected None while training, got {place!r}; to go on with a run "
            "give --resume, to start from weights --weights"
        )
    if mode == "train_and_evaluate":
        rest.setdefault("epochs_between_evals", 5)


def _epochs(config: ShuffleNetConfig, rest: dict[str, Any]) -> None:
    """Counts of epochs become counts of steps on as many devices as there are to be."""
    if "num_epochs" in rest:
        rest.setdefault("max_epochs", rest.pop("num_epochs"))
    names = ("max_epochs", "epochs_between_evals", "rank_size")
    given = {name: rest.pop(name) for name in names if name in rest}
    if not given:
        return
    size = given.get("rank_size", os.environ.get("RANK_SIZE", 1))
    devices = _count(config, "rank_size", size)
    parsers = config.names()
    changed = {n: parsers[n] for n in rest if n in parsers}
    like = dataclasses.replace(
        config,
        iterations=_NEVER,
        swa_start=0,
        **{
            item.name: item.parse(rest[n])
            for n, item in changed.items()
            if item.name in ("batch_size", "train_images", "datasource", "num_classes")
        },
    )
    per_epoch = like.steps_per_epoch(devices)
    asked = any(item.name == "iterations" for item in changed.values())
    if "max_epochs" in given and not asked:
        rest["iterations"] = _count(config, "max_epochs", given["max_epochs"]) * per_epoch
    if "epochs_between_evals" in given and "eval_every" not in rest:
        every = _count(config, "epochs_between_evals", given["epochs_between_evals"]) * per_epoch
        rest["eval_every"] = every
        rest.setdefault("report_every", _divisor(every, config.report_every))


def _divisor(number: int, most: int) -> int:
    """The largest divisor of a number that is no larger than ``most``."""
    return next(d for d in range(min(most, number), 0, -1) if number % d == 0)


def _switch(config: ShuffleNetConfig, name: str, value: Any) -> bool:
    return dataclasses.replace(config.names()["se"], name=name).parse(value)


def _count(config: ShuffleNetConfig, name: str, value: Any) -> int:
    like = config.names()["seed"]
    return dataclasses.replace(like, name=name, low=1, high=_NEVER).parse(value)
