"""A stand-in for the Ascend adapter that refuses what the real one refuses or silently breaks.

Own code, made from the description of the adapter's behaviour. It computes on the CPU, keeps a list
of the calls it got (`calls`) and raises `ContractViolation` where a device would hang, ignore or
quietly do something else. Environment: FAKE_NPU_DIR (folder for collectives and device claims),
FAKE_NPU_PRODUCT (910, a2), FAKE_NPU_LEGACY=1 (an older release), FAKE_NPU_FAIL_OPEN (message),
FAKE_NPU_TIMEOUT (seconds a collective waits).
"""

from __future__ import annotations

import contextlib as _contextlib
from collections.abc import Iterator
from typing import Any

from . import distribute, gen_npu_ops, npu_device, train  # noqa: F401
from .contract import ContractViolation, memory
from .npu_device import fail_next_open, global_options, open, set_npu_loop_size  # noqa: F401

calls = memory.calls
_ieee = memory.product != "910"


def _enabled() -> bool:
    return _ieee


def set_device_sat_mode(mode: int) -> None:
    """0: results saturate; 1: infinities. A 910 knows 0 only."""
    global _ieee
    if memory.handle is None or (memory.product == "910" and mode != 0):
        raise ContractViolation(f"set_device_sat_mode({mode}) on {memory.product} or before open()")
    _ieee = mode == 1


if memory.legacy:  # an older release tells the mode itself

    def get_device_sat_mode() -> int:
        """The mode in effect."""
        return int(_enabled())

else:

    def is_inf_nan_enabled() -> bool:
        """Whether arithmetic gives infinities."""
        return _enabled()


@_contextlib.contextmanager
def keep_dtype_scope() -> Iterator[None]:
    """Mark operators as keeping their type; here it is only noted."""
    memory.record("keep_dtype_scope")
    yield


def eager_variable_operations() -> int:
    """Eager creations, reads and writes of variables so far: a graph build each on a device."""
    return memory.eager_variable_operations


def __getattr__(name: str) -> Any:
    raise AttributeError(f"the adapter has no {name}")
