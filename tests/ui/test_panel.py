"""Run, Stop, Resume by click and by code; failures, locks, throttling, what is shown."""

from __future__ import annotations

import io
import threading
import types

import ipywidgets as widgets
import pytest
from PIL import Image

from zoolib.errors import ConfigError, DeviceError, NonFiniteLoss, ZoolibError
from zoolib.ui import worker
from zoolib.ui.display import ADVICE, OTHERWISE, advice
from zoolib.ui.progress import Progress, Throttle
from zoolib.ui.worker import CURVE_PERIOD, NUMBERS_PERIOD, UI_SHARE


def test_run_to_the_end(make, spec, fake_runs):
    runs = fake_runs()
    panel = make(runs)
    panel.form.fields["seed"].control.value = 3
    assert panel.run(wait=True) is None
    assert panel.state == "finished"
    assert runs.calls == [
        {
            "config": spec.preset("tutorial", seed=3),
            "device": "cpu",
            "precision": "float32",
            "resume": None,
        }
    ]
    assert runs.threads == ["zoolib toy"]
    assert panel.display.bar.value == panel.display.bar.max == 400
    assert "finished after 400 steps, saved in" in panel.display.status.value
    assert 'role="status"' in panel.display.status.value
    assert "step 400 of 400, loss 0.25, best 0.25" in panel.display.figures.value
    assert "left" not in panel.display.figures.value
    # With a tooltip, ipywidgets 8.1 shows "Click to show javascript error" in place of the image.
    assert panel.display.image.tooltip is None
    assert len(panel.history) == 40
    assert panel.history[-1] == {"step": 400, "loss": 0.25, "query_mse": 0.5}
    assert panel.result.folder.name == "toy-1" and panel.result is panel.result
    picture = Image.open(io.BytesIO(panel.display.image.value))
    assert picture.format == "PNG" and picture.size[0] > 600
    assert panel.display.image.layout.display is None


def test_the_run_button_is_run(make):
    panel = make()
    panel.run_button.click()
    panel.wait(20)
    assert panel.state == "finished" and not panel.run_button.disabled
    panel.run_button.click()
    panel.wait(20)
    assert panel.state == "finished" and panel.display.bar.value == 400


def test_stop_then_resume_by_clicks(make, spec, fake_runs):
    runs = fake_runs(hold_at=120)
    panel = make(runs)
    assert panel.stop_button.disabled and panel.resume_button.disabled
    panel.run_button.click()
    assert runs.held.wait(20)
    assert panel.run_button.disabled and not panel.stop_button.disabled
    assert panel.form.locked and panel.choice.device.disabled and panel.choice.precision.disabled
    panel.stop_button.click()
    assert panel.state == "stopping" and panel.stop_button.disabled
    assert "stopping after step 120 …" in panel.display.status.value
    runs.let()
    panel.wait(20)
    assert runs.closed == [130], "answers within the call under way, by closing the generator"
    assert panel.state == "stopped"
    assert "stopped at step 130, saved in runs" in panel.display.status.value.replace("\\", "/")
    assert not panel.resume_button.disabled and not panel.run_button.disabled
    assert not panel.form.locked and not panel.choice.device.disabled
    with pytest.raises(ZoolibError, match="expected a finished run, it is stopped"):
        _ = panel.result
    panel.form.fields["seed"].control.value = 77  # a resumed run keeps its own settings
    panel.resume_button.click()
    panel.wait(20)
    assert runs.calls[1]["config"] is None and runs.calls[1]["resume"].name == "toy-1"
    assert panel.state == "finished" and panel.resume_button.disabled
    assert [row["step"] for row in panel.history] == list(range(10, 401, 10))
    assert panel.form.config == spec.preset("tutorial")


def test_resume_by_folder_takes_the_runs_own_precision(make, spec, fake_runs):
    runs = fake_runs()
    panel = make(runs, form=spec.preset("tutorial"))
    runs.calls.append({"config": spec.preset("tutorial")})
    panel.resume(wait=True, folder="runs/earlier")
    assert runs.calls[1]["resume"] == "runs/earlier" and runs.calls[1]["precision"] is None
    assert panel.state == "finished"


def test_nothing_to_stop_or_resume(make):
    panel = make()
    panel.stop()
    assert "nothing is running" in panel.display.status.value
    with pytest.raises(ZoolibError, match="expected a stopped run"):
        panel.resume()
    with pytest.raises(ZoolibError, match="it is idle"):
        _ = panel.result
    panel.wait()  # returns at once


