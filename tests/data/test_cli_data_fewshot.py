"""`zoolib data` for few-shot sets: the four builders, the check, messages."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from zoolib.cli import main


def told(capsys: pytest.CaptureFixture[str]) -> dict:
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def test_every_builder_and_the_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    raw, size = tmp_path / "raw", ["--size", "10", "--json"]
    build = ["data", "build"]
    assert main([*build, "attrshapes", "--to", str(raw), "--per-class", "2", *size]) == 0
    first = told(capsys)
    assert (first["train"], first["val_classes"], first["test_without_words"]) == (128, 16, 0)
    words = ["--vectors", str(raw / "vectors.zip"), "--dimension", "300"]
    mini = ["--tables", str(raw / "mini"), "--images", str(raw / "mini/images.zip")]
    mini += ["--labels", str(raw / "mini/labels.txt"), *words]
    tiered = ["--pickles", str(raw / "tiered"), "--channels", "RGB", *words]
    own = ["--folders", str(raw / "folders"), "--names", str(raw / "names.txt"), *words]
    for name, options in (("miniimagenet", mini), ("tieredimagenet", tiered), ("fewshot", own)):
        to = str(tmp_path / name)
        assert main([*build, name, "--to", to, *options, *size]) == 0
        made = told(capsys)
        assert Path(made["report"]).is_file()
        for key in ("data", "folder", "report"):
            made[key] = first[key]
        assert made == first
        assert main(["data", "check", name, "--at", to, "--json"]) == 0
        assert told(capsys)["test"] == 40
    assert main(["data", "check", "attrshapes", "--at", str(raw)]) == 0
    assert "train_classes        64" in capsys.readouterr().out
    (tmp_path / "fewshot/classes-val.txt").write_text("x")
    assert main(["data", "check", "fewshot", "--at", str(tmp_path / "fewshot")]) == 2
    assert "1 of 9 files differ from few-shot.json: classes-val.txt" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["build", "miniimagenet", "--tables", "a", "--images", "b", "--to", "c"], "split tables"),
        (["build", "tieredimagenet", "--pickles", "a", "--to", "c"], "expected a pickle"),
        (["build", "fewshot", "--to", "c"], "required"),
        (["build", "fewshot", "--folders", "a", "--to", "c"], "expected a folder of class folders"),
        (["build", "fewshot", "--csv", "a", "--to", "c", "--shares", "1,2"], "shares: expected"),
        (["build", "fewshot", "--csv", "a", "--to", "c", "--policy", "x"], "policy: expected one"),
        (["build", "attrshapes", "--to", "c", "--classes", "1,1,1"], "every one of 20 words"),
        (["build", "attrshapes", "--to", "c", "--size", "2"], "8 pixels"),
        (["check", "fewshot", "--at", "nowhere"], "nowhere: expected the folder"),
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
