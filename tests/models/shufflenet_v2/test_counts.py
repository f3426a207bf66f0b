"""Parameters and multiply-adds of the specification's table 1.5, every row, to the unit."""

from __future__ import annotations

import subprocess
import sys

import pytest

from zoolib.errors import ConfigError
from zoolib.models.shufflenet_v2.architecture import Architecture
from zoolib.models.shufflenet_v2.counts import count, table

ROWS = [  # width, wiring, channels, trained, with statistics, multiply-adds (M), digits known
    ("0.5", "reference", None, 1_366_792, 1_374_744, 40.476448, 6),
    ("0.5", "torchvision", None, 1_366_792, 1_374_744, 40.476, 3),
    ("0.5", "megvii", None, 1_365_792, None, 40.476, 3),
    ("1.0", "reference", None, 2_275_374, 2_291_418, 140.563064, 6),
    ("1.0", "torchvision", None, 2_278_604, 2_294_784, 144.908, 3),
    ("1.0", "megvii", None, 2_278_760, None, 145.814, 3),
    ("1.5", "reference", None, 3_495_624, 3_518_808, 286.075424, 6),
    ("1.5", "torchvision", None, 3_503_624, 3_527_064, 295.759, 3),
    ("1.5", "megvii", None, 3_506_720, None, 298.971, 3),
    ("2.0", "reference", None, 6_697_904, 6_728_848, 487.077440, 6),
    ("2.0", "reference", (244, 488, 976), 7_378_414, 7_411_738, 565.813, 3),
    ("2.0", "torchvision", None, 7_393_996, 7_427_712, 583.254, 3),
    ("2.0", "megvii", None, 7_402_600, None, 590.783, 3),
    ("2.0", "torchvision", (224, 488, 976), 7_366_536, 7_399_952, 564.371, 3),
    ("0.33", "torchvision", None, 647_272, 652_264, 22.455, 3),
    ("0.33", "reference", None, 647_696, 652_720, 23.214, 3),
    ("0.25", "torchvision", None, 603_688, 607_712, 17.576, 3),
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: "-".join(map(str, row[:3])))
def test_totals(row):
    width, wiring, channels, trained, total, multiply_adds, digits = row
    found = count(Architecture(width, wiring, channels=channels))
    assert found.trainable == trained
    assert total is None or found.total == total
    # The table's 583.254 is 583.253464 rounded up; all its blocks agree to the digit.
    slack = 0.6e-3 if digits == 3 else 1e-9
    assert found.multiply_adds / 1e6 == pytest.approx(multiply_adds, abs=slack)


@pytest.mark.parametrize(
    ("width", "kernels", "depthwise", "norm", "classifier", "decayed", "millions"),
    [
        ("0.5", 324_552, 9_288, 7_952, 1_025_000, 1_348_552, (37.632, 1.820448, 1.024)),
        ("1.0", 1_212_496, 21_834, 16_044, 1_025_000, 2_236_496, (135.619456, 3.919608, 1.024)),
        ("1.5", 2_414_536, 32_904, 23_184, 1_025_000, 3_438_536, (279.279616, 5.771808, 1.024)),
        ("2.0", 4_576_200, 41_760, 30_944, 2_049_000, 6_624_200, (477.775872, 7.253568, 2.048)),
    ],
)
def test_by_kind(width, kernels, depthwise, norm, classifier, decayed, millions):
    found = count(Architecture(width, "reference"))
    kinds = found.by_kind
    order = ("conv", "depthwise", "norm", "dense")
    assert [kinds[kind][0] for kind in order] == [kernels, depthwise, norm, classifier]
    assert tuple(kinds[k][1] / 1e6 for k in ("conv", "depthwise", "dense")) == millions
    assert (found.decayed, found.decayed_tensors) == (decayed, 38)
    assert (found.tensors, found.all_tensors) == (170, 282)


