"""Guidelines are measured on blocks of equal work; golden file and folded check hold."""

from __future__ import annotations

import numpy as np
import pytest

from zoolib.models.shufflenet_v2 import golden, guidelines
from zoolib.models.shufflenet_v2.folded_check import compare_folded
from zoolib.models.shufflenet_v2.network import build
from zoolib.models.shufflenet_v2.published import PAPER, measured
from zoolib.models.shufflenet_v2.weights import load_weights


@pytest.fixture(scope="module")
def found():
    return guidelines.measure(rounds=2, size=6, channels=32)


def test_every_rule_is_measured_on_blocks_of_the_papers_kinds(found):
    assert [one.rule for one in found] == list(guidelines.RULES)
    for one in found:
        counts = {len(one.blocks), len(one.speed), len(one.milliseconds), len(one.multiply_adds)}
        counts |= {len(row) for row in one.paper.values()}
        assert counts == {len(guidelines.BLOCKS[one.rule])}
        assert one.speed[0] == 1.0 and min(one.speed) > 0 and min(one.milliseconds) > 0


def test_the_work_is_equal():
    for one in guidelines.measure(rounds=1, size=3):  # the widths a user measures
        low, high = min(one.multiply_adds), max(one.multiply_adds)
        assert high < 1.03 * low, one.rule


def test_the_papers_speeds_are_relative_to_the_first_block(found):
    by_rule = {one.rule: one.paper for one in found}
    assert by_rule["G1"]["GPU"] == pytest.approx((1, 1296 / 1480, 876 / 1480, 748 / 1480))
    assert by_rule["G3"]["ARM"][3] == pytest.approx(33.4 / 40.2)


def test_speeds_are_medians_of_paired_ratios():
    class Fake:
        multiply_adds = 7

    seconds = np.array([[1.0, 2.0, 4.0, 1.0], [3.0, 3.0, 6.0, 1.0], [2.0, 8.0, 4.0, 1.0]])
    one = guidelines._summary("G1", [Fake()] * 4, seconds)
    assert one.speed == (1.0, 0.5, 0.5, 2.0)
    assert one.milliseconds == (2000.0, 3000.0, 4000.0, 1000.0)


def test_the_table_has_a_line_for_every_block(found):
    lines = guidelines.table(found).splitlines()
    assert len(lines) == 4 + sum(len(one.blocks) for one in found) + 1
    assert any("8 groups" in line and "0.26" in line and "0.70" in line for line in lines)


def test_the_golden_checkpoint_gives_the_references_logits(tmp_path):
    path = golden.checkpoint(tmp_path / "model.ckpt-1")
    network = build("0.5", "reference")
    load_weights(network, path)
    logits = network(golden.image()).numpy()
    assert golden.REFERENCE["0.5"].difference(logits) < 1e-4
    assert golden.REFERENCE["0.5"].difference(np.roll(logits, 1)) == float("inf")
    assert golden.REFERENCE["0.5"].difference(logits * 1.01) > 1e-2


def test_golden_numbers_are_the_specifications():
    first = [0.5883937727, 0.7041337329, 0.9277629151]
    np.testing.assert_allclose(golden.numbers(0, 3), first, atol=1e-10)
    values = golden.values()
    assert len(values) == 282 and sum(v.size for v in values.values()) == 1_374_744


def test_folded_beside_unfolded():
    network = build("0.25", "torchvision", num_classes=5, image_size=32)
    images = np.random.default_rng(0).random((2, 32, 32, 3), np.float32)
    both = compare_folded(network, images, rounds=1)
    assert both.transposes["folded"] == 0 < both.transposes["network"]
    assert both.difference < 1e-4 and both.speed > 0
    assert both.numbers["folded"] < both.numbers["network"]
    assert both.operations["folded"] < both.operations["network"]


def test_stored_widths_are_those_of_the_benchmark():
    document = measured()
    assert document["command"] == "python benchmarks/shufflenet_v2_widths.py"
    widths = {run["width"] for run in document["runs"]}
    assert widths == set(document["images_per_second"]) and "0.5" in widths & set(PAPER)
