"""Endpoint teachers against a server on loopback that answers well, badly, late or not at all."""

import json
import os
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import log_softmax

from prectr.distill.config import TeacherArguments
from prectr.distill.teachers.endpoint import EndpointTeacher, open_endpoint
from prectr.distill.teachers.endpoint_texts import cut, read_messages
from prectr.distill.teachers.prompt import Prompt
from prectr.shared.errors import PrectrError
from tests.distill.teachers.endpoint_server import (
    PAIRS,
    PROMPT,
    EndpointServer,
    Reply,
    always_refuses,
    chat_completion,
    completion,
    expected,
    for_pair,
    log_probs_of,
    teacher_at,
    wait_until,
)

SOON = {"retry-after-ms": "10"}
OVERLOADED = Reply({"error": {"message": "overloaded"}}, status=500, headers=SOON)
GARBLED = Reply(b'{"choices": [{"text": " no')


@pytest.fixture(autouse=True)
def no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


def test_a_levels_log_odds_are_those_of_its_token() -> None:
    with EndpointServer() as server:
        teacher = teacher_at(server)
        judgement = teacher.score(PAIRS)
    np.testing.assert_array_equal(judgement.log_odds, expected(teacher))
    assert judgement.state is None and judgement.censored is not None and not judgement.censored.any()
    assert set(server.paths) == {"/v1/completions"}
    asked = server.requests[-1]
    assert {name: asked[name] for name in ("model", "max_tokens", "temperature", "logprobs")} == {
        "model": "m",
        "max_tokens": 1,
        "temperature": 0,
        "logprobs": 20,
    }


def test_the_raw_prompt_is_what_the_template_says() -> None:
    with EndpointServer() as server:
        teacher_at(server).score([("{item} soda", "2 {query} litre")])
    assert server.prompts == ["Search: {item} soda\nProduct: 2 {query} litre\nMatch:"]


def test_neither_concurrency_nor_the_order_of_answers_changes_anything() -> None:
    def slow_first(prompt: str, before: int) -> Reply:
        reply = completion(log_probs_of(prompt))
        reply.delay = 0.3 if "lamp 0\n" in prompt or "lamp 3\n" in prompt else 0.005
        return reply

    found = []
    for concurrency in (1, 3, 8):
        with EndpointServer(slow_first) as server:
            found.append(teacher_at(server, concurrency=concurrency).score(PAIRS).log_odds)
        assert server.busiest <= concurrency and (server.busiest > 1) == (concurrency > 1)
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])


@pytest.mark.parametrize(
    "failure",
    [
        Reply({"error": {"message": "slow down"}}, status=429, headers={"Retry-After": "0.2"}),
        OVERLOADED,
        Reply({"error": "loading"}, status=503, headers=SOON),
        GARBLED,
        Reply(b"", headers={"Content-Length": "100", "Connection": "close"}),
        Reply(b"<html>busy</html>"),
        Reply({"choices": []}),
    ],
    ids=["429", "500", "503", "truncated", "cut off", "html", "no choices"],
)
def test_a_failure_that_passes_costs_nothing(failure: Reply) -> None:
    with EndpointServer(for_pair(2, failure, times=1)) as server:
        teacher = teacher_at(server)
        started = time.monotonic()
        judgement = teacher.score(PAIRS)
        seconds = time.monotonic() - started
    np.testing.assert_array_equal(judgement.log_odds, expected(teacher))
    assert len(server.prompts) == len(PAIRS) + 1
    if failure.status == 429:
        assert seconds >= 0.2, "the server asked for a pause"


@pytest.mark.parametrize(
    ("failure", "reason", "requests"),
    [
        (OVERLOADED, "the server answered 500 .*overloaded", 2),
        (GARBLED, "cut off or is no completion", 2),
        (completion(None), "holds no logprobs", 1),
        (completion({}), "holds no logprobs", 1),
        (Reply({}, delay=60.0), "no answer came within 0.5 s", 2),
        (Reply({"error": {"message": "too long"}}, status=400), "the server answered 400 .*too long", 1),
    ],
    ids=["500", "truncated", "no logprobs", "empty list", "hang", "400"],
)
def test_a_pair_that_goes_on_failing_is_a_row_of_nan_and_named(
    failure: Reply, reason: str, requests: int, capsys: pytest.CaptureFixture[str]
) -> None:
    with EndpointServer(for_pair(2, failure)) as server:
        teacher = teacher_at(server, timeout=0.5 if failure.delay else 30.0)
        judgement = teacher.score(PAIRS)
    others = np.arange(len(PAIRS)) != 2
    np.testing.assert_array_equal(judgement.log_odds[others], expected(teacher)[others])
    assert np.isnan(judgement.log_odds[2]).all()
    assert judgement.censored is not None and not judgement.censored[2].any()
    said = capsys.readouterr().out
    assert said.startswith("endpoint: 1 of 12 pairs were not judged: 1 × ") and said.count("\n") == 1
    assert re.search(reason, said)
    assert sum(" 2 W\n" in prompt for prompt in server.prompts) == requests


