"""Handwritten digits, 1,797 images of 8 x 8 in 17 shades: the test part of the UCI optical digits.

E. Alpaydin and C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning
Repository (CC BY 4.0); the copy scikit-learn ships, in its order.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from zoolib.errors import DataError

CLASSES = 10
_FILE = Path(__file__).parent / "digits.npz"
_SUM = 561718  # of all shades: a damaged file does not pass for data


def digits() -> tuple[np.ndarray, np.ndarray]:
    """All images, uint8 [1797, 8, 8] of 0 to 16, and labels, int32 [1797].

    Raises:
        DataError: if the file that comes with the package is damaged.
    """
    with np.load(_FILE, allow_pickle=False) as archive:
        images, labels = archive["images"], archive["labels"]
    if images.shape != (1797, 8, 8) or int(images.sum()) != _SUM:
        raise DataError(f"{_FILE.name}: expected 1,797 digits, the file is damaged; reinstall")
    return images, labels.astype(np.int32)
