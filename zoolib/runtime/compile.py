"""Compiled calls: one step, a whole report of steps, bulk reads and writes of variables."""

from __future__ import annotations

from typing import Any, Callable

import numpy as np
import tensorflow as tf

Feed = dict[str, np.ndarray]


class StepLoop:
    """Runs training steps, several per compiled call where that pays.

    ``loop`` kinds: ``"xla"`` and ``"graph"`` put the steps of a call in one graph loop with a fixed
    capacity and a variable count, so the function is traced once and the numbers do not depend on
    where a run is cut; ``"single"`` calls the step once per step.

    Args:
        step: function of (batch, draws), both dicts of tensors, returning a dict of scalars.
        terms: the names it returns.
        size: capacity of one call, in steps.
        kind: see above.
    """

    def __init__(self, step: Callable, terms: tuple[str, ...], size: int, kind: str) -> None:
        self.terms, self.size, self.kind = terms, 1 if kind == "single" else size, kind
        self.traces = 0
        self._step = step
        body = self._one if kind == "single" else self._many
        # XLA is asked for only where it was measured to help; elsewhere the argument stays unset
        # because the NPU adapter owns it.
        options: dict[str, Any] = {"jit_compile": True} if kind == "xla" else {}
        self._call = tf.function(body, autograph=False, **options)

    def __call__(self, batch: Feed, draws: Feed, count: int) -> dict[str, np.ndarray]:
        """Run ``count`` <= size steps on feeds with a leading step axis of that length.

        Returns:
            For each term a float32 array [count].
        """
        rows = self._call(*self._arguments(batch, draws, count))
        if self.kind == "single":
            return {name: row.numpy()[None] for name, row in rows.items()}
        values = rows.numpy()
        return {name: values[:count, i] for i, name in enumerate(self.terms)}

    def trace(self, batch: Feed, draws: Feed, count: int) -> Any:
        """The concrete function a call with these feeds would run; nothing is run."""
        return self._call.get_concrete_function(*self._arguments(batch, draws, count))

    def _arguments(self, batch: Feed, draws: Feed, count: int) -> tuple:
        if self.kind == "single":
            return tuple({k: tf.constant(v[0]) for k, v in f.items()} for f in (batch, draws))
        feeds = ({k: tf.constant(self._pad(v)) for k, v in f.items()} for f in (batch, draws))
        return (*feeds, tf.constant(count, tf.int32))

    def _pad(self, values: np.ndarray) -> np.ndarray:
        missing = self.size - len(values)
        if not missing:
            return values
        return np.concatenate([values, np.zeros((missing, *values.shape[1:]), values.dtype)])

    def _one(self, batch: dict, draws: dict) -> dict:
        self.traces += 1
        return self._named(self._step(batch, draws))

    def _many(self, batch: dict, draws: dict, count: tf.Tensor) -> tf.Tensor:
        self.traces += 1
        places = tf.range(self.size)[:, None]

        def body(i: tf.Tensor, rows: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            values = self._named(
                self._step({k: v[i] for k, v in batch.items()}, {k: v[i] for k, v in draws.items()})
            )
            row = tf.stack([values[name] for name in self.terms])
            return i + 1, tf.where(places == i, row, rows)

        start = (tf.constant(0), tf.zeros([self.size, len(self.terms)]))
        return tf.while_loop(lambda i, _: i < count, body, start, parallel_iterations=1)[1]

    def _named(self, values: dict) -> dict:
        if set(values) != set(self.terms):
            raise ValueError(f"train_step: expected the terms {self.terms}, got {tuple(values)}")
        return values


class Bulk:
    """Reads and writes a set of variables in one compiled call each.

    On an NPU every eager access to a variable builds a graph; this builds two, once.
    """

    def __init__(self, variables: dict[str, tf.Variable]) -> None:
        self._variables = variables
        self._read = tf.function(self._read_all, autograph=False)
        self._write = tf.function(self._write_all, autograph=False)

    def read(self) -> dict[str, np.ndarray]:
        """The values now, by name."""
        return {name: value.numpy() for name, value in self._read().items()}

    def write(self, values: dict[str, np.ndarray]) -> None:
        """Assign all variables.

        Raises:
            ValueError: if names, shapes or dtypes are not those of the variables.
        """
        for name, variable in self._variables.items():
            got = values.get(name)
            want = (tuple(variable.shape), variable.dtype.as_numpy_dtype)
            if got is None or (got.shape, got.dtype) != (want[0], np.dtype(want[1])):
                found = "nothing" if got is None else f"{got.dtype} {got.shape}"
                raise ValueError(f"{name}: expected {np.dtype(want[1])} {want[0]}, got {found}")
        self._write({name: tf.constant(values[name]) for name in self._variables})

    def _read_all(self) -> dict:
        return {name: tf.identity(variable) for name, variable in self._variables.items()}

    def _write_all(self, values: dict) -> None:
        for name, variable in self._variables.items():
            variable.assign(values[name])
