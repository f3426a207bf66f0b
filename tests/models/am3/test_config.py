"""The flags of the earlier scripts, and settings that contradict one another."""

from __future__ import annotations

import pytest

import zoolib
from zoolib.errors import ConfigError
from zoolib.models.am3.rates import remarks

SPEC = zoolib.get_model("am3")


def test_a_published_command_line_is_the_preset():
    config = SPEC.preset(
        "paper",
        num_tasks_per_batch=5,
        train_batch_size=24,
        num_shots_train=1,
        number_of_steps=30_000,
        num_steps_decay_pwc=2500,
        mlp_dropout=0.7,
        mlp_weight_decay=0.001,
        num_cases_test=100_000,
        att_input="word",
        task_encoder="self_att_mlp",
        encoder_classifier_link="prototypical",
    )
    assert config.diff(SPEC.preset("mini_1shot")) == {}


@pytest.mark.parametrize(
    "name,T,K,Q,N,d,alpha,drop,decay",
    [
        ("mini_1shot", 5, 1, 24, 30_000, 2500, None, 0.7, 0.001),
        ("mini_5shot", 2, 5, 32, 30_000, 2500, None, 0.7, 0.001),
        ("tiered_1shot", 5, 1, 24, 80_000, 10_000, None, 0.7, 0.001),
        ("tiered_5shot", 2, 5, 32, 80_000, 10_000, None, 0.7, 0.001),
        ("mini_1shot_tadam", 5, 1, 24, 30_000, 2500, 5.0, 0.7, 0.001),
        ("mini_5shot_tadam", 2, 5, 32, 30_000, 2500, 7.0, 0.7, 0.001),
        ("tiered_1shot_tadam", 5, 1, 24, 80_000, 10_000, 5.0, 0.9, 0.0),
        ("tiered_5shot_tadam", 2, 5, 32, 80_000, 10_000, 7.0, 0.9, 0.0),
    ],
)
def test_recipes(name, T, K, Q, N, d, alpha, drop, decay):
    c = SPEC.preset(name)
    assert (c.tasks, c.shots, c.queries, c.iterations, c.lr_drop_every) == (T, K, Q, N, d)
    assert (c.g_dropout, c.h_dropout, c.g_weight_decay, c.h_weight_decay) == (
        *(drop, drop),
        *(decay, decay),
    )
    assert c.eval_episodes == 1000 and c.eval_queries == 100 and c.lr == 0.1
    if alpha:
        assert c.aux and c.scale == alpha and c.variant == "am3-tadam"


def test_one_flag_for_both_layers_in_one_variant_and_two_in_the_other():
    tadam = SPEC.preset("smoke", variant="am3-tadam", mlp_dropout=0.5, att_dropout=0.2)
    assert (tadam.g_dropout, tadam.h_dropout) == (0.5, 0.2)
    only = SPEC.preset("smoke", variant="am3-tadam", mlp_dropout=0.5)
    assert (only.g_dropout, only.h_dropout) == (0.5, 0.0)


def test_the_seed_documents_values_are_taken_and_told():
    config = SPEC.preset(
        "seed", batch_size=24, train_steps=30_000, lr_scheduler="cosine", data_path="data/mini"
    )
    assert (config.lr, config.weight_decay, config.label_smoothing) == (1e-3, 1e-4, 0.1)
    assert config.queries == 24 and config.data_dir == "data/mini"
    assert SPEC.preset("paper", feat_extract_pretrain="None").aux is False


def test_remarks_tell_the_effective_values(built):
    task = built(variant="am3-tadam", aux=True, label_smoothing=0.1)
    told = " | ".join(remarks(task.config, task.source, task.network.sizes()))
    for words in ("2 tasks of 5 ways", "40 images", "64 auxiliary", "effective lr 0.1, 0.01 from"):
        assert words in told
    assert "label smoothing 0.1; the published setting has none" in told
    told = " | ".join(built(variant="tadam").remarks())
    assert "conditioning was found to hurt" in told


@pytest.mark.parametrize(
    "changes,told",
    [
        ({"variant": "protonet++", "class_names": "shuffled"}, "reads no names"),
        ({"variant": "tadam", "mixing": "words"}, "reads no names"),
        ({"aux": True}, "has no auxiliary task"),
        ({"balanced": True, "queries": 24}, "multiple of the 5 ways"),
        ({"image_size": 3}, "at least 4"),
        ({"pools": 5}, "at most 3"),
        ({"task_encoder": "fixed_alpha"}, "use fixed_alpha_mlp"),
        ({"mode": "eval"}, "zoolib eval"),
        ({"feat_extract_pretrain": "finetune"}, "multitask or None"),
        ({"encoder_classifier_link": "cbn"}, "prototypical for protonet"),
        ({"eval_every_late": 3}, "multiple of report_every"),
        ({"variant": "matching"}, "one of protonet"),
    ],
)
def test_contradictions_are_refused(changes, told):
    with pytest.raises(ConfigError, match=told):
        SPEC.preset("smoke", **changes)
