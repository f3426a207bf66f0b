"""The data of a run: the embedded digits, or a split kept as records."""

from __future__ import annotations

from typing import Any

import numpy as np

from zoolib.data.mismatch import Mismatch
from zoolib.data.semi_load import from_records
from zoolib.data.semisup import SemiSupervised, digits
from zoolib.errors import ConfigError

_VIEWS = {"cifar": "cifar10", "svhn": "svhn", "stl10": "stl10"}  # by the beginning of the name


def make(config: Any) -> SemiSupervised:
    """Labelled, unlabelled, validation and test images.

    Raises:
        ConfigError: more labels or validation images than there are, or fewer outputs than classes.
        DataError: records that are missing or damaged.
    """
    seed = config.seed if config.split_seed < 0 else config.split_seed
    mismatch = None
    if config.mismatch >= 0.0:
        mismatch = Mismatch(config.mismatch, config.mismatch_variant)
    counts = (config.labels, config.validation)
    if config.datasource == "digits":
        data = digits(seed, *counts, mismatch=mismatch)
    else:
        data = from_records(config.data_dir, config.dataset, seed, *counts, mismatch=mismatch)
    if 0 < config.num_classes < len(data.names):
        raise ConfigError(
            f"num_classes: expected 0 or at least the {len(data.names)} classes of the data, "
            f"got {config.num_classes}"
        )
    return data


def augmentation(config: Any) -> str:
    """The kind of view: what the settings say, or what the data set is usually given."""
    if config.augment != "auto":
        return config.augment
    if config.datasource == "digits":
        return "digits"
    found = [kind for name, kind in _VIEWS.items() if config.dataset.startswith(name)]
    return found[0] if found else "cifar10"


def whitening(data: SemiSupervised) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each channel over the training images, in [-1, 1] units."""
    sums, squares, count = np.zeros(3), np.zeros(3), 0
    for part in (data.labelled, data.unlabelled):
        for start in range(0, len(part), 1000):
            pixels = part.images[start : start + 1000].reshape(-1, 3).astype(np.float64)
            sums, squares = sums + pixels.sum(0), squares + np.square(pixels).sum(0)
            count += len(pixels)
    mean = sums / count
    deviation = np.sqrt(np.maximum(squares / count - np.square(mean), 1e-12))
    return mean * (2 / 255) - 1, deviation * (2 / 255)
