"""Files and folders the adapter is told of, checked before it meets them."""

from __future__ import annotations

import json
import os
from typing import Any

from zoolib.errors import ConfigError


def profile(given: str, folder: str) -> str:
    """The profiler settings as JSON text: those given, else the usual ones, into ``folder``."""
    on = dict.fromkeys(("training_trace", "task_trace", "hccl", "aicpu"), "on")
    values = json.loads(given) if given else {**on, "aic_metrics": "PipeUtilization"}
    return json.dumps({"output": folder, **values})


def writable_folder(field: str, path: str) -> None:
    """Raise ConfigError unless ``path`` is a folder one can write to."""
    if not path or not os.path.isdir(path) or not os.access(path, os.W_OK):
        raise ConfigError(f"{field}: expected an existing folder one can write to, got {path!r}")


def makeable_folder(field: str, path: str) -> None:
    """Raise ConfigError unless ``path`` is a folder one can write to, or can be made one."""
    place = os.path.abspath(path)
    while not os.path.lexists(place):
        place = os.path.dirname(place)
    if not os.path.isdir(place) or not os.access(place, os.W_OK):
        raise ConfigError(
            f"{field}: expected a folder one can write to, or a place for one, got {path!r}"
        )


def read_text(field: str, path: str) -> str:
    """The text of a file; raises ConfigError if it cannot be read."""
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{field}: expected a readable text file, got {path!r} ({error})"
        ) from None


def json_file(field: str, path: str) -> dict[str, Any]:
    """The object in a JSON file; raises ConfigError if there is none."""
    try:
        document = json.loads(read_text(field, path))
    except json.JSONDecodeError as error:
        raise ConfigError(f"{field}: expected a JSON file, got {path!r} ({error})") from None
    if not isinstance(document, dict):
        raise ConfigError(f"{field}: expected a JSON object in {path!r}, got {document!r}")
    return document


def check_mixlist(document: dict[str, Any]) -> None:
    """Raise ConfigError unless lists of operators are added to or removed from the two lists."""
    for name, change in document.items():
        known = name in ("black-list", "white-list") and isinstance(change, dict)
        if not known or not set(change) <= {"to-add", "to-remove"}:
            raise ConfigError(
                "modify_mixlist: expected black-list and white-list, each with to-add and "
                f"to-remove, got {name!r}: {change!r}"
            )
        for operators in change.values():
            if not isinstance(operators, list) or not all(isinstance(o, str) for o in operators):
                raise ConfigError(
                    f"modify_mixlist: expected lists of operator types in {name}, got {operators!r}"
                )
