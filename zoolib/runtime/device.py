"""Devices: what this machine offers, and the one session a run computes in."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
import threading
from collections.abc import Sequence
from typing import Any, Callable

from zoolib.errors import DeviceError

# A Stop button waits for one call: about 0.1 s for the models each kind of loop serves.
_LONGEST = 4096  # bytes of a text told to other ranks: the longest path of a file
STEPS_PER_CALL = {"xla": 500, "graph": 50, "single": 1}


@dataclasses.dataclass(frozen=True)
class Device:
    """A device as a user picks it.

    Attributes:
        name: ``"cpu"``, ``"gpu:0"``, ``"npu:0"``.
        kind: ``"cpu"``, ``"gpu"`` or ``"npu"``.
        precisions: names it accepts; the first is the default.
        available: whether it can be opened here and now.
        reason: why not, in words; empty when available.
    """

    name: str
    kind: str
    precisions: tuple[str, ...]
    available: bool = True
    reason: str = ""


def devices() -> list[Device]:
    """All devices, absent kinds included with the reason why they are absent."""
    from zoolib.runtime import npu
    from zoolib.runtime.precision import GENERIC

    found = [Device("cpu", "cpu", GENERIC["cpu"])]
    names = _gpu_names()
    found += [Device(name, "gpu", GENERIC["gpu"]) for name in names]
    if not names:
        found.append(
            Device("gpu:0", "gpu", GENERIC["gpu"], False, "TensorFlow sees no GPU on this machine")
        )
    found += [
        Device(f"npu:{number}", "npu", npu.offered(), available, "" if available else why)
        for number, available, why in npu.probe()
    ]
    return found


def _gpu_names() -> list[str]:
    if importlib.util.find_spec("tensorflow") is None:
        raise DeviceError(
            "tensorflow: not installed. Python 3.10 and up: pip install zoolib; an Ascend machine: "
            "install the TensorFlow 2.6.5 its software stack brings"
        )
    import tensorflow as tf

    return [f"gpu:{i}" for i, _ in enumerate(tf.config.list_physical_devices("GPU"))]


def find_device(name: str) -> Device:
    """The device a user means; ``"auto"`` is the best one available.

    Raises:
        DeviceError: if it does not exist or is not available, with the reason and the valid names.
    """
    known = devices()
    usable = [d for d in known if d.available]
    wanted = str(name).strip().lower()
    if wanted == "auto":
        return max(usable, key=lambda d: ("cpu", "gpu", "npu").index(d.kind))
    meant = [d for d in known if wanted in (d.name, d.kind)]
    for device in sorted(meant, key=lambda d: not d.available):  # of a kind, one that is free
        if device.available:
            return device
        raise DeviceError(f"device: {device.name} is not available: {device.reason}")
    names = ", ".join(["auto", *(d.name for d in usable)])
    kind, _, number = wanted.partition(":")
    absent = [d.reason for d in known if d.kind == kind and d.reason]
    why = f"; {absent[0]}" if number.isdigit() and absent else ""
    raise DeviceError(f"device: expected one of {names}, got {name!r}{why}")


class Session:
    """An open device: compiles steps, multiplies at the run's precision, combines ranks.

    Attributes:
        device: the device in effect.
        precision: the precision in effect.
        options: settings of the NPU adapter; None on other devices.
        rank, size: this process among its peers.
        pieces_under_xla: whether a step may hold pieces that XLA compiles, as is worth while on
            CPUs. An NPU takes no nested functions.
    """

    def __init__(
        self, device: Device, precision: str, npu: Any = None, processes: Any = None
    ) -> None:
        from zoolib.runtime import compat
        from zoolib.runtime.distribute import SingleProcess
        from zoolib.runtime.precision import Autocast

        self.device, self.precision, self.npu = device, precision, npu
        self.options = getattr(npu, "options", None)
        self._processes = processes  # peers on CPUs or GPUs, one device each
        self._peers = npu or processes or SingleProcess()
        self.rank, self.size = self._peers.rank, self._peers.size
        self.all_reduce: Callable = self._peers.all_reduce
        self.broadcast: Callable = self._peers.broadcast
        lowered_by_engine = device.kind == "npu"
        cast = Autocast("float32" if lowered_by_engine else precision, device.kind == "cpu")
        self.matmul, self.conv2d = cast.matmul, cast.conv2d
        self.depthwise_conv2d = cast.depthwise_conv2d
        self.pieces_under_xla = device.kind == "cpu" and compat.loops_under_xla()

    def placement(self) -> Any:
        """Context in which variables and compiled calls belong to this device."""
        import tensorflow as tf

        if self.device.kind == "npu":  # the adapter has made the NPU the default everywhere
            return contextlib.nullcontext()
        kind, _, number = self.device.name.partition(":")
        if self._processes is not None:  # which sees its own GPU only, as the first
            number = ""
        return tf.device(f"/{kind.upper()}:{number or 0}")

    def loop(self, step: Callable, terms: tuple[str, ...], small_dense: bool, most: int) -> Any:
        """A :class:`~zoolib.runtime.compile.StepLoop` of the kind this device profits from.

        Args:
            step, terms: the step and the names of what it returns; means over ranks come out.
            small_dense: many small dense products gain tens of times in one compiled loop; ordinary
                convolutions lose under XLA on a CPU, and an NPU takes no loops of this form.
            most: steps a call will ever be asked for.
        """
        from zoolib.runtime import compat
        from zoolib.runtime.compile import StepLoop

        def averaged(batch: dict, draws: dict) -> dict:
            values = step(batch, draws)
            return dict(zip(values, self.all_reduce(list(values.values()))))

        kind = "single"
        if small_dense and self.device.kind != "npu":  # XLA cannot hold collectives
            kind = "xla" if self.size == 1 and compat.loops_under_xla() else "graph"
        size = min(STEPS_PER_CALL[kind], most)
        if self._processes is not None:
            return self._processes.loop(step, terms, size, kind)
        return StepLoop(averaged, terms, size, kind)

    def compile(self, function: Callable, signature: Any = None) -> Callable:
        """A compiled function; ``signature`` (tensor specs) fixes its one trace."""
        import tensorflow as tf

        made = tf.function(function, input_signature=signature, autograph=False)
        if self._processes is None or signature is not None:  # what is saved is found by its type
            return made
        return self._processes.watched(made)

    def overflowed(self, gradients: Sequence[Any]) -> Any:
        """Whether this step's arithmetic overflowed, as a scalar bool tensor.

        Where arithmetic saturates (Ascend 910) no value is ever infinite and only the device's
        status tells; elsewhere a non-finite gradient does.
        """
        import tensorflow as tf

        if self.npu is not None and self.npu.saturates:
            status = self.npu.overflow_status(gradients)
            return tf.reduce_any(tf.not_equal(status, 0))
        # One finiteness test on a vector of sums of squares: cheap, and slow-path ops stay few.
        sums = tf.stack([tf.reduce_sum(tf.square(g)) for g in gradients])
        wrong = tf.logical_not(tf.reduce_all(tf.math.is_finite(sums)))
        # If one rank skips a step, all must.
        return self.all_reduce([tf.cast(wrong, tf.float32)], "sum")[0] > 0.0

    def remarks(self, loss_scale: str | None = None) -> list[str]:
        """What a user should know of this session.

        Args:
            loss_scale: how the loss is scaled; None where a method knows no scaling.
        """
        from zoolib.runtime import npu
        from zoolib.runtime.npu_precision import NOTES

        if self.npu is None:
            return []
        told = [f"{name}: this Ascend adapter has no such option" for name in self.npu.skipped]
        if loss_scale == "none" and npu.needs_loss_scaling(self.npu.precision):
            told.append(f"{self.npu.precision} computes in float16: set loss_scale to dynamic")
        if self.npu.precision in NOTES:
            told.append(f"{self.npu.precision}: {NOTES[self.npu.precision]}")
        return told

    def tell(self, text: str) -> str:
        """Rank 0's text, on every rank; all of them call this."""
        import numpy as np
        import tensorflow as tf

        if self.size == 1:
            return text
        room = np.zeros(_LONGEST, np.int32)
        code = text.encode()[:_LONGEST]
        room[: len(code)] = list(code)
        message = tf.Variable(room, trainable=False, name="message")
        self.broadcast([message])
        return bytes(int(c) for c in message.numpy() if c).decode()


