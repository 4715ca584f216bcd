"""Run folders: a step writes one folder, once for each set of inputs.

A finished folder holds `step.json`, whose fingerprint is the hash of everything that decided its contents: the inputs,
and the code of the modules that do the work. A step that finds its own fingerprint there does nothing; a downstream
step lists that fingerprint among its own inputs, so that a change reruns exactly what depends on it.
"""

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property, partial
from glob import escape
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from prectr.shared.atomic import atomic_write, make_readable, remove_hidden, wait_until_visible
from prectr.shared.errors import PrectrError
from prectr.shared.run import launch
from prectr.shared.run.checkpoints import latest_checkpoint
from prectr.shared.run.console import console
from prectr.shared.run.contents import RECORD as RECORD
from prectr.shared.run.contents import contents_of, damage, listed
from prectr.shared.run.fingerprint import differences, fingerprint_inputs
from prectr.shared.run.provenance import git_commit
from prectr.shared.run.sources import code_of
from prectr.shared.store.at_hand import keep
from prectr.shared.strict_json import loads

ATTEMPT, FIRST = ".attempt.json", "the first process of this launch"

COMMANDS = {
    "data": "make data",
    **dict.fromkeys(("teacher", "labeller", "labels", "assistant", "assistant_labels"), "make distill"),
    **dict.fromkeys(("student", "encoder"), "make distill"),
    **dict.fromkeys(("level_prob", "replay", "pairs", "behaviours", "texts", "text_vectors", "features"), "make rank"),
    **dict.fromkeys(("lightgbm", "engagement", "pair_features", "judged_pair_features"), "make rank"),
    **dict.fromkeys(("trained", "ranker"), "make rank"),
    "onnx": "python -m rank export",
}
"""Which command writes which folder, for error messages."""

_unfinished: list[tuple[str, Path]] = []
"""Name and work folder of the step that this process began last, unless it is finished."""


@dataclass(frozen=True)
class StepRecord:
    """What `step.json` says of a finished folder."""

    name: str
    fingerprint: str
    inputs: dict[str, Any]
    seconds: float
    finished: str
    git_commit: str | None
    code: dict[str, str] = field(default_factory=dict)
    """The modules that did the work, each with the hash of what it does."""
    files: dict[str, str] = field(default_factory=dict)
    """sha256 of every file of the folder; of a folder of an older version there are none."""


@dataclass(frozen=True)
class _Step:
    """What `run_step` was asked for."""

    name: str
    folder: Path
    inputs: dict[str, Any]
    code: dict[str, str]
    build: Callable[[Path], None]

    @cached_property
    def fingerprint(self) -> str:
        return _fingerprint(self.name, self.inputs, self.code)


def run_step(
    name: str,
    folder: Path,
    inputs: Mapping[str, Any],
    build: Callable[[Path], None],
    *,
    sources: Sequence[str] = (),
    together: bool = False,
    through: Callable[[Callable[[Path], None], Path], None] | None = None,
) -> StepRecord:
    """Build `folder` unless it already holds the result of exactly these inputs, made by this code.

    `build(work)` writes into a hidden folder beside `folder`, named after the fingerprint. It takes the place of
    `folder` only when `build` returns. If the run is killed or fails, the work folder stays, `folder` is untouched, and
    the next call with the same inputs hands the same work folder to `build`, which may resume from what is in it
    (`work/"checkpoints"` and what is hidden go at the end). A second process that wants the same folder waits.

    Of processes that were launched together the first one builds, taking itself for the only one, and the others wait;
    or, `together`, all of them call `build` with the same work folder, where the first alone must write the result.

    Args:
        name: what the step is called in messages.
        folder: where the result lies.
        inputs: everything that decides the result, as JSON values.
        build: writes the result; must not write elsewhere.
        sources: the modules that do the work: they count with what they import, and so does the function that `build`
            stands in (see `shared/run/sources.py`). None: the folder is kept, whatever becomes of the code.
        together: a training that the launched processes share.
        through: calls `build` with the work folder, here or elsewhere, where this process was launched alone.

    Returns:
        The folder's record; its seconds are those of all attempts together.

    Raises:
        PrectrError: an input is no JSON value, a source no module, or a machine of the launch does not see the folder.
    """
    step = _Step(name, Path(folder), dict(inputs), code_of(build, sources), build)
    if not launch.is_launched():
        return _run(step if through is None else replace(step, build=partial(through, build)))
    return _lead(step, together) if launch.is_first() else _follow(step)


def step_fingerprint(name: str, inputs: Mapping[str, Any], build: Callable[..., Any], sources: Sequence[str]) -> str:
    """The fingerprint that `run_step` gives a folder."""
    return _fingerprint(name, inputs, code_of(build, sources))


