"""A server that errs or means harm: nothing goes elsewhere, nothing hangs, nothing false becomes a label."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from prectr.distill.teachers.endpoint_answers import NoLogProbabilitiesError, listed_tokens, printable, read_answer
from prectr.shared.errors import PrectrError
from tests.distill.teachers.endpoint_server import (
    PAIRS,
    EndpointServer,
    Reply,
    completion,
    expected,
    for_pair,
    log_probs_of,
    teacher_at,
)

LEVELS = {" none": -3.0, " weak": -2.0, " close": -1.5, " exact": -0.5}


@pytest.mark.parametrize("value", [0.7, 1.0, 2, 1e400, float("nan"), 10**400, 0.002])
def test_what_no_log_probability_can_be_stops_the_job(value: float) -> None:
    with (
        EndpointServer(lambda prompt, before: completion({**LEVELS, " exact": value})) as server,
        pytest.raises(PrectrError, match="no log-probabilities; set the server") as raised,
    ):
        teacher_at(server).score(PAIRS[:2])
    assert "\n" not in str(raised.value) and len(str(raised.value)) < 600


@pytest.mark.parametrize("value", [0.0, -0.0, 5e-4, -1e308, float("-inf"), -(10**400), None])
def test_what_one_can_be_to_rounding_is_read(value: float | None) -> None:
    found = listed_tokens({"logprobs": {"top_logprobs": [{" a": value, " b": -1.0}]}}, strip=False)
    assert found[" b"] == -1.0 and all(-9999 < each <= 0 for each in found.values())


@pytest.mark.parametrize("value", ["-0.5", True, [], {}, "nan"])
def test_what_is_no_number_is_a_garbled_answer(value: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        listed_tokens({"logprobs": {"top_logprobs": [{" a": value}]}}, strip=False)
    with pytest.raises(NoLogProbabilitiesError):
        listed_tokens({"logprobs": {"top_logprobs": [{" a": 0.5}]}}, strip=False)


@pytest.mark.parametrize("used", [-5, float("inf"), float("-inf"), float("nan"), 10**400, "many", True, [], {"a": 1}])
def test_a_count_that_is_none_is_not_counted(used: Any) -> None:
    def reply(prompt: str, before: int) -> Reply:
        body = completion(log_probs_of(prompt)).body
        assert isinstance(body, dict)
        return Reply({**body, "usage": {"total_tokens": used}})

    with EndpointServer(reply) as server:
        teacher = teacher_at(server, token_budget=100_000)
        np.testing.assert_allclose(teacher.score(PAIRS).log_odds, expected(teacher), atol=1e-6)
        assert 0 < teacher.used < 100_000
    assert read_answer(json.dumps({"choices": [1], "usage": used if isinstance(used, dict) else {}}))[1] == 0


GARBLED = {
    "deep": b'{"choices": ' + b"[" * 200_000 + b"]" * 200_000 + b"}",
    "deeper": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "long number": b'{"choices": ' + b"9" * 10_000 + b"}",
    "no JSON": b"\xff\xfe\x00",
    "a list": b"[]",
    "a null": b"null",
}


@pytest.mark.parametrize("kind", GARBLED)
def test_a_garbled_answer_is_one_pair_not_judged(kind: str) -> None:
    with EndpointServer(for_pair(3, Reply(GARBLED[kind]))) as server:
        found = teacher_at(server, retries=0).score(PAIRS).log_odds
    assert np.isnan(found[3]).all() and np.isfinite(np.delete(found, 3, 0)).all()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_prompt_follows_a_redirect(status: int) -> None:
    with EndpointServer() as other:
        reply = Reply(b"", status=status, headers={"Location": f"{other.url}/completions"})
        with (
            EndpointServer(lambda prompt, before: reply) as server,
            pytest.raises(PrectrError, match="redirects to http://127.0.0.1.*where no prompt is sent"),
        ):
            teacher_at(server).score(PAIRS)
        assert other.requests == []


@pytest.fixture
def trickle() -> Iterator[Any]:
    """A server that sends `start` and then a byte every tenth of a second, for ever."""
    stop, listeners = threading.Event(), []

    def serve(start: bytes) -> str:
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)

        def run() -> None:
            while not stop.is_set():
                try:
                    line, _ = listener.accept()
                    line.sendall(start)
                    while not stop.wait(0.1):
                        line.sendall(b" ")
                except OSError:
                    continue

        threading.Thread(target=run, daemon=True).start()
        return f"http://127.0.0.1:{listener.getsockname()[1]}/v1"

    yield serve
    stop.set()
    for listener in listeners:
        listener.close()


@pytest.mark.parametrize(
    "start",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n{",
        b"HTTP/1.1 200 OK\r\nX-Head: ",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA",
        b"HTTP/1.1 500 No\r\nContent-Length: 100000\r\n\r\n",
    ],
)
def test_an_answer_that_trickles_has_one_deadline(trickle: Any, start: bytes) -> None:
    server = type("Server", (), {"url": trickle(start)})()
    begun = time.monotonic()
    with pytest.raises(PrectrError, match=r"no answer came within 0.5 s"):
        teacher_at(server, timeout=0.5, retries=0, concurrency=2).score(PAIRS[:2])
    assert time.monotonic() - begun < 10


@pytest.mark.parametrize(
    "reply",
    [
        Reply(b" " * (9 << 20)),
        Reply(b"x" * (9 << 20), status=400),
        Reply(b"\x1f\x8b", headers={"Content-Encoding": "gzip"}),
    ],
)
def test_an_answer_without_end_or_packed_is_not_read(reply: Reply) -> None:
    with EndpointServer(for_pair(0, reply)) as server:
        found = teacher_at(server, retries=0).score(PAIRS).log_odds
    assert np.isnan(found[0]).all() and np.isfinite(found[1:]).all()


KEY = "sk-very-secret"


@pytest.mark.parametrize(
    "reply",
    [
        Reply({"error": {"message": f"bad key {KEY}"}}, status=400),
        Reply(f"no: Bearer {KEY}".encode(), status=422),
        Reply(b"", status=307, headers={"Location": f"http://x/?key={KEY}"}),
        Reply(completion({f" none {KEY}": 0.9}).body),
        Reply({"error": {"message": f"[red]\x1b[31m\u202e {KEY}"}}, status=418),
    ],
)
def test_a_key_that_is_repeated_is_never_shown(
    reply: Reply, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    said = ""
    with EndpointServer(lambda prompt, before: reply) as server:
        try:
            teacher_at(server, retries=0).score(PAIRS[:2])
        except PrectrError as error:
            said = str(error)
    said += "".join(capsys.readouterr())
    assert said and KEY not in said and "\x1b" not in said and "\u202e" not in said


@pytest.mark.parametrize("name", ["\ud800", "a\x1b[31mb", "two\nlines", "\u202eevil", "m" * 500])
def test_a_models_name_is_data(name: str) -> None:
    with EndpointServer(models=(name,)) as server, pytest.raises(PrectrError, match="set endpoint_model") as raised:
        teacher_at(server, model="")
    str(raised.value).encode()
    assert str(raised.value).isprintable()


@pytest.mark.parametrize(
    ("text", "shown"),
    [("a\x1b[1m", "a\\x1b[1m"), ("x\ny", "x y"), ("\ud800", "\\ud800"), ("\u202e", "\\u202e"), ("[/x]", "[/x]")],
)
def test_what_does_not_print_is_an_escape(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_a_token_of_half_a_character_is_a_token() -> None:
    with EndpointServer(lambda prompt, before: completion({**LEVELS, "\ud83d": -4.0})) as server:
        assert np.isfinite(teacher_at(server).score(PAIRS[:2]).log_odds).all()
