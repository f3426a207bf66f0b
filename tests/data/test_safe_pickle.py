"""Pickles of data sets are read, everything else is refused and nothing of it runs."""

from __future__ import annotations

import collections
import io
import pickle
import pickletools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from zoolib.data import safe_pickle
from zoolib.data.safe_pickle import Refused, load
from zoolib.errors import DataError

ARRAYS = [
    np.arange(12, dtype=np.uint8).reshape(3, 4),
    np.asfortranarray(np.arange(6, dtype=np.float32).reshape(2, 3)),
    np.array([1, 2], ">i4"),
    np.array([True, False]),
    np.array(3.5),
    np.zeros((0, 4), np.int64),
    np.array([1 + 2j]),
    np.array([1.5], np.float16),
    np.array([b"one", b"three"]),
    np.array(["één", "two"]),
]


def same(found: Any, expected: Any) -> None:
    assert type(found) is type(expected)
    if isinstance(expected, np.ndarray):
        assert found.shape == expected.shape and found.dtype == expected.dtype
        np.testing.assert_array_equal(found, expected)
    else:
        assert found == expected


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("core", [b"numpy.core.", b"numpy._core."])
def test_plain_data_of_every_protocol(protocol: int, core: bytes) -> None:
    plain = {"a": [1, -(2**70), 1.5, True, None], b"b": ("text é", b"\xff\x00", b""), 3: {}}
    scalars = [np.float32(1.5), np.int64(-3), np.bool_(True), np.str_("x")]
    content = pickle.dumps([plain, ARRAYS, scalars], protocol=protocol)
    if protocol < 4:  # later ones have the lengths of names before them
        content = content.replace(b"numpy._core.", core).replace(b"numpy.core.", core)
    found, arrays, numbers = load(content)
    assert found == plain
    for one, other in zip(arrays + numbers, ARRAYS + scalars):
        same(one, other)


def test_python_2(tmp_path: Path) -> None:
    """Texts and arrays as Python 2 wrote them: bytes without a word about encoding."""
    content = (
        b"\x80\x02}q\x00(U\x04dataq\x01cnumpy.core.multiarray\n_reconstruct\nq\x02"
        b"cnumpy\nndarray\nq\x03K\x00\x85U\x01b\x87R(K\x01K\x02K\x02\x86"
        b"cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
        b"\x89U\x04\x00\x80\xff\x07tbU\x05namesq\x09]U\x03cat\x61u."
    )
    path = tmp_path / "batch"
    path.write_bytes(content)
    for source in (path, str(path), content, io.BytesIO(content)):
        found = load(source)
        assert found["data"].tolist() == [[0, 128], [255, 7]] and found["names"] == ["cat"]
    assert load(content, encoding="bytes")[b"names"] == [b"cat"]


RAN: list[str] = []


def run(*arguments: Any) -> list[Any]:
    RAN.append("ran")
    return []


class Attack:
    """Calls a function when unpickled."""

    def __init__(self, call: Any, *arguments: Any) -> None:
        self.call, self.arguments = call, arguments

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return self.call, self.arguments


def stream(*parts: bytes) -> bytes:
    return b"\x80\x02" + b"".join(parts) + b"."