def _fingerprint(name: str, inputs: Mapping[str, Any], code: Mapping[str, str]) -> str:
    return fingerprint_inputs(name, {**inputs, "code": code} if code else inputs)


def being_built() -> Path | None:
    """The work folder of the step that was begun last, unless it is finished."""
    return _unfinished[0][1] if _unfinished else None


def where_it_goes_on() -> str:
    """Where the step that was begun last goes on when its command is run again; empty if it is finished."""
    if (work := being_built()) is None:
        return ""
    found = [Path(each) for folder in work.rglob("checkpoints") if (each := latest_checkpoint(folder))]
    newest = max(found, key=lambda path: path.stat().st_mtime, default=None)
    return f"{_unfinished[0][0]} goes on" + (f" from checkpoint {newest.name.rpartition('-')[2]}" if newest else "")


def _run(step: _Step) -> StepRecord:
    name, folder = step.name, step.folder
    if (record := _finished(folder, step.fingerprint)) is not None:
        _say(f"✓ {name}: up to date ({folder})")
        return record
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _lock(folder, name):
        if (record := _finished(folder, step.fingerprint)) is not None:
            return record
        work = folder.parent / f".{folder.name}.{step.fingerprint[:12]}.part"
        if (record := _finished(work, step.fingerprint)) is None:
            why = _why(step)
            _say(f"▸ {name}: building {folder}" + (f" ({why})" if why else ""))
            record = _build(step, work)
        _publish(work, folder)
        damage(folder, record.files)  # notes that it is whole
        keep(folder)
    _say(f"✓ {name}: done in {record.seconds:,.1f} s")
    return record


def _why(step: _Step) -> str:
    """What is no longer as it was when the folder was built; empty if it was not."""
    try:
        before = read_record(step.folder)
    except PrectrError:
        return ""
    return damage(step.folder, before.files) or differences(before.inputs, step.inputs, before.code, step.code)


def _lead(step: _Step, together: bool) -> StepRecord:
    """The first of several processes: builds alone, or calls the others in, and says how it ended."""
    called_in = False

    def build_together(work: Path) -> None:
        nonlocal called_in
        called_in = True
        launch.agree({"work": str(work), "fingerprint": step.fingerprint})
        step.build(work)
        launch.wait_for_all()

    try:
        if together:
            record = _run(replace(step, build=build_together))
        else:
            with launch.alone():
                record = _run(step)
    except Exception:
        # Whoever was called in does not listen here: it learns from the training's own connections.
        if not called_in:
            with suppress(RuntimeError):
                launch.agree({"failed": True})
        raise
    launch.agree({"record": asdict(record)})
    return record


def _follow(step: _Step) -> StepRecord:
    """Every other process: waits for the first one, and helps where it is called in."""
    told = launch.agree(None)
    if "work" in told:
        work = Path(told["work"])
        if told["fingerprint"] != step.fingerprint:
            raise PrectrError(
                f"step {step.name!r}: the processes of this launch have other settings or code, or see other data, "
                "than the first; start all of them with the same command, on one folder of artifacts."
            )
        wait_until_visible(work / ATTEMPT, FIRST)
        with _noted(step.name, work):
            step.build(work)
            launch.wait_for_all()
        told = launch.agree(None)
    if "failed" in told:
        raise SystemExit(2)  # the first process has said why
    wait_until_visible(step.folder / RECORD, FIRST)
    return StepRecord(**told["record"])


@contextmanager
def _noted(name: str, work: Path) -> Iterator[None]:
    """Within, `where_it_goes_on` speaks of this step, and afterwards too if it was stopped."""
    outer = _unfinished[:]
    _unfinished[:] = [(name, work)]
    yield
    _unfinished[:] = outer


def is_finished(folder: Path, fingerprint: str) -> bool:
    """Whether `folder` holds the result of the inputs that have this fingerprint."""
    return _finished(Path(folder), fingerprint) is not None


def is_made_of(folder: Path, inputs: Mapping[str, Any]) -> bool:
    """Whether `folder` holds the result of these inputs, whatever code made it."""
    try:
        made_of = read_record(folder).inputs
    except PrectrError:
        return False
    return fingerprint_inputs("", made_of) == fingerprint_inputs("", inputs)


