"""Several NPUs: environments, logs, and that a job ends as a whole; with the fake adapter."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from zoolib.cli import main
from zoolib.core.store import RunFolder
from zoolib.errors import ConfigError
from zoolib.launch import Plan, launch, prepare

FAKES = Path(__file__).parent / "fakes"
TABLE = {
    "version": "1.0",
    "status": "completed",
    "server_count": "1",
    "server_list": [
        {
            "server_id": "10.0.0.1",
            "device": [
                {"device_id": str(4 + i), "device_ip": f"192.168.100.{i}", "rank_id": str(i)}
                for i in range(2)
            ],
        }
    ],
}
OLD = {
    "status": "completed",
    "group_count": "1",
    "group_list": [
        {
            "group_name": "workers",
            "device_count": "2",
            "instance_count": "1",
            "instance_list": [
                {
                    "pod_name": "one",
                    "server_id": "10.0.0.1",
                    "devices": [
                        {"device_id": str(i), "device_ip": f"192.168.100.{i}"} for i in range(2)
                    ],
                }
            ],
        }
    ],
}
SHOW = "import json, os; print(json.dumps({k: v for k, v in os.environ.items()"
SHOW += " if k.startswith(('RANK', 'CM_', 'ASCEND_DEV', 'JOB'))}))"
CHIEF = {"ranks": 2, "chief_ip": "10.0.0.1", "chief_port": 6000}


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """A folder of its own, and an environment without an earlier start's variables."""
    for name in list(os.environ):
        if name.startswith(("RANK_", "CM_", "ASCEND_DEVICE_ID", "JOB_ID")):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def table(folder, document=TABLE):
    (folder / "table.json").write_text(json.dumps(document))
    return str(folder / "table.json")


def python(program: str) -> list[str]:
    return [sys.executable, "-c", program]


def logs(folder) -> dict[str, str]:
    (made,) = (folder / "logs").iterdir()
    return {p.name: p.read_text() for p in sorted(made.glob("*.log"))}


# ---- how to start


@pytest.mark.parametrize(
    ("plan", "told"),
    [
        ({"ranks": 2}, "expected --rank-table or --chief-ip for 2 ranks, got neither"),
        ({}, "ranks: expected at least 1, got None"),
        ({"ranks": 0}, "ranks: expected at least 1, got 0"),
        ({"ranks": 2, "rank_table": "t", "chief_ip": "10.0.0.1"}, "got both; give one"),
        ({"rank_table": "nowhere.json"}, "rank table nowhere.json: expected a JSON file"),
        ({**CHIEF, "chief_ip": "localhost"}, "CM_CHIEF_IP: expected an IPv4 or IPv6 address"),
        ({**CHIEF, "chief_port": 70000}, "CM_CHIEF_PORT: expected a whole number from 0 to 65520"),
        ({**CHIEF, "devices": (0, 1, 2)}, "devices: expected 1 to 2 different devices"),
    ],
)
def test_a_bad_plan_is_refused(here, plan, told):
    with pytest.raises(ConfigError) as error:
        launch(python(SHOW), Plan(**plan))
    assert told in str(error.value)
    assert list(here.iterdir()) == []


def test_the_table_is_judged_by_the_chip(here):
    document = json.loads(json.dumps(TABLE))
    document["server_list"][0]["device"][0]["device_id"] = "3"
    with pytest.raises(ConfigError, match="2 devices of one ring"):
        prepare(Plan(rank_table=table(here, document)))
    assert len(prepare(Plan(rank_table=table(here, document), product="a2"))) == 2
    with pytest.raises(ConfigError, match="ranks: expected 2, as in the rank table, got 4"):
        prepare(Plan(ranks=4, rank_table=table(here)))


def test_each_rank_of_a_table_has_its_environment_and_log(here, monkeypatch):
    monkeypatch.setenv("CM_CHIEF_IP", "10.9.9.9")  # of an earlier start
    shown = io.StringIO()
    assert launch(python(SHOW), Plan(rank_table=table(here)), shown) == 0
    found = {name: json.loads(text) for name, text in logs(here).items()}
    assert list(found) == ["rank-0.log", "rank-1.log"]
    common = {"RANK_SIZE": "2", "RANK_TABLE_FILE": table(here), "JOB_ID": "zoolib"}
    for i in range(2):
        own = {"RANK_ID": str(i), "ASCEND_DEVICE_ID": str(4 + i)}
        assert found[f"rank-{i}.log"] == {**common, **own}
    assert shown.getvalue().splitlines()[-1] == logs(here)["rank-0.log"].strip()


def test_ranks_of_an_old_table_read_the_current_form(here):
    assert launch(python(SHOW), Plan(rank_table=table(here, OLD)), io.StringIO()) == 0
    (path,) = {json.loads(text)["RANK_TABLE_FILE"] for text in logs(here).values()}
    (server,) = json.loads(Path(path).read_text())["server_list"]
    assert [device["rank_id"] for device in server["device"]] == ["0", "1"]


def test_without_a_table_there_is_no_rank_variable(here, monkeypatch):
    monkeypatch.setenv("RANK_SIZE", "8")
    assert launch(python(SHOW), Plan(**CHIEF, devices=(2, 3)), io.StringIO()) == 0
    found = {name: json.loads(text) for name, text in logs(here).items()}
    assert list(found) == ["device-2.log", "device-3.log"]
    assert found["device-3.log"] == {
        "CM_CHIEF_IP": "10.0.0.1",
        "CM_CHIEF_PORT": "6000",
        "CM_CHIEF_DEVICE": "0",
        "CM_WORKER_SIZE": "2",
        "CM_WORKER_IP": "10.0.0.1",
        "ASCEND_DEVICE_ID": "3",
    }


