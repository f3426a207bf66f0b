"""One process per device: environment, logs, and an end for all when one ends badly.

Processes are started anew, not forked from one that has TensorFlow loaded, and in sessions of their
own, so that a Ctrl-C reaches this launcher alone. It passes the signal to all: rank 0 saves while
the others, which ignore it, still take their part in its last step; they are killed afterwards,
since they wait for rank 0 in a collective that no signal interrupts.

Imports no TensorFlow.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from zoolib.core.files import read_json, writing
from zoolib.errors import ConfigError
from zoolib.runtime import cluster, npu_probe, ranks

_SAVE = 60.0  # seconds rank 0 has to finish its step and save after a Ctrl-C
_POLL = 0.05
_TAIL = 15  # last lines shown of the log of a rank that failed


@dataclasses.dataclass(frozen=True)
class Plan:
    """How to start.

    Attributes:
        kind: ``"npu"``, ``"cpu"`` or ``"gpu"``.
        ranks: number of ranks on all servers; None reads it off the rank table or the workers.
        rank_table: path of the table, in the current form or the old one.
        server: this server's name in the table, or its host among the workers; may be left out
            where there is one.
        chief_ip, chief_port, chief_device: the chief's, for a start without a table.
        worker_ip: this server's address for that start; the chief's if empty.
        devices: this server's devices for that start, or its GPUs; 0, 1, ... if empty.
        workers: on CPUs and GPUs, ``host:port`` of each rank; free ports of this server if empty.
        product: chip generation, by which the table is judged.
        logs: folder in which the folder of this start's logs is made.
        grace: seconds the other ranks have to end by themselves when one has failed.
    """

    kind: str = "npu"
    ranks: int | None = None
    rank_table: str = ""
    server: str | None = None
    chief_ip: str = ""
    chief_port: int = 60000
    chief_device: int = 0
    worker_ip: str = ""
    devices: tuple[int, ...] = ()
    workers: tuple[str, ...] = ()
    product: str = "910"
    logs: str = "logs"
    grace: float = 5.0


@dataclasses.dataclass(frozen=True)
class Rank:
    """A process to start: a name for its log, and its environment."""

    name: str
    environment: dict[str, str]


def kind_here(root: str = "/dev") -> str:
    """The kind of device this server has, best first, by its device nodes.

    TensorFlow would know better whether it can use a GPU, but is for the ranks to import.
    """
    if any(available for _, available, _ in npu_probe.probe()):
        return "npu"
    with os.scandir(root) as entries:
        return "gpu" if any(re.fullmatch(r"nvidia\d+", entry.name) for entry in entries) else "cpu"


def prepare(plan: Plan) -> list[Rank]:
    """The processes of this server.

    Raises:
        ConfigError: for a plan that names no way to start, two of them, or contradicts its table.
    """
    if plan.kind != "npu":
        return _by_cluster(plan)
    if plan.workers:
        raise ConfigError("workers: expected --rank-table or --chief-ip for NPUs, got --workers")
    if plan.rank_table and plan.chief_ip:
        raise ConfigError("launch: expected --rank-table or --chief-ip, got both; give one")
    if plan.rank_table:
        return _by_table(plan)
    if plan.ranks is None or plan.ranks < 1:
        raise ConfigError(f"ranks: expected at least 1, got {plan.ranks}")
    if plan.ranks > 1 and not plan.chief_ip:
        raise ConfigError(
            f"launch: expected --rank-table or --chief-ip for {plan.ranks} ranks, got neither"
        )
    devices = plan.devices or tuple(range(plan.ranks))
    if plan.ranks == 1:
        made = [ranks.alone(devices[0], os.environ)]
    else:
        chief = (plan.chief_ip, plan.chief_port, plan.chief_device, plan.worker_ip)
        made = ranks.cm_environments(devices, plan.ranks, *chief, base=os.environ)
    return [Rank(f"device-{env['ASCEND_DEVICE_ID']}", env) for env in made]


def _by_cluster(plan: Plan) -> list[Rank]:
    """Processes on CPUs or GPUs, which find each other by TF_CONFIG."""
    if plan.rank_table or plan.chief_ip:
        raise ConfigError(f"launch: --rank-table and --chief-ip are for NPUs, not for {plan.kind}")
    if cluster.VARIABLE in os.environ:
        raise ConfigError(
            f"{cluster.VARIABLE}: expected nothing, since launch sets it for each rank, got a "
            "value; unset it, or run `zoolib train` without launch in the process it is meant for"
        )
    if plan.kind == "cpu" and plan.devices:
        raise ConfigError(f"devices: a CPU has no numbers; expected --ranks, got {plan.devices}")
    addresses, mine = _addresses(plan)
    devices = plan.devices or tuple(range(len(mine)))
    if plan.kind == "gpu" and (len(devices), len(set(devices))) != (len(mine),) * 2:
        raise ConfigError(f"devices: expected {len(mine)} different GPUs here, got {list(devices)}")
    environments = cluster.environments(addresses, os.environ)
    made = []
    for rank, device in zip(mine, devices):
        own = {"CUDA_VISIBLE_DEVICES": str(device)} if plan.kind == "gpu" else {}
        made.append(Rank(f"rank-{rank}", {**environments[rank], **own}))
    return made


def _addresses(plan: Plan) -> tuple[list[str], list[int]]:
    """Addresses of all ranks, and which ranks are this server's."""
    if not plan.workers:
        count = len(plan.devices) if plan.ranks is None and plan.devices else plan.ranks
        if count is None or count < 1:
            raise ConfigError(f"ranks: expected at least 1, got {plan.ranks}")
        return cluster.free_addresses(count), list(range(count))
    hosts = [cluster.split_address(worker, "workers")[0] for worker in plan.workers]
    if plan.ranks not in (None, len(hosts)):
        raise ConfigError(f"ranks: expected {len(hosts)}, as in --workers, got {plan.ranks}")
    if len(set(plan.workers)) < len(hosts):
        raise ConfigError(f"workers: expected each address once, got {','.join(plan.workers)}")
    server = hosts[0] if plan.server is None and len(set(hosts)) == 1 else plan.server
    if server not in hosts:
        names = ", ".join(dict.fromkeys(hosts))
        raise ConfigError(f"server: expected which of {names} this machine is, got {server!r}")
    return list(plan.workers), [rank for rank, host in enumerate(hosts) if host == server]


