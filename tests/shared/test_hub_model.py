"""A model on the hub: what is asked of it on the way in, what arrives there on the way out. Only the hub is made up."""

import os
from pathlib import Path
from typing import Any

import httpx2
import pytest
from huggingface_hub import ModelHubMixin, hub_mixin
from huggingface_hub.errors import HfHubHTTPError

from prectr.shared import hub
from prectr.shared.encoder.level_encoder import LevelEncoder
from prectr.shared.errors import PrectrError
from prectr.shared.hub_model import HubModel
from tests.shared.encoder.tiny_encoder import tiny_encoder


class Scale(HubModel):
    """A model with a config.json of its own, whose settings JSON can hold."""

    def __init__(self, factor: float, config: dict[str, float]) -> None:
        self.factor, self.config = factor, config

    def _save_pretrained(self, save_directory: Path) -> None:
        (save_directory / "factor").write_text(str(self.factor))

    @classmethod
    def _from_pretrained(cls, *, model_id: str, **download: Any) -> "Scale":
        folder = hub.local_folder(model_id, **download)
        return cls(float((folder / "factor").read_text()), {})


class FakeHub:
    """Stands for `HfApi`: keeps the files that are uploaded, or fails with `error`."""

    error: Exception | None = None

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.asked: dict[str, Any] = {}

    def create_repo(self, repo_id: str, **options: Any) -> Any:
        if self.error is not None:
            raise self.error
        self.asked |= options
        return type("Repo", (), {"repo_id": repo_id})

    def upload_folder(self, folder_path: Path, **options: Any) -> str:
        self.asked |= options
        for path in Path(folder_path).rglob("*"):
            if path.is_file():
                self.files[path.relative_to(folder_path).as_posix()] = path.read_bytes()
        return "https://hub/commit/1"


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> FakeHub:
    fake = FakeHub()
    monkeypatch.setattr(hub_mixin, "HfApi", lambda token: fake)
    monkeypatch.setattr(hub, "get_token", lambda: "hf_token")
    return fake


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_folder_holds_what_the_model_writes_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("a card")
    (tmp_path / "config.json").write_text("{}")
    assert Scale(2.0, {"factor": 3.0}).save_pretrained(tmp_path) is None
    assert files(tmp_path) == {"README.md": b"a card", "config.json": b"{}", "factor": b"2.0"}
    assert Scale.from_pretrained(tmp_path).factor == 2.0
    assert isinstance(Scale(1.0, {}), ModelHubMixin)


def test_an_encoder_is_pushed_as_it_is_saved_without_a_made_up_card(tmp_path: Path, api: FakeHub) -> None:
    encoder = tiny_encoder(tmp_path / "made")
    encoder.save_pretrained(tmp_path / "saved")
    pushed = encoder.push_to_hub("someone/encoder", private=True, branch="next", commit_message="Try it")
    assert pushed == "https://hub/commit/1"
    assert api.files == files(tmp_path / "saved") and "README.md" not in api.files
    assert (api.asked["private"], api.asked["revision"], api.asked["commit_message"]) == (True, "next", "Try it")


def test_saving_can_push_too_and_says_where_the_commit_is(tmp_path: Path, api: FakeHub) -> None:
    assert Scale(2.0, {}).save_pretrained(tmp_path, repo_id="someone/scale", push_to_hub=True, private=True)
    assert api.files == {"factor": b"2.0"} and api.asked["private"] is True


def test_opening_hands_revision_token_and_cache_to_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}

    def download(repo: str, **options: Any) -> str:
        asked.update(options, repo=repo)
        return str(tmp_path / "made")

    monkeypatch.setattr(hub, "snapshot_download", download)
    tiny_encoder(tmp_path / "vocabulary").save_pretrained(tmp_path / "made")
    encoder = LevelEncoder.from_pretrained("someone/encoder", revision="v1", token="hf_x", cache_dir=tmp_path / "c")
    assert encoder.num_levels == 4
    expected = {"repo": "someone/encoder", "revision": "v1", "token": "hf_x", "cache_dir": tmp_path / "c"}
    assert asked == {**expected, "local_files_only": False, "force_download": False}


def test_what_was_never_downloaded_is_one_sentence_when_the_hub_may_not_be_asked(tmp_path: Path) -> None:
    with pytest.raises(PrectrError, match="^someone/never: no such folder, and not to be had from the hub either"):
        LevelEncoder.from_pretrained("someone/never", cache_dir=tmp_path, local_files_only=True)


def test_refusals_are_sentences(api: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(PrectrError, match="name it as user/name"):
        Scale(1.0, {}).push_to_hub("scale")
    api.error = HfHubHTTPError("403", response=httpx2.Response(403, request=httpx2.Request("POST", "https://hub/api")))
    with pytest.raises(PrectrError, match="^The hub refused someone/scale: 403"):
        Scale(1.0, {}).push_to_hub("someone/scale")
    monkeypatch.setattr(hub, "get_token", lambda: None)
    with pytest.raises(PrectrError, match="No Hugging Face token"):
        Scale(1.0, {}).push_to_hub("someone/scale")
    with pytest.raises(PrectrError, match="The hub refused"):
        Scale(1.0, {}).push_to_hub("someone/scale", token="hf_x")


def test_every_file_of_an_encoder_can_be_read_by_all(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        tiny_encoder(tmp_path / "made").save_pretrained(tmp_path / "saved")
    finally:
        os.umask(before)
    modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "saved").rglob("*") if path.is_file()}
    assert "model.safetensors" in modes and set(modes.values()) == {0o644}


def test_opening_and_scoring_print_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    tiny_encoder(tmp_path / "made").save_pretrained(tmp_path / "saved")
    capfd.readouterr()
    encoder = LevelEncoder.from_pretrained(tmp_path / "saved")
    assert encoder.score_pairs(["red shirt"], ["cheap red shirt"]).shape == (1, 4)
    shown = capfd.readouterr()
    assert (shown.out, shown.err) == ("", "")
