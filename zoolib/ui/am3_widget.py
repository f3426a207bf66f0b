"""Type what a class is called, choose how many pictures of it are shown, and see the prediction."""

from __future__ import annotations

import difflib
import html
import re
from collections.abc import Sequence
from typing import Any

import ipywidgets as widgets
import numpy as np

from zoolib.data.shapes import WORDS
from zoolib.errors import ConfigError
from zoolib.models.am3 import examples, lexicon
from zoolib.ui.am3_pictures import board
from zoolib.ui.explorer import Explorer
from zoolib.ui.fields import ALARM, MUTED
from zoolib.ui.style import Picture

MOST = 5  # pictures of a class


class ClassRow(widgets.HBox):
    """A class: its name to type, how many pictures of it are shown, and which words are known.

    Args:
        number: of the class, from 1.
        name: what it is called at first.
        words: those that are known.
    """

    def __init__(self, number: int, name: str, words: Sequence[str]) -> None:
        self._words = tuple(words)
        self.text = widgets.Text(
            value=name,
            description=f"class {number}",
            placeholder="no name: pictures only",
            tooltip=f"What class {number} is called; every key counts.",
            style={"description_width": "60px"},
            layout=widgets.Layout(width="310px"),
        )
        self.count = widgets.IntSlider(
            *(1, 0, MOST),
            description="pictures",
            tooltip=f"How many pictures of class {number} are shown; 0: its name alone.",
            style={"description_width": "60px"},
            layout=widgets.Layout(width="220px"),
        )
        self.note = widgets.HTML(layout=widgets.Layout(flex="1 1 0", min_width="180px"))
        self.text.observe(lambda _: self._tell(), names="value")
        self._tell()
        super().__init__(
            [self.text, self.count, self.note], layout=widgets.Layout(align_items="center")
        )

    @property
    def known(self) -> str:
        """The words of the name that are known."""
        return " ".join(word for word in self._typed() if word in self._words)

    @property
    def complaint(self) -> str:
        """What is wrong with the name, and how to mend it; empty if nothing is."""
        told = []
        for word in dict.fromkeys(w for w in self._typed() if w not in self._words):
            near = difflib.get_close_matches(word, self._words, n=1, cutoff=0.55)
            told.append(f"“{word}”" + (f", did you mean “{near[0]}”?" if near else ""))
        return "unknown word " + "; ".join(told) if told else ""

    def _typed(self) -> list[str]:
        return re.findall(r"[^\W_]+", self.text.value.lower())

    def _tell(self) -> None:
        wrong = self.complaint
        usual = f"reads: {self.known}" if self.known else "no name: only its pictures count"
        text, style = (f"✗ {wrong}", ALARM) if wrong else (usual, MUTED)
        self.note.value = f'<div aria-live="polite" style="{style}">{html.escape(text)}</div>'


class NameExplorer(Explorer):
    """A task whose classes are named by typing.

    Args:
        task: a trained :class:`~zoolib.models.am3.task.FewShot` whose variant reads names.
        number: which of the stored test tasks it begins with.
        words: those the learner has vectors of; unless told, those of the generated set.

    Attributes:
        rows: a :class:`ClassRow` for each class.
        result: the newest prediction.

    Raises:
        ConfigError: for a variant that reads no names.
    """

    def __init__(self, task: Any, number: int = 0, words: Sequence[str] = WORDS) -> None:
        if not task.source.words:
            raise ConfigError(
                f"NameExplorer: expected a learner that reads names, such as am3-protonet++; "
                f"{task.config.variant} reads none"
            )
        self._task, self._throw, self.result = task, 0, None
        self._drawn = examples.stored_task(task, number)
        self._pool = _unasked(task, self._drawn)
        self.rows = [ClassRow(i, name, words) for i, name in enumerate(self._drawn["names"], 1)]
        for row in self.rows:
            for control in (row.text, row.count):
                control.observe(lambda _: self.refresh(), names="value")
        self.other_pictures = _button("Other pictures", "random", "Show other pictures instead.")
        self.other_pictures.on_click(lambda _: self._throw_again())
        self.true_names = _button("True names", "undo", "Call the classes what they are called.")
        self.true_names.on_click(lambda _: self._restore())
        known = ", ".join(words)
        self._help = widgets.HTML(f'<div style="{MUTED}">words it has vectors of: {known}</div>')
        sliders = {"query": (1, len(self._drawn["labels"]), 1, 1)}
        tooltips = {"query": "Which picture is asked about."}
        super().__init__(self._ask, sliders, self._board, self._describe_it, tooltips)
        self.image.layout.max_width = "806px"

    def extras(self) -> list[Any]:
        """The classes, two buttons, and the words."""
        buttons = widgets.HBox([self.other_pictures, self.true_names])
        return [*self.rows, buttons, self._help]

    @property
    def values(self) -> dict[str, Any]:
        """Which query, the names as typed, and how many pictures each class has."""
        names = tuple(row.text.value.strip() for row in self.rows)
        return {**super().values, "names": names, "counts": [row.count.value for row in self.rows]}

    def figure(self) -> Picture:
        """The picture as it stands, to keep in the notebook."""
        self.settle()
        return self._board(self.result)

    def _ask(self, query: int, names: tuple[str, ...], counts: list[int]) -> dict[str, Any]:
        support = [pool[self._order(len(pool))[:n]] for pool, n in zip(self._pool, counts)]
        vectors = np.zeros((len(names), self._task.source.words), np.float32)
        known = [row.known for row in self.rows]
        for place, (name, pictures) in enumerate(zip(known, support)):
            if name:
                vectors[place] = lexicon.lookup(self._task, [name])[0]
            elif not len(pictures):
                raise ConfigError(
                    f"class {place + 1}: expected a known word or a picture, got "
                    f"“{names[place]}” and none; type one of the words listed or show a picture"
                )
        asked = self._drawn["query"][query - 1]
        found = self._task.predict(support, names, asked[None], vectors=vectors)
        truth = self._drawn["names"][self._drawn["labels"][query - 1]]
        self.result = {"asked": asked, "support": support, "found": found, "truth": truth}
        return self.result

    def _order(self, count: int) -> np.ndarray:
        return np.random.default_rng([count, self._throw]).permutation(count)

    def _board(self, told: dict[str, Any]) -> Picture:
        found = told["found"]
        chances, truth = found.probabilities[0], f"a {told['truth']}"
        return board(told["asked"], told["support"], found.names, chances, found.share, truth)

    def _describe_it(self, told: dict[str, Any]) -> str:
        found = told["found"]
        chance, name = found.probabilities[0].max(), found.labels[0] or "the class without a name"
        return f"the answer: {name}, {chance:.0%}; the picture is a {told['truth']}"

    def _throw_again(self) -> None:
        self._throw += 1
        self.refresh()

    def _restore(self) -> None:
        for row, name in zip(self.rows, self._drawn["names"]):
            row.text.value = name


def _unasked(task: Any, drawn: dict[str, Any]) -> list[np.ndarray]:
    """Of each class of a task its test pictures that are no queries."""
    split = task.source.sets["test"]
    asked = {image.tobytes() for image in drawn["query"]}
    pools = []
    for name in drawn["names"]:
        mine = split.images[split.class_of == split.names.index(name)]
        pools.append(np.stack([image for image in mine if image.tobytes() not in asked]))
    return pools


def _button(name: str, icon: str, tooltip: str) -> Any:
    return widgets.Button(description=name, icon=icon, tooltip=tooltip)
