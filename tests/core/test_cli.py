"""The command line: exit statuses, one line about what is wrong, seed-document names, JSON."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest

import zoolib
from zoolib.cli import main
from zoolib.core.store import RunFolder

pytestmark = pytest.mark.usefixtures("line")
KEYS = {"model", "preset", "folder", "metrics", "seconds", "steps", "steps_per_second", "device"}
KEYS.add("precision")
SEED_LINE = (
    "--metatrain_iterations 300 --update_batch_size 10 --use_T True --use_M True --share_M True "
    "--norm None --meta_batch_size 4 --update_lr 0.01 --resume True"
).split()


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def two(line, tmp_path_factory):
    """Two finished runs that differ in one setting."""
    out = tmp_path_factory.mktemp("two")
    configs = [line.preset("smoke", rate=rate) for rate in (0.01, 0.02)]
    return [zoolib.train(c, out=out, progress=False).folder for c in configs]


# ---- bad input


@pytest.mark.parametrize(
    "words, told",
    [
        ("train", "train: expected a model, one of "),
        ("train mtent", "model: expected one of .*got 'mtent'. Did you mean mtnet?"),
        ("train mtnet --shotz 3", "unrecognized arguments: --shotz 3"),
        ("train mtnet --shots", "argument --shots.*expected one argument"),
        ("train mtnet --shots 0", "shots: expected an integer from 1 to 1000, got '0'"),
        ("train mtnet --norm maybe", "norm: expected one of none, .*got 'maybe'"),
        ("train mtnet --use-T perhaps", "use_t: expected true or false, got 'perhaps'"),
        ("train mtnet --variant maml --use_M true", "variant: 'maml' contradicts use_T, use_M"),
        ("train mtnet --preset huge", "preset: expected one of smoke, .*got 'huge'"),
        ("train mtnet --out /proc/x", "out: /proc does not admit new files"),
        ("train mtnet --resume nowhere", "nowhere: expected a run folder, found no config.json"),
        ("eval nowhere", "nowhere: expected a run folder"),
        ("compare nowhere", "nowhere: expected a run folder"),
        ("export nowhere --format frozen --to x", "nowhere: expected a run folder"),
        ("trian mtnet", "invalid choice: 'trian'"),
        ("", "the following arguments are required: COMMAND"),
    ],
)
def test_bad_input_is_one_line_status_2_and_writes_nothing(here, capfd, words, told):
    assert main(words.split()) == 2
    out, err = capfd.readouterr()
    assert out == "" and err.count("\n") == 1 and err.startswith("zoolib: ")
    assert re.search(told.replace("?", r"\?"), err), err
    assert list(here.iterdir()) == []


@pytest.mark.parametrize(
    "words, told",
    [
        ("--device gpu:7", "zoolib: device: expected one of auto, cpu"),
        ("--device cpu --precision mixed_float16", "zoolib: precision: expected one of float32"),
        ("--chip npu", "zoolib: device: npu:0 is not available: "),
    ],
)
def test_devices_that_are_not_there(here, capfd, words, told):
    assert main(["train", "line", *words.split()]) == 2
    out, err = capfd.readouterr()
    assert out == "" and err.count("\n") == 1 and err.startswith(told)
    assert list(here.iterdir()) == []


def test_a_process_of_its_own_says_no_more_than_one_line(here, environment):
    """TensorFlow's own lines on being imported included, which only a new process shows."""
    words = "train mtnet --preset smoke --device gpu:7".split()
    done = subprocess.run(
        [sys.executable, "-m", "zoolib", *words], env=environment, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch("zoolib: device: expected one of auto, .*got 'gpu:7'; .*\n", done.stderr)
    assert list(here.iterdir()) == []


def test_other_settings_than_the_folder_holds(line, two, capfd):
    for words in (["--rate", "0.5"], ["--preset", "tutorial"]):
        assert main(["train", "line", "--resume", str(two[0]), *words]) == 2
        assert "holds a run with other settings (" in capfd.readouterr().err
    assert main(["train", "mtnet", "--resume", str(two[0])]) == 2
    assert "holds a run of line, not of mtnet" in capfd.readouterr().err
    assert main(["train", "line", "--resume", str(two[0]), "--rate", "0.01"]) == 0


def test_a_run_that_breaks_ends_with_status_1(here, capfd):
    words = "train line --preset smoke --poison loss --poison_at 30 --json".split()
    assert main(words) == 1
    out, err = capfd.readouterr()
    assert out == "" and "Traceback" not in err
    assert err.strip().splitlines()[-1].startswith("zoolib: loss became inf at step 30; ")


# ---- training


def test_json_is_the_last_line_and_settings_are_printed_before(here, capfd):
    words = "train line --preset smoke --train-steps 50 --obs_dir somewhere --json"
    assert main(words.split()) == 0
    out, err = capfd.readouterr()
    said = json.loads(out.splitlines()[-1])
    assert KEYS <= set(said) and (said["model"], said["preset"]) == ("line", "smoke")
    assert said["steps"] == 50 and said["device"] == "cpu" and said["precision"] == "float32"
    assert said["seconds"] > 0 and said["steps_per_second"] == pytest.approx(50 / said["seconds"])
    assert said["metrics"] == zoolib.load(said["folder"]).metrics
    assert err.index("  iterations           50\n") < err.index("step 50/50")
    assert "--obs_dir has no meaning here and is ignored" in err


def test_numbers_that_are_not_finite_are_null_in_json(capfd):
    from zoolib.cli import _finite

    said = {"a": float("inf"), "b": {"c": float("nan"), "d": 1.5}, "e": "inf"}
    assert _finite(said) == {"a": None, "b": {"c": None, "d": 1.5}, "e": "inf"}


def test_without_json_metrics_and_folder_are_told(here, capfd):
    assert main("train line --preset smoke --iterations 20 --out deep/er".split()) == 0
    out = capfd.readouterr().out
    folder = next((here / "deep" / "er").iterdir())
    assert out.splitlines()[-1].split() == ["folder", str(folder)]
    assert re.match(r"test_mse +\d", out)


def test_a_line_of_the_seed_documents_trains(launcher, tmp_path):
    """`--resume True` starts a run where there is none."""
    argv = ["train", "mtnet", "--preset", "smoke", *SEED_LINE, "--json"]
    done = launcher.run(*argv, "--obs_dir=s3", "--platform", "modelarts", cwd=tmp_path)
    assert done.code == 0, done.err
    said = json.loads(done.out.splitlines()[-1])
    assert said["steps"] == 300 and said["model"] == "mtnet"
    for shown in (
        "iterations           300",
        "shots                10",
        "variant              mtnet",
    ):
        assert f"  {shown}\n" in done.err
    for shown in (
        "norm                 none",
        "meta_batch_size      4",
        "update_lr            0.01",
    ):
        assert f"  {shown}\n" in done.err
    config = zoolib.load(said["folder"]).config
    assert config == zoolib.get_model("mtnet").preset("smoke")


def test_resume_true_finds_the_unfinished_run_that_fits(line, here, capfd):
    def unfinished(**changes):
        events = zoolib.run(line.preset("smoke", **changes), out="runs")
        folder = next(events).folder
        for event in events:
            if event.step == 10:
                break
        events.close()
        return folder

    wanted, other = unfinished(), unfinished(rate=0.5)
    assert main("train line --preset smoke --resume True".split()) == 0
    assert str(wanted) in capfd.readouterr().out
    assert main("train line --resume true".split()) == 0  # nothing told: the newest unfinished
    assert str(other) in capfd.readouterr().out
    assert main("train line --preset smoke --resume True".split()) == 0  # none left: a new one
    assert len(list((here / "runs").iterdir())) == 3


@pytest.mark.parametrize(
    "words, expected",
    [
        ("--update-batch-size 5", {"shots": 5}),
        ("--update_batch_size=5 --metatrain-iterations 1e3", {"shots": 5, "iterations": 1000}),
        ("--use_T False --use_M False", {"variant": "maml"}),
        ("--use-T --use-M --share-M false", {"variant": "mtnet_full"}),
        ("--use_M=off", {"variant": "tnet"}),
        ("--norm None --max_pool", {"norm": "none", "max_pool": True}),
        ("--stop_grad true --train False --log", {"first_order": True}),
    ],
)
def test_names_of_the_seed_documents(words, expected):
    from zoolib.cli import _wanted
    from zoolib.cli_options import train_parser

    spec = zoolib.get_model("mtnet")
    config, resume = _wanted(spec, train_parser(spec).parse_args(words.split()))
    assert resume is None
    assert config == spec.preset("tutorial", **expected)


@pytest.mark.parametrize("name", zoolib.list_models())
def test_every_setting_is_an_option_in_every_spelling(name):
    from zoolib.cli_options import train_parser

    spec = zoolib.get_model(name)
    parser = train_parser(spec)
    for item in spec.Config.settings():
        for spelling in (item.name, *item.aliases) if item.name != "preset" else ():
            for written in (f"--{spelling}", f"--{spelling.replace('_', '-')}"):
                known = not item.internal
                assert (written in parser._option_string_actions) == known, written
    shown = " ".join(action.help or "" for action in parser._actions).replace("%%", "%")
    assert all(i.help in shown for i in spec.Config.settings() if not i.internal)
    assert "--iterations" in parser.format_help()


# ---- the other commands


def test_list_shows_every_method_and_preset(capfd):
    assert main(["list"]) == 0
    out = capfd.readouterr().out
    for name in zoolib.list_models():
        assert name in out and all(preset in out for preset in zoolib.get_model(name).presets)


def test_help_and_version(capfd):
    for words in (["--help"], ["--version"], ["train", "line", "--help"]):
        with pytest.raises(SystemExit) as end:
            main(words)
        assert end.value.code == 0
    assert main(["train", "--help"]) == 0
    out = capfd.readouterr().out
    assert zoolib.__version__ in out and "--train-steps" in out and "Adam's step size" in out


def test_doctor_tells_versions_devices_and_a_line_to_copy(here, capfd):
    assert main(["doctor"]) == 0
    out = capfd.readouterr().out
    assert re.search(r"^cpu +float32, mixed_bfloat16$", out, re.M)
    assert re.search(r"^npu:0 +no: .+", out, re.M)
    assert f"for an issue: zoolib={zoolib.__version__} " in out
    assert list(here.iterdir()) == []


def test_runs_lists_finished_unfinished_and_damaged(line, two, tmp_path, capfd):
    out = two[0].parent
    events = zoolib.run(line.preset("smoke"), out=out)
    next(events)
    events.close()
    (out / "broken").mkdir()
    (out / "broken" / "config.json").write_text("{")
    try:
        assert main(["runs", "--out", str(out)]) == 0
    finally:
        (out / "broken" / "config.json").unlink()
    shown = capfd.readouterr().out
    assert len(re.findall(r"line smoke  finished  test_mse 0\.\d+", shown)) == 2
    assert len(re.findall("line smoke  unfinished", shown)) == 1
    assert "broken  damaged: " in shown
    assert main(["runs", "--out", str(tmp_path / "none")]) == 0


def test_eval_gives_the_metrics_of_the_newest_checkpoint(two, capfd):
    assert main(["eval", str(two[0]), "--json"]) == 0
    said = json.loads(capfd.readouterr().out)
    assert said["metrics"] == zoolib.load(two[0]).metrics
    assert (said["model"], said["steps"], said["device"]) == ("line", 100, "cpu")
    assert main(["eval", str(two[0])]) == 0
    assert re.match(r"test_mse +0\.\d+\n", capfd.readouterr().out)


def test_eval_of_an_unfinished_run(line, tmp_path, capfd):
    events = zoolib.run(line.preset("smoke"), out=tmp_path)
    folder = next(events).folder
    assert main(["eval", str(folder)]) == 2  # nothing saved yet
    assert "expected a checkpoint, found none" in capfd.readouterr().err
    for event in events:
        if event.step == 30:
            break
    events.close()
    assert main(["eval", str(folder), "--json"]) == 0
    assert json.loads(capfd.readouterr().out)["steps"] == 30
    assert RunFolder.open(folder).summary() is None


def test_compare_reads_what_runs_leave(two, capfd):
    """The rest of it is in test_compare.py, on folders that nothing ran in."""
    assert main(["compare", str(two[0].parent)]) == 0
    shown = capfd.readouterr().out
    metrics = zoolib.load(two[0]).metrics
    assert f"{metrics['test_mse']:.4g}" in shown and "rate=0.02 - rate=0.01" in shown
    said = zoolib.compare(two[0]).runs[0].summary
    assert (said["headline"], said["lower_is_better"]) == ("test_mse", True)


def test_export_writes_a_model_that_predicts_the_same(two, tmp_path, capfd):
    import tensorflow as tf

    to = tmp_path / "exported"
    assert main(["export", str(two[0]), "--format", "savedmodel", "--to", str(to)]) == 0
    assert capfd.readouterr().out.strip() == str(to)
    x = tf.constant([[1.0, 2.0, 3.0]])
    loaded = tf.saved_model.load(str(to))
    there = loaded.signatures["serve"](x=x)["y"]
    here = zoolib.load(two[0]).task.predict(x)
    assert there.numpy() == pytest.approx(here.numpy())
    assert main(["export", str(two[0]), "--format", "savedmodel", "--to", str(to)]) == 2
    assert "exists; nothing was overwritten" in capfd.readouterr().err
    assert main(["export", str(two[0]), "--format", "pickle", "--to", str(tmp_path / "p")]) == 2
    assert "format: expected one of savedmodel, frozen" in capfd.readouterr().err


def test_a_frozen_export_tells_the_converters_command(two, tmp_path, capfd):
    to = tmp_path / "line.pb"
    assert main(["export", str(two[0]), "--format", "frozen", "--to", str(to)]) == 0
    out = capfd.readouterr().out
    assert out.startswith(f"{to}\n\n")
    for told in ("atc \\\n", f"--model={to}", "--input_shape=x:1,3", "--out_nodes=Identity:0"):
        assert told in out
    assert out.split("\n\n", 1)[1] == (tmp_path / "line.pb.convert.txt").read_text()