HOSTILE = {
    "function": pickle.dumps({"data": Attack(run, "x")}),
    "builtin": pickle.dumps([Attack(eval, "1")]),
    "object array": pickle.dumps(np.array([Attack(run)], object)),
    "empty object array": pickle.dumps(np.empty((0,), object)),
    "records": pickle.dumps(np.zeros(2, [("a", "i4"), ("b", "f4")])),
    "dates": pickle.dumps(np.array(["2020-01-01"], "M8[D]")),
    "set": pickle.dumps({1, 2}),
    "ordered": pickle.dumps(collections.OrderedDict(a=1)),
    "class": pickle.dumps(Attack),
    "byte array": pickle.dumps(bytearray(b"x"), protocol=5),
    "name alone": stream(b"cnumpy\nndarray\n"),
    "array class called": stream(b"cnumpy\nndarray\n(K\x02tR"),
    "bytes of a size": stream(b"c__builtin__\nbytes\nJ\xff\xff\xff\x7f\x85R"),
    "getattr": stream(b"c__builtin__\ngetattr\n"),
    "dotted": stream(b"cnumpy\ncore.multiarray._reconstruct.__globals__\n"),
    "stand-in changed": stream(b"cnumpy\ndtype\n}U\x05_makeNsb"),
    "type changed": stream(b"cnumpy\ndtype\nU\x02u1\x85R(K\x03U\x01|NNNK\x08K\x01K?tb0" * 2, b"N"),
    "object type": stream(b"cnumpy\ndtype\nU\x01O\x85R"),
    "kept elsewhere": stream(b"Pfile\n"),
    "codec": stream(b"c_codecs\nencode\nX\x01\x00\x00\x00ax\x03"[:-2] + b"U\x03rot\x86R"),
    "itself": stream(b"]q\x00h\x00a"),
    "bare array": stream(b"cnumpy.core.multiarray\n_reconstruct\n)R"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_pickles_are_refused_and_do_not_run(name: str, tmp_path: Path) -> None:
    path = tmp_path / "train_labels.pkl"
    path.write_bytes(HOSTILE[name])
    RAN.clear()
    if name == "type changed":  # changed in the way arrays of bytes are: that is allowed
        assert load(path) is None
    else:
        with pytest.raises(Refused, match="train_labels.pkl") as caught:
            load(path)
        assert caught.value.name
    assert not RAN


def test_the_refused_name_is_told() -> None:
    content = pickle.dumps(Attack(run))
    with pytest.raises(Refused, match=r"asks for .*\.run, which is not plain data") as caught:
        load(content, name="batch_1")
    assert str(caught.value).startswith("batch_1: ")


def test_an_attack_does_not_change_what_comes_after() -> None:
    for content in HOSTILE.values():
        try:
            load(content)
        except DataError:
            pass
    same(load(pickle.dumps(ARRAYS[0])), ARRAYS[0])
    assert set(safe_pickle._STAND_INS) == {
        "numpy.ndarray",
        "numpy.dtype",
        "numpy.core.multiarray._reconstruct",
        "numpy.core.multiarray.scalar",
        "numpy.core.numeric._frombuffer",
        "_codecs.encode",
        "__builtin__.bytes",
        "builtins.bytes",
    }


def test_lists_used_many_times_cost_nothing() -> None:
    value: list[Any] = []
    for _ in range(60):
        value = [value, value]
    found = load(pickle.dumps(value))
    assert found[0] is found[1] and found[0][0] is found[1][1]


def test_damaged_and_missing(tmp_path: Path) -> None:
    content = pickle.dumps({"data": ARRAYS[0]}, protocol=2)
    for broken in (content[:-20], b"", b"no pickle", content[:40]):
        with pytest.raises(DataError, match="expected a pickle"):
            load(broken)
    wrong = content.replace(b"K\x03K\x04\x86", b"K\x09K\x04\x86")
    assert wrong != content
    with pytest.raises(DataError, match="cannot be read"):
        load(wrong)
    with pytest.raises(DataError, match="cannot be read"):
        load(stream(b"cnumpy\nndarray\n)\x81"))  # makes an object of a stand-in
    with pytest.raises(DataError, match="found no such file"):
        load(tmp_path / "none.pkl")
    deep = b"\x80\x02" + b"]" * 100000 + b"a" * 99999 + b"."
    assert pickletools.genops(deep)
    with pytest.raises(Refused, match="nested without end"):
        load(deep)


def test_arrays_are_not_copied() -> None:
    found = load(pickle.dumps(np.zeros(5, np.uint8)))
    assert not found.flags.writeable and found.base is not None
