"""Settings as widgets, in both directions: a form is a config, a config fills a form."""

from __future__ import annotations

import html
import inspect
import json
import shlex
from typing import Any, Callable

import ipywidgets as widgets

from zoolib.core.config import Config
from zoolib.core.spec import ModelSpec
from zoolib.errors import ConfigError
from zoolib.ui.fields import ALARM, MUTED, WIDE, Field, prose


class Form(widgets.VBox):
    """The settings of a method as widgets.

    Below the controls the same settings stand as one line of Python and one of shell.

    Args:
        spec: a :class:`~zoolib.core.spec.ModelSpec`, or a config class without presets.
        preset: the preset to start from.

    Raises:
        ConfigError: if there is no such preset.
    """

    def __init__(self, spec: ModelSpec | type[Config], preset: str = "tutorial") -> None:
        self.spec = spec if isinstance(spec, ModelSpec) else None
        self.Config = self.spec.Config if self.spec else spec
        self._preset, self._filling, self._locked = "custom", False, False
        self._listeners: list[Callable[[], None]] = []
        shown = [item for item in self.Config.settings() if not item.internal]
        self.fields = {item.name: Field(item) for item in shown}
        self.message = widgets.HTML()
        self.lines = widgets.HTML()
        self._build()
        self.set(self.spec.preset(preset) if self.spec else self.Config())
        for field in self.fields.values():
            field.observe(self._changed)
        super().__init__(self._children())

    def _build(self) -> None:
        self.preset = widgets.Dropdown(
            options=list(self.spec.presets) if self.spec else ["custom"],
            description="preset",
            tooltip="A named set of values for all settings below.",
            style=WIDE,
            layout=widgets.Layout(width="320px"),
        )
        self.preset_help = widgets.HTML(layout=widgets.Layout(flex="1 1 0"))
        self.reset = widgets.Button(
            description="Reset to preset",
            tooltip="Set every setting back to the preset's value.",
            icon="undo",
        )
        self.preset.observe(self._choose_preset, names="value")
        self.reset.on_click(lambda _: self._choose_preset(None))

    def _children(self) -> list[Any]:
        rows = [f.row for f in self.fields.values() if not f.setting.advanced]
        advanced = [f.row for f in self.fields.values() if f.setting.advanced]
        middle = widgets.Layout(align_items="center")
        top = [widgets.HBox([self.preset, self.preset_help], layout=middle)] if self.spec else []
        children = [*top, *rows]
        if advanced:
            fold = widgets.Accordion([widgets.VBox(advanced)], selected_index=None)
            fold.titles = ("Advanced settings",)
            children.append(fold)
        return [*children, *([self.reset] if self.spec else []), self.message, self.lines]

    @property
    def config(self) -> Config:
        """The settings in the form, checked.

        Raises:
            ConfigError: at the first setting that is not valid; the form shows it too.
        """
        values = {name: field.value for name, field in self.fields.items()}
        return self.Config.from_dict({"preset": self._preset, **values})

    def set(self, config: Config) -> None:
        """Fill the form from a config.

        Raises:
            ConfigError: if the config is not one of this form's method.
        """
        if not isinstance(config, self.Config):
            raise ConfigError(
                f"config: expected a {self.Config.__name__}, got a {type(config).__name__}"
            )
        self._filling = True
        try:
            self._preset = config.preset
            if config.preset in self.preset.options:
                self.preset.value = config.preset
            for name, field in self.fields.items():
                field.value = getattr(config, name)
        finally:
            self._filling = False
        self._changed(None)

    def code(self) -> str:
        """One line of Python that makes these settings.

        Raises:
            ConfigError: if a setting is not valid.
        """
        config, base, preset = self._from_preset()
        changes = ", ".join(f"{name}={new!r}" for name, (_, new) in base.diff(config).items())
        if not self.spec:
            return f"{self.Config.__name__}({changes})"
        told = ", ".join(part for part in (json.dumps(preset), changes) if part)
        return f'zoolib.get_model("{self.spec.name}").preset({told})'

    def command(self) -> str:
        """The command line that trains with these settings; empty for a class without presets.

        Raises:
            ConfigError: if a setting is not valid.
        """
        if not self.spec:
            return ""
        config, base, preset = self._from_preset()
        words = ["python", "-m", "zoolib", "train", self.spec.name, "--preset", preset]
        for name, (_, new) in base.diff(config).items():
            text = str(new).lower() if isinstance(new, bool) else str(new)
            words += ["--" + name.replace("_", "-"), text]
        return shlex.join(words)

    def on_change(self, function: Callable[[], None]) -> None:
        """Call ``function`` after every change of a setting."""
        self._listeners.append(function)

    @property
    def locked(self) -> bool:
        """Whether the controls are disabled, as they are during a run."""
        return self._locked

    @locked.setter
    def locked(self, locked: bool) -> None:
        self._locked = locked
        for widget in (self.preset, self.reset, *(f.control for f in self.fields.values())):
            widget.disabled = locked

    def _from_preset(self) -> tuple[Config, Config, str]:
        """The settings, the preset they are told from, and its name."""
        config = self.config
        if not self.spec:
            return config, self.Config(), "custom"
        preset = config.preset if config.preset in self.spec.presets else self.preset.value
        return config, self.spec.preset(preset), preset

    def _choose_preset(self, _: Any) -> None:
        if not self._filling:
            self.set(self.spec.preset(self.preset.value))

    def _changed(self, _: Any) -> None:
        """Check everything, show what is wrong or the equivalent lines."""
        if self._filling:
            return
        self._describe_preset()
        wrong = [field.check() for field in self.fields.values()]
        self.message.value = self.lines.value = ""
        if not any(wrong):
            try:
                self._show_lines()
            except ConfigError as error:  # what involves more than one field
                self._complain(str(error))
        for function in self._listeners:
            function()

    def _complain(self, message: str) -> None:
        field = self.fields.get(message.partition(":")[0])
        if field is not None:
            field.complain(message)
        else:
            self.message.value = f'<div role="alert" style="{ALARM}">✗ {html.escape(message)}</div>'

    def _show_lines(self) -> None:
        rows = [("in Python", self.code()), ("on a terminal", self.command())]
        self.lines.value = "".join(
            f'<div style="{MUTED}">{where}: <code>{html.escape(text)}</code></div>'
            for where, text in rows
            if text
        )

    def _describe_preset(self) -> None:
        if self.spec:
            told = inspect.getdoc(self.spec.presets[self.preset.value]) or ""
            self.preset_help.value = f'<div style="{MUTED}">{prose(told)}</div>'

    def __repr__(self) -> str:
        return f"Form({self.spec.name if self.spec else self.Config.__name__})"
