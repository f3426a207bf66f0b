"""Comparing runs: what counts as the same setting, what the seeds can tell apart."""

from __future__ import annotations

import json
import math
import os
import re
import subprocess
import sys

import numpy as np
import pytest

import zoolib
from zoolib.cli import main
from zoolib.core.run_records import find, lower_is_better
from zoolib.core.statistics import estimate, t_quantile
from zoolib.core.store import RunFolder
from zoolib.errors import ConfigError, StoreError

ENV = {"device": "cpu", "precision": "float32", "ranks": 1, "packages": {"tensorflow": "2.21.0"}}
SAID = {"headline": "query_mse", "lower_is_better": True, "seconds": 1.5}


@pytest.fixture
def make(tmp_path):
    """Writes run folders as `zoolib.run` would, without running anything."""

    def write(value=None, *, model="mtnet", preset="smoke", env=(), out="runs", **told):
        said = {**SAID, **told.pop("said", {})}
        metrics = told.pop("metrics", {"query_mse": value})
        rows = told.pop("rows", [{"step": 100, "loss": 2.0}, {"step": 300, "loss": 1.0}])
        config = zoolib.get_model(model).preset(preset, **told)
        folder = RunFolder.create(tmp_path / out, config, {**ENV, **dict(env)}, "checkpoints")
        folder.unlock()
        for row in rows:
            folder.append(row)
        if value is not None or metrics.get("query_mse") is not None:
            folder.write_summary({"steps": config.iterations, "metrics": metrics, **said})
        return folder.path

    return write


@pytest.fixture
def two(make):
    """MAML and MT-net, three seeds each, MT-net better by 0.3, 0.4 and 0.5."""
    maml = [make(1.0 + seed, variant="maml", seed=seed) for seed in range(3)]
    mtnet = [make(0.7 + 0.9 * seed, variant="mtnet", seed=seed) for seed in range(3)]
    return [*maml, *mtnet]


# ---- Student's t


@pytest.mark.parametrize(
    "freedom, published",
    [(1, 12.7062), (2, 4.3027), (3, 3.1824), (4, 2.7764), (5, 2.5706), (9, 2.2622), (10, 2.2281)]
    + [(29, 2.0452), (30, 2.0423), (60, 2.0003), (120, 1.9799), (10_000, 1.9602)],
)
def test_t_quantiles_are_the_published_ones(freedom, published):
    assert t_quantile(freedom) == pytest.approx(published, abs=5.1e-5)
    assert t_quantile(freedom, 0.5) < t_quantile(freedom, 0.9) < t_quantile(freedom)


def test_t_quantiles_of_one_and_two_degrees_have_closed_forms():
    for inside in (0.1, 0.5, 0.9, 0.99):
        assert t_quantile(1, inside) == pytest.approx(math.tan(math.pi * inside / 2), rel=1e-12)
        alpha = 1 - inside
        exact = inside * math.sqrt(2 / (alpha * (2 - alpha)))
        assert t_quantile(2, inside) == pytest.approx(exact, rel=1e-12)


@pytest.mark.parametrize("bad", [(0, 0.95), (3, 0.0), (3, 1.0)])
def test_t_quantile_refuses(bad):
    with pytest.raises(ValueError, match="expected freedom of at least 1"):
        t_quantile(*bad)


@pytest.mark.parametrize("n", [2, 3, 5])
def test_an_interval_holds_the_truth_in_95_of_100_samples(n):
    samples = np.random.default_rng(7).normal(3.0, 2.0, (4000, n))
    found = [estimate(row.tolist()) for row in samples]
    assert np.mean([e.low <= 3.0 <= e.high for e in found]) == pytest.approx(0.95, abs=0.012)
    assert estimate(samples[0].tolist()).spread == pytest.approx(samples[0].std(ddof=1))


def test_estimates_of_few_or_broken_values():
    one = estimate([2.0])
    assert (one.n, one.mean) == (1, 2.0) and math.isnan(one.half) and one.tie()
    assert estimate([0.1] * 3).half == pytest.approx(0, abs=1e-15)
    assert math.isnan(estimate([1.0, math.inf]).mean)
    with pytest.raises(ValueError, match="at least one"):
        estimate([])


