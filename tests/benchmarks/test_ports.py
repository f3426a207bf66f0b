"""The yardsticks compute what zoolib computes, so a ratio of speeds compares one method."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

import zoolib
from zoolib.runtime.device import open_session


@pytest.fixture(autouse=True)
def yardsticks(root, monkeypatch):
    """`yardsticks` can be imported, as from the benchmarks' own folder."""
    monkeypatch.syspath_prepend(str(root / "benchmarks"))


def built(model, **changes):
    spec = zoolib.get_model(model)
    config = spec.preset("smoke", **changes)
    session = open_session("cpu")
    with session.placement():
        task = spec.task_class()(config, session)
        task.build()
    return task


def feed(task, step):
    steps = range(step, step + 1)
    return tuple(
        {k: tf.constant(v[0]) for k, v in part.items()}
        for part in (task.batch(steps), task.draws(steps))
    )


def named(variables):
    return {v.name.split(":")[0]: v for v in variables}


def copy(network, port_network):
    """Give the port zoolib's values; all of them have to have a place."""
    mine = named(network.trainable_variables)
    assert set(mine) == set(port_network.trained)
    for name, variable in port_network.trained.items():
        variable.assign(mine[name])
    moving = {name for n in network.norms for name in named([n.moving_mean, n.moving_variance])}
    assert moving == set(port_network.moving)


def check_moving(network, port_network, tolerance):
    for norm in network.norms:
        for name, variable in named([norm.moving_mean, norm.moving_variance]).items():
            np.testing.assert_allclose(port_network.moving[name], variable, atol=tolerance)


def test_the_port_of_realmix_is_zoolibs_step():
    from yardsticks.realmix_port import Port

    task = built(
        "realmix",
        method="mixmatch",
        labels=20,
        batch_size=8,
        filters=8,
        scales=2,
        tuning_images=16,
        unlabelled_weight=15.0,
        bn_momentum=0.9,
        iterations=12,
    )
    port, plain = (
        Port(task.config, task.classes, task.image_shape[0], fused=fused) for fused in (True, False)
    )
    copy(task.network, port.network)
    copy(task.network, plain.network)
    for shadow, v in zip(port.shadows, port.variables):
        shadow.assign(v)
    improve, train_step = tf.function(port.improve), task.session.compile(task.train_step)
    for step in range(3):
        batch, draws = feed(task, step + 4)
        found = train_step(batch, draws)
        pixels = (tf.cast(batch[k], tf.float32) * (2 / 255) - 1 for k in ("x", "u"))
        x, u = pixels
        u = tf.transpose(u, [1, 0, 2, 3, 4])
        given = (x, batch["labels"], u, batch["lambda_u"], draws["weight"], draws["partner"])
        losses = [float(v) for v in improve(*given)]
        names = ("loss", "labelled_loss", "unlabelled_loss")
        np.testing.assert_allclose(losses, [float(found[n]) for n in names], atol=3e-4)
        if step == 0:
            check_first_step(task, port)
            np.testing.assert_allclose([float(v) for v in plain.improve(*given)], losses, atol=3e-4)
    assert losses[2] > 0 and float(batch["lambda_u"]) > 0


def check_first_step(task, port):
    """Gradients, weights and averages; where a gradient is rounding noise Adam makes it a step."""
    check_moving(task.network, port.network, 1e-5)
    places = {id(v): i for i, v in enumerate(task.optimizer.variables_trained)}
    mine = named(task.network.trainable_variables)
    compared = 0
    for place, (name, variable) in enumerate(port.network.trained.items()):
        at = places[id(mine[name])]
        moment = task.optimizer.first[at].numpy()
        slot = port.optimizer.get_slot(variable, "m")
        np.testing.assert_allclose(slot, moment, atol=2e-6, err_msg=name)
        clear = np.abs(moment) > 1e-5
        compared += clear.sum()
        for theirs, ours in (
            (variable, mine[name]),
            (port.shadows[place], task.average.shadows[at]),
        ):
            np.testing.assert_allclose(
                theirs.numpy()[clear], ours.numpy()[clear], atol=1e-4, err_msg=name
            )
    assert compared > 500


