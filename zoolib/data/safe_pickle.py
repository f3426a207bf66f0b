"""Read the pickles that data sets are handed around in, without letting them run anything.

A pickle is a program: `pickle.load` calls whatever function the file names. Here the few names an
array needs stand for objects of this module, which only take notes; the arrays are made afterwards
from checked bytes. Every other name is refused, and so is every type that is not plain data.

Written by Python 2 or 3, by NumPy 1 (`numpy.core`) or 2 (`numpy._core`), protocols 0 to 5.
"""

from __future__ import annotations

import io
import os
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, Union

import numpy as np

from zoolib.errors import DataError

Source = Union[str, "os.PathLike[str]", bytes, BinaryIO]

_PLAIN = (str, bytes, int, float, bool, type(None))
_CODE = re.compile(r"[?bBhHiIlLqQefdFD]|b1|[iu][1248]|f[248]|c(8|16)|[SU]\d+")
_ORDERS = ("<", ">", "|", "=")


class Refused(DataError):
    """A pickle that holds something else than plain data.

    Attributes:
        name: the name, or the type, that was refused.
    """

    def __init__(self, place: str, name: str) -> None:
        super().__init__(
            f"{place}: this pickle asks for {name}, which is not plain data; expected only dict, "
            "list, tuple, text, bytes, numbers and NumPy arrays of them. Nothing of it was run. "
            "Fetch the file from the data set's owner, or store it as .npz."
        )
        self.name = name


class _Problem(Exception):
    """What is wrong, for an error that also names the file."""


def load(source: Source, encoding: str = "latin-1", name: str | None = None) -> Any:
    """Read one pickle.

    Args:
        source: a path, the bytes, or an open binary file.
        encoding: of Python 2's strings: "latin-1" makes text of them, "bytes" leaves bytes.
        name: what to call it in errors; the path unless told.

    Returns:
        dict, list, tuple, str, bytes, int, float, bool, None, and NumPy arrays and scalars of
        numbers, bytes and text. Arrays are read-only.

    Raises:
        Refused: it holds, or names, anything else; nothing was run.
        DataError: the file is missing, truncated or no pickle.
    """
    place = name or _name(source)
    try:
        if isinstance(source, bytes):
            return _read(io.BytesIO(source), encoding)
        if isinstance(source, (str, os.PathLike)):
            with Path(source).open("rb") as file:
                return _read(file, encoding)
        return _read(source, encoding)
    except _Problem as problem:
        raise Refused(place, str(problem)) from None
    except DataError:
        raise
    except RecursionError:
        raise Refused(place, "lists nested without end") from None
    except FileNotFoundError:
        raise DataError(f"{place}: expected a pickle, found no such file.") from None
    except Exception as error:  # a damaged pickle can raise nearly anything
        kind = type(error).__name__
        raise DataError(
            f"{place}: expected a pickle, but it cannot be read ({kind}: {error})."
        ) from error


def _name(source: Source) -> str:
    if isinstance(source, bytes):
        return f"these {len(source)} bytes"
    if isinstance(source, (str, os.PathLike)):
        return os.fspath(source)
    return str(getattr(source, "name", "this file"))


def _read(file: BinaryIO, encoding: str) -> Any:
    return _Cleaner().clean(_Reader(file, encoding=encoding, errors="strict").load())


class _Reader(pickle.Unpickler):
    """Knows a handful of names, and none of the functions behind them."""

    def find_class(self, module: str, name: str) -> Any:
        """The stand-in for a name."""
        full = f"{module}.{name}".replace("numpy._core.", "numpy.core.")
        if full not in _STAND_INS:
            raise _Problem(f"{module}.{name}")
        return _Name(full, _STAND_INS[full])

    def persistent_load(self, pid: Any) -> Any:
        """Nothing is kept elsewhere."""
        raise _Problem("an object outside of the file")


class _Name:
    """A callable that a pickle can call and do nothing else to."""

    __slots__ = ("_full", "_make")

    def __init__(self, full: str, make: Callable[..., Any] | None) -> None:
        self._full, self._make = full, make

    def __call__(self, *arguments: Any) -> Any:
        if self._make is None:
            raise _Problem(f"a call of {self._full}")
        return self._make(*arguments)

    def __setstate__(self, state: Any) -> None:
        raise _Problem(f"a change of {self._full}")


