"""Few-shot tasks with pooled queries: what a task is, purity, fairness, errors."""

from __future__ import annotations

import numpy as np
import pytest

from zoolib.data.fewshot import Split
from zoolib.data.fewshot_episodes import Episodes
from zoolib.errors import ConfigError, DataError


def numbered(counts: list[int], words: int = 2) -> Split:
    """Pictures in random order; classes of the given sizes."""
    class_of = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
    class_of = np.random.default_rng(3).permutation(class_of)
    images = np.zeros((len(class_of), 2, 2, 3), np.uint8)
    vectors = np.ones((len(counts), words), np.float32) if words else None
    return Split(images, class_of, tuple(f"c{i}" for i in range(len(counts))), vectors)


RAGGED = numbered([9, 14, 9, 30, 11, 12, 9, 25])


@pytest.mark.parametrize("shots", [0, 1, 5])
@pytest.mark.parametrize("balanced", [False, True])
def test_what_a_task_is(shots: int, balanced: bool) -> None:
    tasks = Episodes(RAGGED, 5, shots, 20, 7, balanced).tasks("train", range(300))
    classes, support, query, labels = (
        tasks[k] for k in ("classes", "support", "query", "query_labels")
    )
    shapes = {"classes": 5, "support": 5 * shots, "query": 20, "query_labels": 20}
    for name, array in tasks.items():
        assert array.shape == (300, shapes[name]) and array.dtype == np.int32
    assert (np.diff(np.sort(classes, axis=1)) > 0).all()  # different classes
    np.testing.assert_array_equal(RAGGED.class_of[support], np.repeat(classes, shots, axis=1))
    np.testing.assert_array_equal(
        RAGGED.class_of[query], np.take_along_axis(classes, labels, axis=1)
    )
    every = np.sort(np.concatenate([support, query], axis=1))
    assert (np.diff(every) > 0).all()  # no picture twice
    each = np.stack([(labels == i).sum(axis=1) for i in range(5)])
    assert (each == 4).all() if balanced else each.min() < 2 and each.max() > 7


def test_the_whole_pool_can_be_asked_for() -> None:
    """Queries that are all there is: every picture of the classes is in the task."""
    small = numbered([3, 4, 5])
    tasks = Episodes(small, 3, 1, 9, 0).tasks("x", range(50))
    every = np.sort(np.concatenate([tasks["support"], tasks["query"]], axis=1))
    np.testing.assert_array_equal(every, np.broadcast_to(np.arange(12), (50, 12)))


def test_a_task_depends_on_seed_purpose_and_place_only() -> None:
    episodes = Episodes(RAGGED, 5, 2, 15, 7)
    whole = episodes.tasks("train", range(40))
    part = Episodes(RAGGED, 5, 2, 15, 7).tasks("train", range(13, 17))
    for name in whole:
        np.testing.assert_array_equal(whole[name][13:17], part[name])
    for other in (
        episodes.tasks("val", range(40)),
        Episodes(RAGGED, 5, 2, 15, 8).tasks("train", range(40)),
    ):
        assert (other["classes"] != whole["classes"]).mean() > 0.7
    assert episodes.tasks("train", range(3, 3))["support"].shape == (0, 10)
    with pytest.raises(ValueError, match="stride 1"):
        episodes.tasks("train", range(0, 10, 2))


def test_tasks_at_different_shots_are_paired() -> None:
    one, five = (Episodes(RAGGED, 5, k, 20, 7).tasks("test", range(100)) for k in (1, 5))
    np.testing.assert_array_equal(one["classes"], five["classes"])
    first = five["support"].reshape(100, 5, 5)[..., 0]
    np.testing.assert_array_equal(one["support"], first)


def test_draws_are_uniform() -> None:
    """Pooled: every other picture of the classes is equally likely, whichever class it is of."""
    uneven = numbered([6, 6, 24])
    count = 6000
    tasks = Episodes(uneven, 3, 2, 6, 1).tasks("x", range(count))
    support = np.bincount(tasks["support"].ravel(), minlength=36) / count
    query = np.bincount(tasks["query"].ravel(), minlength=36) / count
    sizes = uneven.counts[uneven.class_of]
    np.testing.assert_allclose(support, 2 / sizes, rtol=0.12)
    np.testing.assert_allclose(query, (1 - 2 / sizes) * 6 / 30, rtol=0.12)
    places = np.argsort(tasks["classes"], axis=1)  # position of each class
    np.testing.assert_allclose(places.mean(axis=0), 1, atol=0.05)
    two = Episodes(RAGGED, 2, 1, 4, 1).tasks("x", range(4000))
    share = np.bincount(two["classes"].ravel(), minlength=8) / 4000
    np.testing.assert_allclose(share, 0.25, atol=0.03)


def test_the_draws_stay_what_they_are() -> None:
    """Stored results refer to these tasks."""
    tasks = Episodes(RAGGED, 3, 1, 4, 0).tasks("golden", range(5, 7))
    assert {k: v.tolist() for k, v in tasks.items()} == {
        "classes": [[7, 1, 2], [0, 7, 4]],
        "support": [[77, 12, 69], [73, 51, 39]],
        "query": [[93, 13, 29, 87], [26, 116, 97, 35]],
        "query_labels": [[0, 2, 0, 1], [1, 0, 1, 1]],
    }


def test_too_few_images() -> None:
    sizes = numbered([4, 20, 20])
    with pytest.raises(DataError, match=r"at least 6 images .* fewer are in c0 \(4\)"):
        Episodes(sizes, 3, 5, 10, 0)
    with pytest.raises(DataError, match=r"at least 7 images .* c0 \(4\)"):
        Episodes(sizes, 3, 2, 15, 0, balanced=True)
    with pytest.raises(DataError, match=r"c0 \(4\), c1 \(20\)"):
        Episodes(sizes, 2, 2, 21, 0)
    assert Episodes(sizes, 2, 2, 20, 0).tasks("x", range(9))["query"].shape == (9, 20)
    with pytest.raises(DataError, match="at least 5 classes for 5-way tasks, found 3"):
        Episodes(sizes, 5, 1, 5, 0)


def test_bad_settings() -> None:
    for ways, shots, queries in ((1, 1, 5), (3, -1, 5), (3, 1, 0)):
        with pytest.raises(ConfigError, match="at least 2 ways, 0 shots and 1 query"):
            Episodes(RAGGED, ways, shots, queries, 0)
    with pytest.raises(ConfigError, match="multiple of 3 ways"):
        Episodes(RAGGED, 3, 1, 10, 0, balanced=True)
    with pytest.raises(DataError, match="0 shots: expected word vectors"):
        Episodes(numbered([9, 9, 9], words=0), 3, 0, 5, 0)
