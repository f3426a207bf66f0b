"""Batch-norm statistics of any Keras model recomputed over a data set: forward passes only.

Izmailov et al. 2018, section 3.2: averaged weights were never run, so the running statistics left
by training are not theirs. The pass compiles a forward function of its own while the layers report
plain batch statistics; nothing that ``fit`` has compiled is touched. Layers are known by what they
have (moving mean, moving variance, momentum), not by a class of one Keras or the other.
"""

from __future__ import annotations

import contextlib
import inspect
import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any, Callable, Optional

import numpy as np
import tensorflow as tf

from zoolib.errors import DataError
from zoolib.models.swa.batches import batches

_MARKS = ("moving_mean", "moving_variance", "momentum", "epsilon")
_NO_SAMPLE = (
    "update_batch_norm: expected at least one sample in dataset, got none; an iterator that was "
    "read before cannot be read again"
)


def update_batch_norm(
    model: Any,
    dataset: Any,
    steps: Optional[int] = None,
    exact: bool = False,
    *,
    batch_size: Optional[int] = None,
) -> int:
    """Set the statistics of every batch-norm layer that trains to those of a data set.

    Layers are found at any depth; frozen ones (``trainable=False``) and those no forward pass
    reaches keep theirs. All other weights, the optimizer, random seeds kept in the model and
    compiled functions stay as they are, bit for bit. Dropout is active, as in training and in the
    paper's own code. Models of a ``tf.distribute`` strategy are run on all its replicas;
    synchronous layers see the whole batch, others their replica's part of it.

    Args:
        model: a built Keras model, compiled or not.
        dataset: what is given to the model: a ``tf.data.Dataset``, an array, a dict of arrays, a
            tuple ``(x,)``, ``(x, y)`` or ``(x, y, sample_weight)`` of arrays, or any iterable of
            batches. Only x is used.
        steps: number of batches to take; None takes all.
        exact: the variance of the pooled data, about their common mean and divided by their number.
            Otherwise the mean of the batches' variances, weighted by their sizes, as the layers
            (and PyTorch's ``update_bn``) see them; Keras 2 divides those of images by n - 1.
        batch_size: for arrays; None is Keras' 32.

    Returns:
        The number of samples the statistics are of (over all workers); 0 if there is no layer to
        update, the data are not read then.

    Raises:
        DataError: for a model that is not built, no sample, or an endless data set without steps.
    """
    if not model.built:
        raise DataError("update_batch_norm: expected a built model; call it on a batch first")
    return BatchNormPass(model, exact).run(dataset, steps, batch_size)


def batch_norm_layers(model: Any) -> list[Any]:
    """The model's built batch-norm layers that train, at any depth, each once."""
    found = {id(layer): layer for layer in model._flatten_layers()}
    return [
        layer
        for layer in found.values()
        if all(getattr(layer, mark, None) is not None for mark in _MARKS) and layer.trainable
    ]


def disagreement(model: Any, x: Any) -> float:
    """How far inference is from training mode on one batch: 0 if batch statistics are the moving.

    The root mean square difference of the outputs, over their spread within the batch. Dropout is
    off in both. The model stays as it is.
    """
    layers, strategy = batch_norm_layers(model), strategy_of(model)

    def flat() -> list[np.ndarray]:
        def step(x: Any) -> Any:
            return strategy.run(lambda x: model(x, training=False), args=(x,))

        run = _compiled(model, step)
        run = run if run is step else run.get_concrete_function(x)
        outputs = tf.nest.flatten(run(x))
        outputs = [strategy.experimental_local_results(t)[0] for t in outputs]
        return [np.asarray(t, np.float64) for t in outputs]

    inference = flat()
    with preserved(model, [v for v in model.variables if not v.trainable]):
        with _calls_replaced(layers, _in_training_mode):
            training = flat()
    away = sum(np.sum((a - b) ** 2) for a, b in zip(inference, training))
    spread = sum(np.sum((b - b.mean(axis=0)) ** 2) for b in training)
    return float(np.sqrt(away / max(spread, np.finfo(np.float32).tiny)))


@contextlib.contextmanager
def preserved(model: Any, weights: list[Any]) -> Iterator[None]:
    """Give these weights their values back at the end, bit for bit, on every replica."""
    strategy = strategy_of(model)
    parts = [p for w in weights for p in strategy.experimental_local_results(variable(w))]
    values = [tf.identity(part) for part in parts]
    try:
        yield
    finally:
        for part, value in zip(parts, values):
            part.assign(value)


def strategy_of(model: Any) -> tf.distribute.Strategy:
    """The strategy a model was made under; the do-nothing one if none."""
    return getattr(model, "distribute_strategy", None) or tf.distribute.get_strategy()


def variable(weight: Any) -> tf.Variable:
    """The ``tf.Variable`` of a weight (Keras 3 wraps it)."""
    return weight if isinstance(weight, tf.Variable) else weight.value