def _by_table(plan: Plan) -> list[Rank]:
    table = ranks.read_table(plan.rank_table)
    table.check(plan.product)
    if plan.ranks not in (None, table.size):
        raise ConfigError(f"ranks: expected {table.size}, as in the rank table, got {plan.ranks}")
    job = os.environ.get("JOB_ID", "zoolib")
    path = os.path.abspath(plan.rank_table)
    made = ranks.environments(table, path, plan.server, os.environ, job)
    return [Rank(f"rank-{env['RANK_ID']}", env) for env in made]


def launch(command: Sequence[str], plan: Plan, stream: Any = None) -> int:
    """Run a command once per device of this server and wait for all.

    Args:
        command: program and arguments, the same for each.
        plan: how to start.
        stream: where the first one's log is repeated as it grows; standard output unless told.

    Returns:
        0 if all ended well; else the status of the first that did not, 128 and the number for a
        signal; 130 after a Ctrl-C or SIGTERM.

    Raises:
        ConfigError, StoreError: before anything is started.
    """
    wanted = prepare(plan)
    folder = _log_folder(plan)
    wanted = [_with_current_table(rank, plan, folder) for rank in wanted]
    stream = stream or sys.stdout
    job = _Job(list(command), wanted, folder, plan.grace, stream)
    stream.write(f"{len(wanted)} processes, logs in {folder}\n")
    try:
        try:
            job.start()
            return job.watch()
        except KeyboardInterrupt:
            return job.interrupt()
    finally:
        job.stop(0.0)


