"""Opening: the order of its errors, what the engine refuses, one device per process."""

from __future__ import annotations

import builtins
import gc
import json
import os
from typing import Any

import tensorflow as tf

from . import patches
from .contract import ContractViolation, memory
from .options import Section, make_options

_options: Section | None = None


def global_options() -> Section:
    """The one option object."""
    global _options
    if _options is None:
        _options = make_options()
    return _options


def global_npu_ctx() -> Handle | None:
    """The handle after `as_default()`, else None."""
    return memory.handle if memory.default else None


def set_npu_loop_size(size: int) -> None:
    """Rounds of an in-graph loop over an iterator; the very next call must loop that often."""
    if size <= 0:
        raise ContractViolation(f"loop size {size}: the adapter logs it and keeps the old one")
    memory.loop_size, memory.loop_pending = size, True
    memory.record("loop_size", size)


def fail_next_open(message: str) -> None:
    """Let the engine fail at the next `open()`."""
    memory.fail_next = message


class Handle:
    """An open device."""

    def __init__(self, device_id: int, workers_num: int, worker_id: int) -> None:
        self.device_id, self.workers_num, self.worker_id = device_id, workers_num, worker_id

    def name(self) -> str:
        """Device string."""
        return f"/job:localhost/replica:0/task:0/device:NPU:{self.device_id}"

    def is_cluster_worker(self) -> bool:
        """Whether there are other ranks."""
        return self.workers_num > 1 and 0 <= self.worker_id < self.workers_num

    def scope(self) -> Any:
        """Not a supported way to train, and nothing of zoolib should use it."""
        raise ContractViolation("handle.scope(): only as_default() is a supported way to train")

    def as_default(self) -> Handle:
        """Make the device the default of the process and install the rules of the contract."""
        memory.record("as_default")
        if not memory.default:
            memory.default = True
            patches.install()
        return self


def open(device_id: int | None = None) -> Handle:  # the adapter's own name for it
    """Open the device of this process."""
    if device_id is None:
        device_id = int(os.getenv("ASCEND_DEVICE_ID", "0"))
    memory.record("open", device_id)
    if memory.handle is not None:
        if memory.handle.device_id == device_id:
            return memory.handle
        raise RuntimeError(
            f"device {device_id}: this process has {memory.handle.device_id} already"
        )
    _refuse_variables()
    options = global_options().as_dict()
    size, rank = _distribution()
    message = memory.fail_next or _engine_complaint(options, size, rank, device_id)
    memory.fail_next = ""
    if message:
        raise RuntimeError(f"Failed open npu device {device_id} : {message}")
    if size > 1 and rank is None:
        rank = _assigned_rank(size)
    memory.handle = Handle(device_id, size, rank or 0)
    return memory.handle


def _refuse_variables() -> None:
    gc.collect()
    alive = [o.name for o in gc.get_objects() if issubclass(type(o), tf.Variable)]
    if alive:
        raise ContractViolation(f"variables exist before open() and are dead after it: {alive}")


def _distribution() -> tuple[int, int | None]:
    env = os.environ
    if "RANK_SIZE" in env and "CM_WORKER_SIZE" in env:
        raise ValueError("RANK_SIZE and CM_WORKER_SIZE are both set")
    size = int(env.get("RANK_SIZE", env.get("CM_WORKER_SIZE", "1")))
    if size <= 1:
        return 1, 0
    if bool(env.get("CM_CHIEF_IP")) == bool(env.get("RANK_TABLE_FILE")):
        raise RuntimeError("exactly one of CM_CHIEF_IP and RANK_TABLE_FILE must be set")
    if env.get("RANK_TABLE_FILE"):
        if not env.get("RANK_ID"):
            raise RuntimeError("RANK_ID must be set with a rank table")
        return size, int(env["RANK_ID"])
    for name in ("CM_CHIEF_PORT", "CM_CHIEF_DEVICE", "CM_CHIEF_IP"):
        if not env.get(name):
            raise RuntimeError(f"{name} must be set")
    if any(name.startswith("RANK_") for name in env):
        raise ContractViolation("RANK_* variables beside CM_*")
    return size, None


def _engine_complaint(options: dict, size: int, rank: int | None, device_id: int) -> str:
    """What makes the engine fail, or what it would do wrong without failing."""
    if {"precision_mode", "precision_mode_v2"} <= set(options):
        raise ContractViolation("precision_mode and precision_mode_v2 exclude each other")
    if options["enable_dump"] == options["enable_dump_debug"] == "1":
        raise ContractViolation("enable_dump and enable_dump_debug exclude each other")
    dumping = "1" in (options["enable_dump"], options["enable_dump_debug"])
    if dumping and not os.path.isdir(options.get("dump_path", "")):
        return "dump_path is not a folder"
    mode = options.get("precision_mode", "") + options.get("precision_mode_v2", "")
    if memory.product == "910" and ("bf16" in mode or "bfloat16" in mode):
        return f"{mode} is not supported on this product"
    if size > 1 and options["op_compiler_cache_mode"] == "force":
        raise ContractViolation("op_compiler_cache_mode force with parallel ranks")
    problem = _table_complaint(size, rank, device_id)
    return problem or _taken(device_id, rank)


def _table_complaint(size: int, rank: int | None, device_id: int) -> str:
    path = os.environ.get("RANK_TABLE_FILE")
    if size <= 1 or not path:
        return ""
    try:
        with io_open(path) as file:
            servers = json.load(file)["server_list"]
        entries = {d["rank_id"]: d["device_id"] for s in servers for d in s["device"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        return f"rank table {path} is unusable: {error!r}"
    if len(entries) != size or str(rank) not in entries:
        return f"rank table of {len(entries)} ranks does not fit rank {rank} of {size}"
    if entries[str(rank)] != str(device_id):
        raise ContractViolation(
            f"device {device_id} opened, but the rank table, which wins, says {entries[str(rank)]}"
        )
    return ""


def _taken(device_id: int, rank: int | None) -> str:
    """Several processes on one device do not work on a 910."""
    folder = os.environ.get("FAKE_NPU_DIR")
    if not folder:
        return ""
    server = os.environ.get("CM_WORKER_IP", f"{os.environ.get('RANK_TABLE_FILE', '')}")
    claim = os.path.join(folder, f"device-{abs(hash_text(server))}-{device_id}")
    try:
        os.close(os.open(claim, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return f"device {device_id} is in use by another process"
    return ""


def hash_text(text: str) -> int:
    """A hash that is the same in every process."""
    return sum((i + 1) * b for i, b in enumerate(text.encode()))


def _assigned_rank(size: int) -> int:
    """Without a rank table the collective library hands out the ranks, here first come."""
    for rank in range(size):
        try:
            os.close(
                os.open(
                    os.path.join(os.environ["FAKE_NPU_DIR"], f"worker-{rank}"),
                    os.O_CREAT | os.O_EXCL,
                )
            )
        except FileExistsError:
            continue
        return rank
    raise RuntimeError(f"Failed open npu device : more than {size} workers")


def io_open(path: str) -> Any:
    """The builtin that `open` of this module hides."""

    return builtins.open(path, encoding="utf-8")