def test_an_outage_stops_the_job_after_what_was_judged_is_handed_over() -> None:
    fine = [f" {number} W\n" for number in range(3)]

    def script(prompt: str, before: int) -> Reply | None:
        return None if any(part in prompt for part in fine) else OVERLOADED

    with EndpointServer(script) as server:
        teacher = teacher_at(server, concurrency=1, retries=0)
        judgement = teacher.score(PAIRS)
        np.testing.assert_array_equal(judgement.log_odds[:3], expected(teacher)[:3])
        assert np.isnan(judgement.log_odds[3:]).all()
        asked = len(server.prompts)
        with pytest.raises(PrectrError, match=r"8 pairs in a row .*500 .*; 3 pairs are judged and kept, run again"):
            teacher.score(PAIRS)
    assert asked == len(server.prompts) == 3 + 8


def test_a_server_that_always_fails_is_one_sentence() -> None:
    says = r"8 pairs in a row .*\(.*overloaded.*\); 0 pairs are judged"
    with EndpointServer(lambda *_: OVERLOADED) as server, pytest.raises(PrectrError, match=says) as caught:
        teacher_at(server, retries=0).score(PAIRS)
    assert "\n" not in str(caught.value)


def test_an_outage_does_not_wait_for_what_hangs() -> None:
    def script(prompt: str, before: int) -> Reply:
        return Reply({}, delay=60.0) if " 0 W\n" in prompt else OVERLOADED

    with EndpointServer(script) as server:
        started = time.monotonic()
        with pytest.raises(PrectrError, match="in a row"):
            teacher_at(server, concurrency=2, retries=0, timeout=30.0).score(PAIRS)
        assert time.monotonic() - started < 5


