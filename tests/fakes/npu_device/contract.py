"""What the fake remembers, and the error it raises where the real adapter breaks without a word."""

from __future__ import annotations

import os
import threading


class ContractViolation(Exception):
    """Use of the adapter that on a device fails late, hangs, or silently does something else.

    Not a RuntimeError or ValueError, so that no handler for the adapter's own errors hides it; and
    directly an Exception, because AutoGraph keeps the type of those only.
    """


class Memory:
    """Everything process-wide."""

    def __init__(self) -> None:
        self.calls: list[tuple] = []
        self.handle = None
        self.default = False
        self.fail_next = os.environ.get("FAKE_NPU_FAIL_OPEN", "")
        self.loop_size = _loop_size()
        self.loop_pending = False
        self.eager_variable_operations = 0
        self.product = os.environ.get("FAKE_NPU_PRODUCT", "910")
        self.legacy = os.environ.get("FAKE_NPU_LEGACY", "") == "1"
        self.thread = threading.local()

    @property
    def depth(self) -> int:
        """How many compiled functions this thread is inside of."""
        return getattr(self.thread, "depth", 0)

    @depth.setter
    def depth(self, value: int) -> None:
        self.thread.depth = value

    def record(self, *call: object) -> None:
        """Append to the list the tests read."""
        self.calls.append(call)


def _loop_size() -> int:
    text = os.environ.get("NPU_LOOP_SIZE", "1")  # read at import, like the real one
    return int(text) if text.isdigit() and int(text) > 0 else 1


memory = Memory()
