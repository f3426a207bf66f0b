"""Who am I among my peers on CPUs and GPUs: ``TF_CONFIG``, and the wait until all are there.

TensorFlow itself waits for an absent worker without end and without a word, and accepts most
mistakes in ``TF_CONFIG``; so both are dealt with here first. Imports no TensorFlow.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import socket
import time
from collections.abc import Mapping, Sequence
from typing import Any

from zoolib.errors import ConfigError, DeviceError

VARIABLE = "TF_CONFIG"
TIMEOUT = "ZOOLIB_CONNECT_TIMEOUT"  # seconds; the default leaves time for slow starts
_JOBS = ("chief", "worker")  # a chief, where there is one, is rank 0
_EXAMPLE = (
    '{"cluster": {"worker": ["10.0.0.1:5000", "10.0.0.2:5000"]}, '
    '"task": {"type": "worker", "index": 0}}'
)


@dataclasses.dataclass(frozen=True)
class Cluster:
    """All processes of a start.

    Attributes:
        addresses: ``host:port`` of each rank.
        rank: the place of this process among them.
    """

    addresses: tuple[str, ...]
    rank: int

    @property
    def size(self) -> int:
        """Number of ranks."""
        return len(self.addresses)


def read_cluster(environ: Mapping[str, str] | None = None) -> Cluster | None:
    """What ``TF_CONFIG`` says; None without it.

    Raises:
        ConfigError: if it is not JSON or does not describe a cluster of workers and a place in it.
    """
    text = (os.environ if environ is None else environ).get(VARIABLE, "").strip()
    if not text:
        return None
    try:
        document = json.loads(text)
    except ValueError as error:
        raise ConfigError(
            f"{VARIABLE}: expected JSON like {_EXAMPLE}, got {text!r} ({error})"
        ) from None
    jobs = document.get("cluster") if isinstance(document, dict) else None
    if not isinstance(jobs, dict) or not jobs:
        raise _bad("cluster", f"an object, as in {_EXAMPLE}; unset it for one process", jobs)
    if set(jobs) - set(_JOBS):
        raise _bad("cluster", "worker, and chief if wanted, and no other job", sorted(jobs))
    listed = [_addresses(job, jobs[job]) for job in _JOBS if job in jobs]
    addresses = tuple(address for job in listed for address in job)
    if len(set(addresses)) < len(addresses):
        raise _bad("cluster", "each address once", list(addresses))
    return Cluster(addresses, _rank(document.get("task"), jobs))


def _addresses(job: str, found: Any) -> list[str]:
    if not isinstance(found, list) or not found or (job == "chief" and len(found) > 1):
        raise _bad(f"cluster.{job}", "a list of addresses (one for a chief)", found)
    for address in found:
        split_address(address, f"{VARIABLE}: cluster.{job}")
    return found


def _rank(task: Any, jobs: dict[str, list[str]]) -> int:
    if not isinstance(task, dict) or task.get("type") not in jobs:
        raise _bad("task.type", " or ".join(j for j in _JOBS if j in jobs), task)
    job, index = task["type"], task.get("index")
    number = int(index) if str(index).isdecimal() and not isinstance(index, bool) else -1
    if not 0 <= number < len(jobs[job]):
        raise _bad("task.index", f"0 to {len(jobs[job]) - 1}, the {job} this process is", index)
    return number + (len(jobs["chief"]) if job == "worker" and "chief" in jobs else 0)


def _bad(field: str, expected: str, got: Any) -> ConfigError:
    return ConfigError(f"{VARIABLE}: {field}: expected {expected}, got {got!r}")


def split_address(address: Any, name: str) -> tuple[str, int]:
    """Host and port of ``host:port`` or ``[IPv6]:port``. Raises ConfigError under that name."""
    host, _, port = address.rpartition(":") if isinstance(address, str) else ("", "", "")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise ConfigError(f"{name}: expected addresses like 10.0.0.1:5000, got {address!r}")
    return host.strip("[]"), int(port)


def free_addresses(count: int) -> list[str]:
    """Addresses of this machine, for itself only, at ports nothing listens on."""
    with contextlib.ExitStack() as held:  # all at once, so that they differ
        listeners = [
            held.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)
        ]
        return [f"127.0.0.1:{listener.getsockname()[1]}" for listener in listeners]


def environments(
    addresses: Sequence[str], base: Mapping[str, str] | None = None
) -> list[dict[str, str]]:
    """The environment of each process, by rank; one process alone gets no ``TF_CONFIG``."""
    kept = {name: value for name, value in (base or {}).items() if name != VARIABLE}
    if len(addresses) == 1:
        return [kept]
    cluster = {"worker": list(addresses)}
    tasks = [{"type": "worker", "index": rank} for rank in range(len(addresses))]
    return [{**kept, VARIABLE: json.dumps({"cluster": cluster, "task": t})} for t in tasks]


def patience(environ: Mapping[str, str] | None = None) -> float:
    """Seconds to wait for the others: ``ZOOLIB_CONNECT_TIMEOUT``, or 300. Raises ConfigError."""
    text = (os.environ if environ is None else environ).get(TIMEOUT, "300")
    with contextlib.suppress(ValueError):
        if 0 < float(text) < float("inf"):
            return float(text)
    raise ConfigError(f"{TIMEOUT}: expected seconds above 0, got {text!r}")


def meet(cluster: Cluster, seconds: float) -> None:
    """Wait until every rank has greeted every other at its address; all ranks call this.

    Raises:
        DeviceError: if this rank's port cannot be had, or a rank is not there in time.
    """
    others = {rank: a for rank, a in enumerate(cluster.addresses) if rank != cluster.rank}
    end, missing, seen_by = time.monotonic() + seconds, dict(others), set[int]()
    with _listening(cluster) as listener:
        while missing or len(seen_by) < len(others):
            reasons = {rank: _greet(cluster, rank) for rank in missing}
            missing = {rank: others[rank] for rank, reason in reasons.items() if reason}
            seen_by |= _answer(cluster, listener)
            if time.monotonic() >= end and (missing or len(seen_by) < len(others)):
                silent = dict.fromkeys(
                    set(others) - seen_by, "it does not answer as a rank of this start"
                )
                raise absent(cluster, {**silent, **{r: reasons[r] for r in missing}}, seconds)


def absent(cluster: Cluster, reasons: Mapping[int, str], seconds: float) -> DeviceError:
    """The error for ranks that did not come up, with why."""
    told = "; ".join(f"rank {r} at {cluster.addresses[r]} ({why})" for r, why in reasons.items())
    return DeviceError(
        f"rank {cluster.rank} waited {seconds:g} s in vain for {told}. Expected all "
        f"{cluster.size} ranks to start within that time: look at their logs, check the addresses "
        f"in {VARIABLE} and the firewall, or set {TIMEOUT} to more seconds"
    )


def _listening(cluster: Cluster) -> socket.socket:
    """Listen at this rank's port, which TensorFlow's own server takes over afterwards."""
    address = cluster.addresses[cluster.rank]
    _, port = split_address(address, VARIABLE)
    dual = socket.has_dualstack_ipv6()
    try:
        return socket.create_server(
            ("", port),
            family=socket.AF_INET6 if dual else socket.AF_INET,
            dualstack_ipv6=dual,
            backlog=cluster.size + 16,
        )
    except OSError as error:
        raise DeviceError(
            f"rank {cluster.rank}: port {port} of {address} cannot be opened here "
            f"({error.strerror}); end what uses it, or choose another in {VARIABLE}"
        ) from None


def _greeting(cluster: Cluster, rank: int) -> bytes:
    """What a rank says: who it is and what start it belongs to; of the same length for all."""
    start = hashlib.sha256("\n".join(cluster.addresses).encode()).hexdigest()[:32]
    return f"zoolib {start} {rank:08d}\n".encode()


def _greet(cluster: Cluster, rank: int) -> str:
    """Greet a rank, which may answer later; the reason if it cannot be reached."""
    address = split_address(cluster.addresses[rank], VARIABLE)
    try:
        with socket.create_connection(address, timeout=1.0) as made:
            # A port of the system's own range can be connected to itself: nobody is there.
            if made.getsockname() == made.getpeername():
                return "nothing answers"
            made.sendall(_greeting(cluster, cluster.rank))
    except OSError as error:
        return error.strerror or str(error)
    return ""


def _answer(cluster: Cluster, listener: socket.socket) -> set[int]:
    """Ranks that have greeted this one lately."""
    valid = {_greeting(cluster, rank): rank for rank in range(cluster.size)}
    listener.settimeout(0.05)
    found = set()
    with contextlib.suppress(OSError):
        while True:
            made, _ = listener.accept()
            with made:
                made.settimeout(1.0)
                said = made.recv(len(next(iter(valid))), socket.MSG_WAITALL)
                found |= {valid[said]} if said in valid else set()
    return found
