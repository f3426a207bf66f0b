"""Every builder makes the same few-shot files of the same set, whichever form it comes in."""

from __future__ import annotations

import csv
import io
import json
import pickle
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from zoolib.data import fewshot_build
from zoolib.data.attrshapes import attrshapes
from zoolib.data.attrshapes_files import UNKNOWN, write_sources
from zoolib.data.fewshot import SPLITS, read_sets
from zoolib.data.fewshot_build import decode, shuffles
from zoolib.data.fewshot_folders import build_fewshot
from zoolib.data.fewshot_store import check_manifest
from zoolib.data.miniimagenet import build_miniimagenet, read_labels
from zoolib.data.tieredimagenet import build_tieredimagenet
from zoolib.data.word_source import NO_WORDS, Words
from zoolib.errors import ConfigError, DataError

SIZE = 12


@pytest.fixture(scope="session")
def forms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The generated set in every form; not to be written to."""
    root = tmp_path_factory.mktemp("attrshapes")
    write_sources(root, size=SIZE, per_class=2)
    return root


@pytest.fixture
def mini(forms: Path, tmp_path: Path) -> Path:
    """A copy of one form, to be spoilt."""
    return Path(shutil.copytree(forms / "mini", tmp_path / "mini"))


@pytest.fixture
def tiered(forms: Path, tmp_path: Path) -> Path:
    """Likewise."""
    return Path(shutil.copytree(forms / "tiered", tmp_path / "tiered"))


def build_mini(mini: Path, to: Path, words: Words = NO_WORDS, **changes: object) -> dict:
    given = {"labels": mini / "labels.txt", "size": SIZE, **changes}
    return build_miniimagenet(mini, mini / "images.zip", to, words=words, **given)


def assert_same_files(found: Path, forms: Path) -> None:
    for expected in (p for p in (forms / "npz").iterdir() if p.suffix in (".npz", ".txt")):
        assert (found / expected.name).read_bytes() == expected.read_bytes(), expected.name
    check_manifest(found)


def test_the_forms_hold_the_generated_set(forms: Path) -> None:
    found, drawn = read_sets(forms / "npz"), attrshapes(SIZE, 2)
    orders = shuffles({split: len(drawn[split].images) for split in SPLITS})
    for split in SPLITS:
        np.testing.assert_array_equal(found[split].images, drawn[split].images[orders[split]])
        np.testing.assert_array_equal(found[split].class_of, drawn[split].class_of[orders[split]])
        np.testing.assert_array_equal(found[split].vectors, drawn[split].vectors)
    assert UNKNOWN in found["train"].names[0] and "-" in found["train"].names[1]
    assert found["test"].names == drawn["test"].names
    before = {p: p.stat().st_mtime_ns for p in forms.rglob("*.npz")}
    write_sources(forms, size=SIZE, per_class=2)
    assert before == {p: p.stat().st_mtime_ns for p in forms.rglob("*.npz")}
    with pytest.raises(DataError, match="holds attrshapes made with"):
        write_sources(forms, size=SIZE, per_class=3)


@pytest.mark.parametrize(
    "file", ["vectors.txt", "vectors_header.vec", "vectors.txt.gz", "vectors.zip"]
)
def test_miniimagenet(file: str, forms: Path, tmp_path: Path) -> None:
    manifest = build_mini(forms / "mini", tmp_path, Words(forms / file))
    assert_same_files(tmp_path, forms)
    words = manifest["splits"]["train"]["words"]
    assert words["source"]["file"] == file and words["source"]["policy"] == "zero"
    assert words["classes"][0]["missing"] == [UNKNOWN] and not words["classes"][1]["missing"]
    assert len(words["classes"][1]["found"]) == 3  # the hyphenated one
    assert manifest["settings"]["channels"] == "RGB"


def test_jpegs_in_a_zip(forms: Path, mini: Path, tmp_path: Path) -> None:
    """As the real set has them: the same but for the coding."""
    with zipfile.ZipFile(forms / "mini/images.zip") as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(mini / "images.zip", "w") as archive:
        for name, content in contents.items():
            buffer = io.BytesIO()
            Image.open(io.BytesIO(content)).save(buffer, "JPEG", quality=98, subsampling=0)
            archive.writestr(name.replace(".png", ".jpg"), buffer.getvalue())
    for split in SPLITS:
        table = mini / f"{split}.csv"
        table.write_text(table.read_text().replace(".png", ".jpg"))
    build_mini(mini, tmp_path / "to")
    expected, found = read_sets(forms / "npz", words=False), read_sets(tmp_path / "to")
    for split in SPLITS:
        np.testing.assert_array_equal(found[split].class_of, expected[split].class_of)
        difference = found[split].images.astype(int) - expected[split].images
        assert 0 < np.abs(difference).mean() < 2


def test_tieredimagenet(forms: Path, tmp_path: Path) -> None:
    words = Words(forms / "vectors.txt")
    manifest = build_tieredimagenet(forms / "tiered", tmp_path / "rgb", words, "RGB", SIZE)
    assert_same_files(tmp_path / "rgb", forms)
    assert manifest["splits"]["val"]["words"]["source"]["rule"] == "tiered"
    faithful = build_tieredimagenet(forms / "tiered", tmp_path / "bgr", words, size=SIZE)
    assert faithful["settings"]["channels"] == "BGR"
    assert faithful["splits"]["val"]["words"]["source"]["policy"] == "random"
    expected, found = read_sets(forms / "npz"), read_sets(tmp_path / "bgr")
    for split in SPLITS:
        np.testing.assert_array_equal(found[split].images[..., ::-1], expected[split].images)


def test_own_folders(forms: Path, tmp_path: Path) -> None:
    build_fewshot(
        tmp_path,
        forms / "folders",
        names=forms / "names.txt",
        words=Words(forms / "vectors.txt"),
        size=SIZE,
    )
    assert_same_files(tmp_path, forms)


def test_own_matrix(forms: Path, tmp_path: Path) -> None:
    """Vectors of another source and dimension, found by the classes' names."""
    names = [n for split in read_sets(forms / "npz").values() for n in split.names]
    path = tmp_path / "own.npz"
    np.savez(path, names=np.array(names[::-1]), vectors=np.arange(700.0).reshape(100, 7))
    build_mini(forms / "mini", tmp_path / "mini", Words(matrix=path))
    build_tieredimagenet(forms / "tiered", tmp_path / "tiered", Words(matrix=path), "RGB", SIZE)
    for folder in ("mini", "tiered"):
        found = read_sets(tmp_path / folder)
        assert found["train"].vectors[0].tolist() == list(range(693, 700))
    np.savez(path, names=np.array(names[1:]), vectors=np.ones((99, 7)))
    with pytest.raises(DataError, match=f"none for .* {UNKNOWN}"):
        build_mini(forms / "mini", tmp_path / "less", Words(matrix=path))
    with pytest.raises(ConfigError, match="a vector file or a matrix"):
        Words(forms / "vectors.txt", path)


