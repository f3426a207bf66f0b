"""The settings of a panel as lines to keep: after a kernel restart they bring everything back.

An open NPU holds its device and options for as long as the kernel lives, so to change them is to
restart, and a restart forgets the form.
"""

from __future__ import annotations

import html
import shlex
from pathlib import Path
from typing import Any

from zoolib.ui.fields import MUTED

_BOX = (
    "margin: 2px 0 6px; padding: 6px 8px; white-space: pre-wrap; overflow-wrap: anywhere; "
    "user-select: all; border: 1px solid var(--jp-border-color1, #bdbdbd); line-height: 1.4; "
    "background: var(--jp-layout-color2, transparent); color: inherit"
)
# Where the page may not write to the clipboard the words stay "Copy", and one click selects all.
_COPY = (
    "const told = this; navigator.clipboard.writeText(this.parentNode.nextElementSibling"
    ".textContent).then(() => { told.textContent = 'Copied'; })"
)


def python_lines(code: str, where: dict[str, Any], out: str | Path = "runs") -> str:
    """Lines of Python that make the settings again and train with them.

    Args:
        code: an expression that makes the config, as :meth:`zoolib.ui.form.Form.code` gives it.
        where: device, precision, and options if they are not the default ones.
        out: folder of the runs.
    """
    options = where.get("options")
    told = [f"{name}={where[name]!r}" for name in ("device", "precision")]
    lines = ["import zoolib"]
    if options is not None:
        lines.append("from zoolib.runtime.npu import NpuOptions")
        changes = ", ".join(f"{name}={value!r}" for name, value in options.changed().items())
        told.append(f"options=NpuOptions({changes})")
    if str(out) != "runs":
        told.append(f"out={str(out)!r}")
    lines += [
        f"config = {code}  # form.set(config) puts it into a form",
        f"result = zoolib.train(config, {', '.join(told)})",
    ]
    return "\n".join(lines)


def command_line(command: str, where: dict[str, Any], out: str | Path = "runs") -> str:
    """The same as one line of shell; empty where ``command`` is.

    Args:
        command: as :meth:`zoolib.ui.form.Form.command` gives it.
        where, out: as for :func:`python_lines`.
    """
    if not command:
        return ""
    words = ["--device", where["device"], "--precision", where["precision"]]
    options = where.get("options")
    for name, value in options.changed().items() if options is not None else ():
        text = str(value).lower() if isinstance(value, bool) else str(value)
        words += ["--" + name.replace("_", "-"), text]
    if str(out) != "runs":
        words += ["--out", str(out)]
    return f"{command} {shlex.join(words)}"


def blocks(python: str, command: str) -> str:
    """Both as HTML, each with a button that copies it."""
    rows = [("in a cell after the restart", python), ("or on a terminal", command)]
    return "".join(
        f'<div style="{MUTED}">{title} <button type="button" class="jupyter-button" '
        f'aria-label="Copy the lines {title}" onclick="{_COPY}">Copy</button></div>'
        f'<pre tabindex="0" style="{_BOX}">{html.escape(text)}</pre>'
        for title, text in rows
        if text
    )
