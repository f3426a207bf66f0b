"""The Ascend NPU: the one file that imports the adapter, `npu_device`.

The order is the adapter's law: environment, import, options, open, everything else. Options are
copied at the first open and silently ignored afterwards; one device per process, forever; variables
made before are dead. What the adapter lets pass without a word is refused here with the reason.

Tested through a contract of the adapter on CPU, not run on Ascend hardware.
"""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import importlib
import os
import threading
from collections.abc import Sequence
from typing import Any, Callable

from zoolib.errors import ConfigError, DeviceError
from zoolib.runtime import ranks
from zoolib.runtime.npu_apply import missing, set_option
from zoolib.runtime.npu_options import NpuOptions
from zoolib.runtime.npu_precision import PRECISIONS, needs_loss_scaling, offered
from zoolib.runtime.npu_probe import ADAPTER, missing_software, probe

__all__ = [
    "PRECISIONS",
    "Npu",
    "NpuOptions",
    "needs_loss_scaling",
    "offered",
    "open_npu",
    "probe",
    "set_option",
]

_REDUCED = ("int8", "int32", "float16", "float32")  # what the collectives of a 910 add up
_SENT = (*_REDUCED, "int64", "uint64")


class Npu:
    """The open device: collectives, overflow status, device loops.

    Attributes:
        device_id: its number.
        rank, size: this process among its peers.
        precision: the adapter's name of the precision in effect.
        saturates: whether an overflow gives the largest number instead of infinity.
        skipped: options this adapter does not have and we can do without.
        options: the settings it was opened with.
    """

    def __init__(self, adapter: Any, handle: Any, device_id: int, precision: str) -> None:
        self._adapter, self._handle = adapter, handle
        self.device_id, self.precision = device_id, precision
        self.rank, self.size = int(handle.worker_id), int(handle.workers_num)
        self.saturates = _saturates(adapter)
        self.skipped: tuple[str, ...] = ()
        self.options = NpuOptions()

    def all_reduce(self, tensors: Sequence[Any], reduction: str = "mean") -> list[Any]:
        """Mean or sum over ranks, inside or outside a compiled step.

        Raises:
            ValueError: for a reduction or a data type the device's collectives do not have, on one
                device as on many.
        """
        if reduction not in ("mean", "sum"):
            raise ValueError(f"reduction: expected mean or sum, got {reduction!r}")
        for tensor in tensors:
            _check_dtype(tensor, _REDUCED, "all_reduce")
            if reduction == "mean" and not tensor.dtype.is_floating:
                raise ValueError(
                    f"all_reduce: expected sum for {tensor.dtype.name} (the adapter's mean of "
                    "integers is float64, which the device does not have), got mean"
                )
        return list(self._adapter.distribute.all_reduce(list(tensors), reduction))

    def broadcast(self, variables: Sequence[Any]) -> None:
        """Assign rank 0's values on every rank; after building and after restoring.

        Raises:
            ValueError: for a data type the device's collectives do not have.
        """
        for variable in variables:
            _check_dtype(variable, _SENT, "broadcast")
        self._adapter.distribute.broadcast(list(variables), 0)

    def overflow_status(self, gradients: Sequence[Any]) -> Any:
        """Read and clear the device's overflow status once all gradients are computed.

        Returns:
            int32 [8], summed over ranks; any element other than 0 means an overflow somewhere.
        """
        import tensorflow as tf

        operators = self._adapter.gen_npu_ops
        with tf.control_dependencies([g for g in gradients if g is not None]):
            status = operators.npu_get_float_status_v2()
        with tf.control_dependencies([status]):
            cleared = operators.npu_clear_float_status_v2()
        with tf.control_dependencies([cleared]):
            status = tf.identity(status)
        return self.all_reduce([status], "sum")[0]

    def run_loop(self, function: Callable, steps: int, *arguments: Any) -> Any:
        """Call a compiled loop over an iterator: ``function(steps, *arguments)``.

        The device runs as many rounds as its loop size says, whatever the graph's own count is, and
        hangs if the two differ; so both numbers come from here.

        Raises:
            ValueError: if ``steps`` is not at least 1.
        """
        import tensorflow as tf

        if steps < 1:
            raise ValueError(f"steps: expected at least 1, got {steps}")
        self._adapter.set_npu_loop_size(int(steps))
        return function(tf.constant(int(steps), tf.int32), *arguments)

    def keep_dtype_scope(self) -> Any:
        """Context whose graph operators keep float32 under any precision mode."""
        scope = getattr(self._adapter, "keep_dtype_scope", contextlib.nullcontext)
        return scope()


