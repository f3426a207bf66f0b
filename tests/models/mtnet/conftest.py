"""Tools of the MT-net tests: small tasks, the library in float64, a reference in plain NumPy."""

from __future__ import annotations

import types
from collections.abc import Iterable, Sequence
from typing import Any, Callable

import numpy as np
import pytest
import tensorflow as tf

from zoolib.models.mtnet import masks, network, sources
from zoolib.models.mtnet.config import MTNetConfig
from zoolib.models.mtnet.task import MTNet
from zoolib.nn import losses
from zoolib.runtime.device import Session, open_session

SMALL = dict(dim_hidden=4, meta_batch_size=3, shots=5, queries=4, test_tasks=20)


@pytest.fixture(scope="session")
def session() -> Session:
    return open_session("cpu")


@pytest.fixture(scope="session")
def build(session: Session) -> Callable[..., MTNet]:
    """Makes a built task of a small config: ``build(variant="tnet", ...)``."""

    def make(**settings: Any) -> MTNet:
        task = MTNet(MTNetConfig(**{**SMALL, **settings}), session)
        task.build()
        return task

    return make


class Recorder:
    """Stands in for Adam and keeps the meta-gradient it is given."""

    def __init__(self, variables: Sequence[tf.Variable]) -> None:
        self.variables_trained, self.gradients = list(variables), None

    def apply(self, gradients: Sequence[tf.Tensor], rate: Any, skip: Any = None) -> None:
        self.gradients = [g.numpy() for g in gradients]


@pytest.fixture
def recorded(build: Callable) -> Callable:
    """Makes a task that reports its meta-gradient instead of following it.

    ``task, step = recorded(...)``; ``step(batch, draws)`` returns (terms, gradient by name).
    """

    def make(**settings: Any) -> tuple[MTNet, Callable]:
        task = build(**settings)
        task.optimizer = Recorder(task.optimizer.variables_trained)
        names = [v.name.split(":")[0] for v in task.optimizer.variables_trained]

        def step(batch: dict, draws: dict) -> tuple[dict, dict]:
            terms = task.train_step(*map(tensors, (batch, draws)))
            told = {name: float(value) for name, value in terms.items()}
            return told, dict(zip(names, task.optimizer.gradients))

        return task, step

    return make


class _Double:
    """TensorFlow in which float32 means float64."""

    float32 = tf.float64

    def __getattr__(self, name: str) -> Any:
        return getattr(tf, name)


@pytest.fixture
def double(monkeypatch: pytest.MonkeyPatch) -> None:
    """The library's own functions compute in float64 while this fixture is in use."""
    monkeypatch.setattr(masks, "tf", _Double())
    monkeypatch.setattr(losses, "tf", _Double())
    wide = lambda value, name: tf.Variable(np.asarray(value, np.float64), name=name)  # noqa: E731
    monkeypatch.setattr(network, "_variable", wide)


class Patterns:
    """A source of noisy random images that stands for the image folders; float32, so that a step
    can be taken in float64."""

    def __init__(self, config: MTNetConfig) -> None:
        self.config, self.inputs = config, 1
        side = (28, 28, 1) if config.datasource == "omniglot" else (84, 84, 3)
        self.patterns = np.random.RandomState(2).uniform(size=(100, *side))

    def _tasks(self, source: Any, lead: tuple, shots: int) -> dict[str, np.ndarray]:
        arrays, ways = {}, self.config.num_classes
        chosen = source.randint(100, size=(*lead, ways))
        for part, each in (("support", shots), ("query", self.config.queries)):
            images = np.repeat(self.patterns[chosen], each, axis=len(lead))
            arrays[f"{part}_x"] = images + 0.3 * source.normal(size=images.shape)
            labels = np.repeat(np.arange(ways, dtype=np.int32), each)
            arrays[f"{part}_y"] = np.broadcast_to(labels, images.shape[: len(lead) + 1]).copy()
        return {k: v.astype("f4") if k.endswith("x") else v for k, v in arrays.items()}

    def train_tasks(self, steps: range) -> dict[str, np.ndarray]:
        source = np.random.RandomState(steps.start + 10)
        return self._tasks(source, (len(steps), self.config.meta_batch_size), self.config.shots)

    def test_part(self, places: np.ndarray, shots: Any = None) -> dict[str, np.ndarray]:
        source, lead = np.random.RandomState(1), (self.config.test_tasks,)
        whole = self._tasks(source, lead, shots or self.config.shots)
        return {name: values[places] for name, values in whole.items()}

    def inputs_of(self, x: tf.Tensor) -> tf.Tensor:
        return x