# ---- groups


def test_runs_that_differ_in_the_seed_only_are_one_group(two):
    comparison = zoolib.compare(*two)
    assert [g.label for g in comparison.groups] == ["maml", "mtnet"]
    assert [g.seeds for g in comparison.groups] == [(0, 1, 2)] * 2
    assert comparison.differences == {"variant": {"maml": "maml", "mtnet": "mtnet"}}
    found = comparison["maml"].estimate("query_mse")
    assert (found.n, found.mean, found.spread) == (3, 2.0, 1.0)
    assert found.half == pytest.approx(4.30265 / math.sqrt(3), rel=1e-5)
    with pytest.raises(KeyError, match="expected one of .'maml', 'mtnet'"):
        comparison["tnet"]


def test_the_preset_is_a_name_and_everything_else_is_a_setting(make):
    same = zoolib.get_model("mtnet").preset("tutorial").to_dict()
    same = {k: v for k, v in same.items() if k not in ("preset", "seed")}
    comparison = zoolib.compare(make(1.0, preset="tutorial"), make(1.0, seed=1, **same))
    assert len(comparison.groups) == 1 and comparison.groups[0].label == "mtnet"
    others = [
        make(1.0),
        make(1.0, env={"device": "gpu:0"}),
        make(1.0, env={"precision": "mixed_bfloat16"}),
        make(1.0, env={"ranks": 2}),
        make(1.0, env={"npu_options": {"allow_hf32": "1"}}),
        make(1.0, eval_every=50),
    ]
    comparison = zoolib.compare(*others)
    assert len(comparison.groups) == len({g.label for g in comparison.groups}) == 6
    known = {"device", "precision", "ranks", "npu_options", "eval_every"}
    assert set(comparison.differences) == known


def test_labels_are_short_and_never_the_same_twice(make):
    many = dict(variant="maml", shots=5, update_lr=0.1, dim_hidden=20)
    comparison = zoolib.compare(make(1.0), make(1.0, **many), make(1.0, **many, temp=2.0))
    labels = [g.label for g in comparison.groups]
    assert len(set(labels)) == 3 and all(len(label) < 60 for label in labels)
    assert labels[0].startswith("mtnet, shots=10, update_lr=0.01, …") and labels[2].endswith("(2)")
    presets = zoolib.compare(make(1.0), make(1.0, preset="paper"))
    assert [g.label for g in presets.groups] == ["smoke", "paper"]
    only = zoolib.compare(make(1.0), make(1.0, report_every=100))
    assert [g.label for g in only.groups] == ["report_every=50", "report_every=100"]


def test_of_the_same_run_twice_the_newest_counts(make):
    old, new, other = make(1.0), make(2.0), make(5.0, seed=1)
    for age, folder in ((100, new), (900, old)):
        stamp = (folder / "summary.json").stat().st_mtime - age
        os.utime(folder / "summary.json", (stamp, stamp))
    for order in ((old, new, other), (new, other, old)):
        comparison = zoolib.compare(*order)
        assert comparison.groups[0].values("query_mse") == {0: 2.0, 1: 5.0}
        told = f"{old.name} is not counted: run again, with other metrics"
        assert comparison.notes == (told,) and len(comparison.runs) == 3


def test_more_than_one_tensorflow_is_told(make):
    older = {"packages": {"tensorflow-cpu": "2.6.5"}}
    assert zoolib.compare(make(1.0), make(1.0, seed=1, env=older)).notes == (
        "made with more than one TensorFlow: 2.21.0, 2.6.5",
    )


# ---- pairs


def test_paired_differences_are_those_of_the_seeds(two):
    (pair,) = zoolib.compare(*two).pairs
    found = pair.headline
    assert pair.label == "mtnet - maml" and pair.settings == {"variant": ("maml", "mtnet")}
    assert list(found.values.values()) == pytest.approx([-0.3, -0.4, -0.5])
    assert found.estimate.mean == pytest.approx(-0.4)
    assert found.estimate.half == pytest.approx(4.30265 * 0.1 / math.sqrt(3), rel=1e-5)
    assert found.verdict == "mtnet"  # though the means' own intervals overlap widely