@pytest.mark.parametrize(
    ("width", "wiring", "blocks"),
    [
        ("0.5", "reference", [(6_936, 6.266), (45_552, 9.794), (89_952, 5.631), (198_656, 9.634)]),
        (
            "1.0",
            "reference",
            [(26_962, 21.380), (244_180, 54.589), (501_352, 32.160), (477_184, 23.282)],
        ),
        ("1.0", "torchvision", [(30_192, 25.725), (244_180, 54.589), (501_352, 32.160)]),
        (
            "1.5",
            "reference",
            [(56_152, 43.747), (550_000, 124.220), (1_140_832, 73.632), (722_944, 35.324)],
        ),
        ("1.5", "torchvision", [(64_152, 53.431)]),
        (
            "2.0",
            "reference",
            [(87_280, 67.738), (882_784, 200.246), (1_839_040, 119.002), (1_839_104, 89.915)],
        ),
        (
            "2.0",
            "torchvision",
            [(117_872, 96.774), (1_044_564, 237.255), (2_178_920, 141.105), (2_002_944, 97.944)],
        ),
    ],
)
def test_by_block(width, wiring, blocks):
    found = count(Architecture(width, wiring)).by_block
    assert (found["Conv1"][0], round(found["Conv1"][1] / 1e6, 3)) == (696, 8.129)
    for name, (parameters, millions) in zip(("Stage2", "Stage3", "Stage4", "Conv5"), blocks):
        assert (found[name][0], round(found[name][1] / 1e6, 3)) == (parameters, millions)


@pytest.mark.parametrize(
    ("classes", "width", "wiring", "trained"),
    [
        (10, "0.5", "reference", 352_042),
        (10, "1.0", "reference", 1_260_624),
        (10, "1.0", "torchvision", 1_263_854),
        (10, "1.5", "reference", 2_480_874),
        (10, "1.5", "torchvision", 2_488_874),
        (10, "2.0", "reference", 4_669_394),
        (10, "2.0", "torchvision", 5_365_486),
        (100, "0.5", "torchvision", 444_292),
        (100, "1.0", "reference", 1_352_874),
        (100, "1.0", "torchvision", 1_356_104),
        (100, "1.5", "reference", 2_573_124),
        (100, "1.5", "torchvision", 2_581_124),
        (100, "2.0", "reference", 4_853_804),
        (100, "2.0", "torchvision", 5_549_896),
    ],
)
def test_other_numbers_of_classes(classes, width, wiring, trained):
    assert count(Architecture(width, wiring, classes)).trainable == trained


@pytest.mark.parametrize("width", ["0.25", "0.33", "0.5", "1.0", "1.5", "2.0"])
@pytest.mark.parametrize("wiring", ["torchvision", "reference", "megvii"])
def test_stages_keep_their_widths(width, wiring):
    if (width, wiring) == ("0.25", "megvii"):
        with pytest.raises(ConfigError, match=r"width: expected 0\.33 or more"):
            Architecture(width, wiring)
        return
    network = Architecture(width, wiring)
    for units, channels in zip(network.units(), network.stages):
        assert units[0].main + units[0].shortcut == channels
        assert {unit.inputs for unit in units[1:]} == {channels // 2}
    assert [stage[0].size for stage in network.units()] == [28, 14, 7]


def test_the_table_has_every_row_and_counting_imports_no_tensorflow():
    text = table()
    for trained in ("1,366,792", "2,278,760", "3,495,624", "7,402,600", "603,688"):
        assert trained in text
    program = (
        "import sys; from zoolib.models.shufflenet_v2.counts import table; table(); "
        "print('tensorflow' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"width": "0.75"}, "width: expected one of"),
        ({"wiring": "paper"}, "wiring: expected one of"),
        ({"image_size": 16}, "at least 32 pixels"),
        ({"num_classes": -1}, "num_classes"),
        ({"channels": (51, 102, 204)}, "expected even numbers"),
    ],
)
def test_networks_that_do_not_exist(options, told):
    with pytest.raises(ConfigError, match=told):
        Architecture(**options)
