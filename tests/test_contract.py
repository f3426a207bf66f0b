"""What every method promises (DESIGN, section 4), for whatever methods there are."""

from __future__ import annotations

import dataclasses
import json
import time

import numpy as np
import pytest

import zoolib
from zoolib.core.events import Stepped
from zoolib.core.npu_check import check_model
from zoolib.core.spec import config_from_json
from zoolib.runtime import compat
from zoolib.runtime.device import Session, open_session

SECONDS = 120  # of processor time, which other work on a shared machine does not add to
MODELS = zoolib.list_models()


@dataclasses.dataclass
class Smoke:
    """An uninterrupted run of the smoke preset."""

    spec: object
    result: object
    events: list
    loops: list
    seconds: float


@pytest.fixture(scope="module", params=MODELS)
def smoke(request, tmp_path_factory) -> Smoke:
    spec, loops, make = zoolib.get_model(request.param), [], Session.loop
    out = tmp_path_factory.mktemp("smoke")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Session, "loop", lambda *a: loops.append(make(*a)) or loops[-1])
        begin = time.process_time()
        events = list(zoolib.run(spec.preset("smoke"), device="cpu", out=out))
        seconds = time.process_time() - begin
    return Smoke(spec, zoolib.load(events[-1].folder, "cpu"), events, loops, seconds)


def test_smoke_ends_within_its_budget(smoke):
    assert smoke.seconds < SECONDS
    assert smoke.result.summary["steps"] == smoke.result.config.iterations