def test_only_shared_seeds_are_paired(make):
    folders = [make(1.0, variant="maml", seed=seed) for seed in (0, 1, 2)]
    folders += [make(value, seed=seed) for seed, value in ((1, 2.0), (2, 2.5), (9, 99.0))]
    (pair,) = zoolib.compare(*folders).pairs
    assert pair.headline.values == {1: 1.0, 2: 1.5}
    apart = zoolib.compare(make(1.0, shots=3, seed=4), make(1.0, shots=4, seed=5))
    assert len(apart.groups) == 2 and apart.pairs == () and "PAIRED" not in str(apart)


@pytest.mark.parametrize(
    "changes, verdict",
    [
        ((1.0, 1.1, 1.2), "maml"),
        ((-1.0, 0.0, 1.1), "tie"),
        ((0.0, 0.0, 0.0), "tie"),
        ((-1.0,), "one seed"),
        ((-1.0, math.inf), "not finite"),
    ],
)
def test_verdicts(make, changes, verdict):
    folders = [make(2.0 + s, variant="maml", seed=s) for s in range(len(changes))]
    folders += [make(2.0 + s + change, seed=s) for s, change in enumerate(changes)]
    assert zoolib.compare(*folders).pairs[0].headline.verdict == verdict


def test_the_run_says_which_direction_is_better_and_otherwise_the_name(make):
    def verdict(said, name):
        folders = []
        for seed in range(2):
            for variant, value in (("maml", 1.0), ("mtnet", 2.0)):
                metrics = {name: value + 0.01 * seed, "query_mse": 1.0}
                told = dict(metrics=metrics, said=said, variant=variant, seed=seed)
                folders.append(make(out=f"{name}{said}", **told))
        return zoolib.compare(*folders).pairs[0].differences[name].verdict

    assert verdict({"headline": "merit", "lower_is_better": True}, "merit") == "maml"
    assert verdict({"headline": "merit", "lower_is_better": False}, "merit") == "mtnet"
    assert verdict({}, "merit") == "mtnet is higher"
    assert verdict({}, "test_accuracy") == "mtnet" and verdict({}, "val_loss") == "maml"
    assert lower_is_better("expected_query_mse_step_1") is True
    assert lower_is_better("loss_of_accuracy") is None


def test_other_metrics_follow_the_headline_without_constants(make):
    folders = []
    for seed in range(2):
        for variant in ("maml", "mtnet"):
            value = 1.0 + seed + 0.5 * (variant == "mtnet")
            metrics = {"first": value, "query_mse": value, "query_mse_ci95": 0.1, "zero_mse": 4.2}
            folders.append(make(metrics=metrics, variant=variant, seed=seed))
    (pair,) = zoolib.compare(*folders).pairs
    assert list(pair.differences) == ["query_mse", "first"]
    (pair,) = zoolib.compare(*folders, metric="first").pairs
    assert pair.headline.metric == "first"
    with pytest.raises(ConfigError, match="metric: expected one of first, query_mse, zero_mse, go"):
        zoolib.compare(*folders, metric="last")


def test_folders_of_earlier_versions_do_not_name_their_headline(make):
    metrics = {"width": 3.0, "query_mse": 1.0}
    run = zoolib.compare(make(metrics=metrics, said={"headline": None})).runs[0]
    assert run.headline == "query_mse"


def test_two_methods_differ_in_their_name(line, make):
    ours = [make(1.0 + seed, seed=seed, variant=v) for seed in range(2) for v in ("maml", "mtnet")]
    theirs = [make(0.5 + seed / 3, model="line", seed=seed) for seed in range(2)]
    comparison = zoolib.compare(*ours, *theirs)
    assert [g.label for g in comparison.groups] == ["mtnet, maml", "mtnet, mtnet", "line"]
    assert list(comparison.differences) == ["model", "variant"]
    assert comparison.differences["variant"]["line"] == "-"
    assert [p.label for p in comparison.pairs][1:] == ["line - mtnet, maml", "line - mtnet, mtnet"]
    assert comparison.pairs[1].settings == {"model": ("mtnet", "line")}
    other = make(metrics={"query_mse": None, "test_mse": 1.0}, model="line", said={})
    (other / "summary.json").write_text(json.dumps({"metrics": {"test_mse": 1.0}}))
    nothing = zoolib.compare(ours[0], other)
    assert len(nothing.groups) == 2 and nothing.pairs == ()