def test_failure_is_shown_and_raised(make, fake_runs):
    runs = fake_runs(error_at=150)
    panel = make(runs)
    with pytest.raises(RuntimeError, match="bad <luck>") as caught:
        panel.run(wait=True)
    assert caught.traceback[-1].name == "__call__", "the original traceback is kept"
    assert panel.state == "failed" and panel.display.bar.bar_style == "danger"
    assert "failed at step 150: bad &lt;luck&gt;" in panel.display.status.value
    shown = panel.display.details.value
    assert "<details>" in shown and "Traceback (most recent call last)" in shown
    assert "RuntimeError: bad &lt;luck&gt;" in shown and "<luck>" not in shown
    assert OTHERWISE.split(";")[0] in shown
    assert not panel.form.locked and not panel.run_button.disabled
    assert not panel.resume_button.disabled, "a checkpoint of step 100 is there"
    with pytest.raises(RuntimeError):
        panel.wait()
    runs.error_at = None
    panel.run(wait=True)
    assert panel.display.details.value == "" and panel.display.bar.bar_style == "success"


def test_failure_before_a_checkpoint_offers_no_resume(make, fake_runs):
    panel = make(fake_runs(error_at=0))
    panel.run_button.click()
    with pytest.raises(RuntimeError):
        panel.wait(20)
    assert panel.resume_button.disabled


def test_advice_follows_the_class_of_the_error():
    assert advice(NonFiniteLoss("loss is nan", 3, "loss")) == ADVICE["NonFiniteLoss"]
    assert advice(DeviceError("x")) == ADVICE["DeviceError"]
    assert advice(PermissionError("x")) == ADVICE["OSError"]
    assert advice(KeyError("x")) == OTHERWISE


def test_bad_settings_are_raised_to_code_and_shown_to_clicks(make, fake_runs):
    runs = fake_runs()
    panel = make(runs)
    panel.form.fields["width"].control.value = 500
    with pytest.raises(ConfigError, match="width"):
        panel.run()
    panel.run_button.click()
    assert "width: expected an integer from 1 to 64" in panel.display.status.value
    assert runs.calls == [] and panel.state == "idle" and worker._active is None


def test_one_run_at_a_time_in_a_kernel(make, fake_runs):
    runs = fake_runs(hold_at=20)
    first, second = make(runs), make()
    first.run()
    assert runs.held.wait(20)
    with pytest.raises(worker.BusyError, match=r"toy is running in this kernel \(step 20 of 400"):
        second.run()
    second.run_button.click()
    assert "toy is running in this kernel" in second.display.status.value
    assert not second.form.locked and second.state == "idle"
    first.stop()
    runs.let()
    first.wait(20)
    second.run(wait=True)
    assert second.state == "finished"


def test_wait_times_out_with_words(make, fake_runs):
    runs = fake_runs(hold_at=20)
    panel = make(runs)
    panel.run()
    assert runs.held.wait(20)
    with pytest.raises(TimeoutError, match="toy is still running: step 20 of 400"):
        panel.wait(0.01)
    runs.let()
    panel.wait(20)


