"""The benchmark runs and tells what it is to tell; how fast things are is not asserted."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest


@pytest.mark.slow
def test_the_benchmark_runs(root, environment, tmp_path):
    out = tmp_path / "made" / "mtnet.json"
    command = [sys.executable, str(root / "benchmarks" / "mtnet.py"), "--quick", "--out", str(out)]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    document = json.loads(out.read_text(encoding="utf-8"))
    assert set(document) == {
        "quick", "commit", "machine", "contenders", "ratios", "whole_run", "list_models", "explorer"
    }  # fmt: skip
    assert document["quick"] is True
    settings = [(c["name"], c["threads"]) for c in document["contenders"]]
    expected = [
        ("zoolib", "as it is"),
        ("per_task", "default threads"),
        ("per_task", "one thread"),
    ]
    assert settings[:3] == expected
    for contender in document["contenders"]:
        assert 0 < contender["median"] <= contender["best"]
        assert contender["compile_seconds"] > 0 and contender["peak_mib"] > 0
        assert f"{contender['name']}, {contender['threads']}" in done.stdout
    assert set(document["ratios"]) == {"per_task", "jax"}
    assert (document["ratios"]["jax"] is not None) == (len(settings) == 5)
    ratio = document["ratios"]["per_task"]
    assert ratio["low"] <= ratio["median"] <= ratio["high"] and len(ratio["rounds"]) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["made"], (
        "no run folders stay behind"
    )

    run = document["whole_run"]
    assert run["iterations"] == 3000 and run["traces"] == 1 and len(run["loops"]) == 1
    assert run["growth"]["steps"] == 2000 and isinstance(run["growth"]["mib"], float)
    assert {f"query_mse_step_{n}" for n in (0, 1, 2, 5, 10)} <= set(run["metrics"])
    assert run["wall_seconds"] >= run["seconds"] >= run["training_seconds"] > 0
    assert document["list_models"]["tensorflow_imported"] is False
    assert document["explorer"]["learners"] == ["maml", "tnet", "mtnet"]
    assert document["explorer"]["median_ms"] > document["explorer"]["adapting_ms"] > 0
