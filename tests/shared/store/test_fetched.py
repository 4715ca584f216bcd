"""Copies of what lies in a store: made once, made anew where it changed, and never half."""

from pathlib import Path
from typing import Any

import pytest

from prectr.shared.errors import PrectrError
from prectr.shared.hub import local_folder, publish
from prectr.shared.store.at_hand import here
from prectr.shared.store.fetched import fetched
from prectr.shared.store.uri import Place, place_of
from tests.shared.store.server import BUCKET


@pytest.fixture
def base(server: dict[str, str], machine: Path, tmp_path: Path) -> str:
    """A folder of the store that no other test knows."""
    return f"s3://{BUCKET}/{tmp_path.name}"


def write(uri: str, text: str) -> None:
    with place_of(uri).files.open_output_stream(place_of(uri).path) as stream:
        stream.write(text.encode())


def contents(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): path.read_text() for path in sorted(folder.rglob("*")) if path.is_file()
    }


def fetch_again(uri: str) -> Path:
    """As another process would."""
    fetched.cache_clear()
    return here(uri)


def test_a_folder_and_a_file_come_under_their_own_names(base: str) -> None:
    write(f"{base}/log/a.csv", "1")
    write(f"{base}/log/deep/b.csv", "22")
    write(f"{base}/log/.hidden", "333")
    folder = here(f"{base}/log/")
    assert folder.name == "log" and contents(folder) == {"a.csv": "1", "deep/b.csv": "22"}
    file = here(f"{base}/log/a.csv")
    assert file.name == "a.csv" and file.read_text() == "1"
    assert here("a/folder") == Path("a/folder") and here("file:///a/folder") == Path("/a/folder")


def test_what_did_not_change_is_not_fetched_again(base: str, monkeypatch: pytest.MonkeyPatch) -> None:
    write(f"{base}/log/a", "1")
    write(f"{base}/log/b", "1")
    folder = here(f"{base}/log")
    copied = []
    fetch = Place.fetch
    monkeypatch.setattr(Place, "fetch", lambda place, file: (copied.append(place.uri), fetch(place, file))[1])
    assert fetch_again(f"{base}/log") == folder and copied == []
    # As many bytes, and within the same second: only its ETag tells.
    write(f"{base}/log/b", "2")
    assert contents(fetch_again(f"{base}/log")) == {"a": "1", "b": "2"} and copied == [f"{base}/log/b"]


def test_what_went_there_goes_here_and_a_process_sees_one_state(base: str) -> None:
    write(f"{base}/log/a", "1")
    write(f"{base}/log/b", "1")
    folder = here(f"{base}/log")
    (place_of(f"{base}/log/b")).remove()
    assert contents(here(f"{base}/log")) == {"a": "1", "b": "1"}
    fetch_again(f"{base}/log")
    assert contents(folder) == {"a": "1"}


def test_a_file_that_changes_meanwhile_is_fetched_whole(base: str, monkeypatch: pytest.MonkeyPatch) -> None:
    write(f"{base}/a", "old")
    fetch, times = Place.fetch, []

    def while_it_changes(place: Place, file: Path) -> None:
        fetch(place, file)
        times.append(1)
        if len(times) == 1:
            write(f"{base}/a", "new")

    monkeypatch.setattr(Place, "fetch", while_it_changes)
    assert here(f"{base}/a").read_text() == "new" and len(times) == 2

    def while_it_goes_on(place: Place, file: Path) -> None:
        fetch(place, file)
        write(f"{base}/b", f"{len(times)}" * len(times))
        times.append(1)

    write(f"{base}/b", "old")
    monkeypatch.setattr(Place, "fetch", while_it_goes_on)
    with pytest.raises(PrectrError, match="it changed while it was read"):
        here(f"{base}/b")


def test_a_copy_that_was_cut_off_is_made_anew(base: str, monkeypatch: pytest.MonkeyPatch) -> None:
    write(f"{base}/log/a", "1")
    write(f"{base}/log/b", "1")
    folder = here(f"{base}/log")
    write(f"{base}/log/b", "22")

    def killed(place: Place, file: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(Place, "fetch", killed)
        fetch_again(f"{base}/log")
    assert contents(fetch_again(f"{base}/log")) == {"a": "1", "b": "22"} == contents(folder)


def test_what_is_not_there_is_said_to_be_so(base: str) -> None:
    with pytest.raises(PrectrError, match=r"nothing: there is no such file or folder"):
        here(f"{base}/nothing")


def test_a_published_folder_is_opened_from_where_it_went(base: str, tmp_path: Path) -> None:
    model: dict[str, Any] = {"config.json": "{}", "model.safetensors": "weights", "notes.txt": "mine"}
    (tmp_path / "model").mkdir()
    for name, text in model.items():
        (tmp_path / "model" / name).write_text(text)
    put: list[str] = []
    with pytest.MonkeyPatch.context() as patched:
        original = Place.put
        patched.setattr(Place, "put", lambda place, file: (put.append(file.name), original(place, file))[1])
        publish(tmp_path / "model", ["*.json", "*.safetensors"], f"{base}/published/", dry_run=False)
    assert put == ["model.safetensors", "config.json"]
    assert contents(local_folder(f"{base}/published")) == {"config.json": "{}", "model.safetensors": "weights"}
