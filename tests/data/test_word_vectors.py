"""Word vectors: every file form, the rules for names, the report, and what is refused."""

from __future__ import annotations

import gzip
import logging
import zipfile
from pathlib import Path

import numpy as np
import pytest

from zoolib.data.word_vectors import class_vectors, from_matrix, spellings, words_of
from zoolib.errors import ConfigError, DataError

LINES = [
    ". . . 9 9 9",
    "house 1 0 0",
    "finch 0 1 0",
    "house finch 7 7 7",
    "Limpkin 0 0 1",
    "three 2 0 0",
    "toed 0 2 0",
    "sloth 0 0 2",
    "caf\u00e9\u00a0bar 5 5 5",
    "GOOSE 4 0 0",
    "finch 8 8 8",
    "zebra -1 1e-1 3.5",
]
TEXT = "".join(line + "\n" for line in LINES)


@pytest.fixture
def glove(tmp_path: Path) -> Path:
    path = tmp_path / "glove.3d.txt"
    path.write_text(TEXT, encoding="utf-8")
    return path


def test_names_become_words() -> None:
    assert words_of("House_finch") == ["house", "finch"]
    assert words_of("red  striped square") == ["red", "striped", "square"]
    assert words_of("three-toed_sloth") == ["three-toed", "sloth"]
    assert words_of("house finch, linnet, Carpodacus", "tiered") == ["house", "finch"]
    assert words_of("Arctic fox, white fox", "tiered") == ["Arctic", "fox"]
    for name in ("limpkin", "otterhound", "barracouta", "lycaenid"):
        assert words_of(f"{name}, Other Name, third", "tiered") == ["Other", "Name"]
    assert words_of("limpkin", "tiered") == ["limpkin"]
    assert spellings("goose") == ["goose", "Goose", "GOOSE"]
    with pytest.raises(ConfigError, match="rule"):
        words_of("x", "clever")


def test_means_of_the_words_found(glove: Path) -> None:
    rows, coverage = class_vectors(["house_finch", "zebra", "house_wren"], glove)
    np.testing.assert_array_equal(rows, [[0.5, 0.5, 0], [-1, 0.1, 3.5], [1, 0, 0]])
    assert rows.dtype == np.float64
    assert coverage.found == (("house", "finch"), ("zebra",), ("house",))
    assert coverage.missing == ((), (), ("wren",))
    assert coverage.partial == ("house_wren",) and coverage.unknown == ()
    assert coverage.source["duplicates"] == 1 and coverage.source["header"] is None
    assert coverage.source["file"] == "glove.3d.txt" and len(coverage.source["sha256"]) == 64
    assert "2 of 3 classes" in coverage.summary() and "house_wren" in coverage.summary()
    assert coverage.rows()[2] == {"name": "house_wren", "found": ["house"], "missing": ["wren"]}


def test_other_spellings_and_hyphens(glove: Path) -> None:
    names = ["three-toed_sloth", "limpkin", "goose"]
    rows, coverage = class_vectors(names, glove)
    np.testing.assert_allclose(rows, [[2 / 3, 2 / 3, 2 / 3], [0, 0, 1], [4, 0, 0]])
    assert coverage.found[0] == ("three", "toed", "sloth") and coverage.found[2] == ("GOOSE",)
    rows, coverage = class_vectors(names, glove, fallback=False)
    np.testing.assert_array_equal(rows, [[0, 0, 2], [0, 0, 0], [0, 0, 0]])
    assert coverage.missing == (("three-toed",), ("limpkin",), ("goose",))


@pytest.mark.parametrize("kind", ["header", "trailing", "tabs", "crlf", "mark", "gz", "zip", "two"])
def test_every_form_gives_the_same(kind: str, glove: Path, tmp_path: Path) -> None:
    text, path = TEXT, tmp_path / "vectors.txt"
    if kind in ("header", "trailing", "crlf"):
        text = f"{len(LINES)} 3\n" + text
    text = text.replace("\n", " \n") if kind == "trailing" else text
    text = text.replace(" 0", "\t0").replace(" 1", "\t1") if kind == "tabs" else text
    text = text.replace("\n", "\r\n") if kind == "crlf" else text
    text = "\ufeff" + "12 3\n" + text if kind == "mark" else text
    content = text.encode()
    if kind == "gz":
        path = tmp_path / "vectors.txt.gz"
        content = gzip.compress(content)
    path.write_bytes(content)
    if kind in ("zip", "two"):
        path = tmp_path / "glove.zip"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("glove.3d.txt", content)
            if kind == "two":
                archive.writestr("glove.50d.txt", "a 1\n")
    names = ["house_finch", "three-toed sloth", "zebra"]
    expected, _ = class_vectors(names, glove)
    rows, coverage = class_vectors(names, path, dimension=3)
    np.testing.assert_array_equal(rows, expected)
    assert coverage.source["header"] == (
        [12, 3] if kind in ("header", "trailing", "crlf", "mark") else None
    )
    if kind == "two":
        with pytest.raises(DataError, match="expected one file of word vectors"):
            class_vectors(names, path)


def test_words_with_spaces_are_other_words(glove: Path) -> None:
    """A line "house finch 7 7 7" is neither "house" nor "finch"."""
    rows, coverage = class_vectors(["house"], glove)
    assert rows.tolist() == [[1, 0, 0]] and coverage.source["lines"] == len(LINES)


