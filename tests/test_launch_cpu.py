"""`zoolib launch` on CPUs and GPUs: TF_CONFIG for each rank, and whole trainings on two ranks."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from zoolib.cli import main
from zoolib.core.store import RunFolder
from zoolib.errors import ConfigError
from zoolib.launch import Plan, kind_here, launch, prepare
from zoolib.runtime.cluster import read_cluster

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """A folder of its own, and an environment that names no cluster."""
    monkeypatch.delenv("TF_CONFIG", raising=False)
    monkeypatch.setenv("ZOOLIB_DEVICE_ROOT", str(tmp_path / "none"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


WORKERS = ("10.0.0.1:5000", "10.0.0.1:5001", "10.0.0.2:5000")


@pytest.mark.parametrize(
    ("plan", "told"),
    [
        ({}, "ranks: expected at least 1, got None"),
        ({"ranks": 0}, "ranks: expected at least 1, got 0"),
        ({"ranks": 2, "devices": (0, 1)}, "devices: a CPU has no numbers; expected --ranks"),
        ({"ranks": 2, "rank_table": "t"}, "--rank-table and --chief-ip are for NPUs, not for cpu"),
        ({"kind": "gpu", "ranks": 2, "devices": (3, 3)}, "devices: expected 2 different GPUs here"),
        ({"kind": "gpu", "ranks": 3, "devices": (0, 1)}, "devices: expected 3 different GPUs here"),
        ({"workers": WORKERS, "ranks": 2}, "ranks: expected 3, as in --workers, got 2"),
        ({"workers": WORKERS}, "server: expected which of 10.0.0.1, 10.0.0.2 this machine is"),
        ({"workers": ("a",)}, "workers: expected addresses like 10.0.0.1:5000, got 'a'"),
        ({"workers": ("a:1", "a:1")}, "workers: expected each address once"),
        ({"kind": "npu", "ranks": 2, "workers": WORKERS}, "workers: expected --rank-table or"),
    ],
)
def test_a_bad_plan_is_refused(here, plan, told):
    with pytest.raises(ConfigError) as error:
        launch([sys.executable, "-c", ""], Plan(**{"kind": "cpu", **plan}))
    assert told in str(error.value)
    assert list(here.iterdir()) == []


def test_an_own_tf_config_is_not_overruled(monkeypatch):
    monkeypatch.setenv("TF_CONFIG", "{}")
    with pytest.raises(ConfigError, match="TF_CONFIG: expected nothing, since launch sets it"):
        prepare(Plan(kind="cpu", ranks=2))


def test_ranks_find_each_other_on_free_ports(here):
    show = "import os; print(os.environ['TF_CONFIG'])"
    assert launch([sys.executable, "-c", show], Plan(kind="cpu", ranks=3), io.StringIO()) == 0
    (made,) = (here / "logs").iterdir()
    texts = {path.name: path.read_text() for path in sorted(made.iterdir())}
    assert list(texts) == ["rank-0.log", "rank-1.log", "rank-2.log"]
    found = [read_cluster({"TF_CONFIG": text}) for text in texts.values()]
    assert [cluster.rank for cluster in found] == [0, 1, 2]
    assert len({cluster.addresses for cluster in found}) == 1
    assert all(address.startswith("127.0.0.1:") for address in found[0].addresses)


def test_each_rank_sees_its_own_gpu(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "7")
    made = prepare(Plan(kind="gpu", devices=(2, 5)))
    assert [rank.environment["CUDA_VISIBLE_DEVICES"] for rank in made] == ["2", "5"]
    made = prepare(Plan(kind="gpu", ranks=2))
    assert [rank.environment["CUDA_VISIBLE_DEVICES"] for rank in made] == ["0", "1"]
    assert prepare(Plan(kind="cpu", ranks=1))[0].environment.get("TF_CONFIG") is None


def test_a_server_starts_its_own_ranks():
    made = prepare(Plan(kind="gpu", workers=WORKERS, server="10.0.0.2"))
    (cluster,) = [read_cluster(rank.environment) for rank in made]
    assert (cluster.rank, cluster.addresses) == (2, WORKERS)
    assert made[0].environment["CUDA_VISIBLE_DEVICES"] == "0"
    made = prepare(Plan(kind="cpu", workers=WORKERS, server="10.0.0.1"))
    assert [rank.name for rank in made] == ["rank-0", "rank-1"]


def test_the_kind_of_device_is_seen(here):
    assert kind_here(str(here)) == "cpu"
    (here / "nvidiactl").touch()
    assert kind_here(str(here)) == "cpu"
    (here / "nvidia0").touch()
    assert kind_here(str(here)) == "gpu"


def test_the_command_is_checked_before_anything_starts(here, capfd):
    for words, told in (
        ("--ranks 2 -- train mtnet --device gpu:1", "device: expected npu, gpu, cpu, or nothing"),
        ("--ranks 2 -- train mtnet --device cpu --shotz 3", "unrecognized arguments: --shotz 3"),
        ("--ranks 2 --devices 0,1 -- train mtnet --device cpu", "devices: a CPU has no numbers"),
        ("-- train mtnet --device cpu", "ranks: expected at least 1, got None"),
    ):
        assert main(["launch", *words.split()]) == 2
        out, err = capfd.readouterr()
        assert out == "" and err.count("\n") == 1 and told in err, err
    assert list(here.iterdir()) == []


# ---- whole trainings

SETTINGS = "--preset smoke --variant maml --num_updates 1 --test_updates 1 --test_tasks 4 "
SETTINGS += "--iterations 100000 --checkpoint_every 20 --report_every 20 --dim_hidden 8"


def start(folder: Path, *words: str) -> subprocess.Popen:
    """A training on two ranks on the CPU, whose output goes to a file."""
    with (folder / "told").open("wb") as told:
        return subprocess.Popen(
            [
                sys.executable,
                "-m",
                "zoolib",
                "launch",
                "--ranks",
                "2",
                "--grace",
                "1",
                "--",
                *words,
            ],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=told,
            stderr=subprocess.STDOUT,
        )


def saved(folder: Path) -> list[int]:
    return [int(p.name[5:]) for p in folder.glob("runs/*/checkpoints/*/step-*")]


def until_saved(folder, process, eventually, after=0) -> list:
    """Waits for a checkpoint after a step; gives the ranks' processes."""
    psutil = pytest.importorskip("psutil")
    done = lambda: process.poll() is not None or any(s > after for s in saved(folder))  # noqa: E731
    eventually(done, 150)
    assert process.poll() is None, (folder / "told").read_text()
    ranks = psutil.Process(process.pid).children()
    assert len(ranks) == 2
    return ranks


