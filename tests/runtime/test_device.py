"""Which devices there are, which one a name means, and what a session refuses."""

from __future__ import annotations

import pytest
import tensorflow as tf

import zoolib
from zoolib.errors import ConfigError, DeviceError
from zoolib.runtime import device
from zoolib.runtime.device import Device, Session, find_device, open_session
from zoolib.runtime.distribute import SingleProcess, shard

CPU = Device("cpu", "cpu", ("float32", "mixed_bfloat16"))
GPU = Device("gpu:0", "gpu", ("float32", "mixed_float16", "mixed_bfloat16"))
NO_GPU = Device("gpu:0", "gpu", ("float32",), False, "TensorFlow sees no GPU on this machine")
NPUS = [Device(f"npu:{i}", "npu", ("float32", "allow_mix_precision")) for i in range(2)]


@pytest.fixture
def machine(monkeypatch):
    """Pretends to be a machine with these devices."""
    return lambda *found: monkeypatch.setattr(device, "devices", lambda: list(found))


def test_every_kind_is_listed_with_a_reason_where_absent():
    found = zoolib.devices()
    assert [d.kind for d in found].count("cpu") == 1 and found[0].available
    assert {d.kind for d in found} == {"cpu", "gpu", "npu"}
    for d in found:
        assert bool(d.reason) != d.available and d.precisions[0] == "float32"


@pytest.mark.parametrize(
    "devices, name, meant",
    [
        ([CPU, NO_GPU], "auto", "cpu"),
        ([CPU, GPU], "auto", "gpu:0"),
        ([CPU, GPU, *NPUS], "auto", "npu:0"),
        ([CPU, GPU], " GPU ", "gpu:0"),
        ([CPU, *NPUS], "npu:1", "npu:1"),
        ([CPU, *NPUS], "npu", "npu:0"),
        ([CPU, GPU], "cpu", "cpu"),
    ],
)
def test_what_a_name_means(machine, devices, name, meant):
    machine(*devices)
    assert find_device(name).name == meant


def test_a_kind_means_the_first_that_is_available(machine):
    lost = Device("npu:0", "npu", ("float32",), False, "in use")
    machine(CPU, lost, NPUS[1])
    assert find_device("npu").name == "npu:1"
    with pytest.raises(DeviceError, match="device: npu:0 is not available: in use"):
        find_device("npu:0")


def test_unknown_and_absent_devices(machine):
    machine(CPU, NO_GPU, NPUS[0])
    with pytest.raises(DeviceError, match="expected one of auto, cpu, npu:0, got 'tpu'"):
        find_device("tpu")
    with pytest.raises(DeviceError, match="got 'gpu:3'; TensorFlow sees no GPU"):
        find_device("gpu:3")
    with pytest.raises(DeviceError, match="gpu:0 is not available: TensorFlow sees no GPU"):
        find_device("gpu")


def test_sessions_on_the_processor_may_follow_one_another():
    first = open_session("cpu")
    second = open_session("cpu", "mixed_bfloat16")
    assert device.current() is second and first.precision == "float32"
    assert (second.rank, second.size, second.device.name) == (0, 1, "cpu")
    with second.placement():
        assert tf.Variable(1.0).device.upper().endswith("CPU:0")
    open_session("cpu")


def test_a_precision_the_device_cannot_do_opens_nothing():
    before = open_session("cpu")
    with pytest.raises(DeviceError, match="expected one of float32, mixed_bfloat16 on cpu"):
        open_session("cpu", "mixed_float16")
    assert device.current() is before


def test_an_open_npu_cannot_be_exchanged(monkeypatch):
    opened = Session(NPUS[0], "allow_mix_precision", SingleProcess())
    monkeypatch.setattr(device, "_open", opened)
    with pytest.raises(DeviceError, match="npu:0 is open and cannot be exchanged for cpu in this"):
        open_session("cpu")
    assert device.current() is opened


def test_the_kind_of_loop_a_device_profits_from():
    def step(batch, draws):
        return {}

    cpu = Session(CPU, "float32")
    assert cpu.loop(step, (), True, 1000).kind in ("xla", "graph")
    assert cpu.loop(step, (), False, 1000).kind == "single"
    assert cpu.loop(step, (), True, 7).size == 7
    npu = Session(NPUS[0], "float32", SingleProcess())
    assert npu.loop(step, (), True, 1000).kind == "single"


def test_compiled_functions_with_a_signature_are_traced_once():
    traces = []

    def double(x):
        traces.append(x.shape)
        return 2 * x

    call = Session(CPU, "float32").compile(double, [tf.TensorSpec([None], tf.float32)])
    assert [float(tf.reduce_sum(call(tf.ones([n])))) for n in (1, 2, 3)] == [2.0, 4.0, 6.0]
    assert len(traces) == 1


def test_one_process_is_its_own_sum_and_mean():
    alone, tensors = SingleProcess(), [tf.constant(2.0), tf.constant([1.0, 3.0])]
    assert (alone.rank, alone.size) == (0, 1)
    assert alone.all_reduce(tensors) == tensors
    variable = tf.Variable(4.0)
    alone.broadcast([variable])
    assert variable.numpy() == 4.0


def test_shards_divide_evenly_or_not_at_all():
    assert [list(shard(6, rank, 3)) for rank in range(3)] == [[0, 1], [2, 3], [4, 5]]
    told = r"batch: expected a multiple of the number of ranks \(3\), got 7"
    with pytest.raises(ConfigError, match=told):
        shard(7, 0, 3)


def test_a_session_tells_what_a_user_should_know():
    adapter = SingleProcess()
    adapter.skipped, adapter.precision = ("hcom_parallel",), "allow_mix_precision"
    session = Session(NPUS[0], "mixed_float16", adapter)
    told = session.remarks("none")
    assert told[0] == "hcom_parallel: this Ascend adapter has no such option"
    assert told[1].startswith("allow_mix_precision computes in float16: set loss_scale")
    assert told[2] == "allow_mix_precision: fastest; losses must be scaled"
    assert session.remarks("dynamic") == session.remarks(None) == [told[0], told[2]]
    adapter.precision = "allow_fp32_to_fp16"
    assert session.remarks("none") == told[:1]
    assert Session(CPU, "float32").remarks("none") == []