def test_a_run_with_swa_stands_for_its_raw_and_its_averaged_weights(make):
    folders = []
    for seed in range(3):
        metrics = {"query_mse": 2.0 + seed, "swa_query_mse": 1.0 + 1.1 * seed}
        rows = [{"step": 100, "loss": 3.0}, {"step": 300, "loss": 2.0, "swa_query_mse": 1.5}]
        told = dict(seed=seed, swa_start=100, swa_every=50, rows=rows)
        folders += [make(metrics=metrics, **told), make(2.0 + seed, seed=seed)]
    comparison = zoolib.compare(*folders)
    labels = [g.label for g in comparison.groups]
    start = "swa_start=100"
    assert labels == [f"{start}, raw weights", f"{start}, SWA average", "mtnet"]
    average = comparison[labels[1]]
    assert average.metrics == ("query_mse",) and average.values("query_mse")[0] == 1.0
    assert average.curves("query_mse") == ([300], [[1.5]] * 3)
    assert comparison[labels[0]].curves("query_mse") == ([], [[]] * 3)
    verdicts = [pair.headline.verdict for pair in comparison.pairs]
    assert verdicts == [labels[1], "tie", labels[1]]


# ---- finding and reading


def test_folders_of_runs_patterns_results_and_lists(two, make, tmp_path):
    make(1.0, out="runs/deeper/still")
    assert len(find([tmp_path])) == 7 == len(find([tmp_path / "runs", two[0]]))
    assert find([two[1], two[0], two[1]]) == [two[1], two[0]]
    assert len(find([str(tmp_path / "runs" / "mtnet-smoke-s1-*")])) == 2
    results = [zoolib.load(folder) for folder in two]
    assert find(results) == find([results]) == two
    for nothing in (tmp_path / "nowhere", tmp_path / "run?*x*", two[0] / "checkpoints"):
        with pytest.raises(StoreError, match="expected a run folder or a folder of runs"):
            zoolib.compare(nothing)
    with pytest.raises(ConfigError, match="at least one folder"):
        zoolib.compare()


BREAK = {
    "config.json": '{"model": "mtnet"}',
    "env.json": "[]",
    "metrics.jsonl": '{"step": 1}\nnonsense\n{"step": 3}\n',
    "summary.json": '{"metrics": {"query_mse": "low"}}',
}


@pytest.mark.parametrize("name", BREAK)
def test_damaged_folders_are_told_and_stop_nothing(two, make, name, capfd):
    damaged = make(1.0, seed=7)
    (damaged / name).write_text(BREAK[name])
    comparison = zoolib.compare(*two, damaged)
    run = comparison.runs[-1]
    assert run.state == "damaged" and name in run.reason and str(damaged.parent) not in run.reason
    assert f"{damaged.name} is damaged: " in comparison.notes[0]
    assert [g.seeds for g in comparison.groups] == [(0, 1, 2)] * 2
    assert main(["compare", str(damaged)]) == 0
    assert re.search(rf"{damaged.name} +damaged", capfd.readouterr().out)


def test_unfinished_runs_are_listed_with_how_far_they_are(two, make):
    comparison = zoolib.compare(*two, make(seed=5))
    assert comparison.runs[-1].state == "unfinished" and len(comparison.groups) == 2
    assert re.search(r"unfinished +smoke +5 +- +cpu +float32 +300/300 ", str(comparison))
    alone = zoolib.compare(make(seed=6, rows=[]))
    assert alone.groups == () and "0/300" in str(alone) and "MEANS" not in str(alone)