class BatchNormPass:
    """The pass of `update_batch_norm`, compiled once for being run several times.

    Args:
        model: a built Keras model.
        exact: see `update_batch_norm`.
    """

    def __init__(self, model: Any, exact: bool = False) -> None:
        self.model, self.exact = model, exact
        self.layers, self.strategy = batch_norm_layers(model), strategy_of(model)
        self._means = [variable(layer.moving_mean) for layer in self.layers]
        self._variances = [variable(layer.moving_variance) for layer in self.layers]
        self._calls: Counter = Counter()
        self._step = _compiled(model, lambda x: self.strategy.run(self._forward, args=(x,)))

    def run(self, dataset: Any, steps: Optional[int] = None, size: Optional[int] = None) -> int:
        """Read the data, set the statistics, return the number of samples."""
        if not self.layers:
            return 0
        totals, strategy = _Totals(), self.strategy
        others = [v for v in self.model.variables if not v.trainable]
        with preserved(self.model, others), self._reporting():
            for x in batches(dataset, steps, size, strategy):
                totals.add(strategy.experimental_local_results(self._step(x)))
        n, mean, variance = totals.result(strategy, self.exact)
        places = np.cumsum([int(v.shape[0]) for v in self._means])[:-1]
        with strategy.scope():
            for layer, m, v in zip(self.layers, np.split(mean, places), np.split(variance, places)):
                if m.any() or v.any():  # all zero: never reached by the forward pass
                    _assign(layer, m, v)
        return n

    def _forward(self, x: Any) -> tf.Tensor:
        """[size, means…, variances…] of one replica's part of a batch."""
        for place in [p for p in self._calls if p[0] == threading.get_ident()]:
            del self._calls[place]
        statistics = self._means + self._variances
        for v in statistics:  # from 0, "old * 0 + new" is exactly new however it is written
            v.assign(tf.zeros_like(v))
        self.model(
            x, **({"training": True} if getattr(self.model, "_call_has_training_arg", True) else {})
        )
        size = tf.shape(tf.nest.flatten(x)[0])[0]
        rows = [tf.reshape(tf.cast(v, tf.float32), [-1]) for v in statistics]
        return tf.concat([[tf.cast(size, tf.float32)], *rows], axis=0)

    @contextlib.contextmanager
    def _reporting(self) -> Iterator[None]:
        """Let moving statistics be those of the latest batch."""
        before = [(layer, layer.momentum, getattr(layer, "fused", None)) for layer in self.layers]
        try:
            for layer in self.layers:
                if self.exact and getattr(layer, "fused", False):
                    layer.fused = False  # that kernel divides by n - 1
            with _calls_replaced(self.layers, self._counted):
                yield
        finally:
            for layer, momentum, fused in before:
                layer.momentum = momentum
                if fused is not None:
                    layer.fused = fused

    def _counted(self, layer: Any, call: Callable) -> Callable:
        """A layer's ``call`` that gives its k-th call in a pass the weight 1 / (k + 1).

        So a shared layer ends with the mean over its calls, any other with its only one.
        """

        def replacement(*args: Any, **kwargs: Any) -> Any:
            place = (threading.get_ident(), id(layer))  # replicas are traced in threads
            k = self._calls[place]
            self._calls[place] = k + 1
            layer.momentum = k / (k + 1)
            return call(*args, **kwargs)

        return replacement


class _Totals:
    """Sums over batches, in float64 on the host."""

    def __init__(self) -> None:
        self.count, self.sums, self.replicas = 0.0, np.zeros([3, 0]), 1

    def add(self, rows: Any) -> None:
        """Add a batch: [size, means…, variances…] of each replica of this worker."""
        self.replicas = len(rows)
        for row in rows:
            row = np.asarray(row, np.float64)
            size, (mean, variance) = row[0], row[1:].reshape(2, -1)
            if size:  # an empty part of a last batch has statistics of nothing
                new = size * np.stack([mean, variance, mean * mean])
                self.sums = new + (self.sums if self.sums.size else 0.0)
                self.count += size

    def result(self, strategy: Any, exact: bool) -> tuple[int, np.ndarray, np.ndarray]:
        """Number of samples, means and variances, over all workers."""
        count, sums = self._of_all_workers(strategy)
        if not count:
            raise DataError(_NO_SAMPLE)
        mean, variance, square = sums / count
        if exact:
            variance = variance + np.maximum(square - mean * mean, 0.0)
        return int(count), mean, variance

    def _of_all_workers(self, strategy: Any) -> tuple[float, np.ndarray]:
        cluster = strategy.cluster_resolver and strategy.cluster_resolver.cluster_spec().as_dict()
        if not cluster:
            return self.count, self.sums
        mine = np.concatenate([[self.count], self.sums.ravel()]) / self.replicas
        part = strategy.experimental_distribute_values_from_function(lambda _: tf.constant(mine))
        total = np.asarray(strategy.reduce(tf.distribute.ReduceOp.SUM, part, axis=None))
        return round(float(total[0])), total[1:].reshape(3, -1)


def _compiled(model: Any, step: Callable) -> Callable:
    """A step as a graph of its own, unless the model is run eagerly."""
    if getattr(model, "run_eagerly", False):
        return step
    known = inspect.signature(tf.function).parameters
    relaxed = "reduce_retracing" if "reduce_retracing" in known else "experimental_relax_shapes"
    return tf.function(step, **{relaxed: True})


@contextlib.contextmanager
def _calls_replaced(layers: list[Any], replace: Callable[[Any, Callable], Callable]) -> Iterator:
    """Give each layer another ``call`` for a while (past Keras' tracking of attributes)."""
    try:
        for layer in layers:
            object.__setattr__(layer, "call", replace(layer, layer.call))
        yield
    finally:
        for layer in layers:
            if "call" in vars(layer):
                object.__delattr__(layer, "call")


def _in_training_mode(_: Any, call: Callable) -> Callable:
    def replacement(inputs: Any, *_: Any, **kwargs: Any) -> Any:
        return call(inputs, **{**kwargs, "training": True})

    return replacement


def _assign(layer: Any, mean: np.ndarray, variance: np.ndarray) -> None:
    """Write a layer's statistics, those of batch renormalisation with them."""
    variable(layer.moving_mean).assign(mean.astype(np.float32))
    variable(layer.moving_variance).assign(variance.astype(np.float32))
    if getattr(layer, "renorm", False):
        deviation = np.sqrt(variance + layer.epsilon).astype(np.float32)
        variable(layer.moving_stddev).assign(deviation)
