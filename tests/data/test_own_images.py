"""A user's own pictures: folders, tables, splits, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from zoolib.data.own_images import from_folders, from_table
from zoolib.data.record_builder import build_records
from zoolib.data.record_index import open_index
from zoolib.data.record_plan import RecordOptions
from zoolib.errors import ConfigError, DataError


def paint(path: Path, shade: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (9, 7), (shade, 5, 5)).save(path)


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    for name, count in (("cat", 10), ("dog", 4), ("eel", 2)):
        for i in range(count):
            paint(tmp_path / "mine" / name / f"{i}.{'png' if i % 2 else 'jpg'}", 20 * i)
    return tmp_path / "mine"


def test_every_class_is_split_by_the_seed(folders: Path) -> None:
    found = from_folders(folders, validation=0.2, seed=3)
    assert found.classes == (("cat", "cat"), ("dog", "dog"), ("eel", "eel"))
    count = {
        split: [sum(p.label == c for p in rows) for c in range(3)]
        for split, rows in found.splits.items()
    }
    assert count == {"train": [8, 3, 1], "val": [2, 1, 1]}
    assert found.splits == from_folders(folders, 0.2, seed=3).splits
    assert found.splits != from_folders(folders, 0.2, seed=4).splits
    assert not set(found.splits["train"]) & set(found.splits["val"])


def test_folders_that_are_split_already(tmp_path: Path) -> None:
    for split in ("train", "validation"):
        for name in ("a", "b"):
            paint(tmp_path / split / name / "1.png", 9)
    found = from_folders(tmp_path)
    assert [p.name for p in found.splits["val"]] == ["a/1.png", "b/1.png"]
    paint(tmp_path / "train/c/1.png", 9)
    with pytest.raises(DataError, match="only in one of them: c"):
        from_folders(tmp_path)


def test_pictures_of_other_formats_become_records(folders: Path, tmp_path: Path) -> None:
    found = from_folders(folders, 0.25)
    manifest = build_records(found, tmp_path / "to", RecordOptions(odd="convert"))
    assert manifest["splits"]["train"]["left_out"] == 0
    assert open_index(tmp_path / "to", "val").classes == ("cat", "dog", "eel")


def table(folder: Path, text: str) -> Path:
    (folder / "list.csv").write_text(text)
    return folder / "list.csv"


def test_tables(folders: Path) -> None:
    rows = [f"cat/{i}.{'png' if i % 2 else 'jpg'}" for i in range(6)]
    text = "label, path\n" + "".join(f"{10 if i < 3 else 9},{p}\n" for i, p in enumerate(rows))
    found = from_table(table(folders, "\ufeff" + text), 0.4)
    assert found.classes == (("9", "9"), ("10", "10"))
    assert len(found.splits["train"]) == 4 and len(found.splits["val"]) == 2
    assert {p.path for p in found.splits["train"]} <= {str(folders / row) for row in rows}
    parts = "path,label,split\n" + "".join(
        f"{p},x,{'val' if i == 2 else 'train'}\n" for i, p in enumerate(rows)
    )
    assert [p.name for p in from_table(table(folders, parts)).splits["val"]] == ["cat/2.jpg"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,name\na,b\n", "expected the columns path and label"),
        ("", "found none"),
        ("path,label\n", "there are no lines"),
        ("path,label\ncat/0.jpg,\n", "empty: line 2"),
        ("path,label\nno.jpg,a\ncat/0.jpg,a\n", "missing: .*no.jpg"),
        ("path,label\ncat/0.jpg,a\ncat/0.jpg,b\n", "twice or more"),
        ("path,label\ncat/0.jpg,a\ncat/1.png,b\n", "at least 2 pictures of every class.*a, b"),
        ("path,label,split\ncat/0.jpg,a,dev\n", "expected train or val, got 'dev'"),
    ],
)
def test_bad_tables(folders: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        from_table(table(folders, text))


def test_bad_shares_and_places(folders: Path) -> None:
    for share in (0, 1, -0.5):
        with pytest.raises(ConfigError, match="share between 0 and 1"):
            from_folders(folders, share)
    with pytest.raises(DataError, match="no such folder"):
        from_folders(folders / "nowhere")
    with pytest.raises(DataError, match="CSV file"):
        from_table(folders / "nowhere.csv")
