"""The tiny shop and the toy shop, each built once."""

from pathlib import Path

import pytest

from prectr.data import toy
from prectr.data.journey import build as journey
from tests.data.journey.tiny_journey import tiny_arguments, write_phrasebook, write_raw


@pytest.fixture(scope="session")
def raw_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_raw(tmp_path_factory.mktemp("raw"))


@pytest.fixture(scope="session")
def phrasebook_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_phrasebook(tmp_path_factory.mktemp("phrasebook"))


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory, raw_folder: Path, phrasebook_path: Path) -> Path:
    """The tiny shop's data set; read only."""
    folder = tmp_path_factory.mktemp("tiny")
    journey.build(folder, tiny_arguments(raw_folder, phrasebook_path))
    return folder


@pytest.fixture(scope="session")
def toy_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The toy shop's data set; read only."""
    folder = tmp_path_factory.mktemp("toy")
    toy.build(folder, seed=5)
    return folder
