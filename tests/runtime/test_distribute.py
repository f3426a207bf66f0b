"""Several processes on CPUs: TF_CONFIG, meeting, collectives, whole trainings, a rank that dies."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from npu_scenarios import environment

from zoolib.errors import ConfigError, DeviceError
from zoolib.runtime.cluster import (
    Cluster,
    environments,
    free_addresses,
    meet,
    patience,
    read_cluster,
)

# ---- TF_CONFIG


def config(cluster, task) -> dict[str, str]:
    return {"TF_CONFIG": json.dumps({"cluster": cluster, "task": task})}


WORKERS = {"worker": ["a:1", "b:2"]}


@pytest.mark.parametrize(
    ("variables", "told"),
    [
        ({"TF_CONFIG": "{worker"}, "TF_CONFIG: expected JSON like"),
        ({"TF_CONFIG": "[]"}, "cluster: expected an object"),
        ({"TF_CONFIG": '{"task": {}}'}, "cluster: expected an object"),
        (config({"ps": ["a:1"], **WORKERS}, {"type": "worker", "index": 0}), "no other job"),
        (
            config(WORKERS, {"type": "worker", "index": 2}),
            "task.index: expected 0 to 1, the worker",
        ),
        (config(WORKERS, {"type": "worker", "index": -1}), "task.index: expected 0 to 1"),
        (config(WORKERS, {"type": "worker"}), "task.index: expected 0 to 1"),
        (config(WORKERS, {"type": "chief", "index": 0}), "task.type: expected worker"),
        (config(WORKERS, None), "task.type: expected worker"),
        (config({"worker": []}, {}), "cluster.worker: expected a list of addresses"),
        (config({"worker": ["a:1", ""]}, {}), "cluster.worker: expected addresses like"),
        (config({"worker": ["a:1", None]}, {}), "cluster.worker: expected addresses like"),
        (config({"worker": ["a:1", "b"]}, {}), "expected addresses like 10.0.0.1:5000, got 'b'"),
        (config({"worker": ["a:1", "b:70000"]}, {}), "got 'b:70000'"),
        (config({"worker": ["a:1", "a:1"]}, {}), "cluster: expected each address once"),
    ],
)
def test_a_malformed_tf_config_is_refused(variables, told):
    with pytest.raises(ConfigError) as error:
        read_cluster(variables)
    assert told in str(error.value) and str(error.value).startswith("TF_CONFIG: ")


def test_places_in_the_cluster():
    assert read_cluster({}) is None and read_cluster({"TF_CONFIG": " "}) is None
    found = read_cluster(config(WORKERS, {"type": "worker", "index": "1"}))
    assert (found.rank, found.size, found.addresses) == (1, 2, ("a:1", "b:2"))
    led = {"worker": ["b:2", "[::1]:3"], "chief": ["a:1"]}
    assert read_cluster(config(led, {"type": "chief", "index": 0})).rank == 0
    second = read_cluster(config(led, {"type": "worker", "index": 1}))
    assert second == Cluster(("a:1", "b:2", "[::1]:3"), 2)


def test_environments_are_read_back():
    made = environments(("a:1", "b:2"), {"TF_CONFIG": "old", "HOME": "there"})
    assert [read_cluster(env).rank for env in made] == [0, 1]
    assert all(env["HOME"] == "there" for env in made)
    assert environments(("a:1",), {"TF_CONFIG": "old"}) == [{}]


def test_patience():
    assert patience({}) == 300 and patience({"ZOOLIB_CONNECT_TIMEOUT": "2.5"}) == 2.5
    for text in ("soon", "0", "nan", "inf"):
        with pytest.raises(ConfigError, match="ZOOLIB_CONNECT_TIMEOUT: expected seconds above 0"):
            patience({"ZOOLIB_CONNECT_TIMEOUT": text})


# ---- meeting


def test_ranks_meet_when_the_last_has_come():
    addresses, came = tuple(free_addresses(3)), []

    def come(rank):
        meet(Cluster(addresses, rank), 20)
        came.append(rank)

    threads = [threading.Thread(target=come, args=(rank,)) for rank in (0, 1, 2)]
    for thread in threads[:2]:
        thread.start()
    threads[0].join(0.3)
    assert came == []
    threads[2].start()
    for thread in threads:
        thread.join(20)
    assert sorted(came) == [0, 1, 2]


def test_who_answers_must_be_of_the_same_start():
    addresses = tuple(free_addresses(2))
    host, port = addresses[1].split(":")
    with socket.create_server((host, int(port))), pytest.raises(DeviceError) as error:
        meet(Cluster(addresses, 0), 0.2)
    assert f"rank 1 at {addresses[1]} (it does not answer as a rank of this" in str(error.value)


def test_an_absent_rank_is_named_with_its_address():
    addresses = tuple(free_addresses(2))
    with pytest.raises(DeviceError) as error:
        meet(Cluster(addresses, 0), 0.2)
    told = (
        f"rank 0 waited 0.2 s in vain for rank 1 at {addresses[1]} (Connection refused). Expected"
    )
    assert told in str(error.value)


def test_an_unknown_host_is_named():
    own = free_addresses(1)[0]
    with pytest.raises(DeviceError, match=r"rank 1 at nowhere\.invalid:5 \("):
        meet(Cluster((own, "nowhere.invalid:5"), 0), 0.1)


def test_a_port_in_use_is_named():
    with socket.create_server(("", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(DeviceError, match=f"rank 1: port {port} of here:{port} cannot be"):
            meet(Cluster(("a:1", f"here:{port}"), 1), 0.1)


# ---- processes

STEPS = (
    "opens reduces differentiates rounds_alike refuses_the_maximum "
    "refuses_a_mean_of_numbers_that_count refuses_truth_values broadcasts an_overflow_is_everyones "
    "exports picks_loops tasks_that_do_not_divide trains stops_and_resumes other_peers_are_refused "
    "loses_rank_0"
).split()


def start(folder: Path, orders: list[dict]) -> subprocess.Popen:
    folder.mkdir()
    script = Path(__file__).with_name("cluster_scenarios.py")
    with (folder / "told").open("wb") as told:
        return subprocess.Popen(
            [sys.executable, str(script), str(folder), json.dumps(orders)],
            env=environment(),
            stdout=told,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


@pytest.fixture(scope="module")
def found(tmp_path_factory) -> dict[str, dict]:
    """What came of everything, by process."""
    folder = tmp_path_factory.mktemp("ranks") / "all"
    pair = environments(free_addresses(2))
    orders = [
        {"name": name, "functions": STEPS, "environment": env}
        for name, env in zip(("first", "second"), pair)
    ]
    orders.append({"name": "alone", "functions": ["trains"], "environment": {}})
    # Of these starts the other rank never comes, leaves after the greetings, does the same.
    starts = {
        "vain": "waits_in_vain",
        "left": "waits_for_tensorflow_in_vain",
        "late": "opens_after_computing",
    }
    leaving = []
    for name, function in starts.items():
        addresses = tuple(free_addresses(2))
        env = {**environments(addresses)[0], "ZOOLIB_CONNECT_TIMEOUT": "3"}
        orders.append({"name": name, "functions": [function], "environment": env})
        if name != "vain":
            leaving.append(threading.Thread(target=meet, args=(Cluster(addresses, 1), 100)))
    process = start(folder, orders)
    for thread in leaving:
        thread.start()
    try:
        process.wait(280)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # its children are of its group
    results = {}
    for order in orders:
        path = folder / f"{order['name']}.json"
        results[order["name"]] = json.loads(path.read_text()) if path.exists() else {}
    told = (folder / "told").read_text()
    assert all(results[name] for name in results if name != "left"), told[-3000:]
    return {**results, "folder": folder, "told": told}


@pytest.fixture(scope="module")
def pair(found) -> list[dict]:
    return [found["first"], found["second"]]


def test_each_process_is_a_rank(pair):
    assert [r["opens"] for r in pair] == [[0, 2, "cpu", 2], [1, 2, "cpu", 2]]


def test_sums_and_means(pair):
    for report in pair:
        result = report["reduces"]
        for i, row in enumerate(result["rows"]):
            mean, total = [i + 0.5] * 2, [2.0 * i + 1] * 2
            assert row == [mean, total, mean, total, 1]
        assert result["loop"] == 7.5 and result["eager"] == [3.0] and result["none"] == []
        assert result["traces"] == 1


def test_gradients_pass_through_the_sum(pair):
    # L = (sum of w^2)^2 on every rank: what a rank's weight does to the total of all losses.
    total = 1.0 + 4.0
    assert [r["differentiates"][0] for r in pair] == [8 * total * w for w in (1, 2)]
    # And the gradient of the sum of those over ranks, whose weights add up to 3.
    assert [r["differentiates"][1] for r in pair] == [8 * total + 16 * 3.0 * w for w in (1, 2)]


def test_rounding_is_the_same_everywhere_and_always(pair):
    bits = {digest for report in pair for digest in report["rounds_alike"]}
    assert len(bits) == 1


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("refuses_the_maximum", "ValueError: reduction: expected mean or sum, got 'max'"),
        ("refuses_a_mean_of_numbers_that_count", "ValueError: all_reduce: expected sum for int32"),
        ("refuses_truth_values", "ValueError: all_reduce: expected one of float32"),
        ("tasks_that_do_not_divide", "ConfigError: meta_batch_size: expected a multiple of the n"),
        ("other_peers_are_refused", "DeviceError: device: this process is rank"),
    ],
)
def test_refusals(pair, name, told):
    assert all(report[name].startswith(told) for report in pair), pair[0][name]


def test_a_broadcast_is_exact_for_any_type(pair):
    assert [r["broadcasts"] for r in pair] == [[[True] * 6, "from rank 0, ä"]] * 2


def test_an_overflow_is_everyones(pair):
    assert [r["an_overflow_is_everyones"] for r in pair] == [[True, False]] * 2


def test_what_is_compiled_with_a_signature_can_be_saved(pair):
    assert [r["exports"] for r in pair] == [6.0, 6.0]


def test_loops_hold_collectives(pair):
    assert [r["picks_loops"] for r in pair] == [["graph", "single"]] * 2


def assert_close(rows, others, tolerance):
    assert [set(row) for row in rows] == [set(row) for row in others]
    for row, other in zip(rows, others):
        assert row == pytest.approx(other, rel=tolerance)


def test_two_halves_of_a_batch_equal_the_whole(pair, found):
    whole = found["alone"]["trains"]
    for report in pair:
        losses = [{k: row[k] for k in ("loss", "support_loss")} for row in whole["history"]]
        mine = [{k: row[k] for k in losses[0]} for row in report["trains"]["history"]]
        assert_close(mine, losses, 1e-6)
        assert report["trains"]["metrics"] == pytest.approx(whole["metrics"], rel=1e-4)


def test_ranks_stay_alike_and_rank_0_alone_writes(pair):
    first, second = (report["trains"] for report in pair)
    assert len(first["weights"]) == 2 and first == second  # weights by their bits
    folder = Path(first["folder"])
    assert json.loads((folder / "env.json").read_text())["ranks"] == 2
    assert len(list(folder.parent.glob("mtnet-*"))) == 1
    assert len(list((folder / "tensorboard").iterdir())) == 1


def test_ranks_resume_bit_equal(pair):
    for report in pair:
        again = report["stops_and_resumes"]
        assert all(again[name] == report["trains"][name] for name in again)


def test_a_lost_rank_is_told_to_the_others(pair):
    assert "loses_rank_0" not in pair[0]
    told, seconds = pair[1]["loses_rank_0"]
    assert told.startswith("rank 0 at 127.0.0.1:") and "was lost" in told and seconds < 60


def test_a_rank_that_does_not_come_is_told(found):
    told = found["vain"]["waits_in_vain"]
    assert told.startswith("DeviceError: rank 0 waited 3 s in vain for rank 1 at 127.0.0.1:")
    assert not (found["folder"] / "vain").exists()


def test_a_rank_lost_while_tensorflow_connects_does_not_hold_the_others_up(found):
    if found["left"]:  # Python could still speak
        told = found["left"]["waits_for_tensorflow_in_vain"]
        assert told.startswith("DeviceError: rank 0 waited 3 s in vain for rank 1 at 127.0.0.1:")
    else:
        assert "Timeout (0:00:04" in found["told"]
        assert "in wait_for_the_other_ranks" in found["told"]


def test_ranks_are_joined_before_anything_is_computed(found):
    told = "DeviceError: several ranks: expected the device to be opened before TensorFlow computes"
    assert found["late"]["opens_after_computing"].startswith(told)
