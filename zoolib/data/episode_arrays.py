"""Array work behind few-shot tasks: choosing, gathering, turning, scaling. NumPy only."""

from __future__ import annotations

import numpy as np

Arrays = dict[str, np.ndarray]


def choose(uniform: np.ndarray, population: int | np.ndarray) -> np.ndarray:
    """Choose without replacement, in random order, for any number of selections at once.

    The numbers are read as a Lehmer code: the i-th picks one of the `population - i` values not
    yet chosen. This needs one number per choice, where sorting one per candidate would need all
    1100 classes' for five, and it has no ties to break.

    Args:
        uniform: numbers in [0, 1), [..., count].
        population: how many values there are to choose from (at least count), int or [...].

    Returns:
        int32 [..., count], distinct along the last axis, from 0 to population - 1.
    """
    # In float64 the product below is exact. Both are converted: NumPy 1 would multiply a float32
    # array with a single float64 in float32, and draw other tasks than NumPy 2.
    numbers, sizes = uniform.astype(np.float64), np.asarray(population, dtype=np.float64)
    chosen = np.empty(uniform.shape, dtype=np.int32)
    for i in range(uniform.shape[-1]):
        pick = np.floor(numbers[..., i] * (sizes - i)).astype(np.int32)
        for earlier in np.moveaxis(np.sort(chosen[..., :i], axis=-1), -1, 0):
            pick += pick >= earlier
        chosen[..., i] = pick
    return chosen


def gather(images: np.ndarray, index: Arrays) -> Arrays:
    """Images [N, H, W, C] and labels of the tasks in `index`, with any leading axes.

    Args:
        images: the images that `index` counts in.
        index: `support`, `query` and `rotation` as of `EpisodeSampler.indices`.
    """
    rotation, tasks = index["rotation"], {}
    ways = rotation.shape[-1]
    for part in ("support", "query"):
        places = index[part]
        each = places.shape[-1] // ways
        picked = images[places]
        turns = np.repeat(rotation, each, axis=-1)
        for quarters in (1, 2, 3):
            where = turns == quarters
            if where.any():
                picked[where] = np.rot90(picked[where], quarters, axes=(1, 2))
        labels = np.repeat(np.arange(ways, dtype=np.int32), each)
        tasks[f"{part}_x"] = picked
        tasks[f"{part}_y"] = np.broadcast_to(labels, places.shape).copy()
    return tasks


def to_float(images: np.ndarray, invert: bool = False) -> np.ndarray:
    """uint8 images as float32 in [0, 1]: p / 255, or 1 - p / 255 if `invert`.

    A compiled step does the same to the uint8 batch on the device. Do not invert images that were
    inverted when loaded (`load_omniglot` does that).
    """
    scaled = images.astype(np.float32) / np.float32(255)
    return np.float32(1) - scaled if invert else scaled
