"""Presets of AM3: a smoke test, the tutorial, and the published recipes (spec 2.2)."""

from __future__ import annotations

from typing import Any

from zoolib.models.am3.config import AM3Config

_MINI = {"datasource": "npz", "data_dir": "data/mini-imagenet", "image_size": 84}
_TIERED = {"datasource": "npz", "data_dir": "data/tiered-imagenet", "image_size": 84}


def smoke(**changes: Any) -> AM3Config:
    """`zoolib train am3 --preset smoke`: some ten seconds; a tiny network, few test tasks."""
    settings: dict[str, Any] = dict(
        iterations=24,
        report_every=2,
        eval_every=12,
        checkpoint_every=6,
        per_class=12,
        image_size=16,
        queries=15,
        tasks=2,
        eval_queries=15,
        eval_episodes=20,
        filters=8,
        blocks=3,
        units=1,
        pools=2,
        most_filters=16,
        hidden=32,
        lr_drop_every=4,
    )
    return AM3Config(**{**settings, **changes})


def tutorial(**changes: Any) -> AM3Config:
    """`zoolib train am3`: under two minutes; names add about eight points at one shot."""
    settings: dict[str, Any] = dict(
        iterations=288,
        report_every=8,
        eval_every=96,
        checkpoint_every=96,
        queries=25,
        balanced=True,
        eval_queries=25,
        eval_balanced=True,
        eval_episodes=400,
        filters=16,
        units=1,
        most_filters=64,
        g_dropout=0.85,
        h_dropout=0.7,
        g_weight_decay=0.001,
        h_weight_decay=0.001,
        lr_drop_every=48,
    )
    return AM3Config(**{**settings, **changes})


def _recipe(
    data: dict[str, Any], shots: int, variant: str = "am3-protonet++", **changes: Any
) -> AM3Config:
    """What the recipes share: T, K, Q, N, d, decays and dropouts."""
    tiered = data is _TIERED
    settings: dict[str, Any] = dict(
        data,
        variant=variant,
        iterations=80_000 if tiered else 30_000,
        lr_drop_every=10_000 if tiered else 2500,
        report_every=50,
        eval_every=1000,
        eval_every_late=250,
        checkpoint_every=1000,
        shots=shots,
        tasks=5 if shots == 1 else 2,
        queries=24 if shots == 1 else 32,
    )
    if variant.startswith("am3"):
        bare = tiered and variant == "am3-tadam"
        drop, decay = (0.9, 0.0) if bare else (0.7, 0.001)
        settings.update(g_dropout=drop, h_dropout=drop, g_weight_decay=decay, h_weight_decay=decay)
    if variant.endswith("tadam"):
        settings.update(aux=True, scale=5.0 if shots == 1 else 7.0)
    return AM3Config(**{**settings, **changes})


def mini_1shot() -> AM3Config:
    """`zoolib train am3 --preset mini_1shot`: AM3-ProtoNet++, miniImageNet; hours of a GPU."""
    return _recipe(_MINI, 1)


def mini_5shot() -> AM3Config:
    """`zoolib train am3 --preset mini_5shot`: AM3-ProtoNet++, miniImageNet; hours of a GPU."""
    return _recipe(_MINI, 5)


def mini_10shot() -> AM3Config:
    """`zoolib train am3 --preset mini_10shot`: T = 1, Q = 64, as TADAM has it; hours of a GPU."""
    return _recipe(_MINI, 10, tasks=1, queries=64)


def tiered_1shot() -> AM3Config:
    """`zoolib train am3 --preset tiered_1shot`: AM3-ProtoNet++, tieredImageNet; a day of a GPU."""
    return _recipe(_TIERED, 1)


def tiered_5shot() -> AM3Config:
    """`zoolib train am3 --preset tiered_5shot`: AM3-ProtoNet++, tieredImageNet; a day of a GPU."""
    return _recipe(_TIERED, 5)


def mini_1shot_tadam() -> AM3Config:
    """`zoolib train am3 --preset mini_1shot_tadam`: AM3-TADAM, miniImageNet; a day of a GPU."""
    return _recipe(_MINI, 1, "am3-tadam")


def mini_5shot_tadam() -> AM3Config:
    """`zoolib train am3 --preset mini_5shot_tadam`: AM3-TADAM, miniImageNet; a day of a GPU."""
    return _recipe(_MINI, 5, "am3-tadam")


def tiered_1shot_tadam() -> AM3Config:
    """`zoolib train am3 --preset tiered_1shot_tadam`: AM3-TADAM, tieredImageNet; days of a GPU."""
    return _recipe(_TIERED, 1, "am3-tadam")


def tiered_5shot_tadam() -> AM3Config:
    """`zoolib train am3 --preset tiered_5shot_tadam`: AM3-TADAM, tieredImageNet; days of a GPU."""
    return _recipe(_TIERED, 5, "am3-tadam")


def paper() -> AM3Config:
    """`zoolib train am3 --preset paper`: `mini_1shot`; hours of a GPU; 65.2 % in the paper."""
    return mini_1shot()


def seed() -> AM3Config:
    """`zoolib train am3 --preset seed`: the seed document's table, which its script never had.

    Cosine from 1e-3, weight decay 1e-4, label smoothing 0.1; expect less than from `paper`.
    """
    return _recipe(_MINI, 1, lr=1e-3, lr_decay="cosine", weight_decay=1e-4, label_smoothing=0.1)


PRESETS = {
    "smoke": smoke,
    "tutorial": tutorial,
    "paper": paper,
    "mini_1shot": mini_1shot,
    "mini_5shot": mini_5shot,
    "mini_10shot": mini_10shot,
    "tiered_1shot": tiered_1shot,
    "tiered_5shot": tiered_5shot,
    "mini_1shot_tadam": mini_1shot_tadam,
    "mini_5shot_tadam": mini_5shot_tadam,
    "tiered_1shot_tadam": tiered_1shot_tadam,
    "tiered_5shot_tadam": tiered_5shot_tadam,
    "seed": seed,
}
