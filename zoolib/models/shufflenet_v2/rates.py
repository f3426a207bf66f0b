"""Step sizes and the average's decay as functions of the step (spec 3.3 and 3.4)."""

from __future__ import annotations

from typing import Any

import numpy as np

from zoolib.optim.schedules import schedule


def step_sizes(config: Any, steps: range, images: int, devices: int) -> tuple[float, np.ndarray]:
    """The step size a run starts with, and those of the given steps, float32.

    Args:
        config: a :class:`~zoolib.models.shufflenet_v2.config.ShuffleNetConfig`.
        steps: 0-based.
        images: in an epoch.
        devices: how many share a step.
    """
    factor = devices if config.lr_scaling == "linear" else 1
    start, end = config.lr * factor, config.end_lr * factor
    per_epoch = config.steps_per_epoch(devices, images)
    warmup, total = round(config.warmup_epochs * per_epoch), config.iterations
    if config.lr_decay == "cosine_epochs":
        return start, _cosine_epochs(start, steps, total, per_epoch, warmup)
    return start, schedule(config.lr_decay, start, steps, total, end, warmup)


def _cosine_epochs(
    start: float, steps: range, total: int, per_epoch: int, warmup: int
) -> np.ndarray:
    """Linear growth in place of the wave, then half a wave to 0 that changes once per epoch."""
    at = np.arange(steps.start, steps.stop, dtype=np.float64)
    wave = 0.5 * (1.0 + np.cos(np.pi * np.floor(at / per_epoch) / (total / per_epoch)))
    growth = (at + 1.0) / max(warmup, 1)
    return (start * np.where(at < warmup, growth, wave)).astype(np.float32)


def average_decay(most: float, steps: range) -> np.ndarray:
    """min(most, (1 + s) / (10 + s)), s the steps done once the step is over, float32."""
    done = np.arange(steps.start, steps.stop, dtype=np.float64) + 1.0
    return np.minimum(most, (1.0 + done) / (10.0 + done)).astype(np.float32)


def remarks(config: Any, images: int, devices: int) -> list[str]:
    """The numbers that follow from settings, data and devices together."""
    per_epoch = config.steps_per_epoch(devices, images)
    start, _ = step_sizes(config, range(1), images, devices)
    return [
        f"{images} training images, batches of {config.batch_size} on {devices} device(s): "
        f"{per_epoch} steps per epoch, {config.iterations / per_epoch:.4g} epochs",
        f"effective lr {start:g} (lr {config.lr:g}, lr_scaling {config.lr_scaling})",
    ]