def test_interrupting_wait_stops_and_saves(make, monkeypatch, fake_runs):
    runs = fake_runs(hold_at=20)
    panel = make(runs)
    panel.run()
    assert runs.held.wait(20)
    over, real = panel._worker._over, panel._worker._over.wait

    def interrupted(timeout=None):
        monkeypatch.setattr(over, "wait", real)
        runs.let()
        raise KeyboardInterrupt

    monkeypatch.setattr(over, "wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        panel.wait()
    assert panel.state == "stopped" and runs.closed == [30]


def test_devices_unavailable_ones_are_named_and_refused(make):
    panel = make()
    labels = [label for label, _ in panel.choice.device.options]
    assert labels == ["cpu", "gpu:0 (unavailable: no GPU is visible)"]
    panel.choice.device.value = "gpu:0"
    assert panel.choice.device.value == "cpu"
    assert "gpu:0 is not available: no GPU is visible" in panel.display.status.value
    assert panel.choice.choice() == ("cpu", "float32")


def test_precisions_follow_the_device_and_the_best_device_is_chosen(make, fake_runs, machines):
    cpu, no_gpu, npu = machines
    runs = fake_runs()
    panel = make(runs, machines=(cpu, no_gpu, npu))
    assert panel.choice.device.value == "npu:0"
    assert panel.choice.precision.options == npu.precisions
    panel.choice.precision.value = "allow_mix_precision"
    panel.choice.device.value = "cpu"
    assert panel.choice.precision.options == cpu.precisions
    assert "allow_mix_precision is not offered on cpu" in panel.display.status.value
    panel.choice.precision.value = "mixed_bfloat16"
    panel.run(wait=True)
    assert (runs.calls[0]["device"], runs.calls[0]["precision"]) == ("cpu", "mixed_bfloat16")
    assert "in effect: cpu, mixed_bfloat16" in panel.display.effective.value


def test_an_open_npu_locks_device_and_precision(make, machines):
    cpu, no_gpu, npu = machines
    session = types.SimpleNamespace(device=npu, precision="allow_mix_precision")
    panel = make(machines=(cpu, npu), session=session)
    assert panel.choice.device.disabled and panel.choice.precision.disabled
    assert panel.choice.choice() == ("npu:0", "allow_mix_precision")
    assert "restart the kernel to change" in panel.choice.note.value
    panel.run(wait=True)
    assert panel.choice.device.disabled and not panel.form.locked


def test_the_lock_falls_after_the_first_run_that_opens_an_npu(make, machines):
    cpu, no_gpu, npu = machines
    opened = []
    panel = make(machines=(cpu, npu), session=lambda: (opened or [None])[0])
    assert not panel.choice.device.disabled
    opened.append(types.SimpleNamespace(device=npu, precision="float32"))
    panel.run(wait=True)
    assert panel.choice.device.disabled and "restart the kernel" in panel.choice.note.value


class Clock:
    """Seconds that pass only when told."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def test_throttle_keeps_period_and_share():
    clock, done = Clock(), []
    cheap = Throttle(0.25, 0.1, clock)
    for tick in range(100):  # one second in hundredths
        clock.now = tick / 100
        cheap(lambda: done.append(clock.now))
    assert done == [0.0, 0.25, 0.5, 0.75]

    def slow():
        clock.now += 0.1

    costly = Throttle(0.25, 0.1, clock)
    begin, times = clock.now, 0
    while clock.now < begin + 10:
        times += costly(slow)
        clock.now += 0.01
    assert 9 <= times <= 11, "0.1 s each at a tenth of the time is once a second"


def test_a_long_run_sends_less_than_a_waiting_client_can_hold():
    clock, sent = Clock(), []
    numbers = Throttle(NUMBERS_PERIOD, UI_SHARE, clock)
    curve = Throttle(CURVE_PERIOD, UI_SHARE, clock)
    while clock.now < 900:  # the longest a cell may take under nbval
        numbers(lambda: sent.append((clock.now, 2)))  # bar and words
        curve(lambda: sent.append((clock.now, 2)))  # picture and table
        clock.now += 0.05
    assert sum(messages for _, messages in sent) < 1500
    early = [at for at, _ in sent if at <= 5]
    assert len(early) > 60, "lively at first"
    times = sorted(at for at, _ in sent)
    assert max(b - a for a, b in zip(times, times[1:])) <= 5.1, "and never still"


def test_redraws_and_numbers_are_throttled(make, monkeypatch):
    clock, pictures, numbers = Clock(), [], []
    panel = make(clock=clock)
    display = panel.display
    monkeypatch.setattr(display, "curve", lambda progress: pictures.append(clock.now))
    monkeypatch.setattr(display, "numbers", lambda progress: numbers.append(clock.now))
    real = Progress.take

    def take(self, event):
        clock.now += 0.025  # 40 calls in a second
        real(self, event)

    monkeypatch.setattr(Progress, "take", take)
    panel.run(wait=True)
    assert 9 <= len(numbers) <= 13
    assert 4 <= len(pictures) <= 6, "four a second, and the last one"


def test_a_failing_picture_stops_the_run_saved_and_tells(make, monkeypatch, fake_runs):
    runs = fake_runs()
    panel = make(runs)

    def broken(progress):
        raise ValueError("no ink")

    monkeypatch.setattr(panel.display, "curve", broken)
    with pytest.raises(ValueError, match="no ink"):
        panel.run(wait=True)
    assert runs.closed and panel.state == "failed" and not panel.form.locked
    assert "no ink" in panel.display.status.value


def test_texts_without_a_front_end(make):
    panel = make()
    assert repr(panel) == "Panel(toy)" and str(panel) == "Panel(toy): idle"
    bundle = panel._repr_mimebundle_()
    assert bundle["text/plain"] == "Panel(toy)"
    assert "application/vnd.jupyter.widget-view+json" in bundle
    panel.run(wait=True)
    assert repr(panel) == "Panel(toy)"
    assert str(panel) == "Panel(toy): finished, step 400 of 400, loss 0.25, best 0.25"
    figure = panel.figure()
    assert figure.axes[0].lines[0].get_xdata()[-1] == 400


def test_numbers_behind_the_picture(make):
    panel = make()
    panel.run(wait=True)
    table = panel.display.rows.value
    assert "last 12 of 40 rows" in table and '<th scope="col">query_mse</th>' in table
    assert "<td>400</td><td>0.25</td><td>0.5</td>" in table
    panel._progress.history[-1].update({f"metric_{n}": 1.0 for n in range(30)})
    assert panel._progress.table().count("<th ") == 8
    assert panel.display.table.titles == ("Numbers behind the picture",)
    assert panel.display.table.selected_index is None


def test_every_control_has_a_label_and_a_tooltip(make):
    panel = make()
    controls = [panel.run_button, panel.stop_button, panel.resume_button, panel.display.bar]
    for control in (*controls, panel.choice.device, panel.choice.precision):
        assert control.description and control.tooltip
    assert isinstance(panel, widgets.VBox)


def test_nothing_is_left_running(make):
    panel = make()
    panel.run(wait=True)
    panel._worker._over.wait(5)
    assert worker._active is None
    names = [t.name for t in threading.enumerate() if t.name.startswith("zoolib toy")]
    assert len(names) <= 1  # at most the one that is just returning