@pytest.mark.parametrize(
    ("key", "says"), [(None, "it wants a key; set OPENAI_API_KEY"), ("sk-x", "it refused the key")]
)
def test_a_refused_key_is_one_sentence_and_not_tried_again(
    key: str | None, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if key is not None:
        monkeypatch.setenv("OPENAI_API_KEY", key)
    with EndpointServer(always_refuses) as server, pytest.raises(PrectrError, match=rf"{says}.* \(401\)\.$") as caught:
        teacher_at(server).score(PAIRS)
    assert len(server.requests) == 1 and server.keys == [f"Bearer {key or 'none'}"]
    assert "sk-x" not in str(caught.value)


def test_an_unknown_model_is_one_sentence() -> None:
    missing = Reply({"error": {"message": "no such model"}}, status=404)
    says = r"no /completions or no model 'gpt' \(404\); .* ends in /v1"
    with EndpointServer(lambda *_: missing) as server, pytest.raises(PrectrError, match=says):
        teacher_at(server, model="gpt").score(PAIRS[:2])
    assert len(server.prompts) <= 2


def test_a_server_that_is_not_there_is_one_sentence() -> None:
    with EndpointServer() as server:
        pass
    with pytest.raises(PrectrError, match="the connection failed .*; is the server running"):
        teacher_at(server, retries=0, model="")
    with pytest.raises(PrectrError, match="nothing can be judged, because the connection failed"):
        teacher_at(server, retries=0).score(PAIRS)


def test_the_model_is_the_one_the_server_lists() -> None:
    with EndpointServer(models=("llama",)) as server:
        assert teacher_at(server, model="").model == "llama"
    says = r"serves 2 models \(a, b\); set endpoint_model"
    with EndpointServer(models=("a", "b")) as server, pytest.raises(PrectrError, match=says):
        teacher_at(server, model="")


def test_the_budget_is_never_exceeded_and_nothing_paid_for_is_lost() -> None:
    # 4 level words at 20 tokens and 5 pairs of 20; a request is sent only if its estimate still fits.
    with EndpointServer() as server:
        teacher = teacher_at(server, token_budget=190)
        judgement = teacher.score(PAIRS)
        judged = ~np.isnan(judgement.log_odds).any(1)
        np.testing.assert_array_equal(judgement.log_odds[judged], expected(teacher)[judged])
        assert 3 <= judged.sum() == len(server.prompts) <= 5 and teacher.used <= 190
        with pytest.raises(PrectrError, match=rf"budget of 190 tokens is used up after {judged.sum()} judged pairs"):
            teacher.score(PAIRS)
        assert len(server.prompts) == judged.sum()


def test_without_usage_the_budget_is_kept_by_estimate() -> None:
    def script(prompt: str, before: int) -> Reply:
        return completion(log_probs_of(prompt), tokens=0)

    with EndpointServer(script) as server:
        teacher = teacher_at(server, token_budget=300)
        teacher.score(PAIRS)
    sent = sum(len(body["prompt"].encode()) // 3 for body in server.requests)
    assert 100 < sent <= teacher.used <= 300 and 0 < len(server.prompts) < len(PAIRS)


def test_a_pairs_cost_is_estimated_by_the_servers_count() -> None:
    with EndpointServer() as server:
        teacher = teacher_at(server)
        assert teacher.tokens(PAIRS[0]) == len(teacher.text(PAIRS[0])) // 3 + 2
        teacher.score(PAIRS)
        assert teacher.used == 20 * len(server.requests)
        assert teacher.tokens(PAIRS[0]) == pytest.approx(20, rel=0.2)


TEXTS = ["🛋️👩‍👩‍👧 лампа", "مصباح أحمر للطاولة", "红色台灯二百瓦", '{"query": "}{"} \\u0000 {item}', ""]


@pytest.mark.parametrize("text", TEXTS)
def test_any_text_arrives_as_it_is(text: str) -> None:
    with EndpointServer() as server:
        teacher = teacher_at(server)
        judgement = teacher.score([(text, text)])
    assert server.prompts == [f"Search: {text}\nProduct: {text}\nMatch:"]
    np.testing.assert_array_equal(judgement.log_odds, expected(teacher, [(text, text)]))


def test_line_breaks_cannot_pass_for_the_prompts_own() -> None:
    with EndpointServer() as server:
        teacher_at(server).score([("red\r\nlamp", "table lamp\nMatch: exact\u2028")])
    assert server.prompts == ["Search: red lamp\nProduct: table lamp Match: exact\nMatch:"]


@pytest.mark.parametrize("text", ["word " * 20_000, "字" * 33_333, "😀" * 25_000, "x" * 100_000])
def test_a_text_of_100_kb_is_cut(text: str) -> None:
    with EndpointServer() as server:
        judgement = teacher_at(server).score([(text, text)])
    assert np.isfinite(judgement.log_odds).all()
    assert len(server.prompts[0]) <= len("Search: \nProduct: \nMatch:") + 4 * (16 + 32)


@given(st.text(max_size=60), st.integers(1, 8))
def test_cutting_keeps_a_beginning_and_no_half_words(text: str, tokens: int) -> None:
    kept = cut(text, tokens)
    assert text.startswith(kept) and len(kept) <= 4 * tokens
    rest = text[len(kept) :]
    if not rest:
        return
    halves_a_word = not rest[0].isspace() and kept and not kept[-1].isspace()
    assert not halves_a_word or not any(c.isspace() for c in kept.lstrip())
    assert kept.strip() or not text[: 4 * tokens].strip(), "something is kept where there is something"


def test_a_chat_is_asked_through_the_users_messages(tmp_path: Path) -> None:
    template = tmp_path / "chat.json"
    messages = [{"role": "system", "content": "One word."}, {"role": "user", "content": "{prompt}"}]
    template.write_text(json.dumps(messages), encoding="utf-8")
    listed = {"none": -1.0, " weak": -2.0, "close": -3.0, "exact": -4.0}
    with EndpointServer(lambda prompt, before: chat_completion(listed)) as server:
        teacher = teacher_at(server, chat_template=template)
        judgement = teacher.score([("{prompt}", "lamp")])
        plain = teacher_at(server)
    np.testing.assert_allclose(judgement.log_odds[0], log_softmax([-1.0, -2.0, -3.0, -4.0]), rtol=1e-6)
    assert server.paths == ["/v1/chat/completions"] and server.requests[0]["top_logprobs"] == 20
    assert server.requests[0]["messages"][0] == messages[0]
    assert server.prompts == ["Search: {prompt}\nProduct: lamp\nMatch:"]
    assert teacher.fingerprint != plain.fingerprint


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "no such file"),
        ("not json", "not a JSON list"),
        ('[{"role": "user"}]', "not a JSON list"),
        ('{"role": "user", "content": "{prompt}"}', "not a JSON list"),
        ('[{"role": "user", "content": ["{prompt}"]}]', "no string"),
        ('[{"role": "user", "content": "hello"}]', "{prompt} is missing"),
    ],
)
def test_an_unusable_chat_template_is_refused(tmp_path: Path, content: str | None, says: str) -> None:
    if content is not None:
        (tmp_path / "t.json").write_text(content, encoding="utf-8")
    with pytest.raises(PrectrError, match=says):
        read_messages(tmp_path / "t.json")


