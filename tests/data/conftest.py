"""Raw images shared by the tests of records: a small drawn set in ImageNet's layout."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from zoolib.data.shapes_files import write_shapes


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """4 classes of 12 training and 3 validation images; not to be written to."""
    root = tmp_path_factory.mktemp("drawn")
    write_shapes(root, classes=4, train=12, validation=3, size=32)
    return root


@pytest.fixture
def raw(drawn: Path, tmp_path: Path) -> Path:
    """A copy to be spoilt."""
    return Path(shutil.copytree(drawn, tmp_path / "raw"))
