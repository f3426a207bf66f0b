"""Setting options on the adapter, whose option names and domains change between releases."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from zoolib.errors import ConfigError, DeviceError

_log = logging.getLogger(__name__)


def missing(options: Any, assignments: Sequence[tuple[str, Any, bool]]) -> tuple[str, ...]:
    """Options of (name, value, essential) that this adapter lacks and a run can do without.

    Raises:
        DeviceError: if an essential one is lacking. Nothing has been set then.
    """
    lacking = []
    for name, value, essential in assignments:
        holder = options
        for part in name.split("."):
            holder = getattr(holder, part, None)
        if holder is None and essential:
            raise DeviceError(
                f"{name}: the installed Ascend adapter has no such option, asked for as {value!r}"
            )
        if holder is None:
            _log.info("%s: the installed Ascend adapter has no such option; done without", name)
            lacking.append(name)
    return tuple(lacking)


def set_option(options: Any, name: str, value: Any, essential: bool) -> bool:
    """Set one adapter option, such as ``dump_config.dump_path``, field by field.

    Args:
        options: the adapter's ``global_options()``.
        name: dotted name; assigning to a whole section would remove it.
        value: what to set.
        essential: whether a run without it would not be the run that was asked for.

    Returns:
        Whether this adapter has the option.

    Raises:
        DeviceError: if it has not and the option is essential.
        ConfigError: if the adapter refuses the value.
    """
    if missing(options, [(name, value, essential)]):
        return False
    *sections, field = name.split(".")
    holder = options
    for section in sections:
        holder = getattr(holder, section)
    wrapper = getattr(holder, field)
    closed = getattr(wrapper, "optional", None) or ()
    if value in ("true", "false") and value not in closed and True in closed:
        value = value == "true"  # releases disagree whether this switch is text
    try:
        setattr(holder, field, value)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{name}: the Ascend adapter refuses {value!r}: {error}") from error
    return True