@pytest.fixture
def patterns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Image tasks need no folders while this fixture is in use."""
    monkeypatch.setattr(sources, "make", Patterns)


def tensors(arrays: dict) -> dict[str, tf.Tensor]:
    return {name: tf.constant(value) for name, value in arrays.items()}


def first(arrays: dict, kind: str = "float32") -> dict[str, np.ndarray]:
    """The first step of what ``batch`` or ``draws`` return, floats as ``kind``."""
    return {
        name: value[0].astype(kind) if value.dtype == np.float32 else value[0]
        for name, value in arrays.items()
    }


def values_of(variables: Iterable[tf.Variable]) -> dict[str, np.ndarray]:
    return {v.name.split(":")[0]: v.numpy() for v in variables}


def forward(p: dict, theta: dict, x: np.ndarray) -> tuple[np.ndarray, list]:
    """The regression network of one task, (x W + b) T, and what the backward pass needs."""
    kept, h = [], x
    for n in "123":
        before = h @ theta["W" + n] + theta["b" + n]
        after = before @ p["T" + n] if "T1" in p else before
        kept.append((h, after.real > 0))
        h = after * (after.real > 0) if n != "3" else after
    return h, kept


def gradient(p: dict, theta: dict, x: np.ndarray, y: np.ndarray) -> dict[str, np.ndarray]:
    """Gradient of the mean squared error in W and b, by hand."""
    prediction, kept = forward(p, theta, x)
    d, found = 2.0 * (prediction - y) / y.size, {}
    for n, (h, active) in reversed(list(zip("123", kept))):
        d = d if n == "3" else d * active
        d = d @ p["T" + n].T if "T1" in p else d
        found["W" + n], found["b" + n] = h.T @ d, d.sum(0)
        d = d @ theta["W" + n].T
    return found


def relaxed(zeta: np.ndarray, noise: np.ndarray, tau: float) -> np.ndarray:
    """Straight-through mask in complex numbers: value hard, derivative that of the softmax."""
    both = np.stack([zeta + noise, np.zeros_like(zeta + noise)]) / tau
    soft = np.exp(both[0]) / np.exp(both).sum(0)
    return (zeta.real + noise > 0) + (soft - soft.real)


def adapt(
    p: dict, x: np.ndarray, y: np.ndarray, steps: list, alpha: float, first_order: bool = False
) -> list[dict]:
    """theta after 0, 1, … inner steps of one task; ``steps`` holds a mask (or 1.0) per key."""
    thetas = [{k: p[k] for k in p if k[0] in "Wb"}]
    for mask in steps:
        theta = thetas[-1]
        g = gradient(p, theta, x, y)
        g = {k: v.real for k, v in g.items()} if first_order else g
        thetas.append({k: theta[k] - alpha * mask[k] * g[k] for k in theta})
    return thetas


def masks_of(p: dict, noise: Any, steps: int, tau: float) -> list[dict]:
    """One task's mask of every entry of theta per inner step; ``noise`` [1 or steps, logits]."""
    if noise is None:
        return [dict.fromkeys(("W1", "b1", "W2", "b2", "W3", "b3"), 1.0)] * steps
    found, logits = [], [k for k in p if k.startswith("zeta")]
    for row in noise:
        masks, place = {}, 0
        for key in logits:
            size = p[key].size
            m = relaxed(p[key], row[place : place + size].reshape(p[key].shape), tau)
            place += size
            name = key[4:].lstrip("_")  # "1" if a unit's weights share it, else "W1" or "b1"
            masks.update({"W" + name: m, "b" + name: m} if name.isdigit() else {name: m})
        found.append(masks)
    return found if len(found) == steps else found * steps


def meta_loss(p: dict, batch: dict, noise: Any, config: MTNetConfig) -> Any:
    """The outer objective by a loop over tasks; p may be complex."""
    found = []
    for task in range(config.meta_batch_size):
        of_task = None if noise is None else noise[:, task]
        steps = masks_of(p, of_task, config.num_updates, config.temp)
        x, y = batch["support_x"][task], batch["support_y"][task]
        theta = adapt(p, x, y, steps, config.update_lr, config.first_order)[-1]
        error = forward(p, theta, batch["query_x"][task])[0] - batch["query_y"][task]
        found.append(np.mean(error**2))
    return np.mean(found)


def complex_gradient(function: Callable, p: dict) -> dict[str, np.ndarray]:
    """Exact gradient by complex steps, f'(a) = Im f(a + ih) / h: no cancellation."""
    found = {}
    for key in p:
        found[key] = np.zeros(p[key].shape)
        for place in np.ndindex(*p[key].shape):
            moved = {**p, key: p[key].astype(complex)}
            moved[key][place] += 1e-30j
            found[key][place] = function(moved).imag / 1e-30
    return found


@pytest.fixture(scope="session")
def reference() -> types.SimpleNamespace:
    """MT-net again, in NumPy: one task at a time, derivatives by hand and by complex steps."""
    return types.SimpleNamespace(
        forward=forward, gradient=gradient, adapt=adapt, masks_of=masks_of, meta_loss=meta_loss,
        complex_gradient=complex_gradient, relaxed=relaxed, first=first, tensors=tensors,
        values_of=values_of,
    )  # fmt: skip
