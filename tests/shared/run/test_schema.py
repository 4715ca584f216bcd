"""Versions of saved settings: newer ones are refused, older ones without a version are the first."""

import json
from pathlib import Path

import pytest

from prectr.shared.encoder.level_encoder import SCHEMA_VERSION, LevelEncoder
from prectr.shared.errors import PrectrError
from prectr.shared.run.schema import read_versioned, versioned
from tests.shared.encoder.tiny_encoder import tiny_encoder


def test_settings_come_back_without_their_version(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps(versioned({"width": 3}, 2)))
    assert json.loads(path.read_text()) == {"schema_version": 2, "width": 3}
    assert read_versioned(path, 2) == read_versioned(path, 5) == {"width": 3}


def test_settings_without_a_version_are_of_the_first(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"width": 3}))
    assert read_versioned(path, 1) == {"width": 3}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"schema_version": 3}', r"has schema_version 3, but this prectr reads versions up to 2: update prectr"),
        ('{"schema_version": "2"}', "schema_version is '2', not a number"),
        ('{"schema_version": 0}', "schema_version is 0, not a number"),
        ("[1]", "schema_version is None"),
        ("{", "is not JSON"),
    ],
)
def test_what_cannot_be_read_is_one_sentence(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "config.json"
    path.write_text(text)
    with pytest.raises(PrectrError, match=message):
        read_versioned(path, 2)


def test_an_encoder_says_its_version_and_others_are_refused(tmp_path: Path) -> None:
    tiny_encoder(tmp_path / "vocabulary").save_pretrained(tmp_path / "encoder")
    path = tmp_path / "encoder" / "level_head" / "config.json"
    config = json.loads(path.read_text())
    assert config.pop("schema_version") == SCHEMA_VERSION
    path.write_text(json.dumps(config))
    with pytest.raises(PrectrError, match="has schema_version 1, .* train the model again"):
        LevelEncoder.from_pretrained(tmp_path / "encoder")
    path.write_text(json.dumps({"schema_version": SCHEMA_VERSION + 1, "unheard_of": 1}))
    with pytest.raises(PrectrError, match="update prectr"):
        LevelEncoder.from_pretrained(tmp_path / "encoder")
