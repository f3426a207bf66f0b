"""One setting as a row of the form: a control, its help, and its complaint in words."""

from __future__ import annotations

import html
import re
from typing import Any, Callable

import ipywidgets as widgets

from zoolib.core.config import Setting
from zoolib.errors import ConfigError

WIDE = {"description_width": "170px"}
MUTED = "color: var(--jp-ui-font-color2, #616161); line-height: 1.35; overflow-wrap: anywhere"
ALARM = "color: var(--jp-error-color1, #b00020); font-weight: 600; line-height: 1.35"


class Field:
    """The control of one setting.

    Attributes:
        setting: the declaration the control was made from.
        control: the input widget.
        row: the control with its help or complaint beside it.
    """

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self.control = _control(setting)
        self.note = widgets.HTML(layout=widgets.Layout(flex="1 1 0", min_width="160px"))
        self.row = widgets.HBox(
            [self.control, self.note], layout=widgets.Layout(align_items="center")
        )
        self.complaint = ""
        self._show()

    @property
    def value(self) -> Any:
        """What the control holds, as the setting's type.

        Raises:
            ConfigError: naming the setting, the value and the valid ones.
        """
        return self.setting.parse(self.control.value)

    @value.setter
    def value(self, value: Any) -> None:
        self.control.value = self.setting.parse(value)

    def check(self) -> str:
        """Show whether the control's value is valid; returns the complaint, or nothing."""
        try:
            self.setting.parse(self.control.value)
        except ConfigError as error:
            return self.complain(str(error))
        return self.complain("")

    def complain(self, message: str) -> str:
        """Show ``message`` beside the control instead of the help; an empty one removes it."""
        if message != self.complaint:
            self.complaint = message
            self._show()
        return message

    def observe(self, function: Callable[[Any], None]) -> None:
        """Call ``function`` whenever the control's value changes."""
        self.control.observe(function, names="value")

    def _show(self) -> None:
        if self.complaint:
            text = html.escape(self.complaint)
            self.note.value = f'<div role="alert" style="{ALARM}">✗ {text}</div>'
        else:
            self.note.value = f'<div style="{MUTED}">{prose(self.setting.help)}</div>'


def prose(text: str) -> str:
    """Text of a docstring as HTML: what stands between backticks is code."""
    return re.sub(r"`+([^`]+)`+", r"<code>\1</code>", html.escape(text))


def label(setting: Setting) -> str:
    """A control's label: the name as in code, and the unit."""
    told = setting.unit and setting.unit != setting.name  # not "units (units)"
    return f"{setting.name} ({setting.unit})" if told else setting.name


def tooltip(setting: Setting) -> str:
    """Help, valid values, and the names the seed documents have for the setting."""
    words = f"{setting.help} Valid: {setting.domain()}."
    if setting.aliases:
        words += f" Also known as {', '.join(setting.aliases)}."
    return words.strip()


def _control(setting: Setting) -> Any:
    """An input widget that can hold every valid value exactly.

    Numbers are not the bounded kind: those silently move a value into the range, while a wrong one
    should be seen, and explained.
    """
    common = {
        "description": label(setting),
        "tooltip": tooltip(setting),
        "style": WIDE,
        "layout": widgets.Layout(width="320px", flex="0 0 auto"),
        "value": setting.default,
    }
    if setting.choices:
        return widgets.Dropdown(options=list(setting.choices), **common)
    if setting.type is bool:
        return widgets.Checkbox(indent=True, **common)
    if setting.type is int:
        return widgets.IntText(**common)
    if setting.type is float:
        return widgets.FloatText(**common)
    return widgets.Text(continuous_update=False, **common)
