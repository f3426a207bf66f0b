"""Evaluation on stored tasks, the two baselines and pre-training (spec 1.8, 1.11)."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from zoolib.data import regression
from zoolib.models.mtnet import evaluation
from zoolib.models.mtnet.config import MTNetConfig
from zoolib.models.mtnet.sources import RegressionSource

MODES = ("sampled", "expected", "thresholded")


@pytest.fixture(scope="module")
def trained(build, reference):
    """Makes a task whose parameters are no longer special."""

    def make(**settings):
        task = build(**{"update_lr": 0.01, "test_updates": 5, **settings})
        source = np.random.RandomState(7)
        for v in task.network.trainable_variables:
            v.assign(v.numpy() + 0.4 * source.standard_normal(tuple(v.shape)))
        return task

    return make


def test_the_earlier_implementations_test_tasks():
    """Measured from it, seed 1, K = 10: task 1 and 2 (spec 1.11)."""
    tasks = regression.stored_sinusoids(600, 20)
    knowledge = [[2.14340782, 2.26296614, 0.80004575], [3.49238082, 2.75325772, 1.15784267]]
    np.testing.assert_allclose(tasks.knowledge[:2], knowledge, rtol=1e-6)
    np.testing.assert_allclose(
        tasks.x[0, :3, 0], [-1.97667427, -3.53244109, -4.07661405], rtol=1e-6
    )
    np.testing.assert_allclose(tasks.y[0, :3, 0], [1.3854115, 1.99312641, 1.4746831], rtol=1e-5)


def test_zero_predictor(build):
    metrics = build(test_tasks=600, test_updates=1, shots=10, queries=10).evaluate()
    assert metrics["zero_mse"] == pytest.approx(4.268, abs=0.0005)
    assert metrics["zero_mse_ci95"] == pytest.approx(0.307, abs=0.0005)


def test_stored_tasks_are_the_same_for_every_method_and_seed():
    same = [
        RegressionSource(MTNetConfig(variant=v, seed=s, dim_hidden=h)).test_tasks()
        for v, s, h in (("maml", 0, 40), ("mtnet", 0, 40), ("mtnet_full", 9, 7))
    ]
    for other in same[1:]:
        for name, values in same[0].items():
            np.testing.assert_array_equal(values, other[name])


def test_stored_tasks_are_independent():
    """Bug 6 of the earlier code: 4000 points were 600 tasks, over and over."""
    for family in ("sinusoid", "polynomial"):
        tasks = RegressionSource(MTNetConfig(datasource=family)).test_tasks()
        assert len(tasks["query_x"]) == 600
        for part in ("support", "query"):
            values = tasks[f"{part}_x"].reshape(600, -1)
            assert len(np.unique(values[:, 0])) > 595  # float32
            assert np.isin(values, values[0]).sum() <= values.shape[1] + 3
        overlap = tasks["support_x"] == np.swapaxes(tasks["query_x"], 1, 2)
        assert overlap.sum() <= 1  # a query point is no support point


@pytest.mark.parametrize("shots", [5, 20])
def test_support_and_query_sets_at_other_shots(shots):
    tasks = RegressionSource(MTNetConfig(shots=10)).test_tasks(shots)
    assert tasks["support_x"].shape == (600, shots, 1) and tasks["query_y"].shape == (600, 10, 1)


def curve_by_hand(task, reference, mode, shots=None) -> np.ndarray:
    """Query errors [steps + 1, tasks] by the NumPy reference."""
    p = {
        k: v.astype("f8") for k, v in reference.values_of(task.network.trainable_variables).items()
    }
    tasks, steps, found = task.source.test_tasks(shots), task.config.test_updates, []
    logits = [k for k in p if k.startswith("zeta")]
    sampled = evaluation.test_masks(task, "sampled", task.config.test_tasks) if logits else None
    for i in range(task.config.test_tasks):
        chosen = [dict.fromkeys(("W1", "b1", "W2", "b2", "W3", "b3"), 1.0)] * steps
        for j in range(steps if logits else 0):
            place, chosen[j] = 0, {}
            for key in logits:
                on = 1 / (1 + np.exp(-p[key]))
                row = sampled[i, j % sampled.shape[1], place : place + p[key].size]
                place += p[key].size
                m = {"expected": on, "thresholded": on > 0.5, "sampled": row.reshape(on.shape)}[
                    mode
                ]
                name = key[4:].lstrip("_")
                pair = ("W" + name, "b" + name) if name.isdigit() else (name,)
                chosen[j] = {**chosen[j], **dict.fromkeys(pair, m)}
        x, y = tasks["support_x"][i], tasks["support_y"][i]
        thetas = reference.adapt(p, x, y, chosen, task.config.update_lr)
        query = tasks["query_x"][i], tasks["query_y"][i]
        found.append(
            [np.mean((reference.forward(p, t, query[0])[0] - query[1]) ** 2) for t in thetas]
        )
    return np.array(found).T


@pytest.mark.parametrize("variant", ["maml", "mtnet", "mtnet_full"])
def test_metrics_are_query_errors_at_every_step_with_intervals_over_tasks(
    trained, reference, variant
):
    """Step 0 too is on the query set (bug 1 of the earlier code); all three kinds of masks."""
    task = trained(variant=variant)
    metrics, names = task.evaluate(), {"zero_mse", "zero_mse_ci95"}
    for mode in MODES if task.config.use_M else MODES[:1]:
        errors = curve_by_hand(task, reference, mode)
        prefix = "" if mode == "sampled" else f"{mode}_"
        for step in (0, 1, 2, 5):
            name = f"{prefix}query_mse_step_{step}"
            names |= {name, f"{name}_ci95"}
            assert metrics[name] == pytest.approx(errors[step].mean(), rel=1e-3), name
            half = 1.96 * errors[step].std() / np.sqrt(len(errors[step]))
            assert metrics[f"{name}_ci95"] == pytest.approx(half, rel=1e-3), name
    assert set(metrics) == names


def test_sampled_masks_at_test(trained):
    """As likely as in training; shared ones stay over steps, full ones do not."""
    for variant, rows in (("mtnet", 1), ("mtnet_full", 5)):
        task = trained(variant=variant)
        masks = evaluation.test_masks(task, "sampled", 500)
        assert masks.shape[:2] == (500, rows)
        zeta = np.concatenate([z.numpy().ravel() for z in task.network.zeta])
        wanted = 1 / (1 + np.exp(-zeta))
        sigma = np.sqrt(wanted * (1 - wanted) / (500 * rows))
        assert (np.abs(masks.mean((0, 1)) - wanted) < 4 * sigma).all()
        assert len(np.unique(masks.reshape(500, -1), axis=0)) > 1


def test_the_plain_metric_is_of_the_kind_asked_for(trained):
    told = {
        mode: trained(variant="mtnet", mask_at_test=mode, test_updates=1).evaluate()
        for mode in MODES
    }
    for mode in MODES:
        for other in MODES:
            prefix = "" if mode == other else f"{mode}_"
            name = f"{prefix}query_mse_step_1"
            assert told[other][name] == told[mode]["query_mse_step_1"]
    assert len({told[m]["query_mse_step_1"] for m in MODES}) == 3


def test_evaluating_twice_gives_the_same_numbers_and_changes_nothing(trained, reference):
    task = trained(variant="mtnet_full", test_updates=2)
    before = reference.values_of(task.variables)
    first = task.evaluate()
    task.evaluate(shots=7)
    assert task.evaluate() == first
    after = reference.values_of(task.variables)
    assert all((before[name] == after[name]).all() for name in before)


@pytest.mark.parametrize("shots", [5, 20])
def test_a_ten_shot_model_at_other_shots(trained, reference, shots):
    task = trained(variant="mtnet", shots=10, test_updates=2)
    metrics, errors = task.evaluate(shots=shots), curve_by_hand(task, reference, "sampled", shots)
    for step in (0, 1, 2):
        wanted = pytest.approx(errors[step].mean(), rel=1e-3)
        assert metrics[f"query_mse_step_{step}"] == wanted


def test_a_padded_last_call_counts_no_task_twice(trained, reference):
    task = trained(variant="tnet", test_tasks=107, test_updates=1)
    errors = evaluation.curve(task)
    assert errors.shape == (2, 107)
    np.testing.assert_allclose(errors, curve_by_hand(task, reference, "sampled"), rtol=2e-3)


def test_divergence_is_told_as_infinity(trained):
    metrics = trained(variant="maml", update_lr=1e4, test_updates=10).evaluate()
    assert metrics["query_mse_step_10"] == metrics["query_mse_step_10_ci95"] == float("inf")
    assert np.isfinite(metrics["query_mse_step_0"])


def test_the_oracle_is_told_amplitude_phase_and_frequency(build, reference):
    """Bug 14 of the earlier code: no frequency."""
    task = build(baseline="oracle", variant="mtnet")
    tasks = {"train": task.batch(range(2)), "test": task.source.test_tasks()}
    for arrays in tasks.values():
        for part in ("support", "query"):
            x, amplitude, phase, frequency = np.split(arrays[f"{part}_x"], 4, axis=-1)
            y = amplitude * np.sin(frequency * x - phase)
            np.testing.assert_allclose(y, arrays[f"{part}_y"], atol=1e-5)
            assert (np.ptp(frequency, axis=-2) == 0).all() and 0.8 <= frequency.min()
            assert frequency.max() <= 1.2 and frequency.std() > 0.05
    plain = build(variant="mtnet").batch(range(2))
    np.testing.assert_array_equal(plain["query_y"], tasks["train"]["query_y"])


def test_the_oracle_does_not_adapt(build, recorded, reference):
    task, step = recorded(baseline="oracle", variant="mtnet")
    batch = reference.first(task.batch(range(1)))
    terms, _ = step(batch, task.draws(range(1)))
    own = task.network.tasks_own(3)
    plain = tf.reduce_mean(task.loss(own, reference.tensors(batch), "query"))
    assert terms["loss"] == pytest.approx(float(plain), rel=1e-6)
    metrics = build(baseline="oracle", variant="mtnet").evaluate()
    assert [n for n in metrics if n.startswith("query") and "ci95" not in n] == ["query_mse_step_0"]


def test_pretraining_moves_w_b_and_t_by_its_own_adam(build, reference):
    task = build(variant="mtnet", pretrain_iterations=2, iterations=4)
    batch, draws = task.batch(range(4)), task.draws(range(4))
    values = [reference.values_of(task.variables)]
    for i in range(4):
        arrays = ({k: v[i] for k, v in group.items()} for group in (batch, draws))
        if i == 0:
            with tf.GradientTape() as tape:
                own = task.network.tasks_own(3)
                one = reference.tensors({k: v[0] for k, v in batch.items()})
                loss = tf.reduce_mean(task.loss(own, one, "support"))
            slope = tape.gradient(loss, task.network.theta[4]).numpy()
        task.train_step(*map(reference.tensors, arrays))
        values.append(reference.values_of(task.variables))
    assert [float(v["adam/count"]) for v in values] == [0, 0, 0, 1, 2]
    assert [float(v["pretrain_adam/count"]) for v in values] == [0, 1, 2, 2, 2]
    moved = lambda i, name: np.abs(values[i + 1][name] - values[i][name]).max() > 0  # noqa: E731
    for name in ("W3", "b3", "T3"):
        assert moved(0, name) and moved(1, name) and moved(2, name) and moved(3, name), name
    for name in ("zeta1", "zeta2", "zeta3"):
        assert not moved(0, name) and not moved(1, name), name
    assert any(moved(2, name) for name in ("zeta1", "zeta2", "zeta3"))
    assert not any(moved(i, n) for i in (0, 1) for n in values[0] if n.startswith("adam/"))
    assert not any(moved(i, n) for i in (2, 3) for n in values[0] if n.startswith("pretrain_adam"))
    # Adam's first step is beta * g / (|g| + epsilon'), on the plain support loss
    step = values[1]["W3"] - values[0]["W3"]
    wanted = -task.config.meta_lr * slope / (np.abs(slope) + 1e-8 / np.sqrt(0.001))
    np.testing.assert_allclose(step, wanted, rtol=1e-3, atol=1e-7)


def test_mask_probabilities_have_the_right_sign(build):
    """Bug 7 of the earlier code: its "change probability" was that of not changing."""
    task = build(variant="mtnet", logit_init=3.0)
    for probability in task.figure_data()["mask_probability"]:
        np.testing.assert_allclose(probability, 0.9525741, rtol=1e-5)