_lock = threading.Lock()
_open: Session | None = None


def current() -> Session | None:
    """The session of this process, if one is open."""
    return _open


def open_session(
    device: str = "auto", precision: str = "float32", options: Any = None, small_dense: bool = False
) -> Session:
    """Open a device at a precision.

    With ``small_dense`` TensorFlow's CPU kernels get one thread, if it has not started yet: sharing
    out kernels this small costs more than it gains (1.4 times measured on two cores).

    CPU and GPU sessions may follow one another; an NPU is a one-way door: the adapter takes one
    device and one set of options per process. Where ``TF_CONFIG`` names several workers, a CPU or
    GPU becomes one rank among them, and all ranks wait here until each has come.

    Raises:
        ConfigError: for a ``TF_CONFIG`` that is not valid.
        DeviceError: for a device that is not there, a precision it does not offer, a second,
            different NPU session, or a rank that does not come.
    """
    global _open
    from zoolib.runtime import compat
    from zoolib.runtime.precision import check_precision

    with _lock:
        chosen = find_device(device)
        if _open is not None and _open.npu is not None and chosen.kind != "npu":
            raise DeviceError(
                f"device: {_open.device.name} is open and cannot be exchanged for {chosen.name} in "
                "this process; restart the kernel to change"
            )
        handle = processes = None
        if chosen.kind == "npu":
            handle = _open_npu(device, chosen, precision, options)
            if _open is not None and _open.npu is handle:
                return _open
            chosen = dataclasses.replace(chosen, name=f"npu:{handle.device_id}")
        else:
            check_precision(precision, chosen.name, chosen.precisions)
        compat.quiet()
        if small_dense and chosen.kind == "cpu":
            compat.one_thread()
        if handle is None:
            from zoolib.runtime.distribute import join

            processes = join(chosen.name)
        _open = Session(chosen, precision, handle, processes)
        return _open


def _open_npu(asked: str, chosen: Device, precision: str, options: Any) -> Any:
    """The adapter's device; its number is left to the environment unless the user named one.

    Without options those of the open device hold, and are not refused.
    """
    from zoolib.runtime import npu

    named = str(asked).strip().lower().startswith("npu:")
    number = int(chosen.name.partition(":")[2]) if named else None
    if options is None and _open is not None:
        options = _open.options
    return npu.open_npu(number, precision, options)