def test_unknown_words(glove: Path, caplog: pytest.LogCaptureFixture) -> None:
    names = ["zebra", "wug", "blicket"]
    with caplog.at_level(logging.WARNING):
        rows, coverage = class_vectors(names, glove, policy="zero")
    assert "wug, blicket" in caplog.text and coverage.unknown == ("wug", "blicket")
    assert not rows[1:].any()
    rows, _ = class_vectors(names, glove, policy="random")
    again, _ = class_vectors(["blicket"], glove, policy="random")
    other, _ = class_vectors(["blicket"], glove, policy="random", seed=1)
    np.testing.assert_array_equal(rows[2], again[0])  # whichever classes are asked for with it
    assert (rows[1] != rows[2]).all() and (other != again).all()
    assert (np.abs(rows[1:]) <= 1).all() and rows[1:].any()
    with pytest.raises(DataError, match="glove.3d.txt: .* none for wug, blicket"):
        class_vectors(names, glove, policy="error")
    with pytest.raises(ConfigError, match="policy: expected one of zero, random, error"):
        class_vectors(names, glove, policy="guess")


def test_refused_files(glove: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="expected vectors of 300 numbers, found 3"):
        class_vectors(["zebra"], glove, dimension=300)

    def refused(content: bytes, message: str, name: str = "bad.txt") -> None:
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(DataError, match=message):
            class_vectors(["zebra"], path)

    refused(b"", "found none")
    refused(b"2 3\n" + TEXT.encode().replace(b" 1e-1", b""), "line 13: expected a word and 3 num")
    refused(TEXT.encode().replace(b"1e-1", b"nan"), "line 12: expected 3 finite numbers")
    refused(TEXT.encode().replace(b"1e-1", b"x"), "line 12: expected 3 finite numbers")
    refused(b"12 4\n" + TEXT.encode(), "first line says 4 numbers a word, the next ones have 3")
    refused(b"99 3\n" + TEXT.encode(), "first line says 99 words, found 12")
    refused(b"2 3\nhouse \0\1\2\n", "word2vec's binary form")
    refused(gzip.compress(TEXT.encode())[:-9], "damaged or incomplete", "bad.txt.gz")
    refused(b"PK not a zip", "expected a zip archive", "bad.zip")
    with pytest.raises(DataError, match="expected a file of word vectors, found none"):
        class_vectors(["zebra"], tmp_path / "nowhere.txt")


def test_a_large_file_is_streamed(tmp_path: Path) -> None:
    """Of 20 MB of vectors two are kept."""
    import tracemalloc

    path, row = tmp_path / "large.txt", " 0.123456" * 300
    with path.open("w") as file:
        for number in range(8000):
            file.write(f"w{number}{row}\n")
        file.write(f"zebra{row}\n")
    tracemalloc.start()
    rows, coverage = class_vectors(["zebra", "w7"], path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert rows.shape == (2, 300) and (rows == 0.123456).all()
    assert coverage.source["lines"] == 8001 and peak < 4e6


@pytest.mark.parametrize("form", ["npz", "npy", "csv", "headed csv"])
def test_a_matrix_of_ones_own(form: str, tmp_path: Path) -> None:
    names, matrix = ["Red fox", "house_finch", "zebra"], np.arange(12.0).reshape(3, 4)
    path = tmp_path / f"own.{form.split()[-1]}"
    if form == "npz":
        np.savez(path, names=np.array(names), vectors=matrix)
    elif form == "npy":
        np.save(path, matrix)
        path.with_suffix(".txt").write_text("\n".join(names))
    else:
        rows = [",".join([n, *map(str, row)]) for n, row in zip(names, matrix)]
        path.write_text("\n".join((["name,a,b,c,d"] if "headed" in form else []) + rows))
    found, coverage = from_matrix(path, ["zebra", "red_fox"])
    np.testing.assert_array_equal(found, matrix[[2, 0]])
    assert coverage.unknown == () and coverage.source["file"] == path.name
    with pytest.raises(DataError, match="none for wug"):
        from_matrix(path, ["zebra", "wug"])
    found, coverage = from_matrix(path, ["zebra", "wug"], policy="zero")
    assert not found[1].any() and coverage.unknown == ("wug",)
    with pytest.raises(DataError, match="expected vectors of 300 numbers, found 4"):
        from_matrix(path, ["zebra"], dimension=300)


def test_refused_matrices(tmp_path: Path) -> None:
    def refused(message: str, name: str = "own.npz", **arrays: np.ndarray) -> None:
        np.savez(tmp_path / "own.npz", **arrays)
        with pytest.raises(DataError, match=message):
            from_matrix(tmp_path / name, ["a"])

    two = np.ones((2, 3))
    refused("without Python objects", names=np.array(["a", "b"], object), vectors=two)
    refused("a row of numbers for each of 1 names", names=np.array(["a"]), vectors=two)
    refused("every name once", names=np.array(["a", "A"]), vectors=two)
    refused("finite", names=np.array(["a", "b"]), vectors=two * np.nan)
    refused("names", vectors=two)
    refused("found no such file", "none.npz", vectors=two)
    (tmp_path / "own.csv").write_text("a,1,2\nb,1\n")
    with pytest.raises(DataError, match="equally many numbers"):
        from_matrix(tmp_path / "own.csv", ["a"])
