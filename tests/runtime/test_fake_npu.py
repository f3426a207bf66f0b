"""The fake adapter refuses what the real one refuses or silently breaks."""

from __future__ import annotations

import pytest
from npu_scenarios import finish, start

REFUSED = {
    "unknown_option": "ValueError: no option auto_tune_mode, all options: ['aoe_config'",
    "outside_a_closed_list": "ValueError: 'fp8'",
    "wrong_type_for_a_closed_list": "TypeError: 'yes'",
    "closed_list_set_to_none": "ValueError: None",
    "section_assigned": "ContractViolation: assignment to the section",
    "exclusive_precisions": "ContractViolation: precision_mode and precision_mode_v2",
    "device_no_number": "ValueError: invalid literal for int()",
    "table_and_chief": "ValueError: RANK_SIZE and CM_WORKER_SIZE",
    "neither_table_nor_chief": "RuntimeError: exactly one of CM_CHIEF_IP and RANK_TABLE_FILE",
    "no_rank": "RuntimeError: RANK_ID",
    "no_table_file": "RuntimeError: Failed open npu device 0 : rank table nowhere.json",
    "chief_without_port": "RuntimeError: CM_CHIEF_PORT",
    "chief_without_device": "RuntimeError: CM_CHIEF_DEVICE",
    "bfloat16_on_a_910": "RuntimeError: Failed open npu device 0 : allow_mix_precision_bf16",
    "made_to_fail": "RuntimeError: Failed open npu device 0 : E19999 the device is lost",
    "device_of_another_process": "RuntimeError: Failed open npu device 0 : device 0 is in use",
    "variable_before_open": "ContractViolation: variables exist before open()",
    "second_device": "RuntimeError: device 1: this process has 0",
    "option_after_open": "ContractViolation: option precision_mode set after open()",
    "device_scope": "ContractViolation: tf.device('/CPU:0') has no effect",
    "eager_functions": "ContractViolation: run_functions_eagerly",
    "nested_functions": "called inside another one",
    "nested_while_tracing_only": "called inside another one",
    "variable_in_a_trace": "a variable created inside a compiled function",
    "loop_size_disagrees": "ContractViolation: loop size 3 is followed by loop with",
    "loop_size_forgotten": "ContractViolation: loop loops [4] times",
    "loop_size_not_positive": "ContractViolation: loop size 0",
    "two_batches_per_call": "takes two batches from one iterator",
    "float64_collective": "ContractViolation: all_reduce of float64",
    "bool_broadcast": "ContractViolation: broadcast of bool",
    "unordered_status": "without control dependencies",
    "unsupported_saturation_mode": "ContractViolation: set_device_sat_mode(1) on 910",
}
ACCEPTED = {
    "membership_is_by_equality": ["1", "0"],
    "open_domain_is_not_checked": "12",
    "unset_options_are_left_out": False,
    "reading_gives_a_wrapper": False,
    "no_default_yet": True,
    "opens": [True, "NPU:0", 1, 0],
    "xla_is_forced_off": [4.0, False],
    "pipelines_may_have_functions": [[0.0, 2.0], [4.0, 6.0]],
    "host_writes_checkpoints_and_models": [[1.0, 2.0], [1.0, 2.0]],
    "loop_size_agrees": 6.0,
    "one_batch_from_each_of_two": [2.0, 2.0],
    "single_device_is_identity": True,
    "saturation_sets_the_sticky_status": [65504.0, True, True, False],
    "eager_variable_access_is_counted": [True, True],
    "calls_are_recorded": True,
}


@pytest.fixture(scope="module")
def outcome(tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("claims"))
    return finish(start("npu_scenario_fake.py", FAKE_NPU_DIR=folder))


@pytest.mark.parametrize("name", REFUSED)
def test_refuses(outcome, name):
    assert REFUSED[name] in str(outcome[name])


@pytest.mark.parametrize("name", ACCEPTED)
def test_accepts(outcome, name):
    assert outcome[name] == ACCEPTED[name]


def test_loss_scaling_of_keras_2_goes_by_the_status(outcome):
    # Overflow: step skipped, scale halved. Then a good step. Keras 3 has no such optimizer.
    found = outcome["keras_2_loss_scaling"]
    assert found == [1.0, 2.0, 0.5, True] or "Keras 2" in found


def test_every_scenario_is_asserted(outcome):
    assert set(outcome) == {*REFUSED, *ACCEPTED, "keras_2_loss_scaling"}