def test_the_loss_falls(smoke):
    losses = [row["loss"] for row in smoke.result.history]
    quarter = max(len(losses) // 4, 1)
    assert len(losses) >= 4 and np.mean(losses[-quarter:]) < np.mean(losses[:quarter])


def test_every_term_is_finite_and_named(smoke):
    terms = smoke.result.task.terms
    assert "loss" in terms
    for row in smoke.result.history:
        assert all(np.isfinite(row[term]) for term in terms)
    assert smoke.result.metrics and smoke.result.task.headline in smoke.result.metrics


def test_the_step_is_traced_once(smoke):
    assert [loop.traces for loop in smoke.loops] == [1]


def test_evaluation_repeats_itself_from_disk(smoke):
    assert smoke.result.evaluate() == smoke.result.metrics


def test_stopped_and_resumed_equals_uninterrupted(smoke, tmp_path):
    """Bit for bit; so the same seed gives the same curve, too."""
    config = smoke.result.config
    stop = config.iterations // 2 + config.report_every // 2 + 1
    events = zoolib.run(config, device="cpu", out=tmp_path)
    folder = next(events).folder
    for event in events:
        if isinstance(event, Stepped) and event.step >= stop:
            break
    events.close()
    result = zoolib.train(resume=folder, device="cpu", progress=False)
    there, here = (f / "metrics.jsonl" for f in (smoke.result.folder, folder))
    assert here.read_bytes() == there.read_bytes()
    assert result.metrics == smoke.result.metrics


def test_mixed_precision_agrees_within_the_declared_tolerance(smoke, tmp_path):
    events = list(zoolib.run(smoke.result.config, "cpu", "mixed_bfloat16", out=tmp_path))
    mixed = zoolib.load(events[-1].folder, "cpu")
    name = smoke.result.task.headline
    plain, lowered = smoke.result.metrics[name], mixed.metrics[name]
    assert mixed.summary["precision"] == "mixed_bfloat16"
    assert mixed.metrics != smoke.result.metrics, "nothing was computed in lower precision"
    assert lowered == pytest.approx(plain, rel=smoke.result.task.mixed_tolerance)
    first, low = (next(e for e in run if isinstance(e, Stepped)) for run in (smoke.events, events))
    assert first.step == low.step
    assert low.metrics["loss"] == pytest.approx(first.metrics["loss"], rel=0.05)


def test_export_reloads_and_predicts_the_same(smoke, tmp_path):
    import tensorflow as tf

    task, source = smoke.result.task, np.random.default_rng(0)
    path = zoolib.export(task, "savedmodel", tmp_path / "exported")
    with task.session.placement():
        module = task.export_module()
        here = module.signatures()["serve"]
        _, specs = here.structured_input_signature
        specs = specs or {s.name: s for s in here.structured_input_signature[0]}
        inputs = {n: _some(source, tf.TensorShape(s.shape), s.dtype) for n, s in specs.items()}
        loaded = tf.saved_model.load(str(path))
        expected = tf.nest.flatten(here(**inputs))  # a tensor or a dict of them
        found = tf.nest.flatten(loaded.signatures["serve"](**inputs))
    assert len(found) == len(expected) > 0
    for value, reloaded in zip(expected, found):
        np.testing.assert_allclose(reloaded, value, rtol=1e-5, atol=1e-6)


def _some(source, shape, dtype):
    import tensorflow as tf

    size = [n or 7 for n in shape.as_list()]
    drawn = source.uniform(0, 2, size) if dtype.is_floating else source.integers(0, 2, size)
    return tf.constant(drawn, dtype)


# ---- without a run


@pytest.fixture(params=MODELS)
def spec(request):
    return zoolib.get_model(request.param)


def test_the_presets_are_there_and_explained(spec):
    assert {"smoke", "tutorial", "paper"} <= set(spec.presets)
    for name, make in spec.presets.items():
        assert f"zoolib train {spec.name}" in (make.__doc__ or ""), name
        assert spec.preset(name).preset == name


def test_configs_round_trip_through_json_and_the_command_line(spec):
    from zoolib.cli import _wanted
    from zoolib.cli_options import train_parser

    for name in spec.presets:
        config = spec.preset(name, seed=3)
        document = {"model": spec.name, "settings": json.loads(json.dumps(config.to_dict()))}
        assert config_from_json(document) == config
        words = ["--preset", "smoke"]
        for item in spec.Config.settings():
            if not item.internal:
                words += [f"--{item.name}", str(getattr(config, item.name))]
        again, _ = _wanted(spec, train_parser(spec).parse_args(words))
        assert again.diff(config) == {}


def test_configs_round_trip_through_the_form(spec):
    form = pytest.importorskip("zoolib.ui.form")
    for name in spec.presets:
        config = spec.preset(name, seed=3)
        shown = form.Form(spec, "smoke")
        shown.set(config)
        assert shown.config == config


def test_the_steps_suit_an_npu(spec):
    """Training and evaluation: accepted operators, known shapes, float32, no random numbers."""
    report = check_model(spec.preset("smoke"))
    assert report.problems == []
    assert len(report.functions) > 1, "expected evaluation_functions() beside the training step"
    for each in report.functions.values():
        assert (each.retraces, each.eager_variable_operations) == (0, 0)
        assert set(each.operators["slow_path"]) <= {"IsFinite"}, each.warnings


def test_fifty_steps_of_an_npu_are_one_trace_and_no_eager_operation(spec):
    """Run for real, in the form an NPU gets: one step per call."""
    task = built(spec)
    with task.session.placement():
        loop = task.session.loop(task.train_step, task.terms, False, 1)
        loop(task.batch(range(1)), task.draws(range(1)), 1)
        with compat.eager_variable_operations() as found:
            for step in range(1, 50):
                at = range(step, step + 1)
                loop(task.batch(at), task.draws(at), 1)
    assert loop.kind == "single" and loop.traces == 1
    assert found == []


def test_npu_check_sees_every_graph_of_an_evaluation(spec):
    task, traced = built(spec), []
    compile_ = task.session.compile

    def noting(function, signature=None):
        def noted(*arguments):
            traced.append(function)
            return function(*arguments)

        return compile_(noted, signature)

    task.session.compile = noting
    with task.session.placement():
        first = task.evaluate()
        assert len(traced) == len(task.evaluation_functions()) > 0
        with compat.eager_variable_operations() as found:
            assert task.evaluate() == first
    assert len(traced) == len(task.evaluation_functions()), "a second evaluation builds no graph"
    assert found == []


def built(spec):
    """A task of the smoke preset at its start, in a session of its own."""
    config = spec.preset("smoke")
    session = open_session("cpu", "float32", None, config.small_dense)
    with session.placement():
        task = spec.task_class()(config, session)
        task.build()
    return task


def test_the_card_is_complete(spec):
    card = spec.card
    assert card.startswith("# ") and len(card) > 1500
    assert "±" in card or "+-" in card, "measured numbers with their spread"
    author = spec.paper.split()[0].strip(",")
    for word in ("deviation", "data", "seed", "--preset paper", author):
        assert word.lower() in card.lower(), word


def test_the_notebook_is_there(spec, root):
    assert (root / "notebooks" / spec.notebook).is_file()


def test_settings_are_explained(spec):
    for item in spec.Config.settings():
        assert item.help.endswith(".") and len(item.help) > 8, item.name