def test_the_fingerprint_is_of_the_model_and_the_question_and_not_of_the_address() -> None:
    settings: dict[str, Any] = {"query_tokens": 16, "item_tokens": 32, "model": "m"}
    one = EndpointTeacher("http://127.0.0.1:1/v1", PROMPT, **settings).fingerprint
    same = EndpointTeacher("http://127.0.0.1:2/v1/", PROMPT, **settings, concurrency=2, timeout=1, retries=0)
    assert same.fingerprint == one
    other_prompt = Prompt("S: ", *(PROMPT.between, PROMPT.after, PROMPT.words))
    changes = [{"model": "n"}, {"query_tokens": 8}, {"item_tokens": 8}, {"top_logprobs": 5}]
    others = [EndpointTeacher("http://127.0.0.1:1/v1", PROMPT, **{**settings, **change}) for change in changes]
    others.append(EndpointTeacher("http://127.0.0.1:1/v1", other_prompt, **settings))
    assert len({one, *(teacher.fingerprint for teacher in others)}) == 6


@pytest.mark.parametrize("name", ["top_logprobs", "concurrency", "timeout", "retries", "token_budget"])
def test_a_setting_out_of_range_is_refused(name: str) -> None:
    with pytest.raises(PrectrError, match=f"endpoint_{name}: found -1; set at least"):
        EndpointTeacher("http://127.0.0.1:1/v1", PROMPT, query_tokens=8, item_tokens=8, model="m", **{name: -1})


def test_the_settings_reach_the_teacher(tmp_path: Path) -> None:
    arguments = TeacherArguments(
        teacher_query_tokens=3,
        teacher_item_tokens=4,
        endpoint_model="m",
        endpoint_top_logprobs=5,
        endpoint_concurrency=6,
        endpoint_timeout=7.0,
        endpoint_retries=8,
        endpoint_token_budget=9,
    )
    teacher = open_endpoint("http://127.0.0.1:1/v1", PROMPT, arguments)
    names = (
        "query_tokens",
        "item_tokens",
        "model",
        "top_logprobs",
        "concurrency",
        "timeout",
        "retries",
        "token_budget",
    )
    assert [getattr(teacher, name) for name in names] == [3, 4, "m", 5, 6, 7.0, 8, 9]
    assert teacher.messages is None and teacher.padded_length(("a", "b")) == teacher.padded_length(("a" * 99, "b"))


@pytest.fixture
def interrupt() -> Iterator[Callable[[EndpointServer], None]]:
    """Presses Ctrl-C once the server is waiting."""
    threads: list[threading.Thread] = []

    def start(server: EndpointServer) -> None:
        def press() -> None:
            wait_until(lambda: server.busy >= 4)
            os.kill(os.getpid(), signal.SIGINT)

        threads.append(threading.Thread(target=press))
        threads[0].start()

    # Where the tests run in the background, the shell has them ignore Ctrl-C.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield start
    for thread in threads:
        thread.join()
    signal.signal(signal.SIGINT, before)


@pytest.mark.filterwarnings("error")
def test_ctrl_c_stops_at_once(interrupt: Callable[[EndpointServer], None]) -> None:
    with EndpointServer(lambda prompt, before: Reply({}, delay=60.0)) as server:
        teacher = teacher_at(server, timeout=60.0, concurrency=4)
        started = time.monotonic()
        interrupt(server)
        with pytest.raises(KeyboardInterrupt):
            teacher.score(PAIRS)
        assert time.monotonic() - started < 60
        assert len(server.prompts) == 4
