"""Data parallelism behind one thin interface: rank, size, all_reduce, broadcast, shard.

The training step calls `all_reduce` unconditionally; on one device it is the identity. Several
processes on CPUs or GPUs combine their tensors through tf.distribute's collectives, which
``TF_CONFIG`` sets up (RING between CPUs, NCCL between GPUs). On an NPU the adapter's collectives
stand behind the same names (`zoolib.runtime.npu.Npu`).

Variables belong to no strategy: they are created eagerly, one per process, and stay alike because
every rank applies the same reduced gradients to the same values.
"""

from __future__ import annotations

import contextlib
import faulthandler
import re
import sys
import threading
from collections.abc import Iterator, Sequence
from typing import Any, Callable

import numpy as np
import tensorflow as tf

from zoolib.errors import ConfigError, DeviceError
from zoolib.runtime.cluster import Cluster, absent, meet, patience, read_cluster
from zoolib.runtime.compile import StepLoop

_REDUCED = ("float32", "float16", "float64", "int32", "int64")


class SingleProcess:
    """The interface on one device."""

    rank = 0
    size = 1

    def all_reduce(self, tensors: Sequence[tf.Tensor], reduction: str = "mean") -> list[tf.Tensor]:
        """Combine tensors over ranks: each is its own mean and its own sum."""
        return list(tensors)

    def broadcast(self, variables: Sequence[tf.Variable]) -> None:
        """Give every rank the chief's values; nothing to do."""


class Processes:
    """The interface between processes with one CPU or GPU each.

    Args:
        cluster: all ranks, and which this process is.
        strategy: a multi-worker strategy with one local device; it only carries the collectives.
    """

    def __init__(self, cluster: Cluster, strategy: Any) -> None:
        self.cluster, self._strategy = cluster, strategy
        self.rank, self.size = cluster.rank, cluster.size

    def all_reduce(self, tensors: Sequence[tf.Tensor], reduction: str = "mean") -> list[tf.Tensor]:
        """Mean or sum over ranks, inside or outside a compiled call; differentiable.

        All ranks call this with the same shapes in the same order, and get the same bits.

        Raises:
            ValueError: for a reduction or a data type that is not offered.
            DeviceError: outside a compiled call, if a rank is lost.
        """
        if reduction not in ("mean", "sum"):
            raise ValueError(f"reduction: expected mean or sum, got {reduction!r}")
        values = [tf.convert_to_tensor(tensor) for tensor in tensors]
        for value in values:
            if value.dtype.name not in _REDUCED:
                valid = ", ".join(_REDUCED)
                raise ValueError(f"all_reduce: expected one of {valid}, got {value.dtype.name}")
            if reduction == "mean" and not value.dtype.is_floating:
                raise ValueError(f"all_reduce: expected sum for {value.dtype.name}, got mean")
        result: list[Any] = [None] * len(values)
        for dtype in dict.fromkeys(value.dtype for value in values):  # one message per data type
            places = [i for i, value in enumerate(values) if value.dtype == dtype]
            with self.guarded():
                reduced = self._differentiable([values[i] for i in places], reduction)
            for i, value in zip(places, reduced):
                result[i] = value
        return result

    def _differentiable(self, values: list[tf.Tensor], reduction: str) -> list[tf.Tensor]:
        """The strategy hides what it does from gradient tapes; the sum's gradient is a sum."""

        @tf.custom_gradient
        def reduced(*inputs: tf.Tensor) -> tuple[list[tf.Tensor], Callable]:
            def gradient(*upstream: tf.Tensor) -> list[tf.Tensor]:
                return self._differentiable(list(upstream), reduction)

            return self._reduce(inputs, reduction), gradient

        return list(reduced(*values))

    def _reduce(self, values: Sequence[tf.Tensor], reduction: str) -> list[tf.Tensor]:
        operation = getattr(tf.distribute.ReduceOp, reduction.upper())

        def replica(*inputs: tf.Tensor) -> list[tf.Tensor]:
            # The identity puts a tensor on this rank's device, which the strategy asks of it.
            placed = [tf.identity(value) for value in inputs]
            return tf.distribute.get_replica_context().all_reduce(operation, placed)

        return list(self._strategy.run(replica, args=tuple(values)))

    def broadcast(self, variables: Sequence[tf.Variable]) -> None:
        """Assign rank 0's values on every rank, bit for bit; after building and after restoring.

        Raises:
            DeviceError: if a rank is lost.
        """
        values = [np.asarray(variable.numpy()) for variable in variables]
        text = b"".join(value.tobytes() for value in values)
        # Sent as whole numbers, the others adding zeros: any type, and -0.0 and NaN survive.
        numbers = np.frombuffer(text + bytes(-len(text) % 4), np.int32)
        mine = numbers if self.rank == 0 else np.zeros_like(numbers)
        text, start = self.all_reduce([tf.constant(mine)], "sum")[0].numpy().tobytes(), 0
        for variable, value in zip(variables, values):
            if self.rank:
                found = np.frombuffer(text, value.dtype, value.size, start)
                variable.assign(found.reshape(value.shape))
            start += value.nbytes

    def loop(self, step: Callable, terms: tuple[str, ...], size: int, kind: str) -> StepLoop:
        """A step loop whose terms are means over ranks, formed once per call."""
        return _JointLoop(self, step, terms, size, kind)

    def watched(self, function: Callable) -> Callable:
        """A compiled function that tells of a lost rank in words."""
        return _Watched(self, function)

    @contextlib.contextmanager
    def guarded(self) -> Iterator[None]:
        """Name the rank that was lost, instead of the network's error.

        Raises:
            DeviceError: for a collective that was broken off.
        """
        try:
            yield
        except tf.errors.OpError as error:
            gone = isinstance(error, (tf.errors.UnavailableError, tf.errors.AbortedError))
            if not gone and "ollective ops" not in str(error):
                raise
            named = {int(number) for number in re.findall(r"task:(\d+)", str(error))}
            lost = sorted(named & (set(range(self.size)) - {self.rank}))[:1]
            who = f"rank {lost[0]} at {self.cluster.addresses[lost[0]]}" if lost else "a rank"
            raise DeviceError(
                f"{who} was lost: it ended, failed, or cannot be reached any more (its log says "
                "why). Training cannot go on without it; start all ranks again with --resume"
            ) from error