class _Kind:
    """Notes on a dtype."""

    __slots__ = ("code", "order")

    def __init__(self, code: Any, *_: Any) -> None:
        code = code.decode("latin-1") if isinstance(code, bytes) else code
        if not isinstance(code, str) or not _CODE.fullmatch(code):
            raise _Problem(f"arrays of type {code!r}")
        self.code, self.order = code, "="

    def __setstate__(self, state: Any) -> None:
        order = _text(state[1])
        if order not in _ORDERS or any(part is not None for part in state[2:5]):
            raise _Problem("arrays of records")
        self.order = order

    def dtype(self) -> np.dtype:
        """The type itself; it cannot hold objects."""
        return np.dtype(self.code).newbyteorder(self.order)


class _Array:
    """Notes on an array or a scalar; `value` once they are complete."""

    __slots__ = ("value",)

    def __init__(self, value: Any = None) -> None:
        self.value = value

    def __setstate__(self, state: Any) -> None:
        if self.value is not None:
            raise _Problem("a change of an array")
        _, shape, kind, fortran, raw = state
        self.value = _array(raw, kind, shape, "F" if fortran else "C")


def _text(value: Any) -> Any:
    return value.decode("latin-1") if isinstance(value, bytes) else value


def _array(raw: Any, kind: Any, shape: Any, order: Any) -> np.ndarray:
    if not isinstance(kind, _Kind) or not isinstance(shape, tuple):
        raise _Problem("an array without a type or a shape")
    if isinstance(raw, str):  # Python 2's bytes, read as Latin-1
        raw = raw.encode("latin-1")
    if not isinstance(raw, (bytes, bytearray)):
        raise _Problem("arrays of objects")
    flat = np.frombuffer(bytes(raw), kind.dtype()) if len(raw) else np.zeros(0, kind.dtype())
    return flat.reshape(shape, order="F" if _text(order) == "F" else "C")


def _reconstruct(*_: Any) -> _Array:
    return _Array()


def _scalar(kind: Any, raw: Any) -> _Array:
    return _Array(_array(raw, kind, (1,), "C")[0])


def _from_buffer(raw: Any, kind: Any, shape: Any, order: Any) -> _Array:
    return _Array(_array(raw, kind, shape, order))


def _encode(text: Any, encoding: Any = "utf-8", *_: Any) -> bytes:
    """How Python 3 writes bytes into pickles that Python 2 can read."""
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1", "utf-8"):
        raise _Problem(f"text in the encoding {encoding!r}")
    return text.encode(encoding)


def _no_bytes(*arguments: Any) -> bytes:
    """How Python 3 writes empty bytes there."""
    if arguments:
        raise _Problem("bytes made of something")
    return b""


_STAND_INS: dict[str, Callable[..., Any] | None] = {
    "numpy.ndarray": None,
    "numpy.dtype": _Kind,
    "numpy.core.multiarray._reconstruct": _reconstruct,
    "numpy.core.multiarray.scalar": _scalar,
    "numpy.core.numeric._frombuffer": _from_buffer,
    "_codecs.encode": _encode,
    "__builtin__.bytes": _no_bytes,
    "builtins.bytes": _no_bytes,
}


class _Cleaner:
    """Puts arrays in the place of notes and refuses types that are not plain data."""

    def __init__(self) -> None:
        self._done: dict[int, Any] = {}  # a list used twice is looked at once
        self._open: set[int] = set()

    def clean(self, value: Any) -> Any:
        """The same, made of plain data only."""
        kind = type(value)
        if kind in _PLAIN:
            return value
        if kind is _Array:
            if value.value is None:
                raise _Problem("an array without content")
            return value.value
        if kind not in (dict, list, tuple):
            raise _Problem(f"an object of type {kind.__name__}")
        if id(value) in self._done:
            return self._done[id(value)]
        if id(value) in self._open:
            raise _Problem("a list that contains itself")
        self._open.add(id(value))
        if kind is dict:
            new: Any = {self.clean(k): self.clean(v) for k, v in value.items()}
        else:
            new = kind(self.clean(item) for item in value)
        self._open.discard(id(value))
        self._done[id(value)] = new
        return new
