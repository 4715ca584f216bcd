"""Artifacts in a store: another machine goes on, and what is half-written there counts for nothing."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from prectr.shared.errors import PrectrError
from prectr.shared.run.steps import RECORD, read_record, require_whole, run_step
from prectr.shared.store.at_hand import artifacts_of, at_hand
from prectr.shared.store.uri import Place, place_of
from tests.shared.store.conftest import other_machine
from tests.shared.store.server import BUCKET, SECRET, holds


class Where:
    def __init__(self, artifacts: str) -> None:
        self.artifacts, self.name = artifacts, "toy"


@pytest.fixture
def kept(server: dict[str, str], machine: Path, tmp_path: Path) -> str:
    """The URI of artifacts that no other test knows."""
    return f"s3://{BUCKET}/{tmp_path.name}/artifacts"


Machine = Callable[[str], None]


@pytest.fixture
def move(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """Go to another machine."""
    return lambda name: (other_machine(tmp_path / name, monkeypatch), None)[1]


def make(uri: str, value: int, step: str = "encoder", built: list[int] | None = None) -> Path:
    """A command with one step; `built` is told when it does its work."""
    where = Where(uri)
    with at_hand([where]):
        folder = Path(where.artifacts) / "toy" / step

        def build(work: Path) -> None:
            (work / "deep").mkdir(exist_ok=True)
            (work / "deep" / "weights").write_text(f"{value}" * 10)
            (work / "config").write_text(f"{value}")
            if built is not None:
                built.append(value)

        run_step(step, folder, {"value": value}, build)
    return folder


def test_another_machine_finds_what_was_finished(kept: str, move: Machine) -> None:
    first = make(kept, 1)
    record = read_record(first)
    there = place_of(f"{kept}/toy/encoder").list_files()
    assert there.keys() == {"config", "deep/weights", RECORD}
    move("two")
    built: list[int] = []
    second = make(kept, 1, built=built)
    assert second != first and built == [] and require_whole(second) == record
    assert (second / "deep" / "weights").read_text() == "1" * 10


def test_what_was_made_last_counts_on_both(kept: str, move: Machine, tmp_path: Path) -> None:
    first = make(kept, 1)
    stamp(first, "2020-01-01T00:00:00+00:00")
    move("two")
    built: list[int] = []
    make(kept, 2, built=built)
    move("one")
    assert make(kept, 2, built=built) == first and built == [2] and (first / "config").read_text() == "2"


def test_what_could_not_be_put_up_is_put_up_next_time(kept: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(place: Place, file: Path) -> None:
        raise PrectrError("no more today.")

    with monkeypatch.context() as patched, pytest.raises(PrectrError, match="no more today"):
        patched.setattr(Place, "put", fail)
        make(kept, 1)
    assert place_of(f"{kept}/toy").list_files() == {}
    built: list[int] = []
    make(kept, 1, built=built)
    assert built == [] and RECORD in place_of(f"{kept}/toy/encoder").list_files()


@pytest.mark.parametrize("last", range(3))
def test_half_a_folder_there_counts_for_nothing(
    kept: str, move: Machine, monkeypatch: pytest.MonkeyPatch, last: int
) -> None:
    make(kept, 1)
    put, done = Place.put, []

    def until_killed(place: Place, file: Path) -> None:
        if len(done) == last:
            raise KeyboardInterrupt
        done.append(place.uri)
        put(place, file)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(Place, "put", until_killed)
        make(kept, 2)
    assert not any(uri.endswith(RECORD) for uri in done)
    move("two")
    built: list[int] = []
    folder = make(kept, 2, built=built)
    assert built == [2] and (folder / "config").read_text() == "2"
    assert require_whole(folder).inputs == {"value": 2}


def test_files_that_are_not_those_of_the_record_are_not_taken(kept: str, move: Machine) -> None:
    make(kept, 1)
    place = place_of(f"{kept}/toy/encoder/config")
    with place.files.open_output_stream(place.path) as stream:
        stream.write(b"7")
    move("two")
    built: list[int] = []
    folder = make(kept, 1, built=built)
    assert built == [1] and (folder / "config").read_text() == "1"


def test_a_folder_that_is_damaged_here_is_fetched(kept: str) -> None:
    folder = make(kept, 1)
    (folder / "deep" / "weights").write_text("2" * 11)
    built: list[int] = []
    assert make(kept, 1, built=built) == folder and built == []
    assert (folder / "deep" / "weights").read_text() == "1" * 10


def test_a_step_inside_of_a_step_comes_too(kept: str, move: Machine) -> None:
    make(kept, 1, "ranker")
    make(kept, 2, "ranker/onnx")
    move("two")
    built: list[int] = []
    make(kept, 2, "ranker/onnx", built)
    make(kept, 1, "ranker", built)
    assert built == []
    # Made anew, the outer one begins without the inner, there too.
    make(kept, 3, "ranker", built)
    assert place_of(f"{kept}/toy/ranker").list_files().keys() == {"config", "deep/weights", RECORD}


def test_only_the_record_is_fetched_of_what_is_not_needed(kept: str, move: Machine) -> None:
    make(kept, 1, "features")
    make(kept, 1, "ranker")
    move("two")
    home = artifacts_of(kept, "toy", without=["features"]) / "toy"
    assert [path.name for path in (home / "features").iterdir()] == [RECORD]
    assert require_whole(home / "ranker").inputs == {"value": 1}
    built: list[int] = []
    make(kept, 1, "features", built)
    assert built == [] and require_whole(home / "features").inputs == {"value": 1}


def test_labels_and_reports_travel_even_if_the_command_fails(kept: str, move: Machine) -> None:
    where = Where(kept)
    with pytest.raises(PrectrError, match="no more pairs"), at_hand([where]):
        shards = Path(where.artifacts) / "toy" / "label_cache" / "teacher" / "shards"
        shards.mkdir(parents=True)
        (shards / "1.parquet").write_text("labels")
        (shards / ".2.part").write_text("half")
        (Path(where.artifacts) / "toy" / "report.html").write_text("page")
        raise PrectrError("no more pairs.")
    move("two")
    home = artifacts_of(kept, "toy") / "toy"
    found = {path.relative_to(home).as_posix() for path in home.rglob("*") if path.is_file()}
    assert {name for name in found if not name.startswith(".")} == {
        "label_cache/teacher/shards/1.parquet",
        "report.html",
    }


def test_no_file_holds_a_credential(kept: str, machine: Path, tmp_path: Path) -> None:
    folder = make(kept, 1)
    assert folder.is_relative_to(machine) and holds(machine, SECRET) == []
    for name in place_of(kept).list_files():
        assert SECRET.encode() not in (place_of(kept) / name).read()


def test_a_folder_of_this_machine_is_left_alone(tmp_path: Path) -> None:
    for given in (str(tmp_path / "artifacts"), f"file://{tmp_path}/artifacts"):
        assert make(given, 1) == tmp_path / "artifacts" / "toy" / "encoder"


def stamp(folder: Path, finished: str) -> None:
    """As if the folder had been finished then, here and in the store."""
    path = folder / RECORD
    record = json.loads(path.read_text())
    path.write_text(json.dumps({**record, "finished": finished}))
