"""Labels for pictures from a few examples, or from names."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

import zoolib
from zoolib.errors import ConfigError, DataError


@pytest.fixture(scope="module")
def task(built, stepped):
    made = built()
    stepped(made, range(10))
    return made


@pytest.fixture(scope="module")
def pictures(task):
    """Two example pictures and two others of three classes, their names."""
    split = task.source.sets["test"]
    own = [np.flatnonzero(split.class_of == c) for c in range(3)]
    return (
        split.images[np.stack([places[:2] for places in own])],
        split.images[np.concatenate([places[2:4] for places in own])],
        list(split.names[:3]),
    )


def test_arrays_of_examples_with_names(task, pictures):
    support, query, names = pictures
    found = task.predict(support, names, query)
    assert found.probabilities.shape == (6, 3) and set(found.labels) <= set(names)
    np.testing.assert_allclose(found.probabilities.sum(axis=1), 1.0, rtol=1e-5)
    assert ((found.share > 0) & (found.share < 1)).all()
    assert str(found).count("\n") == 5
    vectors = task.source.sets["test"].vectors[:3]
    given = task.predict(support, ["a", "b", "c"], query, vectors)
    np.testing.assert_allclose(given.probabilities, found.probabilities, rtol=1e-5)


def test_predictions_are_those_of_the_evaluation(task, pictures):
    support, query, names = pictures
    module = task.export_module()
    one, images = np.repeat(support[:, :1], 1, axis=1), query[:1]
    five = np.concatenate([one[:, 0], one[:2, 0]]).astype(np.float32)
    words = task.source.sets["test"].vectors[[0, 1, 2, 0, 1]]
    served = module.serve(five, images.astype(np.float32), words)
    told = task.predict(five[:, None], None, images, words)
    np.testing.assert_allclose(told.probabilities, served["probabilities"], rtol=1e-4)


def test_no_examples_unknown_names_and_both_missing(task, pictures):
    support, query, names = pictures
    assert not task.predict(None, names, query).share.any()
    mixed = task.predict([support[0], [], support[2]], [names[0], names[1], "zyzzyva"], query)
    assert 0 < mixed.share[0] < 1 and mixed.share[1] == 0.0 and mixed.share[2] == 1.0
    assert (task.predict(support, None, query).share == 1.0).all()
    with pytest.raises(ConfigError, match="found nothing of zyzzyva"):
        task.predict([support[0], []], [names[0], "zyzzyva"], query)


def test_files_are_read(task, pictures, tmp_path):
    support, query, names = pictures
    paths = []
    for place, group in enumerate(support):
        paths.append([])
        for number, image in enumerate(group):
            paths[-1].append(tmp_path / f"{place}-{number}.png")
            Image.fromarray(image).save(paths[-1][-1])
    found = task.predict(paths, names, paths[0][0])
    again = task.predict(support, names, support[0][:1])
    np.testing.assert_allclose(found.probabilities, again.probabilities, rtol=1e-5)
    assert found.pictures == (str(paths[0][0]),)


def test_bad_input_is_told(task, pictures, tmp_path):
    support, query, names = pictures
    with pytest.raises(ConfigError, match="at least two, one for each of 3"):
        task.predict(support, names[:2], query)
    with pytest.raises(DataError, match=r"\[N, 16, 16, 3\]"):
        task.predict(support, names, query[:, :8])
    with pytest.raises(DataError, match="expected a picture"):
        task.predict(support, names, tmp_path / "missing.png")
    with pytest.raises(ConfigError, match=r"vectors: expected finite numbers \[3, 300\]"):
        task.predict(support, names, query, np.zeros((3, 5)))


def test_variants_without_words_and_with_conditioning(built, stepped, pictures):
    support, query, names = pictures
    plain = built(variant="protonet++")
    assert (plain.predict(support, names, query).share == 1.0).all()
    with pytest.raises(ConfigError, match="at least one picture, found nothing"):
        plain.predict(None, names, query)
    tadam = built(variant="tadam", blocks=2, pools=2)
    stepped(tadam, range(2))
    on = tadam.predict(support, names, query).probabilities
    for factor in tadam.network.ten.factors:
        factor.assign(0.0)
    assert np.abs(tadam.predict(support, names, query).probabilities - on).max() > 1e-6


def test_exported_signatures(task, tmp_path):
    path = zoolib.export(task, "frozen", tmp_path / "am3.pb")
    assert [p.name for p in path.conversion.inputs] == ["support", "query", "words"]
    assert task.export_module().embed(np.zeros((3, 16, 16, 3), np.float32))["features"].shape == (
        3,
        16,
    )
