"""An OpenAI-compatible server on loopback that judges by the letters of the prompt and fails on demand."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

import numpy as np
from scipy.special import log_softmax

from prectr.distill.teachers.endpoint import EndpointTeacher
from prectr.distill.teachers.prompt import Prompt

WORDS = ("none", "weak", "close", "exact")
PROMPT = Prompt("Search: ", "\nProduct: ", "\nMatch:", WORDS)
PAIRS = [(f"red lamp {number}", f"table lamp, red, {number} W") for number in range(12)]


@dataclass
class Reply:
    """What the server sends; `delay` seconds before it, or until the server closes."""

    body: bytes | dict[str, Any]
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0.0


Script = Callable[[str, int], Reply | None]
"""(prompt, how often it has been asked before) -> the answer, or None for the ordinary one"""


def teacher_at(server: EndpointServer, **settings: Any) -> EndpointTeacher:
    return EndpointTeacher(
        server.url,
        PROMPT,
        **{"query_tokens": 16, "item_tokens": 32, "model": "m", "timeout": 30.0, "retries": 1, **settings},
    )


def expected(teacher: EndpointTeacher, pairs: list[tuple[str, str]] = PAIRS) -> np.ndarray:
    """What `teacher` says of the pairs if all goes well."""
    rows = [[log_probs_of(teacher.text(pair))[f" {word}"] for word in WORDS] for pair in pairs]
    return log_softmax(np.array(rows), axis=1).astype(np.float32)


def for_pair(number: int, reply: Reply | None, times: int = 1000) -> Script:
    """`reply` to the first `times` requests about one of PAIRS."""
    return lambda prompt, before: reply if f" {number} W\n" in prompt and before < times else None


def log_probs_of(prompt: str) -> dict[str, float]:
    """Log-probabilities of the level tokens and two others: a function of the prompt alone."""
    digest = hashlib.sha256(prompt.encode()).digest()
    return {f" {word}": -0.5 - byte / 64 for word, byte in zip([*WORDS, "red", "\n"], digest, strict=False)}


def completion(listed: dict[str, float] | None, tokens: int = 20) -> Reply:
    """An answer of /completions, as vLLM writes it."""
    logprobs = None if listed is None else {"top_logprobs": [listed], "tokens": ["x"], "token_logprobs": [-1.0]}
    choice = {"index": 0, "text": "x", "finish_reason": "length", "logprobs": logprobs}
    return Reply({"id": "1", "object": "text_completion", "choices": [choice], "usage": {"total_tokens": tokens}})


def chat_completion(listed: dict[str, float]) -> Reply:
    """An answer of /chat/completions; llama.cpp's /completions has its logprobs in this form too."""
    entries = [{"token": token, "logprob": value, "bytes": None} for token, value in listed.items()]
    logprobs = {"content": [{"token": "x", "logprob": -1.0, "top_logprobs": entries}]}
    choice = {"index": 0, "message": {"role": "assistant", "content": "x"}, "logprobs": logprobs}
    return Reply({"id": "1", "object": "chat.completion", "choices": [choice]})


class EndpointServer:
    """Serves in threads from `with` to its end.

    Args:
        reply: what it answers. Level words repeated, by which a teacher learns their tokens, get the ordinary answer.

    Attributes:
        requests: the bodies received, `paths` and `keys` beside them.
        busiest: the most requests it had at once.
    """

    def __init__(self, reply: Script | None = None, models: tuple[str, ...] = ("m",)) -> None:
        self.reply, self.models = reply, models
        self.requests: list[dict[str, Any]] = []
        self.paths: list[str] = []
        self.keys: list[str | None] = []
        self.asked: Counter[str] = Counter()
        self.busy = self.busiest = 0
        self.lock, self.closing = threading.Lock(), threading.Event()

    @property
    def prompts(self) -> list[str]:
        """The prompts asked, without the repeated level words."""
        return [text for text in map(prompt_of, self.requests) if not is_repetition(text)]

    def answer(self, body: dict[str, Any]) -> Reply:
        prompt = prompt_of(body)
        with self.lock:
            before = self.asked[prompt]
            self.asked[prompt] += 1
        if is_repetition(prompt) and self.reply is not always_refuses:
            return completion({f" {prompt.split()[0]}": -0.1, "\n": -3.0})
        found = self.reply(prompt, before) if self.reply is not None else None
        return found or completion(log_probs_of(prompt))

    def given(self, path: str) -> Reply:
        """The answer to a GET."""
        return Reply({"object": "list", "data": [{"id": name} for name in self.models]})

    def taken(self, path: str, content: bytes) -> Reply | None:
        """The answer to a POST that asks no prompt."""
        return None

    def __enter__(self) -> Self:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: Any) -> None:
                pass

            def do_GET(self) -> None:  # noqa: N802
                self.send(outer.given(self.path))

            def do_POST(self) -> None:  # noqa: N802
                content = self.rfile.read(int(self.headers["Content-Length"]))
                if (reply := outer.taken(self.path, content)) is not None:
                    self.send(reply)
                    return
                body = json.loads(content)
                with outer.lock:
                    outer.requests.append(body)
                    outer.paths.append(self.path)
                    outer.keys.append(self.headers["Authorization"])
                    outer.busy += 1
                    outer.busiest = max(outer.busiest, outer.busy)
                reply = outer.answer(body)
                outer.closing.wait(reply.delay)
                with outer.lock:
                    outer.busy -= 1
                self.send(reply)

            def send(self, reply: Reply) -> None:
                content = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
                headers = {"Content-Type": "application/json", "Content-Length": str(len(content)), **reply.headers}
                try:
                    self.send_response(reply.status)
                    for name, value in headers.items():
                        self.send_header(name, value)
                    self.end_headers()
                    self.wfile.write(content)
                except ConnectionError:
                    pass  # the client has given up

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self.closing.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


def always_refuses(prompt: str, before: int) -> Reply:
    """401 to everything, the repeated level words included."""
    return Reply({"error": {"message": "Incorrect API key provided"}}, status=401)


def prompt_of(body: dict[str, Any]) -> str:
    return body["prompt"] if "prompt" in body else body["messages"][-1]["content"]


def is_repetition(prompt: str) -> bool:
    words = prompt.split(" ")
    return len(words) == 8 and len(set(words)) == 1


def wait_until(holds: Callable[[], bool], seconds: float = 60.0) -> None:
    """Returns when the condition holds; fails the test if it does not in time."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.005)
