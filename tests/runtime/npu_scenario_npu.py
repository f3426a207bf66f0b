"""Run in a process of its own: zoolib's NPU session over the fake adapter. Prints JSON."""

from __future__ import annotations

import dataclasses
import os
import sys

from npu_scenarios import outcomes

from zoolib.runtime import npu

FOLDER = os.environ["FAKE_NPU_DIR"]
OPTIONS = npu.NpuOptions(
    profiling=True, dump=True, data_save_path=FOLDER, deterministic=True, jit_compile="true"
)


def importing_brings_no_tensorflow():
    return sorted({"tensorflow", "npu_device"} & set(sys.modules))


def bad_setting_comes_before_the_import():
    try:
        npu.open_npu(0, "float32", dataclasses.replace(OPTIONS, over_dump=True))
    finally:
        assert "npu_device" not in sys.modules


def engine_failure():
    import npu_device

    npu_device.fail_next_open("E19999 the device is lost")
    npu.open_npu(3, "mixed_float16", OPTIONS)


def other_settings_after_a_failure():
    """The adapter keeps the options of the first attempt."""
    npu.open_npu(0, "float32", npu.NpuOptions())


def variables_exist():
    import tensorflow as tf

    early = tf.Variable(1.0, name="early")
    try:
        npu.open_npu(3, "mixed_float16", OPTIONS)
    finally:
        del early


def value_the_adapter_refuses():
    import npu_device

    npu.set_option(npu_device.global_options(), "precision_mode", "fp8", True)


def option_the_adapter_lacks():
    import npu_device

    return npu.set_option(npu_device.global_options(), "auto_tune.mode", "RL", False)


def essential_option_the_adapter_lacks():
    import npu_device

    npu.set_option(npu_device.global_options(), "auto_tune_mode", "RL", True)


def opens_on_the_device_of_the_environment():
    os.environ["ASCEND_DEVICE_ID"] = "3"
    opened = npu.open_npu(None, "mixed_float16", OPTIONS)
    _opened.append(opened)
    same = npu.open_npu(3, "mixed_float16", OPTIONS) is opened
    return [same, opened.device_id, opened.rank, opened.size, opened.precision]


_opened = []


def options_come_before_open():
    import npu_device

    kinds = [call[0] for call in npu_device.calls]
    last = len(kinds) - kinds[::-1].index("option") - 1
    return last < len(kinds) - kinds[::-1].index("open") - 1 < kinds.index("as_default")


def options_arrive():
    import npu_device

    values = npu_device.global_options().as_dict()
    names = "precision_mode deterministic jit_compile hcom_parallel enable_dump dump_step "
    return [values[n] for n in (names + "enable_profiling op_compiler_cache_mode").split()]


def saturates():
    return _opened[0].saturates


def skipped():
    return list(_opened[0].skipped)


def another_device():
    npu.open_npu(4, "mixed_float16", OPTIONS)


def another_precision():
    npu.open_npu(3, "float32", OPTIONS)


def other_options():
    npu.open_npu(3, "mixed_float16", npu.NpuOptions())


def all_reduce_on_one_device():
    import tensorflow as tf

    @tf.function
    def step(x, n):
        return _opened[0].all_reduce([x]) + _opened[0].all_reduce([n], "sum")

    return [float(v) for v in step(tf.constant(2.0), tf.constant(3))]


def mean_of_integers():
    import tensorflow as tf

    _opened[0].all_reduce([tf.constant(3)])


def unknown_reduction():
    _opened[0].all_reduce([], "max")


def float64_tensor():
    import tensorflow as tf

    _opened[0].all_reduce([tf.zeros([1], tf.float64)])


def bool_variable():
    import tensorflow as tf

    _opened[0].broadcast([tf.Variable(True)])


def overflow():
    """Saturating arithmetic: gradients all finite, yet the status tells; then it is cleared."""
    import npu_device
    import tensorflow as tf

    weights = tf.Variable([1.0, 2.0])
    saturate = npu_device.gen_npu_ops.saturate

    @tf.function
    def step(factor):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(saturate(saturate(weights * factor) * factor))
        gradient = tape.gradient(loss, weights)
        return tf.reduce_all(tf.math.is_finite(gradient)), _opened[0].overflow_status([gradient])

    found = []
    for factor in (1.0, 1000.0, 1.0):
        finite, status = step(tf.constant(factor))
        found.append([bool(finite), status.dtype.name, status.shape[0], bool(any(status.numpy()))])
    return found


def status_waits_for_reading_and_clearing():
    """Host operators the status depends on, before the function's own order is added to it."""
    import tensorflow as tf

    made = []

    @tf.function
    def step(gradient):
        made.append(_opened[0].overflow_status([gradient]))
        return made[0]

    graph = step.get_concrete_function(tf.TensorSpec([2])).graph
    found, todo = set(), [made[0].op]
    while todo:
        operator = todo.pop()
        if operator.name not in found:
            found.add(operator.name)
            todo += [t.op for t in operator.inputs] + list(operator.control_inputs)
    kinds = [graph.get_operation_by_name(name).type for name in found]
    return [sum("PyFunc" in kind for kind in kinds), "Placeholder" in kinds]


def loop_owns_both_numbers():
    import npu_device
    import tensorflow as tf

    total = tf.Variable(0.0)
    data = iter(tf.data.Dataset.from_tensor_slices(tf.ones([16])).batch(2, drop_remainder=True))

    @tf.function
    def loop(steps, iterator):
        for _ in tf.range(steps):
            total.assign_add(tf.reduce_sum(next(iterator)))

    _opened[0].run_loop(loop, 3, data)
    _opened[0].run_loop(loop, 2, data)
    sizes = [call[1] for call in npu_device.calls if call[0] == "loop_size"]
    return [float(total.numpy()), sizes, npu_device.calls[-2:]]


def loop_of_no_steps():
    _opened[0].run_loop(None, 0)


def keeps_types():
    import npu_device

    with _opened[0].keep_dtype_scope():
        return npu_device.calls[-1]


if __name__ == "__main__":
    outcomes(globals())
