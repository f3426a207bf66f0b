"""The NPU's settings in the panel: there with an NPU, handed to the run, locked once it is open."""

from __future__ import annotations

import html
import types

import pytest

from zoolib.errors import ConfigError
from zoolib.runtime.npu_options import NpuOptions


class Runs:
    """Keeps what it was called with, and runs nothing."""

    def __init__(self):
        self.calls = []

    def __call__(self, config, **arguments):
        self.calls.append(arguments)
        return (event for event in ())


def test_the_fold_is_there_with_an_npu_only(make, machines):
    cpu, no_gpu, npu = machines
    panel = make(Runs(), machines=(cpu, npu))
    fold = panel.choice.npu
    assert panel.choice.device.value == "npu:0" and fold.layout.display is None
    assert fold.selected_index is None and fold.titles == ("Advanced settings of the NPU",)
    panel.choice.device.value = "cpu"
    assert fold.layout.display == "none"
    fold.fields["profiling"].control.value = True
    panel.run(wait=True)
    assert "options" not in panel._runner.calls[0]
    assert make(machines=(cpu, no_gpu)).choice.npu.layout.display == "none"


def test_every_option_is_a_field_with_its_help(make, machines):
    fold = make(machines=machines).choice.npu
    assert list(fold.fields) == list(NpuOptions.__dataclass_fields__)
    tooltip = fold.fields["dump"].control.tooltip
    assert "Also known as data_dump_flag" in tooltip
    for field in fold.fields.values():
        assert field.setting.help in html.unescape(field.note.value)


def test_what_is_set_reaches_the_run(make, machines):
    panel = make(Runs(), machines=machines)
    panel.run(wait=True)
    panel.choice.npu.fields["precision_mode"].control.value = "allow_mix_precision"
    panel.choice.npu.fields["deterministic"].control.value = True
    panel.run(wait=True)
    first, second = panel._runner.calls
    assert "options" not in first
    assert second["options"] == NpuOptions(precision_mode="allow_mix_precision", deterministic=True)


def test_contradictions_are_refused_in_words(make, machines):
    panel = make(Runs(), machines=machines)
    panel.choice.npu.fields["dump"].control.value = True
    panel.choice.npu.fields["over_dump"].control.value = True
    with pytest.raises(ConfigError, match="over_dump: expected False while dump"):
        panel.run()
    panel.run_button.click()
    assert "over_dump: expected False while dump" in panel.display.status.value
    assert panel._runner.calls == [] and panel.state == "idle"


def test_an_open_npu_shows_and_locks_its_options(make, machines):
    options = NpuOptions(over_dump=True, data_save_path="dumps")
    npu = machines[-1]
    session = types.SimpleNamespace(device=npu, precision="mixed_bfloat16", options=options)
    panel = make(Runs(), machines=machines, session=session)
    fields = panel.choice.npu.fields
    assert all(field.control.disabled for field in fields.values())
    assert fields["over_dump"].value is True and fields["data_save_path"].value == "dumps"
    assert panel.choice.choice() == ("npu:0", "mixed_bfloat16")
    assert panel.choice.options() == {"options": options}
    assert "restart the kernel to change" in panel.choice.note.value
