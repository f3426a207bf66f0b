"""Augmentation of training pictures: mirrored at random, and shifted over a black margin.

Off in every published recipe. The earlier code shifted by one offset for both axes, so only along
the diagonal, and never all the way to one side: `diagonal` is that, `shift` is what was meant.
"""

from __future__ import annotations

import numpy as np

from zoolib.data.draws import uniforms

NUMBERS = 3  # per picture: mirror, row, column
_MARGIN = 0.125  # of the picture's side


def augmented(
    images: np.ndarray, kind: str, seed: int, purpose: str, steps: range, rows: int, mine: slice
) -> np.ndarray:
    """Views of the pictures of consecutive steps.

    Args:
        images: this rank's, uint8 [steps, its rows, ..., H, W, 3]; not changed.
        kind: "none", "shift" or "diagonal".
        seed: of the run.
        purpose: what they are for; different purposes are independent.
        steps: their numbers.
        rows: of a step, of all ranks.
        mine: those of this rank; their views do not depend on how many ranks there are.

    Returns:
        uint8 of the same shape.
    """
    if kind == "none":
        return images
    each = int(np.prod(images.shape[2:-3], dtype=np.int64))
    chance = uniforms(seed, f"am3/augment {purpose}", steps, rows * each * NUMBERS)
    chance = chance.reshape(len(steps), rows, each, NUMBERS)[:, mine].reshape(-1, NUMBERS)
    flat = images.reshape(-1, *images.shape[-3:])
    return shifted(flat, chance, kind == "diagonal").reshape(images.shape)


def shifted(images: np.ndarray, chance: np.ndarray, diagonal: bool) -> np.ndarray:
    """Mirror and shift pictures uint8 [n, H, W, 3] by numbers in [0, 1), [n, 3]."""
    count, height, width, _ = images.shape
    pad = int(_MARGIN * height), int(_MARGIN * width)
    mirror = chance[:, 0] < 0.5
    flipped = np.where(mirror[:, None, None, None], images[:, :, ::-1], images)
    margin = np.pad(flipped, [(0, 0), (pad[0],) * 2, (pad[1],) * 2, (0, 0)])
    if diagonal:
        top = left = np.floor(chance[:, 1] * 2 * pad[0]).astype(np.int64)
    else:
        top, left = (np.floor(chance[:, 1 + i] * (2 * pad[i] + 1)).astype(int) for i in (0, 1))
    windows = np.lib.stride_tricks.sliding_window_view(margin, (height, width), axis=(1, 2))
    return np.moveaxis(windows[np.arange(count), top, left], 1, -1)
