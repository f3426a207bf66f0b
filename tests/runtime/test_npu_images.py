"""A convolutional MT-net on image folders under the adapter's contract, against the CPU."""

from __future__ import annotations

import pytest
from npu_scenarios import IMAGES, finish, start

import zoolib
from zoolib.data.fixtures import stroke_glyphs, write_image_folders


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Generated characters in the folders of Omniglot."""
    folder = tmp_path_factory.mktemp("data")
    write_image_folders(stroke_glyphs(24, 3, size=105), folder / "omniglot")
    return str(folder)


@pytest.fixture(scope="module")
def both(data, tmp_path_factory):
    """The same run with the adapter, in a process of its own, and here on the CPU."""
    folder = tmp_path_factory.mktemp("machine")
    for name in ("dev", "runs"):
        (folder / name).mkdir()
    (folder / "dev" / "davinci0").touch()
    told = {"ZOOLIB_DEVICE_ROOT": str(folder / "dev"), "FAKE_NPU_DIR": str(folder), "DATA": data}
    process = start("npu_scenario_images.py", **told, SCENARIO_OUT=str(folder / "runs"))
    try:
        config = zoolib.get_model("mtnet").preset("smoke", data_dir=data, **IMAGES)
        whole = zoolib.train(config, "cpu", out=tmp_path_factory.mktemp("cpu"), progress=False)
        return finish(process), whole
    finally:
        process.kill()


def test_losses_and_accuracies_are_those_of_the_cpu(both):
    fake, whole = both
    assert len(whole.history) == 2
    for row, expected in zip(fake["trains"]["history"], whole.history):
        assert row == pytest.approx(expected, rel=1e-5)
    assert fake["trains"]["metrics"] == pytest.approx(whole.metrics, rel=1e-4)
    assert "query_accuracy_step_1_ci95" in whole.metrics


def test_no_eager_access_to_variables_and_one_trace(both):
    assert (both[0]["trains"]["eager"], both[0]["trains"]["traces"]) == (0, [1])


def test_precision_mode_and_loss_scale(both):
    fake, mode = both[0], "allow_mix_precision"
    assert fake["the_adapter_was_told_the_mode"] == [mode, {"precision_mode": mode}]
    assert fake["the_loss_was_scaled"] == 1024.0
