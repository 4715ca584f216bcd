"""Run folders: done once, never half done, resumed where they stopped."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from prectr.shared.atomic import atomic_write
from prectr.shared.errors import PrectrError
from prectr.shared.run import provenance, steps
from prectr.shared.run.fingerprint import differences, file_fingerprint
from prectr.shared.run.steps import fingerprint_of, fingerprint_of_tables, read_record, run_step

ROOT = Path(steps.__file__).parent.parent


class Builder:
    """Writes one file, counts its calls, and fails the first `failures` times."""

    def __init__(self, text: str = "result", failures: int = 0) -> None:
        self.text, self.failures, self.works = text, failures, list[Path]()

    def __call__(self, work: Path) -> None:
        self.works.append(work)
        (work / "checkpoints").mkdir(exist_ok=True)
        (work / "checkpoints" / str(len(self.works))).touch()
        if len(self.works) <= self.failures:
            raise OSError("disk full")
        (work / "result.txt").write_text(self.text)


def hidden(folder: Path) -> list[str]:
    stays = (".lock", ".checked.json")
    return sorted(path.name for path in folder.iterdir() if path.name[0] == "." and not path.name.endswith(stays))


def test_a_step_runs_once(tmp_path: Path) -> None:
    build = Builder()
    first = run_step("data", tmp_path / "data", {"seed": 0, "weeks": [9, 42]}, build)
    again = run_step("data", tmp_path / "data", {"weeks": (9, 42), "seed": 0}, build)
    assert len(build.works) == 1
    assert again == first == read_record(tmp_path / "data")
    assert (tmp_path / "data" / "result.txt").read_text() == "result"
    assert sorted(path.name for path in (tmp_path / "data").iterdir()) == ["result.txt", "step.json"]
    assert hidden(tmp_path) == []


def test_other_inputs_replace_the_folder(tmp_path: Path) -> None:
    run_step("data", tmp_path / "data", {"seed": 0}, Builder("old"))
    before = fingerprint_of(tmp_path / "data")
    record = run_step("data", tmp_path / "data", {"seed": 1}, Builder("new"))
    assert (tmp_path / "data" / "result.txt").read_text() == "new"
    assert fingerprint_of(tmp_path / "data") == record.fingerprint != before
    assert hidden(tmp_path) == []


def test_the_record_says_what_was_done(tmp_path: Path) -> None:
    run_step("ranker", tmp_path / "ranker", {"seed": 0}, Builder())
    record = json.loads((tmp_path / "ranker" / "step.json").read_text())
    assert set(record) == {"name", "fingerprint", "inputs", "seconds", "finished", "git_commit", "code", "files"}
    assert (record["name"], record["inputs"], record["code"]) == ("ranker", {"seed": 0}, {})
    assert record["finished"].endswith("+00:00")
    # sha256 of {"seed":0}
    assert record["fingerprint"] == "bd0488843468e63c62bb6d1df790f0a83de90616c0906e9dbd3275d3b4100d97"


def test_changed_code_reruns_a_step_and_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    package = tmp_path / "shop_of_steps"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "slices.py").write_text("WEEKS = 26\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    build, folder = Builder(), tmp_path / "features"

    def run(seed: int = 0) -> str:
        run_step("features", folder, {"seed": seed, "rate": 0.002}, build, sources=["shop_of_steps.slices"])
        return capsys.readouterr().out

    run()
    assert "up to date" in run() and len(build.works) == 1
    (package / "slices.py").write_text("WEEKS = 4\n")
    assert "(shop_of_steps/slices.py changed)" in run() and len(build.works) == 2
    assert set(read_record(folder).code) == {"shop_of_steps.slices", "tests.shared.run.test_steps"}
    assert "(seed: 0 → 1)" in run(seed=1)
    assert "up to date" in run(seed=1)


def test_differences_are_told_in_a_line() -> None:
    assert differences({"a": 1, "b": [1]}, {"a": 1, "b": (1,)}, {"m": "1"}, {"m": "1"}) == ""
    assert differences({"data": "0" * 64}, {"data": "1" * 64, "new": None}, {}, {}) == "data changed"
    assert differences({}, {}, {}, {"m": "1"}) == "made before code counted"
    code = [{"prectr.rank.a": "1", "gone": "1"}, {"prectr.rank.a": "2", "come": "1"}]
    assert differences({}, {}, *code) == "come.py added, gone.py no longer used, rank/a.py changed"
    many = {str(number): number for number in range(6)}
    assert differences({}, many, {}, {}).endswith("3: None → 3, and 2 more")


def test_a_failure_leaves_the_old_folder_and_is_resumed(tmp_path: Path) -> None:
    run_step("data", tmp_path / "data", {"seed": 0}, Builder("old"))
    build = Builder("new", failures=1)
    with pytest.raises(OSError, match="disk full"):
        run_step("data", tmp_path / "data", {"seed": 1}, build)
    assert (tmp_path / "data" / "result.txt").read_text() == "old"
    assert (build.works[0] / "checkpoints" / "1").exists()
    run_step("data", tmp_path / "data", {"seed": 1}, build)
    assert build.works[0] == build.works[1]
    assert (tmp_path / "data" / "result.txt").read_text() == "new"
    assert not (tmp_path / "data" / "checkpoints").exists()


def test_seconds_add_up_over_attempts(tmp_path: Path) -> None:
    attempts: list[int] = []

    def build(work: Path) -> None:
        attempts.append(1)
        time.sleep(0.2)
        if len(attempts) < 3:
            raise KeyboardInterrupt

    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            run_step("sft", tmp_path / "encoder", {}, build)
    assert 0.55 < run_step("sft", tmp_path / "encoder", {}, build).seconds < 2


PROGRAM = """
import os, sys, time
from pathlib import Path
from prectr.shared.run.steps import run_step

