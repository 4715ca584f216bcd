"""A run with its graphs, which torch takes long to write."""

import shutil
from pathlib import Path

import pytest

from prectr.rank.__main__ import main
from tests.rank.toy_run import copy_run
from tests.shared.made_once import made_once


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run's folder, after `rank export`; a module's own."""

    def make(folder: Path) -> None:
        copy_run(tmp_path_factory, folder)
        main(["export", str(folder / "ranker")])

    exported = made_once(tmp_path_factory, "exported_run", make)
    return Path(shutil.copytree(exported, tmp_path_factory.mktemp("run"), dirs_exist_ok=True))
