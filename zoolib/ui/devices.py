"""Where and how precisely a run computes: two dropdowns that offer only what there is.

With an NPU chosen, the settings of its adapter stand below in a closed fold. Once one is open they
are shown as they are and locked, with how to change them and the lines that bring them back.
"""

from __future__ import annotations

import contextlib
import html
from collections.abc import Sequence
from typing import Any, Callable

import ipywidgets as widgets

from zoolib.errors import ConfigError, DeviceError, ZoolibError
from zoolib.runtime.npu_precision import NOTES
from zoolib.ui import recall
from zoolib.ui.fields import MUTED, WIDE
from zoolib.ui.npu_fields import NpuFields

LOCKED = (
    "<b>{name} is open in this kernel</b> with these settings, and stays so: an NPU takes one "
    "device and one set of options per process. Copy the settings, restart the kernel to change "
    "device, precision or options, then paste the lines, change them and run."
)
_RANK = ("cpu", "gpu", "npu")


class DeviceChoice(widgets.VBox):
    """Device and precision.

    Args:
        devices: what the machine offers (:func:`zoolib.devices`), absent ones included.
        session: gives the open session of this process, or ``None``.
        complain: called with a sentence when a choice is refused.
        recipe: gives what else a run needs, as Python, as a command line, and its folder; told with
            the choice by "Copy settings" once an NPU is open.
    """

    def __init__(
        self,
        devices: Sequence[Any],
        session: Callable[[], Any],
        complain: Callable[[str], None],
        recipe: Callable[[], tuple[str, str, Any]],
    ) -> None:
        self._devices = {device.name: device for device in devices}
        self._session, self._complain, self._npu_open = session, complain, False
        self._recipe = recipe
        usable = [device for device in devices if device.available]
        best = max(usable, key=lambda device: _RANK.index(device.kind))
        self._chosen = best.name
        layout = widgets.Layout(width="420px")
        self.device = widgets.Dropdown(
            options=[(_label(device), device.name) for device in devices],
            value=best.name,
            description="Device",
            tooltip="Where the run computes.",
            style=WIDE,
            layout=layout,
        )
        self.precision = widgets.Dropdown(
            options=best.precisions,
            description="Precision",
            tooltip="The arithmetic of matrix products and convolutions on this device.",
            style=WIDE,
            layout=layout,
        )
        self.hint, self.npu = widgets.HTML(), NpuFields()
        self._build_lock()
        self.device.observe(self._choose, names="value")
        self.precision.observe(lambda _: self._show_hint(), names="value")
        self.npu.on_change(self._show_hint)
        super().__init__([self.device, self.precision, self.hint, self.npu, self.lock_box])
        self._show_npu()
        self.refresh()

    def _build_lock(self) -> None:
        """What is there once an NPU is open, hidden until then."""
        self.note, self.lines = widgets.HTML(), widgets.HTML()
        self.copy = widgets.Button(
            description="Copy settings",
            tooltip="Show all settings of this panel as lines that bring them back.",
            icon="copy",
        )
        self.copy.on_click(lambda _: self.show_lines())
        layout = widgets.Layout(display="none")
        self.lock_box = widgets.VBox([self.note, self.copy, self.lines], layout=layout)

    def show_lines(self) -> None:
        """Show the settings as they are now, as lines of Python and of shell to copy."""
        try:
            device, precision = self.choice()
            where = {"device": device, "precision": precision, **self.options()}
            code, command, out = self._recipe()
        except ZoolibError as error:
            self.lines.value = ""
            self._complain(str(error))
            return
        python = recall.python_lines(code, where, out)
        self.lines.value = recall.blocks(python, recall.command_line(command, where, out))

    def choice(self) -> tuple[str, str]:
        """Names of the chosen device and precision.

        Raises:
            DeviceError: if the device is not available.
        """
        device = self._devices[self.device.value]
        if not device.available:
            raise DeviceError(f"device: {device.name} is not available: {device.reason}")
        return device.name, self.precision.value

    def options(self) -> dict[str, Any]:
        """The NPU's settings as an argument of `run`; nothing elsewhere, or at their defaults.

        Raises:
            ConfigError: for settings that are not valid or contradict each other.
        """
        chosen = self.npu.options if self._devices[self.device.value].kind == "npu" else None
        return {} if chosen is None else {"options": chosen}

    def lock(self, locked: bool) -> None:
        """Disable all controls during a run; an open NPU keeps them disabled."""
        self.device.disabled = self.precision.disabled = locked or self._npu_open
        self.npu.lock(locked or self._npu_open)

    def refresh(self) -> None:
        """Look whether an NPU has been opened, which fixes both choices for good."""
        session = self._session()
        if session is None or session.device.kind != "npu":
            return
        self._npu_open = True
        if session.device.name in self._devices:
            self.device.value = session.device.name
            if session.precision not in self.precision.options:  # a later chip's
                self.precision.options = (*self.precision.options, session.precision)
            self.precision.value = session.precision
        if getattr(session, "options", None) is not None:
            self.npu.fill(session.options)
        told = LOCKED.format(name=html.escape(session.device.name))
        self.note.value = f'<div style="{MUTED}">{told}</div>'
        self.lock_box.layout.display = None
        self.lock(True)

    def _show_npu(self) -> None:
        """The NPU's settings are there only with an NPU."""
        npu = self._devices[self._chosen].kind == "npu"
        self.npu.layout.display = None if npu else "none"
        self._show_hint()

    def _show_hint(self) -> None:
        """What is to be known of the precision in effect, if anything."""
        told = ""
        if self._devices[self._chosen].kind == "npu" and self.precision.value:
            with contextlib.suppress(ConfigError):  # refused, in words, when a run is asked for
                mode = self.npu.mode(self.precision.value)
                told = f"{mode}: {NOTES[mode]}" if mode in NOTES else ""
        self.hint.value = f'<div style="{MUTED}">{html.escape(told)}</div>' if told else ""
        self.hint.layout.display = None if told else "none"

    def _choose(self, change: dict) -> None:
        device = self._devices[change["new"]]
        if not device.available:
            self._complain(f"{device.name} is not available: {device.reason}")
            self.device.value = self._chosen
            return
        if device.name == self._chosen:
            return
        self._chosen, wanted = device.name, self.precision.value
        self._show_npu()
        self.precision.options = device.precisions
        if wanted in device.precisions:
            self.precision.value = wanted
        else:
            self._complain(f"{wanted} is not offered on {device.name}; now {self.precision.value}")


def _label(device: Any) -> str:
    return device.name if device.available else f"{device.name} (unavailable: {device.reason})"
