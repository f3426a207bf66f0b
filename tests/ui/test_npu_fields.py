"""The NPU's settings in the panel: there with an NPU, handed to the run, locked once it is open."""

from __future__ import annotations

import html
import re
import shlex
import types

import pytest

import zoolib
from zoolib.cli_options import train_parser
from zoolib.core.npu_settings import npu_options
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


def locked(make, machines, options=None, **more):
    """A panel in whose kernel an NPU is open."""
    session = types.SimpleNamespace(device=machines[-1], precision="float32", options=options)
    return make(Runs(), machines=machines, session=session, **more)


def texts(panel):
    """The lines shown, as a page shows them."""
    found = re.findall(r"<pre[^>]*>(.*?)</pre>", panel.choice.lines.value, re.DOTALL)
    return [html.unescape(text) for text in found]


def test_how_to_change_is_told_with_an_open_npu_only(make, machines):
    cpu, _, npu = machines
    opened = []
    panel = make(Runs(), machines=(cpu, npu), session=lambda: (opened or [None])[0])
    assert panel.choice.lock_box.layout.display == "none"
    opened.append(types.SimpleNamespace(device=npu, precision="float32"))
    panel.choice.refresh()
    assert panel.choice.lock_box.layout.display is None
    assert "npu:0 is open in this kernel" in panel.choice.note.value
    assert panel.choice.copy.tooltip and not panel.choice.copy.disabled


def test_copied_settings_bring_everything_back(make, machines, spec):
    options = NpuOptions(over_dump=True, data_save_path="my dumps")
    panel = locked(make, machines, options, out="my runs")
    panel.form.fields["seed"].control.value = 3
    panel.form.fields["folder"].control.value = "it's <here>"
    panel.choice.copy.click()
    python, shell = texts(panel)

    called = []
    stub = types.SimpleNamespace(
        get_model=lambda name: spec, train=lambda config, **where: called.append((config, where))
    )
    exec(python.replace("import zoolib\n", ""), {"zoolib": stub})
    where = {"device": "npu:0", "precision": "float32", "options": options, "out": "my runs"}
    assert called == [(panel.form.config, where)]

    words = shlex.split(shell)
    assert words[:4] == ["python", "-m", "zoolib", "train"]
    given = train_parser(spec).parse_args(words[5:])
    assert (given.device, given.precision, given.out) == ("npu:0", "float32", "my runs")
    set_here = {k[3:]: v for k, v in vars(given).items() if k.startswith("n__") and v is not None}
    assert npu_options(set_here) == options
    changes = {k[3:]: v for k, v in vars(given).items() if k.startswith("c__") and v is not None}
    assert spec.preset(given.preset, **changes) == panel.form.config


def test_copied_settings_are_those_of_the_moment(make, machines):
    panel = locked(make, machines)
    panel.choice.copy.click()
    assert "options=" not in texts(panel)[0] and "out=" not in texts(panel)[0]
    panel.form.fields["seed"].control.value = 9
    panel.choice.copy.click()
    assert all("seed" in text for text in texts(panel))


def test_settings_that_are_not_valid_are_not_copied(make, machines):
    panel = locked(make, machines)
    panel.choice.copy.click()
    panel.form.fields["width"].control.value = 500
    panel.choice.copy.click()
    assert texts(panel) == []
    assert "width: expected an integer from 1 to 64" in panel.display.status.value


def test_settings_of_a_config_without_a_form(make, machines, spec):
    panel = locked(make, machines, form=spec.Config(seed=4))
    panel.choice.copy.click()
    (python,) = texts(panel)
    assert "config = ToyConfig(seed=4)" in python
    real = zoolib.get_model("mtnet").preset("smoke", seed=4)
    panel = locked(make, machines, form=real)
    panel.choice.copy.click()
    assert 'zoolib.get_model("mtnet").preset("smoke", seed=4)' in texts(panel)[0]
    assert texts(panel)[1].startswith("python -m zoolib train mtnet --preset smoke --seed 4 ")


def test_each_block_has_a_button_with_a_name_of_its_own(make, machines):
    panel = locked(make, machines)
    panel.choice.copy.click()
    names = re.findall(r'<button [^>]*aria-label="([^"]+)"', panel.choice.lines.value)
    assert len(set(names)) == 2
    assert panel.choice.lines.value.count("user-select: all") == 2


def test_what_a_precision_is_good_for_is_told_on_an_npu_only(make, machines):
    cpu, _, npu = machines
    choice = make(Runs(), machines=(cpu, npu)).choice
    assert choice.hint.value == "" and choice.hint.layout.display == "none"
    choice.precision.value = "allow_mix_precision"
    assert "allow_mix_precision: fastest; losses must be scaled" in choice.hint.value
    assert choice.hint.layout.display is None
    choice.precision.value = "float32"
    choice.npu.fields["precision_mode"].control.value = "must_keep_origin_dtype"
    assert "very slow there, or fails" in choice.hint.value
    choice.npu.fields["precision_mode_v2"].control.value = "fp16"  # one too many
    assert choice.hint.value == ""
    choice.npu.fields["precision_mode"].control.value = ""
    assert "made for inference" in choice.hint.value
    choice.device.value = "cpu"
    assert choice.hint.value == ""
