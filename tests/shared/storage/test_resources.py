"""What the machine could not give is one sentence that names the file, and the same command then goes on."""

import errno
import os
import pickle
import resource
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors import SafetensorError

from prectr.shared.errors import PrectrError
from prectr.shared.run import cli, steps
from prectr.shared.storage.npy import new_array
from prectr.shared.storage.resources import lacking
from prectr.shared.strict_json import dumps
from tests.damages import is_sentence

ROOT = Path(__file__).parents[3]
FULL = Path("/dev/full")
MANY = np.zeros(1 << 20)


def by_numpy(path: Path) -> None:
    with open(path, "wb") as file:
        MANY.tofile(file)


def by_pickle(path: Path) -> None:
    with open(path, "wb") as file:
        pickle.dump(MANY, file)


WRITERS: dict[str, Callable[[Path], object]] = {
    "text": lambda path: path.write_text(dumps({"a": 1})),
    "numpy": by_numpy,
    "pickle": by_pickle,
    "pyarrow": lambda path: pq.write_table(pa.table({"a": MANY}), path),
    "torch": lambda path: torch.save(torch.zeros(1 << 20), path),
}


@pytest.mark.skipif(not FULL.exists(), reason="Linux alone has a disk that is always full")
@pytest.mark.parametrize("writer", WRITERS)
def test_a_full_disk_is_known_in_the_words_of_every_library(tmp_path: Path, writer: str) -> None:
    (tmp_path / "link").symlink_to(FULL)  # whoever replaces the file replaces no device
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "half.parquet").write_bytes(b"x" * 3_000_000)
    with pytest.raises((OSError, RuntimeError)) as error:
        WRITERS[writer](tmp_path / "link")
    said = lacking(error.value, tmp_path / "work")
    assert said and "found no more room" in said and "MB are free on its disk: make room" in said
    if "link" not in said:
        assert said.startswith(f"{tmp_path / 'work' / 'half.parquet'}, of 3.0 MB by then, found")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "found no more room"),
        (OSError(errno.EDQUOT, "Disk quota exceeded", "/a/b"), "/a/b found no more room, and the quota of this user"),
        (OSError(errno.EFBIG, "File too large"), "as large as a file may be here"),
        (OSError(errno.EMFILE, "Too many open files", "/a"), "too many files are open (this process may have"),
        (OSError(errno.ENFILE, "Too many open files in system"), "too many files are open"),
        (PermissionError(errno.EACCES, "Permission denied", "/a/b"), "/a/b may not be read or written (Permission"),
        (PermissionError(errno.EPERM, "Operation not permitted", "/a/b"), "/a/b may not be read or written (Operation"),
        (OSError(errno.EROFS, "Read-only file system", "/a/b"), "/a/b may not be read or written (Read-only"),
        (OSError(errno.EIO, "Input/output error", "/a/b"), "/a/b cannot be read or written (Input/output error)"),
        (OSError(errno.ESTALE, "Stale file handle", "/a/b"), "see to the disk or network it is on"),
        (FileNotFoundError(errno.ENOENT, "No such file", "/nowhere/at/all"), "/nowhere/at is no longer there"),
        (NotADirectoryError(errno.ENOTDIR, "Not a directory", "/dev/null/a"), "/dev/null is no folder: name another"),
        (sqlite3.OperationalError("database or disk is full"), "found no more room"),
        (RuntimeError("[enforce fail at inline_container.cc:664] . unexpected pos; file write failed"), "no more room"),
        (OSError("4096 requested and 12 written"), "found no more room"),
        (SafetensorError("I/O error: No space left on device (os error 28)"), "found no more room"),
    ],
)
def test_each_is_one_sentence(error: Exception, words: str) -> None:
    said = lacking(error)
    assert said and words in said and is_sentence(PrectrError(said))


@pytest.mark.parametrize(
    "error",
    [
        ValueError("a bug"),
        KeyError("seconds"),
        FileNotFoundError(errno.ENOENT, "No such file", os.fspath(ROOT / "none.json")),  # a name that we got wrong
        OSError(errno.EINVAL, "Invalid argument"),
        IsADirectoryError(errno.EISDIR, "Is a directory", "/tmp"),
    ],
)
def test_a_bug_is_none(error: Exception) -> None:
    assert lacking(error) is None


def test_what_it_came_of_counts() -> None:
    try:
        try:
            raise OSError(errno.ENOSPC, "No space left on device")
        except OSError as cause:
            raise RuntimeError("the checkpoint was not written") from cause
    except RuntimeError as error:
        assert "found no more room" in str(lacking(error))


