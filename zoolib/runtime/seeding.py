"""Determinism of a process. Seeds themselves are data (`zoolib.data.draws`); nothing is global."""

from __future__ import annotations

import os

from zoolib.runtime import compat


def make_deterministic() -> str:
    """Ask TensorFlow for kernels whose result never depends on scheduling.

    Returns:
        How it was done, in words, for ``env.json``.
    """
    os.environ.setdefault("TF_DETERMINISTIC_OPS", "1")
    if compat.enable_determinism():
        return "op determinism"
    return "TF_DETERMINISTIC_OPS=1"
