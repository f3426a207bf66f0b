"""`zoolib data`: the three sets, the check, exit status and messages."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from zoolib.cli import main


def told(capsys: pytest.CaptureFixture[str]) -> dict:
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def test_shapes_from_nothing_to_checked_records(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    to = str(tmp_path / "shapes")
    words = ["data", "build", "shapes", "--to", to, "--classes", "3", "--train", "5", "--json"]
    words += ["--validation", "2", "--size", "20", "--workers", "1", "--val-shards", "2"]
    assert main(words) == 0
    first = told(capsys)
    assert (first["train"], first["val"], first["classes"]) == (15, 6, 3)
    assert main(words) == 0 and told(capsys) == first
    assert main(["data", "check", "shapes", "--at", to, "--json"]) == 0
    assert told(capsys)["train"] == 15
    assert Path(to, "explore/integer_encoding.json").is_file()
    next(Path(to, "val_shards").glob("*.tfrecords")).write_bytes(b"x")
    assert main(["data", "check", "shapes", "--at", to]) == 2
    assert "1 of 3 shards differ" in capsys.readouterr().err


def test_imagenet_and_own_images(
    drawn: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["data", "build", "imagenet", "--images", str(drawn), "--to", str(tmp_path / "a")]
    words += ["--devkit", str(drawn / "devkit"), "--boxes", str(drawn / "annotations")]
    assert main([*words, "--schema", "inception", "--workers", "1"]) == 0
    shown = capsys.readouterr()
    assert "train                48" in shown.out and "60/60" in shown.err
    words = ["data", "build", "images", "--folders", str(drawn / "train"), "--json"]
    assert main([*words, "--to", str(tmp_path / "b"), "--validation", "0.25"]) == 0
    assert told(capsys)["val"] == 12


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["build", "imagenet", "--images", "nowhere", "--to", "x"], "nowhere: expected the folder"),
        (["build", "images", "--to", "x"], "required"),
        (["build", "cifar", "--to", "x"], "invalid choice"),
        (["build", "shapes", "--to", "x", "--schema", "y"], "schema: expected one of"),
        (["build", "shapes", "--to", "x", "--shards", "0"], "shards: expected at least 1"),
        (["check", "imagenet", "--at", "nowhere"], "nowhere: expected the folder"),
        ([], "required"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(
    words: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["data", *words]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert not list(tmp_path.iterdir())
