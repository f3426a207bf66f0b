"""Run in a process of its own: what the fake adapter accepts and refuses. Prints one JSON object.

Each function is one use of the adapter, in the order written; its outcome is what it returns, or
the exception it raises as "Type: message".
"""

from __future__ import annotations

import os

import npu_device as npu
import tensorflow as tf
from npu_scenarios import outcomes


def unknown_option():
    npu.global_options().auto_tune_mode = "RL"


def outside_a_closed_list():
    npu.global_options().precision_mode = "fp8"


def wrong_type_for_a_closed_list():
    npu.global_options().deterministic = "yes"


def closed_list_set_to_none():
    npu.global_options().precision_mode = None


def membership_is_by_equality():
    options = npu.global_options()
    options.deterministic, options.hcom_parallel = True, 0
    return [options.deterministic.value, options.hcom_parallel.value]


def open_domain_is_not_checked():
    npu.global_options().fusion_switch_file = 12
    return npu.global_options().fusion_switch_file.value


def unset_options_are_left_out():
    return "precision_mode" in npu.global_options().as_dict()


def reading_gives_a_wrapper():
    return npu.global_options().graph_run_mode == 1


def section_assigned():
    npu.global_options().dump_config = True


def exclusive_precisions():
    options = npu.global_options()
    options.precision_mode, options.precision_mode_v2 = "allow_mix_precision", "fp16"
    npu.open(0)


def _again(**environment):
    npu.global_options().precision_mode_v2._value = None  # undo what no user can undo
    os.environ.update(environment)
    try:
        return npu.open()
    finally:
        for name in environment:
            del os.environ[name]


def device_no_number():
    _again(ASCEND_DEVICE_ID="first")


def table_and_chief():
    _again(RANK_SIZE="2", CM_WORKER_SIZE="2")


def neither_table_nor_chief():
    _again(RANK_SIZE="2")


def no_rank():
    _again(RANK_SIZE="2", RANK_TABLE_FILE="nowhere.json")


def no_table_file():
    _again(RANK_SIZE="2", RANK_TABLE_FILE="nowhere.json", RANK_ID="0")


def chief_without_port():
    _again(CM_WORKER_SIZE="2", CM_CHIEF_IP="10.0.0.1")


def chief_without_device():
    _again(CM_WORKER_SIZE="2", CM_CHIEF_IP="10.0.0.1", CM_CHIEF_PORT="6000")


def bfloat16_on_a_910():
    npu.global_options().precision_mode = "allow_mix_precision_bf16"
    try:
        npu.open(0)
    finally:
        npu.global_options().precision_mode = "allow_mix_precision"


def made_to_fail():
    npu.fail_next_open("E19999 the device is lost")
    npu.open(0)


def device_of_another_process():
    folder = os.environ["FAKE_NPU_DIR"]
    claim = os.path.join(folder, "device-0-0")
    open(claim, "w").close()
    try:
        npu.open(0)
    finally:
        os.remove(claim)


def variable_before_open():
    early = tf.Variable(1.0, name="early")
    try:
        npu.open(0)
    finally:
        del early


def no_default_yet():
    return npu.npu_device.global_npu_ctx() is None


def opens():
    handle = npu.open(0).as_default()
    same = npu.open(0) is handle is npu.npu_device.global_npu_ctx()
    return [same, handle.name()[-5:], handle.workers_num, handle.worker_id]


def second_device():
    npu.open(1)


def option_after_open():
    npu.global_options().precision_mode = "force_fp32"


def device_scope():
    with tf.device("/CPU:0"):
        pass


def eager_functions():
    tf.config.run_functions_eagerly(True)


def nested_functions():
    inner = tf.function(lambda x: x + 1.0)
    tf.function(lambda x: inner(x))(tf.constant(1.0))


def nested_while_tracing_only():
    inner = tf.function(lambda x: x + 1.0)
    tf.function(lambda x: inner(x)).get_concrete_function(tf.constant(1.0))


def variable_in_a_trace():
    kept = []

    @tf.function
    def lazy(x):
        if not kept:
            kept.append(tf.Variable(1.0))
        return x * kept[0]

    lazy(tf.constant(1.0))


def xla_is_forced_off():
    step = tf.function(lambda x: x * 2.0, jit_compile=True)
    return [float(step(tf.constant(2.0))), step._jit_compile]


def pipelines_may_have_functions():
    data = tf.data.Dataset.range(4).map(lambda x: tf.cast(x, tf.float32) * 2.0).batch(2)
    return [batch.numpy().tolist() for batch in data]


