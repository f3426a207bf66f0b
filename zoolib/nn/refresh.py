"""Running statistics of batch norms computed anew, by forward passes only.

For weights that no training step has seen (an average, Izmailov et al. 2018, section 3.2) the
running statistics of training are wrong. Here every batch has its due weight,

    s <- s + (s_batch - s) n_batch / n,        n the examples so far,

and no weight is touched. An ordinary update's momentum would leave 0.99^N of the old value.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterable, Sequence
from typing import Any, Callable

import tensorflow as tf

from zoolib.nn.batch_norm import BatchNorm


class Refresh:
    """Recomputes statistics, as often as it is called, with one trace.

    No `tf.Module`: what it collects in is no state of the network and belongs in no checkpoint.

    Args:
        forward: function of a batch that calls the network in training; calls that ask for no
            update are left out, as in training. What it returns is not used.
        layers: whose statistics; each has to be called in ``forward``, once or more often.
        exact: the variance of all examples together (means of E[x] and E[x^2]) instead of the mean
            of the batches' variances, which lacks what the batches' means differ by.
        compiler: of the three functions this runs, ``session.compile`` in a run.
    """

    def __init__(
        self,
        forward: Callable[[Any], Any],
        layers: Sequence[BatchNorm],
        exact: bool = False,
        compiler: Callable[[Callable], Callable] | None = None,
    ) -> None:
        compiler = compiler or functools.partial(tf.function, autograph=False)
        self.layers, self.exact = list(layers), exact
        self._collectors = [_Collector(layer, exact) for layer in self.layers]

        def collect(batch: Any) -> None:
            with contextlib.ExitStack() as stack:
                for collector in self._collectors:
                    stack.enter_context(collector.layer.statistics_to(collector.add))
                forward(batch)

        self._plain = collect
        self._collect = compiler(collect)
        self._start, self._finish = compiler(self._start_all), compiler(self._finish_all)

    def __call__(self, batches: Iterable[Any]) -> None:
        """Replace the statistics by those of ``batches``.

        Args:
            batches: what ``forward`` takes, arrays or tensors or nests of them; one more trace for
                every other shape.

        Raises:
            ValueError: for no batches, or a layer ``forward`` never calls; the statistics are then
                as before.
        """
        if not self.layers:
            return
        self._start()
        seen = 0
        for seen, batch in enumerate(batches, 1):
            self._collect(tf.nest.map_structure(tf.convert_to_tensor, batch))
            if seen == 1:
                self._check_called()
        if not seen:
            raise ValueError("batches: expected at least one, got none")
        self._finish()

    def functions(self, batch: Any) -> dict[str, tuple[Callable, tuple]]:
        """The graphs of a call by name, with example arguments; for a task's
        `evaluation_functions`.

        Args:
            batch: one of ``batches``, or tensor specs like it.
        """
        return {
            "refresh, start": (self._start_all, ()),
            "refresh, one batch": (self._plain, (batch,)),
            "refresh, end": (self._finish_all, ()),
        }

    def _start_all(self) -> None:
        for collector in self._collectors:
            collector.start()

    def _finish_all(self) -> None:
        for collector in self._collectors:
            collector.finish()

    def _check_called(self) -> None:
        idle = [c.layer.path for c in self._collectors if not c.called]
        if idle:
            raise ValueError(
                "forward: expected a call of every layer with training and update true, got none "
                f"of {', '.join(idle)}"
            )


def refresh_batch_norm(
    forward: Callable[[Any], Any],
    batches: Iterable[Any],
    layers: Sequence[BatchNorm],
    exact: bool = False,
    compiler: Callable[[Callable], Callable] | None = None,
) -> None:
    """Recompute the running statistics of ``layers`` once; arguments as for :class:`Refresh`."""
    Refresh(forward, layers, exact, compiler)(batches)


class _Collector:
    """Running means of one layer's statistics."""

    def __init__(self, layer: BatchNorm, exact: bool) -> None:
        self.layer, self._exact, self.called = layer, exact, False

        def zeros(shape: list[int], letter: str) -> tf.Variable:
            return tf.Variable(tf.zeros(shape), trainable=False, name=f"{layer.path}/{letter}")

        self.mean, self.variance = zeros([layer.channels], "mean"), zeros([layer.channels], "var")
        self.count = zeros([], "count")

    def start(self) -> None:
        for variable in (self.mean, self.variance, self.count):
            variable.assign(tf.zeros(variable.shape))

    def add(self, mean: tf.Tensor, variance: tf.Tensor, count: int) -> None:
        self.called = True
        total = self.count + float(count)
        share = float(count) / total
        apart = mean - self.mean
        if self._exact:  # pooling without the cancellation of E[x^2] - E[x]^2 (Chan et al. 1983)
            variance = variance + (1.0 - share) * tf.square(apart)
        else:
            variance = self.layer.running_variance(variance, count)
        self.variance.assign_add(share * (variance - self.variance))
        self.mean.assign_add(share * apart)
        self.count.assign(total)

    def finish(self) -> None:
        variance = self.variance
        if self._exact and self.layer.unbiased:
            variance = variance * (self.count / tf.maximum(self.count - 1.0, 1.0))
        self.layer.moving_mean.assign(self.mean)
        self.layer.moving_variance.assign(variance)
