"""Results made ahead: order, errors, and that nothing outlives its use."""

from __future__ import annotations

import itertools
import subprocess
import sys
import threading
import time

import pytest

from zoolib.data.ahead import ahead


def threads() -> int:
    return threading.active_count()


def test_results_come_in_order_and_the_thread_ends() -> None:
    before = threads()
    assert list(ahead(lambda x: x * x, range(50))) == [x * x for x in range(50)]
    assert threads() == before


def test_few_are_made_ahead_and_closing_ends_the_thread() -> None:
    before, made = threads(), []
    results = ahead(lambda x: made.append(x) or x, itertools.count())
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    time.sleep(0.3)
    assert len(made) <= 3 + 2 + 1
    results.close()
    assert threads() == before


def test_errors_arrive_after_the_results_before_them() -> None:
    results = ahead(lambda x: 1 // (2 - x), range(9))
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_several_threads_keep_the_order_and_work_at_a_time() -> None:
    before, both = threads(), threading.Barrier(2, timeout=20)
    results = ahead(lambda x: (both.wait(), x)[1], range(20), workers=2)
    assert list(results) == list(range(20)), "one thread alone would wait in vain"
    assert threads() == before


def test_a_program_ends_while_results_are_being_made(environment: dict[str, str]) -> None:
    program = (
        "import itertools, time\n"
        "from zoolib.data.ahead import ahead\n"
        "results = ahead(lambda x: time.sleep(0.05) or x, itertools.count())\n"
        "print(next(results))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, timeout=60
    )
    assert done.returncode == 0 and done.stdout == b"0\n" and not done.stderr