def test_one_rank_needs_neither(here):
    assert launch(python(SHOW), Plan(ranks=1, devices=(3,)), io.StringIO()) == 0
    assert json.loads(logs(here)["device-3.log"]) == {"ASCEND_DEVICE_ID": "3"}


# ---- how it ends

ONE_FAILS = (
    "import os, sys, time, signal\n"
    "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"  # as if in a collective
    "print('hello', flush=True)\n"
    "if os.environ['ASCEND_DEVICE_ID'] == '1':\n"
    "    print('lost the device', flush=True); {how}\n"
    "time.sleep(100)"
)


@pytest.mark.parametrize(
    ("how", "code", "told"),
    [
        ("sys.exit(3)", 3, "device-1 ended with status 3"),
        ("os.kill(os.getpid(), signal.SIGKILL)", 137, "device-1 ended with signal SIGKILL"),
    ],
)
def test_all_end_when_one_does(here, capfd, how, code, told):
    begin = time.monotonic()
    plan = Plan(**CHIEF, grace=0.5)
    assert launch(python(ONE_FAILS.replace("{how}", how)), plan, io.StringIO()) == code
    assert time.monotonic() - begin < 10
    err = capfd.readouterr().err
    assert told in err and "device-1.log ends:\n  hello\n  lost the device\n" in err


def test_the_command_is_checked_before_anything_starts(here, capfd):
    start = "launch --ranks 2 --chief-ip 127.0.0.1 "
    for words, told in (
        ("-- train mtnet --shotz 3", "unrecognized arguments: --shotz 3"),
        ("-- train mtnet --precision_mode fp8", "precision_mode: expected one of"),
        ("-- train mtnet --device cpu", "device: expected npu, or nothing"),
        ("-- eval folder", "launch: expected -- train MODEL"),
        ("--devices one -- train mtnet", "devices: expected numbers like 0,1,2,3, got 'one'"),
        ("--rank 2 -- train mtnet", "unrecognized arguments: --rank 2"),
    ):
        assert main((start + words).split()) == 2
        out, err = capfd.readouterr()
        assert out == "" and err.count("\n") == 1 and told in err, err
    assert list(here.iterdir()) == []


# ---- whole trainings


def job(folder: Path, *words: str) -> subprocess.Popen:
    """A launched training on a machine with two fake NPUs, whose output goes to a file."""
    (folder / "dev").mkdir(parents=True)
    for number in range(2):
        (folder / "dev" / f"davinci{number}").touch()
    environment = {
        **{k: v for k, v in os.environ.items() if not k.startswith(("RANK_", "CM_", "ASCEND"))},
        "PYTHONPATH": os.pathsep.join([str(FAKES.parents[1]), str(FAKES)]),
        "ZOOLIB_DEVICE_ROOT": str(folder / "dev"),
        "FAKE_NPU_DIR": str(folder),
    }
    start = "launch --ranks 2 --chief-ip 127.0.0.1 --grace 1 -- train mtnet --preset smoke"
    settings = "--iterations 9000 --checkpoint_every 20 --report_every 20 --dim_hidden 8 "
    settings += "--precision_mode allow_mix_precision"
    with (folder / "told").open("wb") as told:
        return subprocess.Popen(
            [sys.executable, "-m", "zoolib", *start.split(), *settings.split(), *words],
            cwd=folder,
            env=environment,
            stdout=told,
            stderr=subprocess.STDOUT,
        )


@pytest.fixture(scope="module")
def jobs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("jobs")
    started = {name: job(folder / name) for name in ("interrupted", "killed")}
    yield {name: (folder / name, process) for name, process in started.items()}
    for process in started.values():
        if process.poll() is None:
            process.terminate()
            process.wait(90)


def saved(folder: Path) -> list[Path]:
    return list(folder.glob("runs/*/checkpoints/*/step-*"))


def ranks_of(process: subprocess.Popen) -> list:
    return pytest.importorskip("psutil").Process(process.pid).children()


def test_a_job_dies_as_a_whole_with_one_of_its_ranks(jobs, eventually):
    folder, process = jobs["killed"]
    eventually(lambda: saved(folder) or process.poll() is not None, 120)
    ranks = ranks_of(process)
    assert len(ranks) == 2 and process.poll() is None, (folder / "told").read_text()
    os.kill(ranks[1].pid, signal.SIGKILL)
    assert process.wait(20) == 137
    told = (folder / "told").read_text()
    assert "zoolib: device-1 ended with signal SIGKILL; the others were stopped" in told
    assert not any(rank.is_running() for rank in ranks)


def test_ctrl_c_saves_and_stops_all(jobs, eventually):
    folder, process = jobs["interrupted"]
    eventually(lambda: saved(folder) or process.poll() is not None, 120)
    ranks = ranks_of(process)
    assert len(ranks) == 2 and process.poll() is None, (folder / "told").read_text()
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130
    assert not any(rank.is_running() for rank in ranks)
    texts = "".join(path.read_text() for path in folder.glob("logs/*/*.log"))
    assert texts.count("interrupted; saved, go on with --resume") == 1  # rank 0, whichever it was
    (run,) = (folder / "runs").iterdir()
    checkpoint, remarks = RunFolder.open(run).latest()
    assert checkpoint.step >= 20 and remarks == []
    env = RunFolder.open(run).env
    assert env["npu_options"] == {"precision_mode": "allow_mix_precision"} and env["ranks"] == 2
    assert texts.count("  precision_mode       allow_mix_precision\n") == 2
    assert texts.count("note: allow_mix_precision computes in float16: set loss_scale") == 2
