"""Checksums of TFRecord files (CRC-32C), for many records at a time, without TensorFlow.

So the processes that build records start in a fraction of a second. The remainder of a
polynomial division is linear: every record is cut into short pieces, all pieces are divided at
the same time, and a piece's remainder is moved to its place by tables of "append k zero bytes".
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence

import numpy as np

_POLYNOMIAL = 0x82F63B78
_PIECE = 32  # bytes
_AT_ONCE = 1 << 17
_ONES = np.uint32(0xFFFFFFFF)


@functools.lru_cache(maxsize=1)
def _byte_table() -> np.ndarray:
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = (table >> np.uint32(1)) ^ ((table & np.uint32(1)) * np.uint32(_POLYNOMIAL))
    return table


def _apply(tables: np.ndarray, state: np.ndarray) -> np.ndarray:
    """A linear map, given by tables [4, 256] for the bytes of its argument."""
    low = tables[0][state & np.uint32(255)] ^ tables[1][(state >> np.uint32(8)) & np.uint32(255)]
    high = tables[2][(state >> np.uint32(16)) & np.uint32(255)] ^ tables[3][state >> np.uint32(24)]
    return low ^ high


@functools.lru_cache(maxsize=40)
def _zeros(power: int) -> np.ndarray:
    """Tables [4, 256] of appending _PIECE * 2**power zero bytes."""
    if power:
        half = _zeros(power - 1)
        return _apply(half, half)
    values = (
        np.arange(256, dtype=np.uint32)[None, :] << (8 * np.arange(4, dtype=np.uint32))[:, None]
    )
    for _ in range(_PIECE):
        values = _byte_table()[values & np.uint32(255)] ^ (values >> np.uint32(8))
    return values


def crc32c(contents: Sequence[bytes]) -> np.ndarray:
    """CRC-32C of each of several byte strings, uint32 [n]."""
    return np.concatenate([np.zeros(0, np.uint32), *map(_together, _batches(contents))])


def _batches(contents: Sequence[bytes]) -> Iterator[list[bytes]]:
    """Some contents at a time, so that they fit into the processor's cache."""
    batch, size = [], 0
    for content in contents:
        batch.append(content)
        size += len(content)
        if size >= _AT_ONCE:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _together(contents: list[bytes]) -> np.ndarray:
    lengths = np.array([len(c) for c in contents], np.int64)
    pieces = np.maximum(1, -(-(lengths + 4) // _PIECE))  # four zeros more, see below
    ends = np.cumsum(pieces)
    data = np.zeros((int(ends[-1]), _PIECE), np.uint8)
    flat = data.reshape(-1)
    table = _byte_table()
    for content, end in zip(contents, ends * _PIECE):
        # Zeros in front change nothing, so contents stand at the end of their pieces. Starting
        # with ones is the same as inverting the first four bytes; short contents borrow zeros.
        stop = end - 4
        flat[stop - len(content) : stop] = np.frombuffer(content, np.uint8)
        flat[stop - len(content) : stop - len(content) + 4] ^= np.uint8(255)
    state = np.zeros(len(data), np.uint32)
    for column in np.ascontiguousarray(data.T):
        state = table[state.astype(np.uint8) ^ column] ^ (state >> np.uint32(8))
    behind = np.repeat(ends, pieces) - 1 - np.arange(len(data))
    for power in range(int(behind.max()).bit_length()):
        where = np.flatnonzero((behind >> power) & 1)
        state[where] = _apply(_zeros(power), state[where])
    total = np.bitwise_xor.reduceat(state, ends - pieces)
    return _without_zeros(total) ^ _ONES


def _without_zeros(state: np.ndarray) -> np.ndarray:
    """Take the four zero bytes at the end back: the division is run backwards, bit by bit."""
    for _ in range(32):
        odd = state >> np.uint32(31)
        state = ((state ^ (odd * np.uint32(_POLYNOMIAL))) << np.uint32(1)) | odd
    return state


def masked(crc: np.ndarray) -> np.ndarray:
    """The form in which a TFRecord file holds a checksum, uint32 [n]."""
    turned = (crc >> np.uint32(15)) | (crc << np.uint32(17))
    return turned + np.uint32(0xA282EAD8)
