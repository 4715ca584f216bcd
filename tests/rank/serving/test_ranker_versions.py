"""A ranker's folder says which version of the format it has."""

import json
from pathlib import Path

import pytest

from prectr.rank.model.trained import SCHEMA_VERSION
from prectr.rank.serving.ranker import Ranker
from prectr.shared.errors import PrectrError
from tests.rank.toy_run import copy_run


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = copy_run(tmp_path_factory, tmp_path_factory.mktemp("run"))
    (home / "ranker" / "step.json").unlink()  # as of a hub: what a test changes is nobody's damage
    return home / "ranker"


def test_the_version_is_written_and_a_folder_from_before_is_one_clear_sentence(folder: Path) -> None:
    path = folder / "config.json"
    text = path.read_text()
    config = json.loads(text)
    assert config.pop("schema_version") == SCHEMA_VERSION
    path.write_text(json.dumps(config))
    with pytest.raises(PrectrError, match="config.json has schema_version 1, .* train the model again"):
        Ranker.from_pretrained(folder)
    path.write_text(text)


def test_a_newer_version_is_one_clear_sentence(folder: Path) -> None:
    path = folder / "config.json"
    text = path.read_text()
    path.write_text(json.dumps(json.loads(text) | {"schema_version": SCHEMA_VERSION + 1, "unheard_of": 1}))
    with pytest.raises(PrectrError, match=rf"config.json has schema_version {SCHEMA_VERSION + 1}, .* update prectr"):
        Ranker.from_pretrained(folder)
    path.write_text(text)
