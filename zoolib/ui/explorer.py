"""Sliders that recompute while they are dragged: a prediction, its picture, and words for it."""

from __future__ import annotations

import collections
import html
import threading
import time
from collections.abc import Mapping
from typing import Any, Callable

import ipywidgets as widgets
import numpy as np
from matplotlib.figure import Figure

from zoolib.ui.fields import ALARM, MUTED
from zoolib.ui.sine_figure import SineFigure
from zoolib.ui.style import to_png

Range = tuple  # (low, high, step, value)


class Explorer(widgets.VBox):
    """Sliders, and the picture of what they mean.

    A move only notes the newest values; a thread computes with those, and goes on with newer ones
    as long as there are any. So a fast hand skips values, and no queue builds up.

    Args:
        predict: values of all sliders, by name, to anything.
        sliders: name -> (low, high, step, value); whole numbers make a slider of whole numbers.
        draw: what ``predict`` returned to a figure, or to PNG bytes.
        describe: what ``predict`` returned to a sentence; the picture in words.
        tooltips: name -> what the slider does.

    Attributes:
        milliseconds: duration of the newest moves, oldest first.
        moves: how many times it has been computed.
    """

    def __init__(
        self,
        predict: Callable[..., Any],
        sliders: Mapping[str, Range],
        draw: Callable[[Any], Figure | bytes],
        describe: Callable[[Any], str] | None = None,
        tooltips: Mapping[str, str] | None = None,
    ) -> None:
        self._predict, self._draw, self._describe = predict, draw, describe
        told = tooltips or {}
        self.sliders = {k: _slider(k, told.get(k, k), *span) for k, span in sliders.items()}
        self.words, self.speed = widgets.HTML(), widgets.HTML()
        self.image = widgets.Image(
            format="png", layout=widgets.Layout(width="100%", max_width="672px")
        )
        self.milliseconds: collections.deque[float] = collections.deque(maxlen=100)
        self.moves, self.error = 0, None
        self._wanted: dict[str, Any] | None = None
        self._working, self._turn = False, threading.Condition()
        self._compute(self.values)
        for slider in self.sliders.values():
            slider.observe(lambda _: self.refresh(), names="value")
        super().__init__([*self.sliders.values(), *self.extras(), self.words, self.image])
        self.children = (*self.children, self.speed)

    def extras(self) -> list[Any]:
        """Widgets between the sliders and the picture; for explorers with more than sliders."""
        return []

    @property
    def values(self) -> dict[str, Any]:
        """The sliders' values by name."""
        return {name: slider.value for name, slider in self.sliders.items()}

    def refresh(self) -> None:
        """Compute with the present values, soon; returns at once."""
        with self._turn:
            self._wanted = self.values
            if not self._working:
                self._working = True
                threading.Thread(target=self._catch_up, name="zoolib explorer", daemon=True).start()

    def settle(self, timeout: float | None = 30.0) -> None:
        """Wait until the picture shows the sliders' values.

        Raises:
            TimeoutError: if it takes longer than ``timeout`` seconds.
            Exception: what the newest computation raised.
        """
        with self._turn:
            if not self._turn.wait_for(lambda: not self._working, timeout):
                raise TimeoutError(f"explorer: still computing after {timeout} s")
        if self.error is not None:
            raise self.error

    def _catch_up(self) -> None:
        while True:
            with self._turn:
                values, self._wanted = self._wanted, None
                if values is None:
                    self._working = False
                    self._turn.notify_all()
                    return
            try:
                self._compute(values)
                self.error = None
            except Exception as error:  # shown, and raised by settle()
                self.error = error
                text = html.escape(f"{type(error).__name__}: {error}")
                self.words.value = f'<div role="alert" style="{ALARM}">✗ {text}</div>'

    def _compute(self, values: dict[str, Any]) -> None:
        begin = time.perf_counter()
        result = self._predict(**values)
        drawn = self._draw(result)
        self.image.value = drawn if isinstance(drawn, bytes) else to_png(drawn, palette=None)
        if self._describe:
            told = self._describe(result)
            self.words.value = f"<div>{html.escape(told)}</div>"
        self.milliseconds.append(1000 * (time.perf_counter() - begin))
        self.moves += 1
        spent = f"computed and drawn in {self.milliseconds[-1]:.0f} ms"
        self.speed.value = f'<div style="{MUTED}">{spent}</div>'

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(self.sliders)})"