folder, log, mode = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]

def build(work):
    with open(log, "a") as file:
        file.write(f"{os.getpid()}\\n")
    (work / "half").touch()
    time.sleep(60 if mode == "hang" else 0.5)
    (work / "whole").touch()

run_step("data", folder, {"seed": 0}, build)
"""


def start(folder: Path, log: Path, mode: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", PROGRAM, str(folder), str(log), mode], cwd=ROOT)


def test_two_processes_build_it_once(tmp_path: Path) -> None:
    log = tmp_path / "log"
    processes = [start(tmp_path / "out" / "data", log, "quick") for _ in range(2)]
    assert [process.wait(timeout=60) for process in processes] == [0, 0]
    assert len(log.read_text().splitlines()) == 1
    assert (tmp_path / "out" / "data" / "whole").exists()


def test_a_killed_process_neither_blocks_nor_spoils_the_next(tmp_path: Path) -> None:
    folder, log = tmp_path / "data", tmp_path / "log"
    process = start(folder, log, "hang")
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob(".data.*.part/half")) and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not folder.exists()
    found: list[bool] = []
    run_step("data", folder, {"seed": 0}, lambda work: found.append((work / "half").exists()))
    assert found == [True]
    assert read_record(folder).name == "data"


def test_what_killed_attempts_left_is_not_in_the_finished_folder(tmp_path: Path) -> None:
    def killed(work: Path) -> None:
        (work / "inner" / ".index.part").mkdir(parents=True)
        (work / "inner" / ".index.part" / "0").touch()
        (work / ".items.123.part.parquet").touch()
        (work / ".spill-0").mkdir()
        (work / "kept").touch()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_step("data", tmp_path / "data", {"seed": 0}, killed)
    run_step("data", tmp_path / "data", {"seed": 0}, Builder())
    found = sorted(path.relative_to(tmp_path / "data").as_posix() for path in (tmp_path / "data").rglob("*"))
    assert found == ["inner", "kept", "result.txt", "step.json"]


def test_what_was_begun_with_other_inputs_goes_when_the_folder_is_built(tmp_path: Path) -> None:
    for seed in (1, 2):
        with pytest.raises(OSError):
            run_step("data", tmp_path / "data", {"seed": seed}, Builder(failures=1))
    with pytest.raises(OSError):
        run_step("data", tmp_path / "data.more", {"seed": 1}, Builder(failures=1))
    assert len(hidden(tmp_path)) == 3
    run_step("data", tmp_path / "data", {"seed": 0}, Builder())
    assert [name.startswith(".data.more.") for name in hidden(tmp_path)] == [True]


def test_stopped_between_the_two_renames(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "data"
    run_step("data", folder, {"seed": 0}, Builder("old"))
    build = Builder("new")

    def publish(work: Path, folder: Path) -> None:
        os.replace(folder, folder.parent / f".{folder.name}.previous")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(steps, "_publish", publish)
        with pytest.raises(KeyboardInterrupt):
            run_step("data", folder, {"seed": 1}, build)
    assert not folder.exists()
    run_step("data", folder, {"seed": 1}, build)
    assert len(build.works) == 1
    assert (folder / "result.txt").read_text() == "new"
    assert hidden(tmp_path) == []


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ({"folder": Path("x")}, r"inputs\['folder'\] is PosixPath\('x'\) of type PosixPath"),
        ({"a": {"b": [1, {2}]}}, r"inputs\['a'\]\['b'\]\[1\] is \{2\} of type set"),
        ({"a": np.float32(1)}, "of type float32"),
        ({"a": float("nan")}, "is nan of type float"),
        ({"a": {1: 2}}, r"inputs\['a'\] has the key 1 of type int"),
    ],
)
def test_inputs_must_be_json(tmp_path: Path, inputs: Mapping[str, Any], words: str) -> None:
    build = Builder()
    with pytest.raises(PrectrError, match=words):
        run_step("data", tmp_path / "data", inputs, build)
    assert build.works == [] and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "command"), [("data", "make data"), ("encoder", "make distill"), ("ranker", "make rank")]
)
def test_a_missing_folder_names_the_command(tmp_path: Path, name: str, command: str) -> None:
    with pytest.raises(PrectrError, match=f"{name} is not there.*run {command}"):
        fingerprint_of(tmp_path / name)


def test_a_damaged_record_is_an_error_to_readers_and_rebuilt_by_the_step(tmp_path: Path) -> None:
    run_step("data", tmp_path / "data", {}, Builder())
    (tmp_path / "data" / "step.json").write_text('{"name": ')
    with pytest.raises(PrectrError, match="not a step record"):
        read_record(tmp_path / "data")
    build = Builder()
    run_step("data", tmp_path / "data", {}, build)
    assert len(build.works) == 1


def test_atomic_write_replaces_only_on_success(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "metrics.json"
    with atomic_write(path) as temporary:
        assert (temporary.parent, temporary.suffix) == (path.parent, ".json")
        temporary.write_text("1")
        assert not path.exists()
    with pytest.raises(ValueError, match="stop"), atomic_write(path) as temporary:
        temporary.write_text("2")
        raise ValueError("stop")
    assert path.read_text() == "1"
    assert list(path.parent.iterdir()) == [path]


def test_file_fingerprint(tmp_path: Path) -> None:
    path = tmp_path / "abc"
    path.write_bytes(b"abc")
    assert file_fingerprint(path) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    with pytest.raises(PrectrError, match="no such file"):
        file_fingerprint(tmp_path / "none")


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_the_commit_is_that_of_the_checkout(tmp_path: Path) -> None:
    def git(*arguments: str) -> str:
        identity = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
        command = ["git", "-C", str(tmp_path), *identity, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    assert provenance._commit_of(tmp_path) is None
    git("init")
    assert provenance._commit_of(tmp_path) is None
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "file").write_text("a")
    git("add", ".")
    git("commit", "-m", "first")
    assert provenance._commit_of(tmp_path) == git("rev-parse", "HEAD")
    (tmp_path / "package" / "file").write_text("b")
    assert provenance._commit_of(tmp_path) == git("rev-parse", "HEAD") + "-dirty"
    # Installed inside somebody else's checkout: that commit is not ours.
    assert provenance._commit_of(tmp_path / "package") is None


def test_tables_that_no_step_wrote_are_known_by_their_contents(tmp_path: Path) -> None:
    with pytest.raises(PrectrError, match="make data"):
        fingerprint_of_tables(tmp_path / "data")
    tmp_path.joinpath("data").mkdir()
    (tmp_path / "data" / "items.parquet").write_bytes(b"one")
    first = fingerprint_of_tables(tmp_path / "data")
    assert first == fingerprint_of_tables(tmp_path / "data")
    (tmp_path / "data" / "items.parquet").write_bytes(b"two")
    assert fingerprint_of_tables(tmp_path / "data") != first
    record = run_step("data", tmp_path / "built", {}, lambda work: None)
    assert fingerprint_of_tables(tmp_path / "built") == record.fingerprint


def test_a_table_edited_after_its_step_is_another_input(tmp_path: Path) -> None:
    run_step("data", tmp_path / "data", {}, lambda work: (work / "items.parquet").write_bytes(b"one") and None)
    first = fingerprint_of_tables(tmp_path / "data")
    (tmp_path / "data" / "items.parquet").write_bytes(b"two")
    second = fingerprint_of_tables(tmp_path / "data")
    (tmp_path / "data" / "gold.parquet").write_bytes(b"new")
    assert len({first, second, fingerprint_of_tables(tmp_path / "data")}) == 3
