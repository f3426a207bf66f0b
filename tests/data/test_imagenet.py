"""The explore step: devkit, layouts in folders and archives, boxes, and what is refused."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest

from zoolib.data.imagenet import explore_imagenet, load_boxes, write_exploration
from zoolib.data.imagenet_boxes import parse_boxes, read_boxes
from zoolib.data.imagenet_devkit import TRUTH, read_devkit
from zoolib.data.matfile import read_tables, write_table
from zoolib.data.shapes_files import write_shapes
from zoolib.errors import DataError


def annotation(*objects: str, size: str = "<width>100</width><height>50</height>") -> bytes:
    return f"<annotation><size>{size}</size>{''.join(objects)}</annotation>".encode()


def thing(name: str, *corners: float) -> str:
    tags = zip(("xmin", "ymin", "xmax", "ymax"), corners)
    inner = "".join(f"<{t}>{v}</{t}>" for t, v in tags)
    return f"<object><name>{name}</name><bndbox>{inner}</bndbox></object>"


def test_matlab_tables_round_trip(tmp_path: Path) -> None:
    rows = [
        {"ILSVRC2012_ID": i, "WNID": f"n{i:08d}", "words": "é, naïve" * i, "x": i / 3}
        for i in range(1, 40)
    ]
    write_table(tmp_path / "a.mat", "synsets", rows)
    assert read_tables((tmp_path / "a.mat").read_bytes(), "a")["synsets"] == rows


def test_matlab_files_as_scipy_writes_and_reads_them(tmp_path: Path) -> None:
    scipy_io = pytest.importorskip("scipy.io")
    kinds = [("ILSVRC2012_ID", "O"), ("WNID", "O"), ("words", "O"), ("children", "O")]
    table = np.zeros((3, 1), dtype=kinds)
    for i in range(3):
        table[i, 0] = (np.uint16(i + 1), f"n{i:08d}", "kit fox, Vulpes", np.arange(i * 2.0))
    for packed in (True, False):
        scipy_io.savemat(tmp_path / "b.mat", {"synsets": table, "z": 1}, do_compression=packed)
        rows = read_tables((tmp_path / "b.mat").read_bytes(), "b")["synsets"]
        assert [row["ILSVRC2012_ID"] for row in rows] == [1, 2, 3]
        assert rows[2]["words"] == "kit fox, Vulpes"
        np.testing.assert_array_equal(rows[2]["children"], np.arange(4.0))
    write_table(tmp_path / "c.mat", "synsets", [{"WNID": "n1", "n": 2.5}, {"WNID": "x", "n": 3}])
    read = scipy_io.loadmat(tmp_path / "c.mat", squeeze_me=True)["synsets"]
    assert list(read["WNID"]) == ["n1", "x"] and list(read["n"]) == [2.5, 3]


def test_damaged_matlab_file(tmp_path: Path, drawn: Path) -> None:
    content = (drawn / "devkit/data/meta.mat").read_bytes()
    for broken in (content[:-30], content[:140], b"", b"x" * 200):
        with pytest.raises(DataError, match="meta"):
            if not read_tables(broken, "meta"):
                raise DataError("meta: nothing in it")


def imagenet_devkit(place: Path, order: list[str], inner: int = 3) -> None:
    place.mkdir(parents=True)
    rows = [
        {"ILSVRC2012_ID": i, "WNID": wnid, "words": f"thing {wnid}", "num_children": 0.0}
        for i, wnid in enumerate(order, 1)
    ]
    for i in range(inner):  # nodes of the hierarchy, as the real file has 860 of
        number = len(order) + 1 + i
        rows.insert(2 * i, {**rows[0], "ILSVRC2012_ID": number, "num_children": 7.0})
    write_table(place / "meta.mat", "synsets", rows)
    (place / TRUTH).write_text("1\n449\n1000\n")


def thousand() -> list[str]:
    """A thousand ids in an order of which two places are known."""
    ids = [f"n0{2200000 + 7 * i}" for i in range(1000)]
    ids[0], ids[448] = "n02119789", "n01440764"
    return ids


def test_class_ids_are_those_of_the_devkit(tmp_path: Path) -> None:
    imagenet_devkit(tmp_path / "kit/data", thousand())
    kit = read_devkit(tmp_path / "kit")
    assert len(kit.wnids) == 1000
    assert kit.ids["n02119789"] == 0 and kit.ids["n01440764"] == 448
    assert kit.truth == (0, 448, 999)


def test_sorted_synsets_are_refused(tmp_path: Path) -> None:
    lines = "".join(f"{wnid} some words\n" for wnid in sorted(thousand()))
    (tmp_path / "synsets.txt").write_text(lines)
    (tmp_path / TRUTH).write_text("1\n")
    with pytest.raises(DataError, match="devkit order"):
        read_devkit(tmp_path)


def test_devkit_as_text_and_as_archive(tmp_path: Path, drawn: Path) -> None:
    kit = read_devkit(drawn / "devkit")
    with tarfile.open(tmp_path / "ILSVRC2012_devkit_t12.tar.gz", "w:gz") as archive:
        archive.add(drawn / "devkit", "ILSVRC2012_devkit_t12")
    assert read_devkit(tmp_path / "ILSVRC2012_devkit_t12.tar.gz") == kit
    text = "".join(f"{w} {n}\n" for w, n in zip(kit.wnids, kit.words))
    (tmp_path / "synsets.txt").write_text(text)
    shutil.copy(drawn / "devkit/data" / TRUTH, tmp_path)
    plain = read_devkit(tmp_path)
    assert (plain.wnids, plain.words, plain.truth) == (kit.wnids, kit.words, kit.truth)


@pytest.mark.parametrize(
    ("truth", "message"), [("1\n5\n", "devkit ids 1 to 4, got 5"), ("1\nx\n", "got x")]
)
def test_labels_out_of_range_are_refused(raw: Path, truth: str, message: str) -> None:
    (raw / "devkit/data" / TRUTH).write_text(truth)
    with pytest.raises(DataError, match=message):
        explore_imagenet(raw)


def test_boxes_are_put_right_clipped_and_filtered() -> None:
    content = annotation(
        thing("n1", 10, 10, 60, 30),
        thing("n1", -5, -5, 120, 25),  # reaches out
        thing("n1", 60, 30, 10, 10),  # swapped corners
        thing("n2", 0, 0, 50, 50),  # another thing
        thing("n1", 20, 10, 20, 30),  # without area
        thing("n1", 101, 10, 130, 30),  # outside
    )
    expected = [[0.1, 0.2, 0.6, 0.6], [0, 0, 1, 0.5], [0.1, 0.2, 0.6, 0.6]]
    np.testing.assert_allclose(parse_boxes(content, "n1"), expected, atol=1e-6)
    assert parse_boxes(content, "n3").shape == (0, 4)
    for bad in (b"<a", annotation(size=""), annotation(size="<width>0</width><height>5</height>")):
        with pytest.raises(ValueError):
            parse_boxes(bad, "n1")


def test_boxes_from_folder_and_archive(tmp_path: Path) -> None:
    place = tmp_path / "boxes/n1"
    place.mkdir(parents=True)
    (place / "n1_0.xml").write_bytes(annotation(thing("n1", 0, 0, 50, 25)))
    (place / "n1_1.xml").write_bytes(annotation())
    (place / "n1_2.xml").write_bytes(b"no xml")
    found, notes = read_boxes(tmp_path / "boxes")
    assert set(found) == {"n1_0"}
    assert [note[0] for note in notes] == ["n1/n1_2.xml"]
    with tarfile.open(tmp_path / "boxes.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "boxes", "deep/er")
    again, _ = read_boxes(tmp_path / "boxes.tar.gz")
    np.testing.assert_array_equal(again["n1_0"], found["n1_0"])
    (tmp_path / "none").mkdir()
    with pytest.raises(DataError, match="found none"):
        read_boxes(tmp_path / "none")


def pixels_by_name(images: Path) -> list[tuple[str, int, bytes]]:
    found = explore_imagenet(images)
    rows = [*found.splits["train"], *found.splits["val"]]
    return sorted((row.name.rpartition("/")[2], row.label, row.read()) for row in rows)


def add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    archive.addfile(member, io.BytesIO(content))


def test_archives_give_what_folders_give_and_nothing_is_unpacked(
    drawn: Path, tmp_path: Path
) -> None:
    packed = tmp_path / "in" / "packed"
    packed.mkdir(parents=True)
    shutil.copytree(drawn / "devkit", packed / "devkit")
    with tarfile.open(packed / "ILSVRC2012_img_train.tar", "w") as outer:
        for number, folder in enumerate(sorted((drawn / "train").iterdir())):
            inner = io.BytesIO()
            with tarfile.open(fileobj=inner, mode="w") as archive:
                for file in sorted(folder.iterdir()):
                    name = f"../../{file.name}" if number == 0 else file.name
                    add(archive, name, file.read_bytes())
                link = tarfile.TarInfo("evil.JPEG")
                link.type, link.linkname = tarfile.SYMTYPE, "/etc/hostname"
                archive.addfile(link)
            add(outer, f"{folder.name}.tar", inner.getvalue())
    with tarfile.open(packed / "ILSVRC2012_img_val.tar", "w") as archive:
        for file in (drawn / "val").iterdir():
            add(archive, file.name, file.read_bytes())
    before = sorted(tmp_path.rglob("*"))
    assert pixels_by_name(packed) == pixels_by_name(drawn)
    assert sorted(tmp_path.rglob("*")) == before

    with (packed / "ILSVRC2012_img_val.tar").open("r+b") as file:
        file.truncate(700)
    with pytest.raises(DataError, match="tar archive|labels without"):
        explore_imagenet(packed)


def test_class_archives_in_the_training_folder(raw: Path) -> None:
    expected = pixels_by_name(raw)
    folder = sorted((raw / "train").iterdir())[1]
    with tarfile.open(raw / "train" / f"{folder.name}.tar", "w") as archive:
        for file in folder.iterdir():
            archive.add(file, f"any/where/{file.name}")
    shutil.rmtree(folder)
    assert pixels_by_name(raw) == expected


def test_files_of_the_explore_step(drawn: Path, tmp_path: Path) -> None:
    found = explore_imagenet(drawn, boxes=drawn / "annotations")
    write_exploration(found, tmp_path)
    encoding = json.loads((tmp_path / "integer_encoding.json").read_text())
    kit = read_devkit(drawn / "devkit")
    assert encoding == kit.ids
    words = json.loads((tmp_path / "wordnet_decoder.json").read_text())
    assert words == dict(zip(kit.wnids, kit.words))
    lines = (tmp_path / "training_metadata.csv").read_text().splitlines()
    assert lines[0] == "path,wordnet_id,just_name" and len(lines) == 49
    path, wnid, name = lines[7].split(",")
    assert Path(path) == drawn / "train" / wnid / f"{name}.JPEG"
    rows = [x.split(",") for x in (tmp_path / "validation_metadata.csv").read_text().splitlines()]
    assert rows[0] == ["path", "wordnet_id"]
    truth = (drawn / "devkit/data" / TRUTH).read_text().split()
    for i, (path, wnid) in enumerate(rows[1:]):
        assert path.endswith(f"val_{i + 1:08d}.JPEG") and encoding[wnid] == int(truth[i]) - 1
    boxes = load_boxes(tmp_path / "boxes.npz")
    assert set(boxes) == set(found.boxes) and len(boxes) == 48
    for name, box in boxes.items():
        np.testing.assert_array_equal(box, found.boxes[name])
        assert (box[:, :2] < box[:, 2:]).all() and box.min() >= 0 and box.max() <= 1


def spoil(raw: Path, how: str) -> None:
    folders = sorted((raw / "train").iterdir())
    first = sorted((raw / "val").iterdir())[0]
    if how == "missing":
        shutil.rmtree(folders[2])
    elif how == "empty":
        for file in folders[1].iterdir():
            file.unlink()
    elif how == "unknown":
        (raw / "train/n00000001").mkdir()
    elif how == "no image":
        first.unlink()
    elif how == "no label":
        shutil.copy(first, raw / "val/ILSVRC2012_val_00000099.JPEG")
    elif how == "unnumbered":
        shutil.copy(first, raw / "val/cat.JPEG")
    elif how == "no train":
        shutil.rmtree(raw / "train")
    elif how == "no devkit":
        shutil.rmtree(raw / "devkit")


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("missing", "missing: n99"),
        ("empty", "found none of n99"),
        ("unknown", "unknown to the devkit: n00000001"),
        ("no image", "labels without an image: image 1"),
        ("no label", "images without a label"),
        ("unnumbered", "cat.JPEG"),
        ("no train", "expected the folder train"),
        ("no devkit", "expected the ILSVRC devkit"),
    ],
)
def test_what_is_missing_is_named(raw: Path, how: str, message: str) -> None:
    spoil(raw, how)
    with pytest.raises(DataError, match=message):
        explore_imagenet(raw)


def test_other_files_and_counts_are_reported(raw: Path) -> None:
    folder = sorted((raw / "train").iterdir())[0]
    (folder / "notes.txt").write_text("x")
    (folder / f"{folder.name}_0.JPEG").unlink()
    found = explore_imagenet(raw)
    assert [note[0] for note in found.notes] == [f"{folder.name}/notes.txt", folder.name]
    assert len(found.splits["train"]) == 47


def test_drawn_set_is_not_drawn_twice_nor_mixed(tmp_path: Path) -> None:
    write_shapes(tmp_path, classes=1, train=2, validation=1, size=16)
    before = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*")}
    write_shapes(tmp_path, classes=1, train=2, validation=1, size=16)
    assert before == {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*")}
    with pytest.raises(DataError, match="Take another folder"):
        write_shapes(tmp_path, classes=2, train=2, validation=1, size=16)