def _check_dtype(tensor: Any, valid: Sequence[str], what: str) -> None:
    if tensor.dtype.name not in valid:
        raise ValueError(f"{what}: expected one of {', '.join(valid)}, got {tensor.dtype.name}")


def _saturates(adapter: Any) -> bool:
    """Older adapters export the mode itself, the oldest nothing: then it is a 910, which does."""
    if hasattr(adapter, "is_inf_nan_enabled"):
        return not adapter.is_inf_nan_enabled()
    if hasattr(adapter, "get_device_sat_mode"):
        return adapter.get_device_sat_mode() != 1
    return True


_lock = threading.Lock()
_open: tuple[tuple, Npu] | None = None
_touched: tuple | None = None  # the settings whose options the adapter holds


def open_npu(
    device_id: int | None = None, precision: str = "float32", options: NpuOptions | None = None
) -> Npu:
    """Open an NPU for this process; the same again returns the same object.

    Args:
        device_id: its number; if not given, the rank table's, ASCEND_DEVICE_ID or 0.
        precision: a key of `PRECISIONS`.
        options: everything else.

    Raises:
        ConfigError: for a bad setting or contradicting environment variables.
        DeviceError: if another device or other settings are open, if variables exist already, if
            the adapter cannot be imported or cannot open the device.
    """
    global _open
    options = options or NpuOptions()
    with _lock:
        launch = ranks.check_environment(product=options.product)
        options.validate(precision, launch.size)
        number = _choose_device(device_id, launch)
        wanted = (number, options.precision_of(precision)[1], options)
        if _open is not None and wanted == _open[0]:
            return _open[1]
        _refuse_change(wanted)
        npu = _open_device(_import_adapter(), wanted, options.assignments(precision))
        _open = (wanted, npu)
        return npu


def _choose_device(device_id: int | None, launch: ranks.Launch) -> int:
    if device_id is None:
        return launch.device or 0
    if launch.mode != "single" and launch.device not in (None, device_id):
        raise ConfigError(
            f"device: expected npu:{launch.device}, which the environment gives this rank, got "
            f"npu:{device_id}"
        )
    return device_id


def _refuse_change(wanted: tuple) -> None:
    """The adapter keeps what it was told, and has no way to take it back."""
    if _touched is None or wanted == _touched:
        return
    changes = [
        f"{n} {o} -> {w}" for n, o, w in zip(("device", "precision"), _touched, wanted) if o != w
    ]
    old, new = dataclasses.asdict(_touched[2]), dataclasses.asdict(wanted[2])
    changes += [f"{name} {old[name]!r} -> {new[name]!r}" for name in old if old[name] != new[name]]
    raise DeviceError(
        "the NPU of this process is taken: one device and one set of options; asked to change "
        f"{', '.join(changes)}; restart the process (or the notebook's kernel)"
    )


def _import_adapter() -> Any:
    try:
        adapter = importlib.import_module(ADAPTER)
    except Exception as error:  # a missing library shows as any of several kinds
        why = missing_software() or f"{type(error).__name__}: {error}"
        raise DeviceError(f"the Ascend adapter cannot be imported: {why}") from error
    import tensorflow as tf

    gc.collect()
    alive = [o.name for o in gc.get_objects() if issubclass(type(o), tf.Variable)]
    if alive:
        raise DeviceError(
            f"{len(alive)} TensorFlow variables exist already (such as {alive[0]}) and would be "
            "dead after the NPU is opened; restart the process and open the NPU first"
        )
    return adapter


def _open_device(adapter: Any, wanted: tuple, assignments: list[tuple[str, Any, bool]]) -> Npu:
    global _touched
    number, precision, options = wanted
    target = adapter.global_options()
    skipped = missing(target, assignments)
    if options.op_compiler_cache_dir:
        os.makedirs(options.op_compiler_cache_dir, exist_ok=True)
    _touched = wanted
    for name, value, essential in assignments:
        set_option(target, name, value, essential)
    try:
        handle = adapter.open(number).as_default()
    except RuntimeError as error:
        raise DeviceError(f"npu:{number} cannot be opened: {error}") from error
    npu = Npu(adapter, handle, number, precision)
    npu.skipped, npu.options = skipped, options
    return npu
