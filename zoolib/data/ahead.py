"""Results made ahead of their use by threads that end with whoever uses them."""

from __future__ import annotations

import collections
import itertools
from collections.abc import Iterable, Iterator
from concurrent import futures
from typing import Any, Callable

_READY = 2  # results that may wait, beside those being made


def ahead(make: Callable[[Any], Any], inputs: Iterable[Any], workers: int = 1) -> Iterator[Any]:
    """`make(x)` for each of `inputs`, in order, made by threads while the last one is used.

    Work starts with the first result asked for. The threads end with the inputs, when the iterator
    is closed or forgotten, or before the interpreter goes. An error in one is raised here, after
    the results before it.

    Args:
        make, inputs: what to do with what; the inputs are taken by the thread of the caller.
        workers: threads; with several, `make` is called with several inputs at a time.
    """
    inputs, waiting = iter(inputs), collections.deque()
    pool = futures.ThreadPoolExecutor(workers, thread_name_prefix="ahead")
    try:
        while True:
            room = _READY + workers - len(waiting)
            waiting.extend(pool.submit(make, x) for x in itertools.islice(inputs, room))
            if not waiting:
                return
            yield waiting.popleft().result()
    finally:
        for result in waiting:
            result.cancel()
        pool.shutdown()