def host_writes_checkpoints_and_models():
    folder, module = os.environ["FAKE_NPU_DIR"], tf.Module()
    module.weight = tf.Variable([1.0, 2.0])
    signature = [tf.TensorSpec([2])]
    module.predict = tf.function(lambda x: x * module.weight, input_signature=signature)
    tf.saved_model.save(module, os.path.join(folder, "model"))
    path = tf.train.Checkpoint(module=module).save(os.path.join(folder, "checkpoint"))
    module.weight.assign([0.0, 0.0])
    tf.train.Checkpoint(module=module).restore(path).assert_consumed()
    loaded = tf.saved_model.load(os.path.join(folder, "model"))
    return [f(tf.constant([1.0, 1.0])).numpy().tolist() for f in (module.predict, loaded.predict)]


def _loop(returning=False):
    total = tf.Variable(0.0)

    @tf.function
    def loop(steps, iterator):
        for _ in tf.range(steps):
            total.assign_add(tf.reduce_sum(next(iterator)))
        if returning:
            return total.read_value()

    return loop, total


def _numbers():
    return iter(tf.data.Dataset.from_tensor_slices(tf.ones([16])).batch(2, drop_remainder=True))


def loop_size_agrees():
    loop, total = _loop()
    npu.set_npu_loop_size(3)
    loop(tf.constant(3), _numbers())
    return float(total.numpy())


def loop_size_disagrees():
    loop, _ = _loop()
    npu.set_npu_loop_size(3)
    loop(tf.constant(4), _numbers())


def loop_size_forgotten():
    npu.set_npu_loop_size(2)
    tf.function(lambda n: n)(tf.constant(2))
    loop, _ = _loop(returning=True)
    loop(tf.constant(4), _numbers())


def loop_size_not_positive():
    npu.set_npu_loop_size(0)


def two_batches_per_call():
    tf.function(lambda it: next(it) + next(it))(_numbers())


def one_batch_from_each_of_two():
    return tf.function(lambda a, b: next(a) + next(b))(_numbers(), _numbers()).numpy().tolist()


def float64_collective():
    npu.distribute.all_reduce([tf.zeros([2], tf.float64)])


def bool_broadcast():
    npu.distribute.broadcast(tf.Variable(True))


def single_device_is_identity():
    value = tf.constant([1.0, 2.0])
    return npu.distribute.all_reduce(value) is value


def unordered_status():
    tf.function(lambda: npu.gen_npu_ops.npu_get_float_status_v2())()


def saturation_sets_the_sticky_status():
    ops = npu.gen_npu_ops
    value = ops.saturate(tf.constant(1e6)).numpy()
    first, second = ops.npu_get_float_status_v2(), ops.npu_get_float_status_v2()
    ops.npu_clear_float_status_v2()
    third = ops.npu_get_float_status_v2()
    return [float(value), *(bool(s.numpy().any()) for s in (first, second, third))]


def unsupported_saturation_mode():
    npu.set_device_sat_mode(1)


def eager_variable_access_is_counted():
    before = npu.eager_variable_operations()
    variable = tf.Variable(1.0)
    variable.assign(2.0)
    variable.numpy()
    eager = npu.eager_variable_operations() - before
    add = tf.function(lambda: variable.assign_add(1.0))
    add()
    return [eager >= 3, npu.eager_variable_operations() - before == eager]


def keras_2_loss_scaling():
    try:
        make = npu.train.optimizer.NpuLossScaleOptimizer
    except AttributeError as error:
        return str(error)
    variable = tf.Variable(1.0)
    optimizer = make(tf.keras.optimizers.SGD(1.0), initial_scale=4.0)
    optimizer.inner_optimizer._create_all_weights([variable])
    saturate = npu.gen_npu_ops.saturate

    @tf.function
    def step(factor):
        with tf.GradientTape() as tape:
            loss = optimizer.get_scaled_loss(saturate(variable * factor))
        gradient = optimizer.get_unscaled_gradients(tape.gradient(loss, [variable]))
        optimizer.apply_gradients(zip(gradient, [variable]))

    step(tf.constant(1e6))
    skipped = [float(variable.numpy()), float(optimizer.loss_scale.numpy())]
    step(tf.constant(0.5))
    return [*skipped, float(variable.numpy()), bool(optimizer.last_step_finite.numpy())]


def calls_are_recorded():
    kinds = [call[0] for call in npu.calls]
    return kinds.index("option") < kinds.index("open") < kinds.index("as_default")


if __name__ == "__main__":
    outcomes(globals())