class _JointLoop(StepLoop):
    """A step loop of several processes."""

    def __init__(self, peers: Processes, *arguments: Any) -> None:
        self._peers = peers
        super().__init__(*arguments)

    def __call__(self, batch: dict, draws: dict, count: int) -> dict[str, np.ndarray]:
        """Run steps; raises DeviceError if a rank is lost meanwhile."""
        with self._peers.guarded():
            return super().__call__(batch, draws, count)

    def _one(self, batch: dict, draws: dict) -> dict:
        values = super()._one(batch, draws)
        return dict(zip(values, self._peers.all_reduce(list(values.values()))))

    def _many(self, batch: dict, draws: dict, count: tf.Tensor) -> tf.Tensor:
        return self._peers.all_reduce([super()._many(batch, draws, count)])[0]


class _Watched:
    """See :meth:`Processes.watched`."""

    def __init__(self, peers: Processes, function: Callable) -> None:
        self._peers, self._function = peers, function

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        with self._peers.guarded():
            return self._function(*arguments, **named)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._function, name)


_joined: tuple[Cluster, str, Processes] | None = None


def join(device: str) -> Processes | None:
    """This process's peers; None if ``TF_CONFIG`` names none. Once per process, before any tensor.

    Args:
        device: ``"cpu"`` or ``"gpu:0"``, the one device of this rank.

    Raises:
        ConfigError: for a malformed ``TF_CONFIG``.
        DeviceError: if TensorFlow has started already, another device or other peers are in use,
            or a rank does not come up in time.
    """
    global _joined
    cluster = read_cluster()
    if cluster is None or cluster.size == 1:
        return None
    if _joined is not None:
        if _joined[:2] != (cluster, device):
            raise DeviceError(
                f"device: this process is rank {_joined[0].rank} of {_joined[0].size} on "
                f"{_joined[1]} and cannot change; start a new one"
            )
        return _joined[2]
    seconds = patience()
    _one_local_device(device)
    meet(cluster, seconds)
    _joined = (cluster, device, Processes(cluster, _strategy(cluster, device, seconds)))
    return _joined[2]


def _one_local_device(device: str) -> None:
    """Hide all GPUs but this rank's: the strategy takes what it sees."""
    kind, _, number = device.partition(":")
    gpus = tf.config.list_physical_devices("GPU")
    try:
        if gpus:
            tf.config.set_visible_devices([gpus[int(number or 0)]] if kind == "gpu" else [], "GPU")
    except RuntimeError as error:
        raise _started(error) from error


def _strategy(cluster: Cluster, device: str, seconds: float) -> Any:
    """The strategy, made in a thread: its wait for the others hears neither clock nor signal.

    A rank lost just here is all that can hold it up. Current TensorFlow then stops Python as a
    whole, so that only the C handler can end this process, with status 1 and a stack trace.
    """
    made: dict[str, Any] = {}
    resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
        tf.train.ClusterSpec({"worker": list(cluster.addresses)}),  # so that task and rank agree
        task_type="worker",
        task_id=cluster.rank,
        num_accelerators={"GPU": 1} if device.startswith("gpu") else {},
        rpc_layer="grpc",
    )

    def wait_for_the_other_ranks() -> None:
        try:
            made["strategy"] = tf.distribute.MultiWorkerMirroredStrategy(resolver)
        except Exception as error:
            made["error"] = error

    thread = threading.Thread(target=wait_for_the_other_ranks, daemon=True, name="peers")
    last_resort = sys.__stderr__ is not None and not sys.__stderr__.closed
    if last_resort:
        faulthandler.dump_traceback_later(1.5 * seconds, exit=True, file=sys.__stderr__)
    thread.start()
    thread.join(seconds)
    if last_resort:
        faulthandler.cancel_dump_traceback_later()
    if "strategy" in made:
        return made["strategy"]
    error = made.get("error")
    if error is None:
        others = [rank for rank in range(cluster.size) if rank != cluster.rank]
        raise absent(cluster, dict.fromkeys(others, "TensorFlow's server does not reply"), seconds)
    if isinstance(error, RuntimeError) and not isinstance(error, tf.errors.OpError):
        raise _started(error) from error
    raise DeviceError(f"the ranks cannot be connected: {error}") from error


def _started(error: Exception) -> DeviceError:
    return DeviceError(
        "several ranks: expected the device to be opened before TensorFlow computes anything in "
        f"this process ({error}); start a new process"
    )


def shard(count: int, rank: int, size: int, name: str = "batch") -> range:
    """This rank's part of ``count`` items.

    Args:
        name: the setting that holds the count.

    Raises:
        ConfigError: if the items do not divide evenly.
    """
    if count % size:
        raise ConfigError(
            f"{name}: expected a multiple of the number of ranks ({size}), got {count}"
        )
    part = count // size
    return range(rank * part, (rank + 1) * part)