def test_pictures_are_cut_square_and_resized() -> None:
    wide = np.zeros((20, 32, 3), np.uint8)
    wide[:, 6:26] = np.random.default_rng(0).integers(0, 256, (20, 20, 3))
    buffer = io.BytesIO()
    Image.fromarray(wide).save(buffer, "PNG")
    np.testing.assert_array_equal(decode(buffer.getvalue(), 20), wide[:, 6:26])
    expected = Image.fromarray(wide[:, 6:26]).resize((9, 9), Image.BILINEAR)
    np.testing.assert_array_equal(decode(buffer.getvalue(), 9), np.asarray(expected))
    grey = io.BytesIO()
    Image.fromarray(wide[..., 0]).save(grey, "JPEG")
    assert decode(grey.getvalue(), 16).shape == (16, 16, 3)


def test_the_shuffle_stays_what_it_is() -> None:
    orders = shuffles({"train": 5, "val": 4, "test": 3})
    told = {k: v.tolist() for k, v in orders.items()}
    assert told == {"val": [2, 3, 0, 1], "test": [1, 0, 2], "train": [1, 0, 4, 2, 3]}


def test_a_build_that_was_stopped_goes_on(
    forms: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words, plain, left = Words(forms / "vectors.txt"), fewshot_build.decode, [130]

    def tired(content: bytes, size: int) -> np.ndarray:
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        return plain(content, size)

    monkeypatch.setattr(fewshot_build, "decode", tired)
    with pytest.raises(KeyboardInterrupt):
        build_mini(forms / "mini", tmp_path, words)
    with pytest.raises(DataError, match="not finished"):
        check_manifest(tmp_path)
    before = (tmp_path / "few-shot-train.npz").stat().st_mtime_ns
    assert not (tmp_path / "few-shot-val.npz").exists()
    monkeypatch.undo()
    build_mini(forms / "mini", tmp_path, words)
    assert_same_files(tmp_path, forms)
    assert (tmp_path / "few-shot-train.npz").stat().st_mtime_ns == before
    with pytest.raises(DataError, match="was built with settings image_size: 12, not 13"):
        build_mini(forms / "mini", tmp_path, words, size=13)


def test_a_build_writes_over_nothing(forms: Path, tmp_path: Path) -> None:
    (tmp_path / "few-shot-train.npz").write_bytes(b"mine")
    with pytest.raises(DataError, match="nothing was overwritten"):
        build_mini(forms / "mini", tmp_path)
    assert (tmp_path / "few-shot-train.npz").read_bytes() == b"mine"


def test_bad_miniimagenet(mini: Path, tmp_path: Path) -> None:
    to = tmp_path / "to"
    table, labels = mini / "val.csv", mini / "labels.txt"
    good, said = table.read_text(), labels.read_text()
    row = good.splitlines()[1]

    def refused(message: str, **changes: object) -> None:
        with pytest.raises(DataError, match=message):
            build_mini(mini, to, **changes)
        assert not list(to.glob("*.npz"))

    for text, message in [
        ("a,b\n", "expected the columns filename and label"),
        (good + row + "\n", "every file once"),
        (good + "x.png,\n", "line 34"),
        (good + "gone.png,n99000000\n", "missing: gone.png"),
        (good + (mini / "train.csv").read_text().splitlines()[1] + "\n", "no class in common"),
        ("filename,label\n", "there are no lines"),
    ]:
        table.write_text(text)
        labels.write_text(said + "n99000000 101 another\n" if "n99000000" not in said else said)
        refused(message)
    table.write_text(good)
    labels.write_text(said.splitlines()[0])
    refused("a name for every class, none for")
    labels.write_text("n1 house\n")
    refused("an identifier, a number and a name in every line")
    labels.write_text(said)
    table.unlink()
    refused("expected the split tables")
    table.write_text(good)
    with zipfile.ZipFile(mini / "images.zip", "a") as archive:
        archive.writestr(f"other/{row.split(',')[0]}", b"x")
    refused("several files are called")


def test_unreadable_pictures_are_all_named(mini: Path, tmp_path: Path) -> None:
    with (mini / "test.csv").open() as file:
        names = [r["filename"] for r in csv.DictReader(file)]
    with zipfile.ZipFile(mini / "images.zip") as archive:
        contents = {n: archive.read(n) for n in archive.namelist()}
    contents[f"images/{names[3]}"] = b"no picture"
    contents[f"images/{names[7]}"] = contents[f"images/{names[7]}"][:60]
    folder = tmp_path / "unpacked"  # a folder does as well as a zip
    (folder / "images").mkdir(parents=True)
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    with pytest.raises(DataError, match="but 2 of 40 cannot") as caught:
        build_miniimagenet(mini, folder, tmp_path / "to", size=SIZE)
    assert names[3] in str(caught.value) and names[7] in str(caught.value)
    assert not (tmp_path / "to/few-shot-test.npz").exists()
    with pytest.raises(DataError, match="expected a folder or a zip"):
        build_miniimagenet(mini, mini / "val.csv", tmp_path / "to", size=SIZE)


def test_names_that_come_twice_get_their_identifier(mini: Path, tmp_path: Path) -> None:
    """As crane and maillot do in ImageNet. The words are those of the plain name."""
    labels = mini / "labels.txt"
    ids = list(read_labels(labels))
    lines = [f"{wnid} {i} {'red_ring' if i < 2 else f'class_{i}'}" for i, wnid in enumerate(ids)]
    labels.write_text("\n".join(lines))
    build_mini(mini, tmp_path / "to")
    assert read_sets(tmp_path / "to")["train"].names[:3] == (
        f"red ring ({ids[0]})",
        f"red ring ({ids[1]})",
        "class 2",
    )


def test_bad_tieredimagenet(tiered: Path, tmp_path: Path) -> None:
    labels, images = tiered / "val_labels.pkl", tiered / "val_images_png.pkl"
    good = pickle.loads(labels.read_bytes())

    def refused(message: str, **changes: object) -> None:
        labels.write_bytes(pickle.dumps({**good, **changes}))
        with pytest.raises(DataError, match=message):
            build_tieredimagenet(tiered, tmp_path / "to", size=SIZE)

    names = list(good["label_specific_str"])
    refused("val_labels.pkl: this pickle asks for", extra=Path("x"))
    refused("from 0 to 16 for each picture, as there are 17", label_specific_str=[*names, "x"])
    refused("names that are not empty", label_specific_str=[*names[:-1], " "])
    train = pickle.loads((tiered / "train_labels.pkl").read_bytes())["label_specific_str"]
    refused("train and val to have no class in common", label_specific_str=[*names[:-1], train[5]])
    labels.write_bytes(pickle.dumps([1]))
    with pytest.raises(DataError, match="a dictionary with label_specific"):
        build_tieredimagenet(tiered, tmp_path / "to", size=SIZE)
    labels.write_bytes(pickle.dumps(good))
    images.write_bytes(pickle.dumps([b"x"]))
    with pytest.raises(DataError, match="a list of 32 PNG files"):
        build_tieredimagenet(tiered, tmp_path / "to", size=SIZE)
    images.unlink()
    with pytest.raises(DataError, match="val_images_png.pkl: expected a pickle, found no such"):
        build_tieredimagenet(tiered, tmp_path / "other", size=SIZE)
    with pytest.raises(ConfigError, match="channels: expected BGR or RGB"):
        build_tieredimagenet(tiered, tmp_path / "to", channels="HSV")


@pytest.mark.parametrize("protocol", [2, 4])
def test_pictures_as_bytes_and_names_twice(protocol: int, tiered: Path, tmp_path: Path) -> None:
    """crane is two classes; pickled pictures may be bytes, and text where Python 2 wrote them."""
    for split in ("train", "test"):
        path = tiered / f"{split}_labels.pkl"
        table = pickle.loads(path.read_bytes())
        table["label_specific_str"][4] = "crane"
        if split == "test":  # with Python 3's bytes for keys and names
            names = [name.encode() for name in table["label_specific_str"]]
            ids = table["label_specific"].tolist()
            table = {b"label_specific": ids, b"label_specific_str": names}
        path.write_bytes(pickle.dumps(table, protocol=protocol))
    for number, split in enumerate(SPLITS):
        path = tiered / f"{split}_images_png.pkl"
        pictures = [p.tobytes() for p in pickle.loads(path.read_bytes())]
        as_text = [p.decode("latin-1") for p in pictures]
        path.write_bytes(pickle.dumps([pictures, as_text][number % 2], protocol=protocol))
    build_tieredimagenet(tiered, tmp_path / "to", channels="RGB", size=SIZE)
    found = read_sets(tmp_path / "to")
    assert (found["train"].names[4], found["test"].names[4]) == (
        "crane (train 4)",
        "crane (test 4)",
    )


# ---- one's own


def test_own_classes_are_split_by_the_seed_or_a_file(forms: Path, tmp_path: Path) -> None:
    base = forms / "folders/val"  # 16 classes
    first = build_fewshot(tmp_path / "a", base, size=SIZE, seed=3)
    again = build_fewshot(tmp_path / "b", base, size=SIZE, seed=3)
    other = build_fewshot(tmp_path / "c", base, size=SIZE, seed=4)
    assert first["splits"] == again["splits"] != other["splits"]
    assert [first["splits"][s]["classes"] for s in SPLITS] == [10, 3, 3]
    names = sorted(p.name for p in base.iterdir())
    lines = [
        f"{n},{'train' if i < 8 else 'val' if i < 12 else 'test'}" for i, n in enumerate(names)
    ]
    (tmp_path / "splits.csv").write_text("\n".join(lines))
    build_fewshot(tmp_path / "d", base, splits=tmp_path / "splits.csv", size=SIZE)
    found = read_sets(tmp_path / "d")
    assert [found[s].names for s in SPLITS] == [
        tuple(names[:8]),
        tuple(names[8:12]),
        tuple(names[12:]),
    ]
    with pytest.raises(ConfigError, match="shares"):
        build_fewshot(tmp_path / "e", base, shares=(1, 0, 0), size=SIZE)


def test_own_table(forms: Path, tmp_path: Path) -> None:
    rows = ["path,label,split"]
    for split in SPLITS:
        for path in sorted((forms / "folders" / split).rglob("*.png")):
            rows.append(f"{path},{path.parent.name},{split}")
    table = tmp_path / "mine.csv"
    table.write_text("\n".join(rows))
    given = {"names": forms / "names.txt", "words": Words(forms / "vectors.txt"), "size": SIZE}
    build_fewshot(tmp_path / "to", table=table, **given)
    assert_same_files(tmp_path / "to", forms)
    table.write_text("\n".join([*rows, rows[1].replace(",train", ",test")]))
    with pytest.raises(DataError, match="every class in one split only"):
        build_fewshot(tmp_path / "b", table=table, size=SIZE)
    table.write_text("\n".join([*rows, "gone.png,x,train"]))
    with pytest.raises(DataError, match="missing: .*gone.png"):
        build_fewshot(tmp_path / "b", table=table, size=SIZE)
    with pytest.raises(ConfigError, match="folders or a table"):
        build_fewshot(tmp_path / "b")


def test_bad_own_folders(forms: Path, tmp_path: Path) -> None:
    base = Path(shutil.copytree(forms / "folders", tmp_path / "folders"))
    names = tmp_path / "names.txt"

    def refused(message: str, **changes: object) -> None:
        with pytest.raises(DataError, match=message):
            build_fewshot(tmp_path / "to", base, size=SIZE, **changes)

    names.write_text("n99000000\tred disc\n")
    refused("a name for every class, none for", names=names)
    listed = (forms / "names.txt").read_text()
    names.write_text(listed + listed.splitlines()[0] + "\n")
    refused("twice: n99", names=names)
    first = listed.splitlines()[0].split("\t")
    names.write_text(listed.replace(listed.splitlines()[3].split("\t")[1], first[1]))
    refused("several are called", names=names)
    shared = sorted((base / "val").iterdir())[0]
    shutil.copytree(shared, base / "train" / shared.name)
    refused(f"every class in one split only, found {shared.name}")
    shutil.rmtree(base / "val")
    shutil.rmtree(base / "test")
    for folder in sorted((base / "train").iterdir())[2:]:
        shutil.rmtree(folder)
    base = base / "train"
    refused("at least 3 classes to split, found 2")
    base = tmp_path / "nowhere"
    refused("expected a folder of class folders")


def test_the_manifest_names_no_place(forms: Path, tmp_path: Path) -> None:
    build_mini(forms / "mini", tmp_path, Words(forms / "vectors.txt"))
    text = (tmp_path / "few-shot.json").read_text()
    assert str(forms) not in text and str(tmp_path) not in text
    assert json.loads(text)["settings"]["words"]["vectors"] == "vectors.txt"