def test_reading_and_printing_need_no_tensorflow(two, environment):
    program = (
        "import sys, zoolib; from zoolib.cli import main; "
        f"code = main(['compare', *{[str(f) for f in two]!r}]); "
        "sys.exit(code or 'tensorflow' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "") and "PAIRED" in done.stdout


# ---- showing


def test_the_text_has_a_row_per_run_group_and_pair(two):
    text = str(zoolib.compare(*two))
    blocks = {block.split("\n")[0]: block.split("\n")[1:] for block in text.split("\n\n")}
    assert list(blocks) == ["RUNS", "WHAT DIFFERS", "MEANS OVER SEEDS", "PAIRED DIFFERENCES"]
    assert [row.split()[0] for row in blocks["RUNS"][1:7]] == [folder.name for folder in two]
    assert blocks["RUNS"][1].split()[1:] == "finished smoke 0 maml cpu float32 300 1 1.5".split()
    means, pairs = blocks["MEANS OVER SEEDS"], blocks["PAIRED DIFFERENCES"]
    assert re.split("  +", means[1]) == ["maml", "3", "0, 1, 2", "query_mse", "2.0 +- 2.5", "1.0"]
    cells = ["mtnet - maml", "query_mse", "3", "-0.40", "-0.65 to -0.15", "mtnet"]
    assert re.split("  +", pairs[1]) == cells
    assert repr(zoolib.compare(*two)) == "Comparison(6 runs, 2 groups, 1 pairs)"


def test_folders_of_the_same_name_are_told_apart(make, tmp_path):
    names = []
    for out in ("one", "two"):
        folder = make(1.0, out=out)
        names.append(folder.rename(folder.parent / "run"))
    rows = str(zoolib.compare(*names)).split("\n")[2:4]
    assert [row.split()[0] for row in rows] == [os.path.join("one", "run"), "two/run"]


def test_many_metrics_are_cut_and_told(make, capfd):
    folders = []
    for seed in range(2):
        for variant in ("maml", "mtnet"):
            metrics = {f"m{i}_loss": seed + i + (variant == "maml") for i in range(8)}
            told = dict(metrics={"query_mse": 1.0 + seed, **metrics}, variant=variant, seed=seed)
            folders.append(str(make(**told)))
    assert main(["compare", *folders]) == 0
    short = capfd.readouterr().out
    assert "m3_loss" in short and "m4_loss" not in short and "4 more rows" in short
    assert main(["compare", *folders, "--all"]) == 0
    assert "m7_loss" in capfd.readouterr().out
    assert main(["compare", *folders, "--metric", "m6_loss"]) == 0
    assert "m6_loss" in capfd.readouterr().out
    assert main(["compare", *folders, "--metric", "m9_loss"]) == 2
    assert capfd.readouterr().err.startswith("zoolib: metric: expected one of query_mse, m0_loss")


def test_html_is_the_same_tables_escaped(make):
    shown = zoolib.compare(make(1.0, data_dir="<b>&"), make(1.0, data_dir="data"))._repr_html_()
    assert shown.count("<table>") == shown.count("</table>") == 4
    assert "&lt;b&gt;&amp;" in shown and "<b>&" not in shown


def test_json_is_the_same_and_valid(two, make, capfd):
    broken = make(math.inf, seed=0, shots=3)
    assert main(["compare", *map(str, two), str(broken), "--json"]) == 0
    said = json.loads(capfd.readouterr().out, parse_constant=lambda word: pytest.fail(word))
    assert list(said) == ["runs", "groups", "differences", "pairs", "notes"]
    assert [run["folder"] for run in said["runs"]] == [str(f) for f in [*two, broken]]
    assert said["runs"][-1]["metrics"] == {"query_mse": None}
    first = said["pairs"][0]
    assert (first["a"], first["b"]) == tuple(g["label"] for g in said["groups"][:2])
    (found,) = first["differences"]
    assert found["seeds"] == [0, 1, 2] and found["n"] == 3
    assert found["low"] < found["mean"] < found["high"] < 0
    assert said["groups"][0]["metrics"]["query_mse"]["mean"] == 2.0
    assert said["groups"][0]["lower_is_better"] is True
