"""What flags of the earlier scripts and of the seed document mean here, where it is no alias.

Most flags are aliases of settings (`config`). Two deviations are deliberate: a switch takes its
value (`bool("False")` was true there), and settings in a run folder never override what is typed.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from zoolib.errors import ConfigError

if TYPE_CHECKING:
    from zoolib.models.am3.config import AM3Config

TRANSLATED = (
    "num_cases_test",
    "feat_extract_pretrain",
    "mlp_dropout",
    "mlp_weight_decay",
    "eval_interval_steps",
    "mode",
    "encoder_classifier_link",
)
MEANINGLESS = (
    "data_split",
    "number_of_steps_to_early_stop",
    "exp_dir",
    "repeat",
    "num_samples_train",
    "num_samples_val",
    "num_samples_test",
    "save_summaries_secs",
    "save_interval_secs",
    "max_number_of_evaluations",
    "eval_interval_secs",
    "pretrained_model_dir",
    "fc_dropout",
    "encoder_sharing",
    "embedding_pooled",
    "feature_extractor",
    "class_embed_size",
    "task_encoder_sharing",
    "attention_num_filters",
    "attention_num_models",
    "attention_num_layers",
    "attention_fusion",
    "attention_no_original_embedding",
    "feat_extract_pretrain_offset",
    "feat_extract_pretrain_lr_decay_rate",
    "feat_extract_pretrain_lr_decay_n",
    "log_dir",
)
_DECAYS = {"pwc": "piecewise", "cos": "cosine", "const": "constant", "exp": "exponential"}
_SWITCH = {"true": "diagonal", "false": "none"}
_ENCODERS = {"self_att_mlp": "adaptive", "fixed_alpha_mlp": "fixed", "class_mean": "visual"}


def translate(config: AM3Config, values: dict[str, Any]) -> dict[str, Any]:
    """Turn flags that are no single setting into settings.

    Args:
        config: what holds where nothing is given.
        values: folded names -> values as given.

    Raises:
        ConfigError: for values that never worked, saying what to use instead.
    """
    rest = dict(values)
    for name in ("lr_decay", "lr_anneal", "lr_scheduler"):
        if name in rest:
            rest[name] = _DECAYS.get(str(rest[name]), rest[name])
    _encoder(config, rest)
    _words(config, rest)
    _auxiliary(rest)
    if str(rest.get("augment")).lower() in _SWITCH:
        rest["augment"] = _SWITCH[str(rest["augment"]).lower()]
    if "eval_interval_steps" in rest:
        rest["eval_every"] = rest.pop("eval_interval_steps")
    if "num_cases_test" in rest:
        cases = _count(config, "num_cases_test", rest.pop("num_cases_test"))
        each = rest.get("eval_queries", rest.get("eval_batch_size", config.eval_queries))
        rest["eval_episodes"] = cases // _count(config, "eval_queries", each)
    mode = rest.pop("mode", "train")
    if mode != "train":
        raise ConfigError(
            f"mode: expected train, got {mode!r}; evaluating is a command of its own here: "
            "zoolib eval FOLDER"
        )
    return rest


def _encoder(config: AM3Config, rest: dict[str, Any]) -> None:
    """`class_mean` is the mixing by pictures alone, of variants that could have words."""
    name = "task_encoder" if "task_encoder" in rest else "mixing"
    given = str(rest.get(name, ""))
    if given == "fixed_alpha":
        raise ConfigError(
            "task_encoder: fixed_alpha takes word vectors for prototypes without g, which have "
            "another width; use fixed_alpha_mlp"
        )
    if given in _ENCODERS:
        rest[name] = _ENCODERS[given]
    link = rest.pop("encoder_classifier_link", None)
    if link is None:
        return
    variant, wanted = str(rest.get("variant", config.variant)), {"prototypical": 0, "cbn": 1}
    if link not in wanted or wanted[link] != variant.endswith("tadam"):
        raise ConfigError(
            "encoder_classifier_link: expected prototypical for protonet++ variants and cbn for "
            f"tadam ones, got {link!r} for {variant}"
        )


def _words(config: AM3Config, rest: dict[str, Any]) -> None:
    """One flag for g and h in AM3-ProtoNet++, for g alone in AM3-TADAM."""
    variant = str(rest.get("variant", config.variant))
    for flag, name in (("mlp_dropout", "dropout"), ("mlp_weight_decay", "weight_decay")):
        if flag in rest:
            value = rest.pop(flag)
            rest[f"g_{name}"] = value
            if not variant.endswith("tadam") and f"att_{name}" not in rest:
                rest.setdefault(f"h_{name}", value)


def _auxiliary(rest: dict[str, Any]) -> None:
    kind = rest.pop("feat_extract_pretrain", None)
    if kind is None:
        return
    known = {"multitask": True, "none": False, "": False}
    if str(kind).lower() not in known:
        raise ConfigError(
            f"feat_extract_pretrain: expected multitask or None, got {kind!r} (finetune and freeze "
            "crashed in the earlier code)"
        )
    rest["aux"] = known[str(kind).lower()]


def _count(config: AM3Config, name: str, value: Any) -> int:
    like = config.names()["seed"]
    return dataclasses.replace(like, name=name, low=1, high=10**9).parse(value)