def is_being_built(folder: Path) -> bool:
    """Whether another process is in the middle of `run_step` for `folder`."""
    if not folder.parent.is_dir():
        return False
    lock = FileLock(folder.parent / f".{folder.name}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    lock.release()
    return False


def read_record(folder: Path) -> StepRecord:
    """The record of a finished folder; raises `PrectrError`, naming the command to run, if it is not finished."""
    path = Path(folder) / RECORD
    command = COMMANDS.get(Path(folder).name, "the step that writes it")
    if not path.is_file():
        raise PrectrError(f"{folder} is not there or not finished (no {RECORD}); run {command} first.")
    try:
        record = StepRecord(**loads(path.read_text(encoding="utf-8")))
        if not (isinstance(record.fingerprint, str) and isinstance(record.inputs, dict)):
            raise TypeError("its fingerprint is no text, or its inputs are no mapping")
        return record
    except (OSError, ValueError, TypeError) as error:
        raise PrectrError(f"{path} is not a step record ({error}); remove {folder} and run {command}.") from error


def fingerprint_of(folder: Path) -> str:
    """The fingerprint of a finished folder, to be listed among the inputs of what is built from it.

    Raises:
        PrectrError: the folder is not finished or damaged; the message names the command that writes it.
    """
    return require_whole(folder).fingerprint


def require_whole(folder: Path) -> StepRecord:
    """As `read_record`; a `PrectrError` too where a file is not as the step left it."""
    record, command = read_record(folder), COMMANDS.get(Path(folder).name, "the step that writes it")
    if fault := damage(Path(folder), record.files):
        raise PrectrError(f"{folder}: {fault}: run {command} again, which makes it anew.")
    return record


def fingerprint_of_tables(folder: Path) -> str:
    """sha256 of a data set's tables: their contents decide, whoever wrote them and whatever a record says.

    Raises:
        PrectrError: the folder is not there, or holds no tables; a table is a link that leads nowhere.
    """
    files = sorted(Path(folder).glob("*.parquet"))
    if not files:
        return fingerprint_of(folder)
    contents = "".join(f"{file.name}:{contents_of(file)}\n" for file in files)
    return hashlib.sha256(contents.encode()).hexdigest()


def _finished(folder: Path, fingerprint: str) -> StepRecord | None:
    try:
        record = read_record(folder)
    except PrectrError:
        return None
    return record if record.fingerprint == fingerprint and not damage(folder, record.files) else None


def _build(step: _Step, work: Path) -> StepRecord:
    work.mkdir(exist_ok=True)
    earlier = _seconds_of_earlier_attempts(work)
    started = time.time()
    attempt = work / ATTEMPT
    attempt.write_text(json.dumps({"seconds_before": earlier, "started": started}), encoding="utf-8")
    try:
        with _noted(step.name, work):
            step.build(work)
    except BaseException:
        attempt.touch()
        raise
    seconds = round(earlier + time.time() - started, 3)
    shutil.rmtree(work / "checkpoints", ignore_errors=True)
    remove_hidden(work)  # the note of this attempt, and what killed ones left
    make_readable(*(file for file in work.rglob("*") if file.is_file()))
    record = StepRecord(
        name=step.name,
        fingerprint=step.fingerprint,
        inputs=step.inputs,
        seconds=seconds,
        finished=datetime.now(UTC).isoformat(timespec="seconds"),
        git_commit=git_commit(),
        code=step.code,
        files=listed(work),
    )
    with atomic_write(work / RECORD) as temporary:
        temporary.write_text(json.dumps(asdict(record), indent=2) + "\n", encoding="utf-8")
    return record


def _seconds_of_earlier_attempts(work: Path) -> float:
    """A killed process cannot say how long it ran, but the last file it wrote can."""
    try:
        attempt = loads((work / ATTEMPT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return 0.0
    last_written = max(path.stat().st_mtime for path in work.rglob("*"))
    return float(attempt["seconds_before"] + max(0.0, last_written - attempt["started"]))


def _publish(work: Path, folder: Path) -> None:
    """Put the finished work folder in the place of `folder`; a folder cannot be renamed over one that is not empty."""
    previous = folder.parent / f".{folder.name}.previous"
    shutil.rmtree(previous, ignore_errors=True)
    if folder.exists():
        os.replace(folder, previous)
    os.replace(work, folder)
    for left in (previous, *folder.parent.glob(f".{escape(folder.name)}.{'[0-9a-f]' * 12}.part")):
        shutil.rmtree(left, ignore_errors=True)


@contextmanager
def _lock(folder: Path, name: str) -> Iterator[None]:
    # The system releases this lock when its process ends, however it ends: there is no stale lock to detect.
    lock = FileLock(folder.parent / f".{folder.name}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        _say(f"… {name}: another process is building {folder}; waiting for it")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _say(line: str) -> None:
    console.print(line, highlight=False, markup=False, soft_wrap=True)
