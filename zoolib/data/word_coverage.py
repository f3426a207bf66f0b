"""What is known about the words of class names, and what to do where nothing is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from zoolib.data.image_classes import several
from zoolib.errors import ConfigError

POLICIES = ("zero", "random", "error")


@dataclass(frozen=True)
class Coverage:
    """Which words of which class were found.

    Attributes:
        names: the classes.
        found: for each, the words found, as the file spells them.
        missing: for each, the words not found.
        policy: what a class without any known word gets: zero, random or error.
        source: where the vectors come from: file, checksum, dimension and so on.
    """

    names: tuple[str, ...]
    found: tuple[tuple[str, ...], ...]
    missing: tuple[tuple[str, ...], ...]
    policy: str
    source: Mapping[str, Any] = field(default_factory=dict)

    @property
    def unknown(self) -> tuple[str, ...]:
        """Classes without any known word."""
        return tuple(name for name, words in zip(self.names, self.found) if not words)

    @property
    def partial(self) -> tuple[str, ...]:
        """Classes of which some words are known and some are not."""
        rows = zip(self.names, self.found, self.missing)
        return tuple(name for name, found, missing in rows if found and missing)

    def summary(self) -> str:
        """One sentence."""
        whole = len(self.names) - len(self.unknown) - len(self.partial)
        told = f"{whole} of {len(self.names)} classes have vectors for all their words"
        if self.partial:
            told += f"; for some: {several(self.partial)}"
        if self.unknown:
            told += f"; for none (policy {self.policy}): {several(self.unknown)}"
        return told + "."

    def rows(self) -> list[dict[str, Any]]:
        """One JSON object per class: name, found, missing."""
        parts = zip(self.names, self.found, self.missing)
        return [{"name": n, "found": list(f), "missing": list(m)} for n, f, m in parts]


def check_policy(policy: str) -> None:
    """Raise ConfigError if there is no such policy for unknown words."""
    if policy not in POLICIES:
        raise ConfigError(f"policy: expected one of {', '.join(POLICIES)}, got {policy!r}.")
