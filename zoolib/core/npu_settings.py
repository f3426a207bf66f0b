"""The settings of the Ascend adapter as :class:`Setting` objects, for forms and the command line.

They are no part of a model's config: a run's numbers do not depend on where a profile is written.
"""

from __future__ import annotations

import dataclasses
import re
import typing
from collections.abc import Mapping
from typing import Any

from zoolib.core.config import Setting
from zoolib.errors import ConfigError
from zoolib.runtime.npu_options import NpuOptions


def npu_settings() -> tuple[Setting, ...]:
    """The declaration of every field of :class:`NpuOptions`, in order."""
    types = typing.get_type_hints(NpuOptions)
    return tuple(
        Setting(name=f.name, type=types[f.name], default=f.default, **f.metadata)
        for f in dataclasses.fields(NpuOptions)
    )


def npu_options(values: Mapping[str, Any]) -> NpuOptions | None:
    """Options from values as typed, by field name; None if there are none.

    Raises:
        ConfigError: for a value out of its domain, or two that contradict each other. Files and
            folders are looked at when an NPU is opened: on another device they need not exist.
    """
    if not values:
        return None
    table = {item.name: item for item in npu_settings()}
    for name in values:
        if name not in table:
            raise ConfigError(f"{name}: not an option of the Ascend adapter; is the file newer?")
    options = NpuOptions(**{name: table[name].parse(value) for name, value in values.items()})
    options.check()
    return options


def numerical(values: Mapping[str, Any]) -> dict[str, Any]:
    """The options on which results depend: all but those of dumps and profiles."""
    return {k: v for k, v in values.items() if not re.search("dump|profil|data_save", k)}
