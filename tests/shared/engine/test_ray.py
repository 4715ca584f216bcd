"""On Ray: the same results in the same order, whoever dies; what fails says which part, which node and why."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from prectr.shared.engine.plain import PLAIN
from prectr.shared.errors import PrectrError
from prectr.shared.run.console import show_progress
from tests.shared.engine.clusters import cluster
from tests.shared.engine.jobs import die_always, die_once, divide, noted, refuse, squares

pytest.importorskip("ray")
pytestmark = pytest.mark.slow

NODE = rf"on {re.escape(os.uname().nodename)} \([\w.:]+, process \d+\)"


@pytest.fixture(scope="module")
def engine():
    with cluster(2) as engine:
        yield engine


def same(found, expected) -> bool:
    found, expected = list(found), list(expected)
    assert len(found) == len(expected)
    return all(
        one.keys() == other.keys()
        and all(one[name].tobytes() == other[name].tobytes() and one[name].dtype == other[name].dtype for name in one)
        for one, other in zip(found, expected, strict=True)
    )


@pytest.mark.parametrize("kept", [False, True])
def test_results_are_those_of_one_process_in_its_order(engine, tmp_path, kept) -> None:
    folder = tmp_path / "kept" if kept else None
    assert same(engine.map(squares(tmp_path), iter(range(40)), kept=folder), PLAIN.map(squares(tmp_path), range(40)))
    opened = {process for process, _ in noted(tmp_path / "opened")} - {os.getpid()}
    assert 1 <= len(opened) <= 4  # Ray may begin another where one is slow to come back
    assert len(noted(tmp_path / "opened")) == len(opened) + 1  # each process once, and this one
    assert not list(tmp_path.rglob("*.node"))


def test_no_parts_are_no_results(engine, tmp_path) -> None:
    assert list(engine.map(squares(tmp_path), [])) == []


def test_killed_workers_change_nothing(engine, tmp_path) -> None:
    found = list(engine.map(squares(tmp_path, die_once), range(9), kept=tmp_path / "kept"))
    assert {file.name for file in tmp_path.glob("died-*")} == {"died-2", "died-5"}
    assert same(found, PLAIN.map(squares(tmp_path), range(9)))
    worked = [part for process, part in noted(tmp_path / "worked") if process != os.getpid()]
    assert sorted(worked) == [str(part) for part in range(9)]


def test_what_is_kept_is_not_done_again(engine, tmp_path) -> None:
    whole = list(engine.map(squares(tmp_path), range(8), kept=tmp_path / "kept"))
    for lost in ("000003.npz", "000006.npz"):
        (tmp_path / "kept" / lost).unlink()
    (tmp_path / "worked").unlink()
    assert same(engine.map(squares(tmp_path), range(8), kept=tmp_path / "kept"), whole)
    assert sorted(part for _, part in noted(tmp_path / "worked")) == ["3", "6"]


@pytest.mark.parametrize(
    ("work", "sentence"),
    [
        (refuse, rf"^squares, part 3 {NODE}: items.parquet: text, row 7: it is empty: write one\.$"),
        (divide, rf"^squares, part 2 {NODE}: ZeroDivisionError: .*zero \(.*jobs\.py, line \d+\)$"),
        (die_always, rf"^squares, part 1 {NODE}: its process ended 6 times before it was done"),
    ],
)
def test_a_failure_says_which_part_which_node_and_why(engine, tmp_path, work, sentence) -> None:
    with pytest.raises(PrectrError, match=sentence) as raised:
        list(engine.map(squares(tmp_path, work), range(9), kept=tmp_path / "kept"))
    assert "\n" not in str(raised.value)
    assert list(engine.map(squares(tmp_path), range(2)))  # the cluster goes on


def test_the_bar_counts_the_units_of_all_workers(engine, tmp_path, capsys) -> None:
    with show_progress():
        list(engine.map(squares(tmp_path, size=lambda part: 10), range(12), total=120))
    assert "squares: 120 numbers in" in capsys.readouterr().out


def test_relative_paths_mean_the_drivers_folder(engine, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert len(list(engine.map(squares(Path(".")), range(3)))) == 3
    assert len(noted(tmp_path / "worked")) == 3


DRIVER = """
import sys, time
from pathlib import Path
from prectr.shared.engine.choice import open_engine
from tests.shared.engine.jobs import squares
folder = Path(sys.argv[1])
found = open_engine("ray").map(squares(folder), range(30), kept=folder / "kept")
for number, each in enumerate(found):
    assert each["square"].item() == number ** 2
    if sys.argv[2] == "slow":
        (folder / "begun").touch()
        time.sleep(0.5)
