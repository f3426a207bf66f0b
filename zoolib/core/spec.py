"""Which methods there are. A folder under ``zoolib/models`` with a ``SPEC`` is a registration."""

from __future__ import annotations

import dataclasses
import difflib
import importlib
import pkgutil
from pathlib import Path
from typing import Any, Callable

from zoolib.core.config import Config
from zoolib.errors import ConfigError
from zoolib.runtime.quiet import import_tensorflow_in_kernel


@dataclasses.dataclass(frozen=True)
class ModelSpec:
    """One method of the zoo, described without importing TensorFlow.

    Attributes:
        name: the folder's name.
        title: how the paper calls it.
        paper: citation, one line.
        summary: one sentence for lists.
        Config: the settings class.
        presets: name -> function returning a config; its docstring tells command, time, result.
        task: ``"module:Class"`` of the :class:`zoolib.core.task.Task`.
        notebook: file name under ``notebooks/``.
    """

    name: str
    title: str
    paper: str
    summary: str
    Config: type[Config]
    presets: dict[str, Callable[[], Config]]
    task: str
    notebook: str

    def preset(self, name: str = "tutorial", **changes: Any) -> Config:
        """The named preset with some settings changed.

        Raises:
            ConfigError: for an unknown preset or setting, or a value out of its domain.
        """
        if name not in self.presets:
            raise ConfigError(
                f"preset: expected one of {', '.join(self.presets)} for {self.name}, got {name!r}"
            )
        return dataclasses.replace(self.presets[name](), preset=name).replace(**changes)

    @property
    def card(self) -> str:
        """The model card, Markdown."""
        package = importlib.import_module(f"zoolib.models.{self.name}")
        return (Path(package.__file__).parent / "card.md").read_text(encoding="utf-8")

    def task_class(self) -> type:
        """The task class; importing it imports TensorFlow."""
        import_tensorflow_in_kernel()
        module, _, name = self.task.partition(":")
        return getattr(importlib.import_module(module), name)


def list_models() -> list[str]:
    """Names of all methods, sorted."""
    import zoolib.models

    return sorted(m.name for m in pkgutil.iter_modules(zoolib.models.__path__) if m.ispkg)


def get_model(name: str) -> ModelSpec:
    """The specification of one method.

    Raises:
        ConfigError: if there is no such method.
    """
    if name not in list_models():
        near = difflib.get_close_matches(name, list_models(), n=1, cutoff=0.4)
        hint = f" Did you mean {near[0]}?" if near else ""
        raise ConfigError(f"model: expected one of {', '.join(list_models())}, got {name!r}.{hint}")
    return importlib.import_module(f"zoolib.models.{name}").SPEC


def config_from_json(document: dict[str, Any]) -> Config:
    """The config stored in a run folder's ``config.json``.

    Raises:
        ConfigError: if the document is not one, or names an unknown model or setting.
    """
    if not isinstance(document, dict) or not {"model", "settings"} <= set(document):
        raise ConfigError("config.json: expected an object with 'model' and 'settings'")
    return get_model(document["model"]).Config.from_dict(document["settings"])
