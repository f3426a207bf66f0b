"""Step sizes and the chance of an auxiliary step as functions of the step (spec 1.6, 3.2)."""

from __future__ import annotations

from typing import Any

import numpy as np

from zoolib.data.draws import uniforms
from zoolib.optim.schedules import cosine, exponential, piecewise, schedule

_TENTHS = (1.0, 0.1, 0.01, 0.001)


def learning_rates(config: Any, steps: range) -> np.ndarray:
    """Step sizes of the given steps (0-based), float32.

    Piecewise: lr up to and with step N / 2, then tenths of it, each ``lr_drop_every`` steps long,
    boundaries included on the left.
    """
    total, kind = config.iterations, config.lr_decay
    if kind == "piecewise":
        half, width = total // 2, config.lr_drop_every
        boundaries = [half, half + width, half + 2 * width]
        return piecewise(boundaries, [config.lr * part for part in _TENTHS], steps)
    if kind == "cosine":
        return cosine(config.lr, 0.0, steps, total)
    if kind == "exponential":
        every = max(total // config.lr_drops, 1)
        return exponential(config.lr, 1.0 / config.lr_drop, every, steps, staircase=True)
    return schedule("constant", config.lr, steps, total)


def auxiliary_chances(config: Any, steps: range) -> np.ndarray:
    """rho(t) = 0.9^(floor(t / floor(N / 20)) + 1), float64 [steps]."""
    every = max(config.iterations // config.aux_decay_count, 1)
    times = np.arange(steps.start, steps.stop)
    return config.aux_decay ** (times // every + 1.0)


def auxiliary_taken(config: Any, steps: range) -> np.ndarray:
    """Whether each step has an auxiliary step before it, bool [steps]."""
    drawn = uniforms(config.seed, "am3/auxiliary taken", steps, 1)[:, 0]
    return drawn < auxiliary_chances(config, steps)


def remarks(config: Any, source: Any, sizes: tuple[int, int]) -> list[str]:
    """What follows from the settings: sizes, images per step, effective rates and penalties."""
    train = source.sets["train"]
    images = config.tasks * (config.ways * config.shots + config.queries)
    told = [
        f"{config.variant}: {sizes[0]:,} trained numbers in {sizes[1]} tensors; "
        f"{len(train.images)} training images of {len(train.names)} classes",
        f"a step has {config.tasks} tasks of {config.ways} ways, {config.shots} shots and "
        f"{config.queries} queries: {images} images"
        + (f", {config.aux_batch} auxiliary ones beside them" if config.co_trained else ""),
        _rates(config),
        f"effective weight decay: backbone {config.weight_decay:g}"
        + (f", g {config.g_weight_decay:g}, h {config.h_weight_decay:g}" if config.semantic else "")
        + (f", conditioning factors {config.ten_weight_decay:g}" if config.conditioned else "")
        + f"; momentum {config.momentum:g}, each gradient at most {config.clip:g} long",
    ]
    if config.label_smoothing:
        told.append(f"label smoothing {config.label_smoothing:g}; the published setting has none")
    if config.conditioned and not config.aux:
        told.append("without the auxiliary task (aux) task conditioning was found to hurt (TADAM)")
    return told + source.remarks()


def _rates(config: Any) -> str:
    rates = learning_rates(config, range(config.iterations))
    changes = np.flatnonzero(np.diff(rates)) + 1
    told = f"effective lr {rates[0]:g}"
    if len(changes) > 8:
        return f"{told}, {config.lr_decay}, at the end {rates[-1]:g}"
    return told + "".join(f", {rates[at]:g} from step {at}" for at in changes)
