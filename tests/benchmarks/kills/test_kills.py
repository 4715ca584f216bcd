"""The benchmark of kills: what it compares, and a kill of the quickest command."""

import json
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.kills import pairs
from benchmarks.kills.__main__ import KillArguments, told
from benchmarks.kills.process import Process
from benchmarks.kills.results import differing, leftovers, results_of
from benchmarks.kills.stage import kill_once, run_undisturbed
from prectr.shared.errors import PrectrError

BUILD = ["data", "build", "--profile", "smoke"]


def folder_of(home: Path, seconds: float = 1.0, weights: bytes = b"w", figure: float = 0.5) -> Path:
    (home / "ranker" / "runs").mkdir(parents=True)
    (home / "ranker" / "model.safetensors").write_bytes(weights)
    (home / "ranker" / "runs" / f"events.{seconds}").touch()
    told = {"auc": figure, "date": str(seconds), "seconds": {"rank": seconds}, "log": [{"eval_runtime": seconds}]}
    (home / "ranker" / "metrics.json").write_text(json.dumps(told))
    (home / ".run.lock").touch()
    return home


def test_dates_and_durations_make_no_difference(tmp_path: Path) -> None:
    one, other = (results_of(folder_of(tmp_path / name, seconds)) for name, seconds in (("a", 1.0), ("b", 2.0)))
    assert sorted(one) == ["ranker/metrics.json", "ranker/model.safetensors"]
    assert differing(one, other) == []


@pytest.mark.parametrize(
    ("change", "names"),
    [
        (lambda home: folder_of(home, weights=b"v"), ["ranker/model.safetensors"]),
        (lambda home: folder_of(home, figure=0.6), ["ranker/metrics.json"]),
        (lambda home: (folder_of(home) / "tmpabc").write_text("left"), ["tmpabc"]),
        (lambda home: (folder_of(home) / "ranker" / "metrics.json").unlink(), ["ranker/metrics.json"]),
    ],
)
def test_what_differs_is_named(tmp_path: Path, change: Callable[[Path], object], names: list[str]) -> None:
    change(tmp_path / "b")
    assert differing(results_of(folder_of(tmp_path / "a")), results_of(tmp_path / "b")) == names


def test_work_folders_are_left_over_and_locks_are_not(tmp_path: Path) -> None:
    (folder_of(tmp_path / "a") / ".encoder.0123456789ab.part" / "x").mkdir(parents=True)
    (tmp_path / "a" / "ranker" / ".metrics.17.part.json").touch()
    assert leftovers(tmp_path / "a") == [".encoder.0123456789ab.part", "ranker/.metrics.17.part.json"]


def test_an_outcome_is_told_in_a_few_words() -> None:
    good = {"code": 0, "differing": [], "leftovers": []}
    assert told(good) == "as undisturbed"
    assert told({**good, "code": 1, "differing": ["a"]}) == "exit codes [1]; differing: a"
    assert told({**good, "codes": [0, 2]}) == "as undisturbed"  # one was told
    assert told({**good, "code": 2}) == "exit codes [2]"


def test_a_number_of_kills_is_one() -> None:
    with pytest.raises(PrectrError, match="--kills 0"):
        KillArguments(kills=0)


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    (tmp_path / "empty").mkdir()
    return tmp_path / "empty"


def test_a_command_runs_in_a_group_of_its_own_and_can_be_killed(tmp_path: Path) -> None:
    refused = Process(["data", "validate", str(tmp_path / "none")], tmp_path / "log")
    assert refused.wait() == 2 and refused.printed().startswith("error: ")
    process = Process([*BUILD, "--artifacts", str(tmp_path / "a")], tmp_path / "log2")
    process.kill()
    assert process.code == -signal.SIGKILL and not process.is_running()


def test_a_killed_build_ends_as_an_undisturbed_one(tmp_path: Path, empty: Path) -> None:
    run = run_undisturbed(BUILD, empty, tmp_path / "run")
    assert run.steps == ["start", "data"] and run.seconds >= run.begins[1] > 0
    outcome = kill_once(run, 0, tmp_path / "trial")
    assert told(outcome) == "as undisturbed" and not (tmp_path / "trial").exists()
    (run.artifacts / "toy" / "data" / "items.parquet").write_bytes(b"other")
    assert told(kill_once(run, 1, tmp_path / "trial")) == "differing: toy/data/items.parquet"


def test_two_builds_at_once_leave_what_one_of_them_does(tmp_path: Path, empty: Path) -> None:
    other = [*BUILD, "--seed", "5"]
    allowed = pairs.in_either_order(BUILD, other, empty, tmp_path / "orders")
    assert allowed.seconds > 0 and differing(*allowed.both) and allowed.first == allowed.both[1]
    outcome = pairs.run_pair(BUILD, other, empty, allowed, tmp_path / "pair")
    assert outcome["codes"] == [0, 0] and told(outcome) == "as undisturbed"