def _slider(name: str, tooltip: str, low: Any, high: Any, step: Any, value: Any) -> Any:
    whole = all(isinstance(number, int) for number in (low, high, step, value))
    return (widgets.IntSlider if whole else widgets.FloatSlider)(
        value=value,
        min=low,
        max=high,
        step=step,
        description=name,
        tooltip=tooltip,
        continuous_update=True,
        style={"description_width": "110px"},
        layout=widgets.Layout(width="480px"),
    )


Adapt = Callable[[np.ndarray, np.ndarray, np.ndarray, int], np.ndarray]

SINE_SLIDERS = {
    "amplitude": (0.1, 5.0, 0.1, 3.0),
    "phase": (0.0, 3.14, 0.02, 0.8),
    "frequency": (0.5, 1.5, 0.02, 1.0),
    "shots": (1, 20, 1, 10),
    "steps": (0, 10, 1, 1),
}
SINE_TOOLTIPS = {
    "amplitude": "Height of the wave; trained on 0.1 to 5.",
    "phase": "Shift of the wave, radians; trained on 0 to π.",
    "frequency": "Radians per unit of x; trained on 0.8 to 1.2, so both ends are new to the model.",
    "shots": "How many points of the wave the model sees.",
    "steps": "How many gradient steps it takes on them.",
}


class SineExplorer(Explorer):
    """Draw a sine wave with sliders and watch a meta-learned model fit it.

    Args:
        adapt: ``adapt(support_x [K, 1], support_y [K, 1], grid_x [N, 1], steps)`` returns
            predictions [steps + 1, N], before the first step and after each. Always called with
            the largest number of steps, so that a compiled function meets one shape per K only.
            Several models side by side: a mapping of names to such functions.
        seed: of the points' places.
        sliders: other ranges or start values, by name.
    """

    def __init__(
        self,
        adapt: Adapt | Mapping[str, Adapt],
        seed: int = 0,
        sliders: Mapping[str, Range] | None = None,
    ) -> None:
        self._adapts = dict(adapt) if isinstance(adapt, Mapping) else {"model": adapt}
        ranges = {**SINE_SLIDERS, **(sliders or {})}
        self._seed, self._throw = seed, 0
        self._shots, self._most = ranges["shots"][1], ranges["steps"][1]
        self._grid = np.linspace(-5, 5, 201, dtype=np.float32)
        self._figure = SineFigure(list(self._adapts), ranges["amplitude"][1])
        self._known: tuple[Any, dict[str, np.ndarray]] | None = None
        self.new_points = widgets.Button(
            description="New points", icon="random", tooltip="Look at other places of the wave."
        )
        self.new_points.on_click(lambda _: self._throw_again())
        super().__init__(self._fit, ranges, self._figure.png, self._figure.words, SINE_TOOLTIPS)

    def extras(self) -> list[Any]:
        """The button for other points."""
        return [self.new_points]

    def figure(self) -> Any:
        """The picture as it stands, as a figure to keep in the notebook."""
        self.settle()
        return self._figure.still()

    def _throw_again(self) -> None:
        self._throw += 1
        self.refresh()

    def _fit(
        self, amplitude: float, phase: float, frequency: float, shots: int, steps: int
    ) -> dict[str, Any]:
        """The wave, the points, and each model's curves; another step count costs nothing."""
        places = np.random.default_rng([self._seed, self._throw]).uniform(-5, 5, self._shots)
        x = places[:shots].astype(np.float32)
        truth, y = (amplitude * np.sin(frequency * at - phase) for at in (self._grid, x))
        key = (amplitude, phase, frequency, shots, self._throw)
        if self._known is None or self._known[0] != key:
            given = x[:, None], y[:, None].astype(np.float32), self._grid[:, None]
            curves = {k: np.asarray(f(*given, self._most)) for k, f in self._adapts.items()}
            self._known = key, curves
        return {
            "x": self._grid, "truth": truth, "support_x": x, "support_y": y, "steps": steps,
            "curves": {k: curve[[0, steps]] for k, curve in self._known[1].items()},
        }  # fmt: skip