(folder / "done").touch()
"""


def test_a_killed_driver_goes_on_where_it_was(tmp_path) -> None:
    command = [sys.executable, "-c", DRIVER, str(tmp_path)]
    killed = subprocess.Popen([*command, "slow"], start_new_session=True)
    while not (tmp_path / "begun").exists():
        assert killed.poll() is None
        time.sleep(0.1)
    time.sleep(1.0)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    time.sleep(3.0)  # until its cluster is gone too
    kept = {file.name for file in (tmp_path / "kept").glob("*.npz")}
    before = len(noted(tmp_path / "worked"))
    assert kept and not (tmp_path / "done").exists()
    subprocess.run([*command, "quick"], check=True)
    assert (tmp_path / "done").exists()
    worked = [part for _, part in noted(tmp_path / "worked")]
    assert not {f"{int(part):06d}.npz" for part in worked[before:]} & kept
    assert set(worked) == {str(part) for part in range(30)}


def test_where_no_node_has_a_gpu_processors_work(engine, tmp_path) -> None:
    assert same(engine.map(squares(tmp_path, gpus=1.0), range(3)), PLAIN.map(squares(tmp_path), range(3)))


def test_a_damaged_result_of_another_time_counts_as_none(engine, tmp_path) -> None:
    whole = list(engine.map(squares(tmp_path), range(4), kept=tmp_path / "kept"))
    (tmp_path / "kept" / "000001.npz").write_bytes(b"")
    (tmp_path / "kept" / "000002.npz").write_bytes((tmp_path / "kept" / "000002.npz").read_bytes()[:-20])
    assert same(engine.map(squares(tmp_path), range(4), kept=tmp_path / "kept"), whole)


def test_a_worker_that_cannot_begin_names_its_cause() -> None:
    from ray.exceptions import RayTaskError

    from prectr.shared.engine.ray import _told

    cause = ModuleNotFoundError("No module named 'prectr'")
    error = RayTaskError("_work_on", f"Traceback of many lines\n{type(cause).__name__}: {cause}\n", cause)
    told = str(_told(error, "labels", 3, None))
    assert re.match(r"labels, part 3: .*begin it \(ModuleNotFoundError: .*prectr.*install", told), told


def test_artifacts_that_a_node_does_not_see_are_named(tmp_path) -> None:
    from prectr.shared.engine.ray_worker import Origin, stand_where

    with pytest.raises(PrectrError, match=r"nowhere/kept of head is not on .*: put --artifacts on a folder"):
        stand_where(Origin("head", str(Path.cwd()), {}), tmp_path / "nowhere" / "kept" / "000001.npz")
    with pytest.raises(PrectrError, match=r"/nowhere of head is not on"):
        stand_where(Origin("head", "/nowhere", {}))


def test_a_result_that_never_comes_to_be_seen_is_told(tmp_path, monkeypatch) -> None:
    from prectr.shared import atomic
    from prectr.shared.engine.ray import _read

    monkeypatch.setattr(atomic, "SECONDS_UNTIL_VISIBLE", 0.1)
    with pytest.raises(PrectrError, match="000001.npz was written by a node of the cluster, but .* does not see it"):
        _read(tmp_path / "000001.npz")


@pytest.mark.parametrize(
    ("raised", "sentence"),
    [
        (
            ConnectionError("no such address\nand more"),
            "RAY_ADDRESS is '127.0.0.1:1', but ConnectionError: no such address: start",
        ),
        (
            RuntimeError("Failed to connect.\nTraceback:\nInvalidAuthToken: it is missing"),
            "RAY_ADDRESS is '127.0.0.1:1', but that cluster refuses who has not its token: put .* set RAY_AUTH_MODE",
        ),
    ],
)
def test_where_no_cluster_answers_one_sentence_says_so(monkeypatch, raised, sentence) -> None:
    from prectr.shared.engine import ray as on_ray

    def refuse_to_connect(*args, **settings):
        raise raised

    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    monkeypatch.setattr(on_ray.ray, "is_initialized", lambda: False)
    monkeypatch.setattr(on_ray.ray, "init", refuse_to_connect)
    with pytest.raises(PrectrError, match=sentence) as said:
        on_ray.connect()
    assert "\n" not in str(said.value)


def test_a_part_takes_no_more_processors_than_a_node_has(engine, tmp_path) -> None:
    assert same(engine.map(squares(tmp_path, cpus=64.0), range(3)), PLAIN.map(squares(tmp_path), range(3)))
