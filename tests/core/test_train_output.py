"""Progress: a bar on a terminal, a line per tenth of the run in a pipe, nothing when not asked."""

from __future__ import annotations

import io
import re

import pytest

import zoolib
from zoolib.core.events import Evaluated, Finished, Started, Stepped
from zoolib.core.train import shown


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def events(config, start: int = 0, notes=()):
    yield Started(start, 100, None, "cpu", "float32", config, (), notes)
    for step in range(start + 1, 101):
        yield Stepped(step, {"step": step, "loss": 1 / step}, 10.0, step % 10 == 0)
    yield Finished(100, {}, None, 1.0, 100.0)


def test_a_pipe_gets_a_line_per_tenth(line):
    stream = io.StringIO()
    passed = list(shown(events(line.preset("smoke")), stream))
    assert len(passed) == 102
    lines = stream.getvalue().splitlines()
    assert [text.split()[1] for text in lines] == [f"{n}/100" for n in range(10, 101, 10)]
    assert lines[0] == "step 10/100  loss 0.1" and "\r" not in stream.getvalue()


def test_a_terminal_gets_a_bar(line):
    stream = Terminal()
    list(shown(events(line.preset("smoke")), stream))
    drawn = stream.getvalue().split("\r")
    assert len(drawn) > 2 and "line:" in drawn[-1]
    assert re.search(r"100/100 .*loss 0\.01", drawn[-1])


def test_a_resumed_bar_starts_where_the_run_does(line):
    stream = Terminal()
    list(shown(events(line.preset("smoke"), 60), stream))
    assert "60/100" in stream.getvalue().split("\r")[1]


def test_notes_are_told(line):
    stream = io.StringIO()
    next(shown(events(line.preset("smoke"), notes=("a checkpoint was damaged",)), stream))
    assert stream.getvalue() == "note: a checkpoint was damaged\n"


def test_closing_closes_the_run(line):
    closed = []

    def watched():
        try:
            yield from events(line.preset("smoke"))
        finally:
            closed.append(True)

    inner = watched()
    seen = shown(inner, io.StringIO())
    next(seen)
    seen.close()
    assert closed == [True]


@pytest.mark.parametrize("progress", [True, False])
def test_train_shows_progress_only_when_asked(line, tmp_path, capsys, progress):
    result = zoolib.train(line.preset("smoke"), out=tmp_path, progress=progress)
    out, err = capsys.readouterr()
    assert out == "" and ("step 100/100" in err) == progress
    assert result.history == zoolib.load(result.folder).history
    assert result.task.predict([[1.0, 1.0, 1.0]]).shape == (1, 1)


def counting_images(config):
    """The same settings, of a method that counts images."""

    class Counting(type(config)):
        images_per_step = 32

        def evaluation_line(self, step, metrics, ranks=1):
            return f"kimg {step * 32 * ranks}  {metrics['loss']}"

    return Counting(**config.to_dict())


def test_methods_that_count_images_tell_both_rates(line):
    config = counting_images(line.preset("smoke"))
    stream = io.StringIO()
    list(shown(events(config), stream))
    lines = stream.getvalue().splitlines()
    assert lines[0] == "step 10/100  320 img/s  average 320 img/s  loss 0.1"
    stream = Terminal()
    list(shown(events(config), stream))
    drawn = stream.getvalue().split("\r")
    assert re.search(r"3200/3200 .*img/s, average 320 img/s  loss 0\.01", drawn[-1])


def test_an_evaluation_is_told_above_the_bar_by_methods_that_have_a_line_for_it(line):
    for config, expected in (
        (line.preset("smoke"), []),
        (counting_images(line.preset("smoke")), ["kimg 320  0.5"]),
    ):
        started = Started(0, 100, None, "cpu", "float32", config)
        stream = io.StringIO()
        list(shown(iter([started, Evaluated(10, {"loss": 0.5})]), stream))
        assert stream.getvalue().splitlines() == expected
