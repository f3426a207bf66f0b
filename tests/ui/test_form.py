"""The form is the config: both ways, exactly, with complaints in words."""

from __future__ import annotations

import dataclasses
import shlex
import types

import ipywidgets as widgets
import pytest

from zoolib.core.config import Config
from zoolib.errors import ConfigError
from zoolib.ui.form import Form


@pytest.mark.parametrize("preset", ["tutorial", "tiny"])
def test_every_preset_comes_back_unchanged(spec, preset):
    form = Form(spec, preset)
    assert form.config == spec.preset(preset)
    other = Form(spec)
    other.set(spec.preset(preset, seed=3, width=7))
    assert other.config == spec.preset(preset, seed=3, width=7)
    assert isinstance(other.config, spec.Config)


def test_real_models_round_trip():
    import zoolib

    for name in zoolib.list_models():
        real = zoolib.get_model(name)
        for preset in real.presets:
            assert Form(real, preset).config == real.preset(preset)


def test_a_class_without_presets_will_do(spec):
    form = Form(spec.Config)
    form.fields["seed"].control.value = 5
    assert form.config == spec.Config(seed=5)
    assert eval(form.code(), {"ToyConfig": spec.Config}) == form.config
    assert form.command() == ""


def test_control_kinds(spec):
    kinds = {name: type(field.control) for name, field in Form(spec).fields.items()}
    assert kinds["rate"] is widgets.FloatText
    assert kinds["width"] is widgets.IntText
    assert kinds["norm"] is widgets.Dropdown and kinds["sizes"] is widgets.Dropdown
    assert kinds["second"] is widgets.Checkbox
    assert kinds["folder"] is widgets.Text
    assert "preset" not in kinds  # internal settings are not shown as fields


def test_labels_tooltips_and_units(spec):
    form = Form(spec)
    for name, field in form.fields.items():
        assert field.control.description.startswith(name)
        assert field.setting.help in field.control.tooltip
    assert form.fields["width"].control.description == "width (units)"
    assert "an integer from 1 to 64" in form.fields["width"].control.tooltip
    assert "lr" in form.fields["rate"].control.tooltip
    for control in (form.preset, form.reset):
        assert control.description and control.tooltip
    assert "Second order &lt;gradients&gt;." in form.fields["second"].note.value


def test_advanced_settings_are_folded(spec):
    form = Form(spec)
    (fold,) = [child for child in form.children if isinstance(child, widgets.Accordion)]
    assert fold.selected_index is None
    assert form.fields["folder"].row in fold.children[0].children
    assert form.fields["rate"].row not in fold.children[0].children


def test_bad_value_is_explained_beside_the_field_and_raised(spec):
    form = Form(spec)
    field = form.fields["width"]
    field.control.value = 500
    assert field.control.value == 500, "a wrong value is shown, not silently moved"
    assert "expected an integer from 1 to 64, got 500" in field.note.value
    assert 'role="alert"' in field.note.value
    assert form.lines.value == ""
    with pytest.raises(ConfigError, match="width: expected an integer from 1 to 64, got 500"):
        _ = form.config
    field.control.value = 50
    assert field.setting.help in field.note.value and "alert" not in field.note.value
    assert form.config.width == 50


def test_clash_between_fields_is_shown_at_the_named_field(spec):
    form = Form(spec)
    form.fields["low"].control.value = 2.0
    assert "expected less than high (1), got 2" in form.fields["low"].note.value
    form.fields["high"].control.value = 3.0
    assert "alert" not in form.fields["low"].note.value
    form.fields["eval_every"].control.value = 7
    assert "multiple of report_every" in form.fields["eval_every"].note.value


def test_preset_dropdown_and_reset(spec):
    form = Form(spec)
    assert "Two minutes" in form.preset_help.value
    form.preset.value = "tiny"
    assert form.config == spec.preset("tiny") and "hard to print" in form.preset_help.value
    form.fields["seed"].control.value = 9
    assert form.config == spec.preset("tiny", seed=9)
    form.reset.click()
    assert form.config == spec.preset("tiny")


def test_code_and_command_mean_the_same_settings(spec):
    form = Form(spec, "tiny")
    assert form.code() == 'zoolib.get_model("toy").preset("tiny")'
    form.fields["seed"].control.value = 3
    form.fields["rate"].control.value = 3e-7
    form.fields["second"].control.value = True
    form.fields["folder"].control.value = 'it\'s "here"'
    stub = types.SimpleNamespace(get_model=lambda name: spec)
    assert eval(form.code(), {"zoolib": stub}) == form.config
    words = shlex.split(form.command())
    assert words[:7] == ["python", "-m", "zoolib", "train", "toy", "--preset", "tiny"]
    told = {words[i]: words[i + 1] for i in range(7, len(words), 2)}
    assert spec.preset("tiny").replace(**told) == form.config
    assert "seed=3" in form.lines.value and "--seed 3" in form.lines.value


def test_listeners_and_lock(spec):
    form, seen = Form(spec), []
    form.on_change(lambda: seen.append(form.config.seed))
    form.fields["seed"].control.value = 4
    assert seen == [4]
    form.locked = True
    assert all(field.control.disabled for field in form.fields.values())
    assert form.preset.disabled and form.reset.disabled and form.locked
    form.locked = False
    assert not any(field.control.disabled for field in form.fields.values())


def test_wrong_config_is_refused(spec):
    @dataclasses.dataclass(frozen=True)
    class Other(Config):
        pass

    with pytest.raises(ConfigError, match="expected a ToyConfig, got a Other"):
        Form(spec).set(Other())
    with pytest.raises(ConfigError, match="expected one of tutorial, tiny"):
        Form(spec, "nonsense")


def test_repr_is_short_and_stable(spec):
    assert repr(Form(spec)) == "Form(toy)" == str(Form(spec, "tiny"))
    assert Form(spec)._repr_mimebundle_()["text/plain"] == "Form(toy)"