def _log_folder(plan: Plan) -> Path:
    path = Path(plan.logs) / f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}"
    with writing(path):
        path.mkdir(parents=True)
    return path


def _with_current_table(rank: Rank, plan: Plan, folder: Path) -> Rank:
    """Ranks read the current form; a table in the old one is converted beside the logs."""
    if not plan.rank_table or "server_list" in read_json(Path(plan.rank_table)):
        return rank
    path = (folder / "rank_table.json").absolute()
    with writing(path):
        ranks.read_table(plan.rank_table).write(path)
    return Rank(rank.name, {**rank.environment, "RANK_TABLE_FILE": str(path)})


class _Job:
    """The processes of one start."""

    def __init__(
        self, command: list[str], wanted: list[Rank], folder: Path, grace: float, stream: Any
    ) -> None:
        self._command, self._wanted, self._folder = command, wanted, folder
        self._grace, self._stream, self._shown = grace, stream, 0
        self._processes: list[subprocess.Popen] = []

    def _log(self, place: int) -> Path:
        return self._folder / f"{self._wanted[place].name}.log"

    def start(self) -> None:
        """Start every process; raises StoreError for a log that cannot be written."""
        for place, rank in enumerate(self._wanted):
            with writing(self._log(place)), self._log(place).open("wb") as log:
                self._processes.append(
                    subprocess.Popen(
                        self._command,
                        env=rank.environment,
                        stdin=subprocess.DEVNULL,
                        stdout=log,
                        stderr=subprocess.STDOUT,
                        start_new_session=True,
                    )
                )

    def watch(self) -> int:
        """Wait until all have ended well or one has not; then end the others."""
        while True:
            codes = [process.poll() for process in self._processes]
            self._repeat()
            failed = [place for place, code in enumerate(codes) if code]
            if failed:
                self.stop(self._grace)
                return self._tell(failed[0], codes[failed[0]])
            if None not in codes:
                return 0
            time.sleep(_POLL)

    def interrupt(self) -> int:
        """Stop all after a Ctrl-C: the first to end is rank 0, which has saved by then."""
        try:
            self._signal(signal.SIGTERM)
            end = time.monotonic() + _SAVE
            while time.monotonic() < end and all(p.poll() is None for p in self._processes):
                self._repeat()
                time.sleep(_POLL)
            self.stop(self._grace)
        except KeyboardInterrupt:  # a second one: now
            self.stop(0.0)
        self._repeat()
        return 130

    def stop(self, grace: float) -> None:
        """End what still runs: asked to, and killed after ``grace`` seconds."""
        self._signal(signal.SIGTERM)
        end = time.monotonic() + grace
        while time.monotonic() < end and any(p.poll() is None for p in self._processes):
            time.sleep(_POLL)
        self._signal(signal.SIGKILL)
        for process in self._processes:
            process.wait()

    def _signal(self, number: int) -> None:
        """To each process and what it has started, so that none is left behind."""
        for process in self._processes:
            if process.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, number)

    def _repeat(self) -> None:
        """Show what the first log has grown by."""
        with contextlib.suppress(OSError), self._log(0).open("rb") as log:
            log.seek(self._shown)
            added = log.read()
            whole = added[: added.rfind(b"\n") + 1]  # no character cut in two
            self._shown += len(whole)
            self._stream.write(whole.decode(errors="replace"))
            self._stream.flush()

    def _tell(self, place: int, code: int) -> int:
        """Say which rank failed and how its log ends; returns the status to exit with."""
        how = f"status {code}" if code > 0 else f"signal {signal.Signals(-code).name}"
        log = self._log(place)
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-_TAIL:]
        sys.stderr.write(
            f"zoolib: {self._wanted[place].name} ended with {how}; the others were stopped. Its "
            f"log {log} ends:\n" + "".join(f"  {line}\n" for line in lines)
        )
        return code if code > 0 else 128 - code
