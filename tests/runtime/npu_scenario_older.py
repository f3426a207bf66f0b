"""Run in a process of its own: an older adapter, a later chip, a chief. Prints JSON."""

from __future__ import annotations

from npu_scenarios import outcomes

from zoolib.runtime import npu

OPTIONS = npu.NpuOptions(product="a2", jit_compile="true")


def option_it_lacks():
    npu.open_npu(None, "float32", npu.NpuOptions(product="a2", precision_mode_v2="mixed_bfloat16"))


def opens():
    opened = npu.open_npu(None, "mixed_bfloat16", OPTIONS)
    return [opened.precision, opened.saturates, list(opened.skipped), opened.device_id]


def rank_is_the_one_assigned():
    again = npu.open_npu(None, "mixed_bfloat16", OPTIONS)
    return [again.rank, again.size]


def device_of_another_rank():
    npu.open_npu(0, "mixed_bfloat16", OPTIONS)


def switch_is_no_text():
    import npu_device

    return npu_device.global_options().jit_compile.value


if __name__ == "__main__":
    outcomes(globals())