def test_the_port_of_realmix_takes_views_of_the_images_it_is_given():
    from yardsticks.realmix_port import Port

    task = built("realmix", batch_size=6, labels=20)
    port = Port(task.config, task.classes, task.image_shape[0])
    labelled, others = task.data.labelled, task.data.unlabelled
    port.feed(labelled.images, labelled.labels, others.images, flip=False, pad=0)
    x, labels, u = next(port.batches)
    assert u.shape == (6, 2, *task.image_shape) and x.shape == (6, *task.image_shape)
    known = {
        (image.tobytes(), int(label)) for image, label in zip(labelled.images, labelled.labels)
    }
    bytes_again = np.rint((x.numpy() + 1) * 127.5).astype(np.uint8)
    assert {(image.tobytes(), int(k)) for image, k in zip(bytes_again, labels)} <= known
    np.testing.assert_array_equal(u[:, 0], u[:, 1])  # without padding there is one view only
    port.feed(labelled.images, labelled.labels, others.images, flip=True, pad=2)
    port.train(2)
    assert np.isfinite(port.loss) and float(port.seen) == 12
    assert (next(port.batches)[2][:, 0].numpy() != next(port.batches)[2][:, 1].numpy()).any()


def test_the_port_of_am3_is_zoolibs_step():
    from yardsticks.am3_port import Port

    task = built(
        "am3",
        variant="am3-protonet++",
        g_dropout=0.4,
        h_dropout=0.4,
        g_weight_decay=0.001,
        h_weight_decay=0.002,
        units=2,
        lr=0.05,
    )
    train = task.source.sets["train"]
    port, plain = (Port(task.config, train.vectors, fused) for fused in (True, False))
    copy(task.network, port.network)
    copy(task.network, plain.network)
    improve, train_step = tf.function(port.improve), task.session.compile(task.train_step)
    for step in range(3):
        batch, draws = feed(task, step)
        found = train_step(batch, draws)
        support, query = (tf.cast(batch[k], tf.float32) for k in ("support", "query"))
        classes = task.source._episodes.tasks(
            "train", range(step * task.config.tasks, (step + 1) * task.config.tasks)
        )["classes"]
        given = (support, query, batch["labels"], tf.constant(classes))
        keep = [tf.reshape(draws[k], [-1, task.config.hidden]) for k in ("keep_g", "keep_h")]
        told = [float(v) for v in improve(*given, *keep)]
        names = ("loss_ce", "loss_l2", "lambda_mean")
        np.testing.assert_allclose(told, [float(found[n]) for n in names], rtol=2e-3, atol=1e-4)
        if step == 0:
            other = [float(v) for v in plain.improve(*given, *keep)]
            np.testing.assert_allclose(other, told, rtol=2e-3, atol=1e-4)
    for name, variable in named(task.network.trainable_variables).items():
        np.testing.assert_allclose(port.network.trained[name], variable, atol=2e-3, err_msg=name)
    check_moving(task.network, port.network, 0.05)


def test_the_port_of_am3_draws_tasks_of_the_published_form():
    from yardsticks.am3_port import Port, Sampler

    task = built("am3", variant="am3-protonet++", g_dropout=0.5, h_dropout=0.5, shots=2)
    config, train = task.config, task.source.sets["train"]
    sampler = Sampler(train.images, train.class_of, config)
    for _ in range(5):
        support, query, labels, classes = sampler.task()
        assert len(set(classes)) == config.ways and not set(support) & set(query)
        np.testing.assert_array_equal(train.class_of[support], np.repeat(classes, 2))
        np.testing.assert_array_equal(train.class_of[query], classes[labels])
        assert len(set(query)) == config.queries
    port = Port(config, train.vectors)
    port.feed(train.images, train.class_of)
    port.train(2)
    assert np.isfinite(port.loss)
    assert all((v.numpy() != 0).any() for v in port.network.moving.values())
