"""A teacher that is asked in batches: the judgements of the live one, once paid for, whatever happens meanwhile."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from prectr.distill.__main__ import main as distill_main
from prectr.distill.config import TeacherArguments
from prectr.distill.labelling.cache import LabelCache
from prectr.distill.labelling.job import label, read_labels
from prectr.distill.models.sources import find_teacher
from prectr.distill.pairs import Pairs
from prectr.distill.teachers.batch import server as batches
from prectr.distill.teachers.batch import teacher as batch_teacher
from prectr.distill.teachers.batch.teacher import MOST_PAIRS
from prectr.distill.teachers.calibration import CalibratedTeacher, Calibration
from prectr.distill.teachers.check import job_time, terms
from prectr.distill.teachers.ensemble import EnsembleTeacher
from prectr.distill.teachers.panel import Panel, open_member
from prectr.shared.errors import PrectrError
from tests.distill.teachers.batch.batch_server import BatchServer, batch_teacher_at
from tests.distill.teachers.endpoint_server import PAIRS, PROMPT, WORDS, expected, teacher_at


@pytest.fixture(autouse=True)
def no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


def expired(line: dict[str, Any]) -> dict[str, Any]:
    return {"response": None, "error": {"code": "batch_expired", "message": "the day was over"}}


def status(code: int) -> dict[str, Any]:
    return {"response": {"status_code": code, "body": {"error": {"message": "sorry"}}}, "error": None}


def number_of(line: dict[str, Any]) -> int:
    """Which of PAIRS a line asks for."""
    return int(line["body"]["prompt"].split("lamp ")[1].split("\n")[0])


def test_a_batch_says_what_the_live_endpoint_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with BatchServer(statuses=("in_progress", "finalizing", "completed")) as server:
        teacher = batch_teacher_at(server, tmp_path)
        judgement = teacher.score(PAIRS)
    np.testing.assert_array_equal(judgement.log_odds, expected(teacher))
    assert teacher.fingerprint == teacher_at(server).fingerprint and server.looks == 3
    [lines] = server.uploads
    assert [line["custom_id"] for line in lines] == [str(number) for number in range(len(PAIRS))]
    assert {line["url"] for line in lines} == {"/v1/completions"} and lines[0]["body"]["logprobs"] == 20
    assert server.batches["batch-0"]["completion_window"] == "24h"
    assert not server.prompts, "only the level words are asked live"
    assert teacher.used == 20 * len(PAIRS) + 20 * len(WORDS)
    assert "batch batch-0" in capsys.readouterr().out


def test_a_few_pairs_are_asked_at_once(tmp_path: Path) -> None:
    with BatchServer() as server:
        teacher = batch_teacher_at(server, tmp_path)
        np.testing.assert_array_equal(teacher.score(PAIRS[:2]).log_odds, expected(teacher, PAIRS[:2]))
    assert not server.uploads and len(server.prompts) == 2


def test_chats_go_out_in_batches_too(tmp_path: Path) -> None:
    template = tmp_path / "chat.json"
    template.write_text('[{"role": "user", "content": "{prompt}"}]')

    with BatchServer() as server:
        teacher = batch_teacher_at(server, tmp_path / "kept", chat_template=template)
        judgement = teacher.score(PAIRS)
    np.testing.assert_allclose(judgement.log_odds, expected(teacher), atol=1e-6)
    assert {line["url"] for line in server.uploads[0]} == {"/v1/chat/completions"} and not server.requests


class Killed(BaseException):
    """Ends a process wherever it is."""


@pytest.mark.parametrize("after", ["upload", "start", "first look"])
def test_a_killed_run_goes_on_with_the_batch_it_paid_for(
    after: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = batches._write, batches._look
    with BatchServer(statuses=("in_progress", "completed")) as server:

        def write(note: Path, content: dict[str, str | None]) -> None:
            if after == "start" and content.get("batch"):
                raise Killed  # the server has begun, and nobody has noted it
            whole[0](note, content)
            if after == "upload":
                raise Killed

        async def look(*_: Any) -> Any:
            raise Killed

        monkeypatch.setattr(batches, "_write", write)
        if after == "first look":
            monkeypatch.setattr(batches, "_look", look)
        with pytest.raises(BaseException) as ended:
            batch_teacher_at(server, tmp_path).score(PAIRS)
        assert ended.group_contains(Killed) if isinstance(ended.value, BaseExceptionGroup) else ended.type is Killed
        monkeypatch.setattr(batches, "_write", whole[0])
        monkeypatch.setattr(batches, "_look", whole[1])
        teacher = batch_teacher_at(server, tmp_path)
        np.testing.assert_array_equal(teacher.score(PAIRS).log_odds, expected(teacher))
        assert len(server.batches) == 1
        # Read out but not yet stored, it is read out again.
        batch_teacher_at(server, tmp_path).score(PAIRS)
        assert len(server.batches) == 1


def test_what_may_be_answered_another_time_goes_out_again(tmp_path: Path) -> None:
    def lines(line: dict[str, Any], before: int) -> dict[str, Any] | None:
        first = {1: expired(line), 3: status(500), 5: status(429), 7: {}}
        return first.get(number_of(line)) if before == 0 else None

    with BatchServer(lines) as server:
        teacher = batch_teacher_at(server, tmp_path)
        np.testing.assert_array_equal(teacher.score(PAIRS).log_odds, expected(teacher))
    assert [number_of(line) for line in server.uploads[1]] == [1, 3, 5, 7] and len(server.uploads) == 2


def test_a_line_that_fails_for_good_is_a_pair_that_was_not_judged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def lines(line: dict[str, Any], before: int) -> dict[str, Any] | None:
        garbled = {"response": {"status_code": 200, "body": {"choices": 1}}, "error": None}
        return {2: status(400), 4: garbled}.get(number_of(line))

    with BatchServer(lines) as server:
        judgement = batch_teacher_at(server, tmp_path).score(PAIRS)
    assert np.flatnonzero(np.isnan(judgement.log_odds).any(1)).tolist() == [2, 4] and len(server.uploads) == 1
    shown = capsys.readouterr().out
    assert "2 of 12 pairs were not judged" in shown and "answered 400 (sorry)" in shown and "no completion" in shown


def test_a_batch_of_which_nothing_came_is_begun_anew_by_the_next_run(tmp_path: Path) -> None:
    with BatchServer(lambda line, before: expired(line) if before == 0 else None) as server:
        assert np.isnan(batch_teacher_at(server, tmp_path).score(PAIRS).log_odds).all()
        assert len(server.uploads) == 1 and not list(tmp_path.glob("*.json"))
        teacher = batch_teacher_at(server, tmp_path)
        np.testing.assert_array_equal(teacher.score(PAIRS).log_odds, expected(teacher))


def test_of_a_cancelled_batch_what_it_answered_is_kept(tmp_path: Path) -> None:
    with BatchServer(lambda line, _: {} if number_of(line) > 3 else None, statuses=("cancelled",)) as server:
        judgement = batch_teacher_at(server, tmp_path).score(PAIRS)
    assert np.isfinite(judgement.log_odds).all(1).sum() == 4 and len(server.batches) == 1


FAILURES = {
    "failed": (
        BatchServer(statuses=("failed",), errors=[{"code": "x", "message": "enqueued token limit"}]),
        r"batch batch-0 at .* was refused: enqueued token limit; mend that and run again\.",
    ),
    "no batches": (BatchServer(refuses={"/files": 404}), r"takes no batches .*; name it without `batch:`\."),
    "no key": (BatchServer(refuses={"/files": 401}), r"wants a key; set OPENAI_API_KEY \(401\)\."),
    "out of order": (BatchServer(refuses={"/batches": 500}), r"answered 500 .*; run again to go on\."),
    "garbled": (BatchServer(refuses={"/batches": 200}), r"the server's answer is none of a batch or a file"),
}


@pytest.mark.parametrize("kind", FAILURES)
def test_what_lets_no_batch_run_is_one_sentence(kind: str, tmp_path: Path) -> None:
    server, says = FAILURES[kind]
    with server, pytest.raises(PrectrError, match=says):
        batch_teacher_at(server, tmp_path, retries=0).score(PAIRS)
    assert not [note for note in tmp_path.glob("*.json") if "batch" in json.loads(note.read_text())]


def test_answers_that_the_server_threw_away_are_asked_for_anew(tmp_path: Path) -> None:
    with BatchServer() as server:
        batch_teacher_at(server, tmp_path).score(PAIRS)
        del server.files["output-0"]
        with pytest.raises(PrectrError, match="no longer has its answers; run again to start a new one"):
            batch_teacher_at(server, tmp_path).score(PAIRS)
        server.batches.clear()
        teacher = batch_teacher_at(server, tmp_path)
        np.testing.assert_array_equal(teacher.score(PAIRS).log_odds, expected(teacher))


def test_a_batch_beyond_the_budget_is_not_begun(tmp_path: Path) -> None:
    with BatchServer() as server, pytest.raises(PrectrError, match="batch of 12 prompts takes about .* leaves 100"):
        batch_teacher_at(server, tmp_path, token_budget=100).score(PAIRS)
    assert not server.uploads


def test_a_job_is_one_batch_whoever_stands_before_the_teacher(tmp_path: Path) -> None:
    with BatchServer() as server:
        teacher = batch_teacher_at(server, tmp_path)
        calibrated = CalibratedTeacher(teacher, Calibration(1.0, (0.0,) * 4))
        assert calibrated.shard_size == MOST_PAIRS == EnsembleTeacher([calibrated, calibrated], [0.5, 0.5]).shard_size
    assert terms(calibrated, 5000) == (0.5, 86400.0) and terms(calibrated, 2) == (1.0, None)
    assert job_time(3.0, 86400.0) == "within 24.0 h"


def test_its_labels_are_those_of_the_live_endpoint(tmp_path: Path) -> None:
    query, text = (np.array(part, dtype=object) for part in zip(*PAIRS, strict=True))
    pairs = Pairs(query, text, np.full(len(PAIRS), -1))
    with BatchServer() as server:
        teacher = batch_teacher_at(server, tmp_path)
        label(teacher, pairs, LabelCache(tmp_path / "cache", teacher.fingerprint), teacher.shard_size)
        live = teacher_at(server)
        label(live, pairs, LabelCache(tmp_path / "cache", live.fingerprint), 256)
    assert len(server.batches) == 1 and not server.prompts


def test_an_address_with_batch_before_it_is_the_same_judge() -> None:
    found, live = find_teacher("batch:https://host.example/v1"), find_teacher("https://host.example/v1")
    assert found.identity == live.identity and found.role == "endpoint" and found.name == "batch-host.example-v1"
    with pytest.raises(PrectrError, match="write it as batch:https://host/v1"):
        find_teacher("batch:./model")
    arguments = TeacherArguments(endpoint_model="m")
    panel = Panel([found], [found.location], PROMPT, WORDS, arguments, 4, under_way=Path("somewhere"))
    opened = open_member(panel, 0, None, "")
    assert isinstance(opened, batch_teacher.BatchTeacher) and opened.url == "https://host.example/v1"
    assert opened.kept == Path("somewhere")


def test_the_toy_shop_is_labelled_by_one_batch(
    smoke_artifacts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    init: Any = batch_teacher.BatchTeacher.__init__
    monkeypatch.setitem(init.__kwdefaults__, "live_pairs", 200)
    monkeypatch.setitem(init.__kwdefaults__, "seconds", 0.01)
    shutil.copytree(smoke_artifacts, tmp_path, dirs_exist_ok=True)
    where = ["--profile", "smoke", "--artifacts", str(tmp_path)]
    with BatchServer() as server:
        distill_main(["label", *where, "--teacher", f"batch:{server.url}", "--endpoint_model", "m"])
    assert [len(lines) for lines in server.uploads] == [320]
    pairs, judgement = read_labels(tmp_path / "toy" / "labels")
    assert len(pairs) == 320 and np.isfinite(judgement.log_odds).all()
    assert [path.suffix for path in (tmp_path / "toy" / "batches").iterdir()] == [".json"]
