"""A ranker used as a library: it comes from the hub at a revision, goes there whole, and keeps quiet."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from huggingface_hub import hub_mixin

from prectr import Ranker
from prectr.shared import hub
from prectr.shared.errors import PrectrError

PAGE = [{"item_id": "1", "text": "red cotton shirt", "category": "shirts"}, {"item_id": "2", "text": "blue lamp"}]


class FakeHub:
    """Stands for `HfApi`: keeps the names of what is uploaded."""

    files: set[str]

    def create_repo(self, repo_id: str, **_: Any) -> Any:
        return type("Repo", (), {"repo_id": repo_id})

    def upload_folder(self, folder_path: Path, **_: Any) -> str:
        files = (path for path in Path(folder_path).rglob("*") if path.is_file())
        self.files = {path.relative_to(folder_path).as_posix() for path in files}
        return "https://hub/commit/1"


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> FakeHub:
    fake = FakeHub()
    monkeypatch.setattr(hub_mixin, "HfApi", lambda token: fake)
    monkeypatch.setattr(hub, "get_token", lambda: "hf_token")
    return fake


def test_a_revision_of_the_hub_scores_as_the_folder_does(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}

    def download(repo: str, **options: Any) -> str:
        asked.update(options, repo=repo)
        return str(home / "ranker")

    monkeypatch.setattr(hub, "snapshot_download", download)
    there = Ranker.from_pretrained("someone/ranker", revision="v2").score("red shirt", PAGE)
    assert (asked["repo"], asked["revision"]) == ("someone/ranker", "v2")
    here = Ranker.from_pretrained(home / "ranker").score("red shirt", PAGE)
    np.testing.assert_array_equal(there["p_click"], here["p_click"])


def test_what_is_pushed_is_what_is_saved(home: Path, tmp_path: Path, api: FakeHub) -> None:
    ranker = Ranker.from_pretrained(home / "ranker")
    ranker.save_pretrained(tmp_path)
    assert ranker.push_to_hub("someone/ranker") == "https://hub/commit/1"
    assert api.files == {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert {"config.json", "feature_map.json", "model.safetensors", "encoder/config.json"} <= api.files
    assert "README.md" not in api.files


def test_a_ranker_that_knows_user_ids_is_not_pushed(home: Path, api: FakeHub) -> None:
    ranker = Ranker.from_pretrained(home / "ranker")
    known = replace(ranker.feature_map.categorical[0], name="user_id")
    ranker.feature_map = replace(ranker.feature_map, categorical=[known])
    with pytest.raises(PrectrError, match="holds user ids, which must not be published"):
        ranker.push_to_hub("someone/ranker")
    assert not hasattr(api, "files")


def test_opening_and_scoring_print_nothing(home: Path, capfd: pytest.CaptureFixture[str]) -> None:
    capfd.readouterr()
    assert len(Ranker.from_pretrained(home / "ranker").score("red shirt", PAGE)["p_click"]) == 2
    shown = capfd.readouterr()
    assert (shown.out, shown.err) == ("", "")