def test_a_command_says_it_with_where_it_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def build(work: Path) -> None:
        (work / "checkpoints" / "checkpoint-7").mkdir(parents=True)
        raise OSError(errno.ENOSPC, "No space left on device")

    def main(argv: Sequence[str]) -> None:
        steps.run_step("training", tmp_path / "trained", {}, build)

    monkeypatch.setattr(sys, "argv", ["prectr"])
    monkeypatch.setattr(steps, "_unfinished", [])
    with pytest.raises(SystemExit) as stop:
        cli.run_main(main)  # type: ignore[arg-type]
    said = capsys.readouterr().err
    assert stop.value.code == 2 and len(said.strip().splitlines()) == 1
    assert said.startswith("error: ") and "found no more room" in said and "; training goes on" in said
    assert "run the same command again" in said


@pytest.mark.parametrize(
    ("hidden", "shown"),
    [
        ("/a/toy/.data.0123456789ab.part/items.parquet", "/a/toy/data/items.parquet"),
        (
            "/a/toy/.level_prob.0123456789ab.part/.level_prob.0f1e2d3c-4711-9a8b7c6d.part.parquet",
            "/a/toy/level_prob/level_prob.parquet",
        ),
        ("/a/toy/.trained.0123456789ab.part/checkpoints/checkpoint-5/x", "/a/toy/trained/checkpoints/checkpoint-5/x"),
        ("/a/.seconds.0f1e2d3c-12-9a8b7c6d.part.json", "/a/seconds.json"),
        ("/a/.config/part.json", "/a/.config/part.json"),
    ],
)
def test_the_hidden_folder_of_a_step_is_not_named(hidden: str, shown: str) -> None:
    said = lacking(OSError(errno.ENOSPC, "No space left on device", hidden))
    assert said and said.startswith(f"{shown} found no more room")


def test_an_array_takes_its_room_at_once(tmp_path: Path) -> None:
    if not hasattr(os, "posix_fallocate"):
        pytest.skip("no way to ask for room here")
    array = new_array(tmp_path / "a.npy", np.float32, (1000, 3))
    array[:] = 2
    del array
    assert np.load(tmp_path / "a.npy").sum() == 6000
    assert (tmp_path / "a.npy").stat().st_blocks * 512 >= 12_000
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, before[1]))
    try:
        with pytest.raises(OSError):
            new_array(tmp_path / "b.npy", np.float32, (1 << 20, 3))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def command(home: Path, *words: str, **settings: object) -> "subprocess.Popen[str]":
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}", "OMP_NUM_THREADS": "1"}
    line = [sys.executable, "-m", "prectr", *words, "--profile", "smoke", "--artifacts", str(home)]
    return subprocess.Popen(line, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True, **settings)  # type: ignore[call-overload]


def limited(number: int, limit: int) -> Callable[[], None]:
    return lambda: resource.setrlimit(number, (limit, limit))


LIMITS: dict[str, tuple[Callable[[], None], str]] = {
    "file size": (limited(resource.RLIMIT_FSIZE, 2_000), "as large as a file may be here"),
    "open files": (limited(resource.RLIMIT_NOFILE, 6), "too many files are open"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", LIMITS)
def test_a_build_that_lacked_something_says_so_and_goes_on(tmp_path: Path, name: str) -> None:
    limit, words = LIMITS[name]
    stopped = command(tmp_path, "data", "build", stdout=subprocess.DEVNULL, preexec_fn=limit)
    said = stopped.communicate(timeout=120)[1]
    assert stopped.returncode == 2 and words in said and len(said.strip().splitlines()) == 1, said
    again = command(tmp_path, "data", "build", stdout=subprocess.DEVNULL)
    assert again.wait(timeout=120) == 0
    folder = tmp_path / "toy" / "data"
    assert not list(folder.rglob(".*")) and not list(folder.parent.glob(".*.part"))


@pytest.mark.slow
def test_nobody_reads_the_output(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    process = command(tmp_path, "data", "build", stdout=writer)
    os.close(writer)
    os.close(reader)
    said = process.communicate(timeout=120)[1]
    assert process.returncode == 128 + signal.SIGPIPE
    assert said.startswith("Nobody reads the output any more: run the same command again (") and said.count("\n") == 1


@pytest.mark.slow
def test_no_output_at_all(tmp_path: Path) -> None:
    process = command(tmp_path, "data", "build", preexec_fn=lambda: os.close(1))
    assert process.wait(timeout=120) == 0
    assert (tmp_path / "toy" / "data" / "step.json").exists()
