"""Settings of the Ascend adapter as a closed fold of a form; shown where an NPU is chosen."""

from __future__ import annotations

from typing import Any, Callable

import ipywidgets as widgets

from zoolib.core.npu_settings import npu_options, npu_settings
from zoolib.runtime.npu_precision import adapter_precision
from zoolib.ui.fields import Field


class NpuFields(widgets.Accordion):
    """Every field of :class:`~zoolib.runtime.npu.NpuOptions`.

    Attributes:
        fields: the rows by name.
    """

    def __init__(self) -> None:
        self.fields = {item.name: Field(item) for item in npu_settings()}
        for field in self.fields.values():
            field.observe(lambda _, field=field: field.check())
        super().__init__(
            [widgets.VBox([field.row for field in self.fields.values()])], selected_index=None
        )
        self.titles = ("Advanced settings of the NPU",)

    @property
    def options(self) -> Any:
        """The options set here; None if all are at their defaults.

        Raises:
            ConfigError: for values that are not valid or contradict each other.
        """
        values = {name: field.value for name, field in self.fields.items()}
        return npu_options({k: v for k, v in values.items() if v != self.fields[k].setting.default})

    def mode(self, precision: str) -> str:
        """The adapter's name of a run's precision under what is set here.

        Raises:
            ConfigError: for values that contradict each other.
        """
        names = ("product", "precision_mode", "precision_mode_v2")
        return adapter_precision(precision, *(self.fields[name].value for name in names))[1]

    def on_change(self, function: Callable[[], None]) -> None:
        """Call ``function`` whenever a setting changes."""
        for field in self.fields.values():
            field.observe(lambda _: function())

    def fill(self, options: Any) -> None:
        """Show these options."""
        for name, field in self.fields.items():
            field.value = getattr(options, name)

    def lock(self, locked: bool) -> None:
        """Disable or enable every control."""
        for field in self.fields.values():
            field.control.disabled = locked
