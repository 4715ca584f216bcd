"""Processes that know each other: who builds, who waits, and what is said when one of them dies."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from prectr.shared.run import launch
from tests.shared.run.processes import ROOT, together

PROGRAM = """
import os, signal, sys, time
from pathlib import Path
from prectr.shared.run import launch
from prectr.shared.run.cli import run_main
from prectr.shared.errors import PrectrError
from prectr.shared.run.steps import run_step

folder = Path(sys.argv[2])

def note(work):
    (work / f"{launch.rank()}-{os.environ.get('WORLD_SIZE')}").touch()

def broken(work):
    raise PrectrError("items.parquet: no such file.")

def dying(work):
    checkpoint = work / "checkpoints" / "checkpoint-120"
    if launch.is_first():
        checkpoint.mkdir(parents=True)
        (checkpoint / "trainer_state.json").write_text("{}")
    launch.wait_for_all()
    if not launch.is_first():
        os.kill(os.getpid(), signal.SIGKILL)
    launch.wait_for_all()

def main(argv):
    verb = argv[0]
    if verb == "run":
        record = run_step("data", folder / "data", {"seed": 0}, note)
        trained = run_step("ranker", folder / "ranker", {"data": record.fingerprint}, note, together=True)
        again = run_step("ranker", folder / "ranker", {"data": record.fingerprint}, broken, together=True)
        assert launch.agree(launch.rank()) == 0
        print(record.fingerprint, trained == again)
    elif verb == "fail":
        run_step("data", folder / "data", {}, broken)
    elif verb == "differ":
        run_step("data", folder / "data", {"rank": launch.rank()}, note, together=True)
    elif verb == "die":
        run_step("ranker", folder / "ranker", {}, dying, together=True)
    elif verb == "hang":
        run_step("ranker", folder / "ranker", {}, lambda work: (note(work), time.sleep(60)))
    else:
        print("alone", launch.num_processes())

run_main(main, together=("run", "fail", "differ", "die"))
"""


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "program.py"
    path.write_text(PROGRAM)
    return path


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.slow
def test_the_first_builds_alone_and_a_training_calls_all(program: Path, tmp_path: Path) -> None:
    first, second = together(program, ["run", str(tmp_path)])
    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    # What the first builds alone does not know of the others.
    assert names(tmp_path / "data") == ["0-None", "step.json"]
    assert names(tmp_path / "ranker") == ["0-2", "1-2", "step.json"]
    assert first.stdout.splitlines()[-1] == second.stdout.splitlines()[-1]
    assert first.stdout.split()[-1] == "True" and json.loads((tmp_path / "data" / "step.json").read_text())
    assert "building" in first.stdout and "building" not in second.stdout


@pytest.mark.slow
def test_what_fails_in_the_first_ends_all_with_its_sentence(program: Path, tmp_path: Path) -> None:
    first, second = together(program, ["fail", str(tmp_path)])
    assert (first.returncode, second.returncode) == (2, 2)
    assert (first.stderr.splitlines()[-1], second.stderr) == ("error: items.parquet: no such file.", "")


@pytest.mark.slow
def test_processes_with_other_settings_are_told_so(program: Path, tmp_path: Path) -> None:
    first, second = together(program, ["differ", str(tmp_path)])
    assert second.returncode == 2 and "have other settings" in second.stderr
    assert first.returncode == 1 and "of this launch died: run the same command again" in first.stderr


@pytest.mark.slow
def test_when_one_is_killed_the_other_names_it_and_the_checkpoint(program: Path, tmp_path: Path) -> None:
    started = time.monotonic()
    first, second = together(program, ["die", str(tmp_path)])
    assert time.monotonic() - started < 60
    assert (first.returncode, second.returncode) == (1, -signal.SIGKILL)
    last = first.stderr.splitlines()[-1]
    assert last.startswith("Process 1 of the 2 of this launch died: run the same command again (… "), last
    assert last.endswith("ranker goes on from checkpoint 120.")


@pytest.mark.slow
def test_any_other_command_is_the_firsts_alone(program: Path, tmp_path: Path) -> None:
    first, second = together(program, ["table", str(tmp_path)])
    assert (first.stdout, second.stdout, first.returncode, second.returncode) == ("alone 1\n", "", 0, 0)


@pytest.fixture
def heeds_ctrl_c() -> Iterator[None]:
    """Where the tests run in the background the shell has them, and their children, ignore Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("heeds_ctrl_c")
@pytest.mark.parametrize(
    ("sent", "code", "cause"), [(signal.SIGTERM, 143, "Stopped by SIGTERM"), (signal.SIGINT, 130, "Interrupted")]
)
def test_a_stopped_command_says_how_to_go_on(
    program: Path, tmp_path: Path, sent: signal.Signals, code: int, cause: str
) -> None:
    process = subprocess.Popen(
        [sys.executable, str(program), "hang", str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob(".ranker.*/0-None")) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(sent)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == code
    last = errors.splitlines()[-1]
    assert last.startswith(f"{cause}: run the same command again (python {program} hang ") and last.endswith(
        "; ranker goes on."
    )


def test_this_process_is_running_and_a_reaped_one_is_not() -> None:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    assert launch.is_running(os.getpid()) and launch.is_running(child.pid)
    child.kill()
    deadline = time.monotonic() + 10
    while launch.is_running(child.pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not launch.is_running(child.pid), "a zombie is gone"
    child.wait()
    assert not launch.is_running(child.pid)
