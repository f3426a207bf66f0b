"""The meta-gradient of whole train steps against independent implementations, in float64."""

from __future__ import annotations

import numpy as np
import pytest

CASES = [
    ("maml", 1), ("maml", 3), ("tnet", 2), ("mnet", 1), ("mnet_full", 2),
    ("mtnet", 1), ("mtnet", 2), ("mtnet_full", 1), ("mtnet_full", 2),
]  # fmt: skip


def started(task, reference) -> dict[str, np.ndarray]:
    """Move every parameter away from its special start (zeros, identity) and return the values."""
    source = np.random.RandomState(3)
    for variable in task.network.trainable_variables:
        shape = tuple(variable.shape)
        variable.assign(variable.numpy() + 0.5 * source.standard_normal(shape))
    return reference.values_of(task.network.trainable_variables)


def compared(recorded, reference, **settings) -> tuple[dict, dict, float, float]:
    """(the library's gradient, the reference's, the library's loss, the reference's)."""
    settings = {"update_lr": 0.05, "temp": 0.7, "seed": 5, **settings}
    task, step = recorded(**settings)
    p = started(task, reference)
    batch = reference.first(task.batch(range(2, 3)), "float64")
    draws = reference.first(task.draws(range(2, 3)), "float64")
    terms, found = step(batch, draws)
    objective = lambda q: reference.meta_loss(q, batch, draws.get("noise"), task.config)  # noqa: E731
    return found, reference.complex_gradient(objective, p), terms["loss"], objective(p).real


@pytest.mark.parametrize(("variant", "updates"), CASES)
def test_second_order_gradient_of_every_parameter(double, recorded, reference, variant, updates):
    found, wanted, loss, value = compared(recorded, reference, variant=variant, num_updates=updates)
    assert loss == pytest.approx(value, rel=1e-12)
    assert set(found) == set(wanted)
    for name in wanted:
        assert np.abs(wanted[name]).max() > 1e-8, f"{name}: nothing to compare"
        np.testing.assert_allclose(found[name], wanted[name], rtol=1e-9, atol=1e-11, err_msg=name)


@pytest.mark.parametrize(("variant", "updates"), [("maml", 1), ("tnet", 2), ("mtnet", 2)])
def test_first_order_is_fomaml(double, recorded, reference, variant, updates):
    settings = dict(variant=variant, num_updates=updates, first_order=True)
    found, wanted, *_ = compared(recorded, reference, **settings)
    for name in wanted:
        np.testing.assert_allclose(found[name], wanted[name], rtol=1e-9, atol=1e-11, err_msg=name)
    second, *_ = compared(recorded, reference, **{**settings, "first_order": False})
    assert np.abs(second["W2"] - found["W2"]).max() > 1e-3 * np.abs(found["W2"]).max()


def test_first_order_maml_is_the_gradient_at_the_adapted_parameters(double, recorded, reference):
    """FOMAML by its own definition: no derivative of the inner loop appears at all."""
    task, step = recorded(variant="maml", num_updates=2, first_order=True, update_lr=0.05)
    p = started(task, reference)
    batch = reference.first(task.batch(range(1)), "float64")
    steps = reference.masks_of(p, None, 2, 1.0)
    parts = []
    for i in range(task.config.meta_batch_size):
        theta = reference.adapt(p, batch["support_x"][i], batch["support_y"][i], steps, 0.05)[-1]
        parts.append(reference.gradient(p, theta, batch["query_x"][i], batch["query_y"][i]))
    _, found = step(batch, {})
    for name in found:
        wanted = np.mean([part[name] for part in parts], axis=0)
        np.testing.assert_allclose(found[name], wanted, rtol=1e-10, atol=1e-13, err_msg=name)


def test_gradient_against_central_differences_of_the_library_itself(double, recorded, reference):
    """The spec's check: float64, 1e-5, every direction of theta and T, masks held fixed."""
    task, step = recorded(variant="mtnet", num_updates=2, update_lr=0.05)
    started(task, reference)
    batch = reference.first(task.batch(range(1)), "float64")
    draws = reference.first(task.draws(range(1)), "float64")
    _, found = step(batch, draws)
    source = np.random.RandomState(0)
    for variable in task.network.theta + task.network.T:
        name, at = variable.name.split(":")[0], variable.numpy()
        way = source.standard_normal(at.shape)
        ends = []
        for sign in (1, -1):
            variable.assign(at + sign * 1e-6 * way)
            ends.append(step(batch, draws)[0]["loss"])
        variable.assign(at)
        slope = (ends[0] - ends[1]) / 2e-6
        assert slope == pytest.approx(np.sum(found[name] * way), rel=1e-5, abs=1e-8), name


@pytest.mark.parametrize("variant", ["maml", "mtnet", "mtnet_full"])
def test_float32_step_agrees_with_the_float64_reference(recorded, reference, variant):
    """The step as users run it, not the widened one."""
    task, step = recorded(variant=variant, num_updates=2, update_lr=0.05, seed=5)
    p = {k: v.astype("f8") for k, v in started(task, reference).items()}
    batch, draws = reference.first(task.batch(range(1))), reference.first(task.draws(range(1)))
    terms, found = step(batch, draws)
    objective = lambda q: reference.meta_loss(q, batch, draws.get("noise"), task.config)  # noqa: E731
    assert terms["loss"] == pytest.approx(objective(p).real, rel=1e-5)
    for name, wanted in reference.complex_gradient(objective, p).items():
        scale = np.abs(wanted).max()
        np.testing.assert_allclose(found[name], wanted, rtol=1e-3, atol=2e-5 * scale, err_msg=name)


@pytest.mark.parametrize("variant", ["tnet", "mtnet", "mtnet_full"])
def test_a_batch_of_tasks_is_a_loop_over_tasks(double, recorded, reference, variant):
    """Tasks do not touch one another: B tasks at once give the mean over tasks taken singly."""
    task, step = recorded(variant=variant, num_updates=2, meta_batch_size=3)
    started(task, reference)
    batch = reference.first(task.batch(range(1)), "float64")
    draws = reference.first(task.draws(range(1)), "float64")
    terms, together = step(batch, draws)
    alone, one = recorded(variant=variant, num_updates=2, meta_batch_size=1)
    started(alone, reference)  # the same seed: the same values
    parts = []
    for i in range(3):
        single = {k: v[i : i + 1] if v.ndim else v for k, v in batch.items()}
        parts.append(one(single, {k: v[:, i : i + 1] for k, v in draws.items()}))
    assert terms["loss"] == pytest.approx(np.mean([p[0]["loss"] for p in parts]), rel=1e-12)
    for name, value in together.items():
        mean = np.mean([p[1][name] for p in parts], axis=0)
        np.testing.assert_allclose(value, mean, rtol=1e-10, atol=1e-14, err_msg=name)


def test_support_loss_is_before_adaptation(double, recorded, reference):
    task, step = recorded(variant="mtnet")
    p = started(task, reference)
    batch = reference.first(task.batch(range(1)), "float64")
    terms, _ = step(batch, reference.first(task.draws(range(1)), "float64"))
    theta = {k: p[k] for k in p if k[0] in "Wb"}
    errors = [
        np.mean((reference.forward(p, theta, x)[0] - y) ** 2)
        for x, y in zip(batch["support_x"], batch["support_y"])
    ]
    assert terms["support_loss"] == pytest.approx(np.mean(errors), rel=1e-12)
