"""The published split: golden sequences, order of the unlabelled file, maps, bad input."""

from __future__ import annotations

import json

import numpy as np
import pytest

from zoolib.data.semi_split import (
    Split,
    SplitOptions,
    greedy,
    read_fold,
    read_map,
    split_records,
    turns,
    write_map,
)
from zoolib.errors import ConfigError, DataError

SVHN = np.array([13861, 10585, 8497, 7458, 6882, 5727, 5595, 5045, 4659, 4948])


def published(labels, size, seed, ratios=None):
    """The split as its tool makes it, written down again as plainly as possible."""
    classes = int(max(labels)) + 1
    positions = [[i for i, c in enumerate(labels) if c == k] for k in range(classes)]
    share = np.array([len(p) for p in positions], np.float64)
    share = share / share.max() if ratios is None else np.array(ratios, np.float64)
    if seed:
        source = np.random.RandomState(seed)
        for p in positions:
            source.shuffle(p)
    taken = np.zeros(classes, np.int64)
    chosen = []
    for _ in range(size):
        c = np.argmax(share - taken / max(taken.max(), 1))
        chosen.append(positions[c][taken[c]])
        taken[c] += 1
    taken[:] = 0
    buffers, written = [[] for _ in range(classes)], []
    for i, c in enumerate(labels):
        if i in chosen:
            continue
        buffers[c].append(i)
        while True:
            c = np.argmax(share - taken / max(taken.max(), 1))
            if not buffers[c]:
                break
            written.append(buffers[c].pop(0))
            taken[c] += 1
    return sorted(chosen), written + [i for b in buffers for i in b]


def test_golden_sequences():
    assert greedy(np.ones(3), 7) == [0, 1, 2, 0, 1, 2, 0]
    order = greedy(np.array([1, 0.5, 0.25]), 14)
    assert order == [0, 1, 2, 0, 0, 1, 0, 0, 1, 2, 0, 0, 1, 0]
    counts = np.bincount(greedy(SVHN / SVHN.max(), 250))
    assert counts.tolist() == [47, 36, 29, 25, 24, 20, 19, 17, 16, 17]


def test_cifar_has_equal_numbers_of_every_class_and_known_ones():
    labels = np.arange(50000) % 10
    split = split_records(labels, SplitOptions(250, 3))
    assert np.bincount(labels[split.label]).tolist() == [25] * 10
    # The unlabelled file goes round the classes, so its head is balanced.
    assert labels[split.unlabel[:500]].tolist() == [i % 10 for i in range(500)]
    source = np.random.RandomState(3)
    first = np.flatnonzero(labels == 0)
    source.shuffle(first)
    assert sorted(first[:25]) == [i for i in split.label if labels[i] == 0]


@pytest.mark.parametrize("seed", [0, 1, 5])
@pytest.mark.parametrize("size", [1, 17, 60])
def test_same_as_the_published_tool(seed, size):
    labels = np.random.RandomState(7).choice(4, 300, p=[0.5, 0.25, 0.15, 0.1])
    split = split_records(labels, SplitOptions(size, seed))
    assert (split.label.tolist(), split.unlabel.tolist()) == published(labels, size, seed)


def test_every_record_is_in_one_part_and_seeds_differ():
    labels = np.random.RandomState(0).randint(0, 5, 200)
    first, second = (split_records(labels, SplitOptions(40, s)) for s in (1, 2))
    assert sorted([*first.label, *first.unlabel]) == list(range(200))
    assert first.label.tolist() != second.label.tolist()


def test_all_records_but_one_can_be_labelled():
    labels = np.array([0] * 20 + [1] * 3 + [2])
    split = split_records(labels, SplitOptions(23, 1))
    assert len(set(split.label)) == 23 and len(split.unlabel) == 1


def test_class_balance_takes_turns_and_passes_over_empty_classes():
    assert turns(np.array([5, 1, 3]), 8) == [0, 1, 2, 0, 2, 0, 2, 0]
    labels = np.array([0] * 50 + [1] * 5 + [2] * 20)
    split = split_records(labels, SplitOptions(30, 1, class_balance=True))
    assert np.bincount(labels[split.label]).tolist() == [13, 5, 12]


def test_only_eligible_records_are_chosen():
    labels = np.array([0, 1] * 20 + [0] * 60)  # behind the first 40 the labels are invented
    split = split_records(labels, SplitOptions(30, 2, eligible=40))
    assert split.label.max() < 40 and len(split.unlabel) == 70
    assert np.bincount(labels[split.label]).tolist() == [15, 15]


def test_equal_shares_and_folds():
    labels = np.array([0, 1] * 10 + [0] * 80)
    split = split_records(labels, SplitOptions(4, 1, eligible=20, equal=True))
    assert np.bincount(labels[split.label]).tolist() == [2, 2]
    fold = read_fold("3 1 4\n1 5 9 2\n", 1, "folds")
    split = split_records(labels, SplitOptions(4, 1, eligible=20, equal=True, fold=fold))
    assert split.label.tolist() == [1, 2, 5, 9]
    with pytest.raises(DataError, match="fold 1: expected 5 different numbers"):
        split_records(labels, SplitOptions(5, 1, eligible=20, fold=fold))
    with pytest.raises(DataError, match="line 4 of 10"):
        read_fold("1 2", 3, "folds")


def test_map_has_the_published_layout(tmp_path):
    split = Split(np.array([1, 4]), np.array([3, 0, 2]))
    write_map(tmp_path / "map.json", split)
    text = (tmp_path / "map.json").read_text()
    assert text == json.dumps({"label": [1, 4], "unlabel": [3, 0, 2]}, indent=2, sort_keys=True)
    again = read_map(tmp_path / "map.json")
    assert (again.label.tolist(), again.unlabel.tolist()) == ([1, 4], [3, 0, 2])
    (tmp_path / "map.json").write_text('{"label": [1]}')
    with pytest.raises(DataError, match="expected lists of numbers under label and unlabel"):
        read_map(tmp_path / "map.json")


def test_bad_input():
    labels = np.array([0, 1, 0, 1])
    with pytest.raises(ConfigError, match="labels: expected at most 4.* got 5"):
        split_records(labels, SplitOptions(5))
    with pytest.raises(ConfigError, match="labels: expected at most 2.* got 3"):
        split_records(labels, SplitOptions(3, eligible=2))
    with pytest.raises(ConfigError, match="at least 1, got 0"):
        SplitOptions(0)
    with pytest.raises(ConfigError, match="seed: expected"):
        SplitOptions(1, seed=-1)
    with pytest.raises(DataError, match=r"found none of \[1\]"):
        split_records(np.array([0, 2]), SplitOptions(1))