def test_ctrl_c_saves_and_a_resumed_job_dies_as_a_whole_with_a_rank(here, eventually):
    process = start(here, "train", "mtnet", *SETTINGS.split(), "--device", "cpu")
    try:
        ranks = until_saved(here, process, eventually)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
        assert not any(rank.is_running() for rank in ranks)
        (run,) = (here / "runs").iterdir()
        texts = [path.read_text() for path in sorted(here.glob("logs/*/*.log"))]
        assert ["saved, go on with --resume" in text for text in texts] == [True, False]
        checkpoint, remarks = RunFolder.open(run).latest()
        assert remarks == [] and RunFolder.open(run).env["ranks"] == 2

        process = start(here, "train", "mtnet", "--device", "cpu", "--resume", str(run))
        ranks = until_saved(here, process, eventually, checkpoint.step)
        os.kill(ranks[1].pid, signal.SIGKILL)
        assert process.wait(20) == 137
    finally:
        if process.poll() is None:  # the launcher ends its ranks
            process.terminate()
            process.wait(90)
    told = (here / "told").read_text()
    assert "zoolib: rank-1 ended with signal SIGKILL; the others were stopped" in told
    assert not any(rank.is_running() for rank in ranks)
    assert (RunFolder.open(run).latest()[0].step - checkpoint.step) > 0
    rows = [json.loads(line)["step"] for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert rows == list(range(20, 20 * len(rows) + 1, 20))


def test_a_malformed_tf_config_is_one_line(here, environment):
    words = ["train", "mtnet", "--preset", "smoke", "--device", "cpu"]
    done = subprocess.run(
        [sys.executable, "-m", "zoolib", *words],
        cwd=here,
        env={**environment, "TF_CONFIG": '{"cluster": {"worker": ["a:1", "b:2"]}}'},
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 2 and list(here.iterdir()) == []
    assert re.fullmatch(r"zoolib: TF_CONFIG: task.type: expected worker, got None\n", done.stderr)
