"""Results made ahead of their use by a thread that ends with whoever uses them."""

from __future__ import annotations

import atexit
import queue
import threading
from collections.abc import Iterable, Iterator
from typing import Any, Callable

_READY = 2  # results that may wait


def ahead(make: Callable[[Any], Any], inputs: Iterable[Any]) -> Iterator[Any]:
    """`make(x)` for each of `inputs`, in order, made by a thread while the last one is used.

    The thread starts with the first result asked for. It ends with the inputs, when the iterator is
    closed or forgotten, or before the interpreter goes. An error in it is raised here.
    """
    results: queue.Queue = queue.Queue(_READY)
    stop = threading.Event()

    def put(kind: str, value: Any) -> bool:
        while not stop.is_set():
            try:
                results.put((kind, value), timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    def work() -> None:
        try:
            for value in inputs:
                if stop.is_set() or not put("result", make(value)):
                    return
            put("end", None)
        except Exception as error:
            put("error", error)

    thread = threading.Thread(target=work, daemon=True)

    def end() -> None:
        stop.set()
        if thread.is_alive() and thread is not threading.current_thread():
            thread.join()

    atexit.register(end)
    try:
        thread.start()
        while True:
            kind, value = results.get()
            if kind == "end":
                return
            if kind == "error":
                raise value
            yield value
    finally:
        end()
        atexit.unregister(end)
