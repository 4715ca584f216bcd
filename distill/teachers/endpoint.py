"""A teacher behind an OpenAI-compatible server: vLLM, llama.cpp's own, or a hosted model.

The server gets the prompt as raw text through /v1/completions and is asked for one token and the log-probabilities of
the n most probable ones (`logprobs`). Chat models, which see no raw text, are asked only through messages the user
writes. Of a level word its first token is compared, as in `CausalTeacher`; a level among the n has its log-probability,
any other is *censored*: known to be at most the smallest that is listed. Nothing is made up for it.

What cannot be judged is a row of NaN; what makes going on pointless stops the job with one sentence, after what has
been judged is handed over.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from openai import APIStatusError, APITimeoutError, AsyncOpenAI, OpenAIError

from prectr.distill.config import TeacherArguments
from prectr.distill.teachers.base import Judgement, Pair
from prectr.distill.teachers.endpoint_answers import (
    Levels,
    NoLogProbabilitiesError,
    listed_tokens,
    printable,
    read_answer,
    read_levels,
)
from prectr.distill.teachers.endpoint_texts import cut, estimate_tokens, read_messages
from prectr.distill.teachers.endpoint_transport import http_client
from prectr.distill.teachers.prompt import Prompt, one_line
from prectr.shared.errors import PrectrError
from prectr.shared.run.console import console
from prectr.shared.strict_json import loads

FAILURES_IN_A_ROW = 8
"""An outage: the server goes on failing after every retry."""

REFUSED_SHARE, REFUSED_OF = 0.9, 32
"""If this share of at least so many answers lists fewer than two levels, the words or the length of the list are
wrong.
"""

REPETITIONS = 8
"""Of a level word, after which any language model repeats it once more: its next token is the word's first."""


class EndpointTeacher:
    """A language model on a server behind the `Teacher` interface; it has no state.

    The judgement of a pair depends neither on `concurrency` nor on the order in which answers arrive, as far as the
    server's own arithmetic does not: llama.cpp, which computes requests that come together as one batch, then gave
    log-probabilities up to 0.2 nats away from those it gives one by one [O]. With `concurrency=1` it repeats itself to
    the digit. The API key, where a server wants one, is the environment's OPENAI_API_KEY.

    The fingerprint holds the model's name, the prompt (and messages), the limits of the texts and n, not the address:
    one model behind two addresses is one teacher. A name is all a server tells of a model, so give what is behind it a
    new `model` name when it changes.

    Args:
        url: of the API, up to and with /v1.
        prompt: the question.
        query_tokens, item_tokens: length kept of each text, 4 characters for each token, cut between words where there
            are any.
        model: its name; empty: the one model the server lists.
        top_logprobs: n, tokens listed per answer, >= 2; many servers allow 5 or 20, llama.cpp's any number.
        concurrency: requests under way at once.
        timeout: seconds to wait for an answer.
        retries: of a request that met 408, 409, 429, 5xx, a timeout, a lost connection or a garbled answer; with
            exponential back-off and jitter, or after the server's own Retry-After.
        token_budget: tokens this object may use, those of the answers included; 0: any number. Counted as the server
            reports them, before that and otherwise as a third of the prompt's UTF-8 bytes.
        chat_template: JSON file with a list of messages, {prompt} in one of them; /v1/chat/completions is used then.

    Raises:
        PrectrError: a setting out of range, an unusable chat template, or a server that does not name its model.
    """

    def __init__(
        self,
        url: str,
        prompt: Prompt,
        *,
        query_tokens: int,
        item_tokens: int,
        model: str = "",
        top_logprobs: int = 20,
        concurrency: int = 8,
        timeout: float = 60.0,
        retries: int = 6,
        token_budget: int = 0,
        chat_template: Path | None = None,
    ) -> None:
        for name, value, least in (
            ("endpoint_top_logprobs", top_logprobs, 2),
            ("endpoint_concurrency", concurrency, 1),
            ("endpoint_timeout", timeout, 0.001),
            ("endpoint_retries", retries, 0),
            ("endpoint_token_budget", token_budget, 0),
        ):
            if not least <= value < float("inf"):
                raise PrectrError(f"{name}: found {value}; set at least {least}.")
        self.prompt, self.top_logprobs, self.concurrency = prompt, top_logprobs, concurrency
        self.query_tokens, self.item_tokens = query_tokens, item_tokens
        self.timeout, self.retries, self.token_budget = timeout, retries, token_budget
        self.url = url.rstrip("/")
        self.messages = None if chat_template is None else read_messages(chat_template)
        key = os.environ.get("OPENAI_API_KEY") or "none"
        self._connection: dict[str, Any] = dict(base_url=self.url, api_key=key, timeout=timeout, max_retries=retries)
        self.model = model or self._served_model()
        parts = (self.model, prompt.fingerprint, query_tokens, item_tokens, top_logprobs, self.messages)
        self.fingerprint = hashlib.sha256(repr(("endpoint", parts)).encode()).hexdigest()
        self.used, self.judged = 0, 0  # tokens, pairs
        self._reported = self._estimated = 0
        self._level_tokens: list[str] | None = None
        self._answers = self._refused = self._failures = 0
        self._is_used_up = False
        self._stop: str | None = None

    def padded_length(self, pair: Pair) -> int:
        """Always 1: no pair is padded here, so all of them may be scored together."""
        return 1

    def text(self, pair: Pair) -> str:
        """The prompt of a pair as it is sent."""
        query, item = map(one_line, pair)
        return self.prompt.render(cut(query, self.query_tokens), cut(item, self.item_tokens))

    def tokens(self, pair: Pair) -> float:
        """What asking for a pair costs, estimated; the server's own counts so far say how good estimates are."""
        scale = self._reported / self._estimated if self._estimated else 1.0
        return estimate_tokens(self.text(pair)) * scale

    def score(self, pairs: Sequence[Pair]) -> Judgement:
        """Judges n pairs; a pair that could not be judged is a row of NaN, and the reasons are printed.

        Raises:
            PrectrError: the key or the model is refused, a level word's token cannot be learnt, the budget is used up,
                8 pairs in a row failed, or nearly all lists lack the levels. Where this happens after some of the pairs
                were judged, these are returned and the next call raises.
        """
        if self._stop is not None:
            raise PrectrError(self._stop)
        found = asyncio.run(self._score(pairs))
        log_odds = np.full((len(pairs), len(self.prompt.words)), np.nan, np.float32)
        censored = np.zeros(log_odds.shape, bool)
        for row, outcome in enumerate(found):
            if not isinstance(outcome, str):
                log_odds[row], censored[row] = outcome
        self._check()
        failed = [outcome for outcome in found if isinstance(outcome, str)]
        if self._stop is not None and len(failed) == len(pairs):
            raise PrectrError(self._stop)
        if failed:
            reasons = "; ".join(f"{count:,} × {reason}" for reason, count in Counter(failed).most_common(5))
            line = f"endpoint: {len(failed):,} of {len(pairs):,} pairs were not judged: {reasons}"
            console.print(line, highlight=False, markup=False, soft_wrap=True)
        return Judgement(log_odds, censored=censored)

    async def _score(self, pairs: Sequence[Pair]) -> list[Levels | str]:
        """Of each pair its levels, or why there are none; never more than `concurrency` requests under way."""
        found: list[Levels | str] = ["the job was stopped"] * len(pairs)

        async def work(client: AsyncOpenAI, rows: Iterator[int]) -> None:
            for row in rows:
                found[row] = await self._judge(client, pairs[row])

        async with self._client() as client:
            try:
                if self._level_tokens is None:
                    self._level_tokens = await self._learn_level_tokens(client)
                rows = iter(range(len(pairs)))
                async with asyncio.TaskGroup() as group:
                    for _ in range(min(self.concurrency, len(pairs))):
                        group.create_task(work(client, rows))
            except* PrectrError as stop:
                self._stop = str(stop.exceptions[0])
        return found

    async def _judge(self, client: AsyncOpenAI, pair: Pair) -> Levels | str:
        assert self._level_tokens is not None
        try:
            listed = await self._ask(client, self.text(pair))
        except UnjudgedError as failure:
            self._failures += not self._is_used_up
            if self._failures >= FAILURES_IN_A_ROW:
                raise PrectrError(
                    f"endpoint {self.url}: {self._failures} pairs in a row could not be judged, the last one because "
                    f"{failure}; {self.judged:,} pairs are judged and kept, run again to go on."
                ) from failure
            return str(failure)
        self._failures = 0
        return self._levels(listed)

    def _levels(self, listed: dict[str, float]) -> Levels | str:
        """What the listed tokens say of the levels; why nothing, where they do not."""
        assert self._level_tokens is not None
        self._answers += 1
        levels = read_levels(listed, self._level_tokens, are_guessed=self.messages is not None)
        if levels is None:
            self._refused += 1
            return f"fewer than two of the level words are among the {self.top_logprobs} listed tokens"
        self.judged += 1
        return levels

    def _check(self) -> None:
        """What, seen after a call, lets no further one begin."""
        if self._is_used_up:
            self._stop = (
                f"endpoint {self.url}: the budget of {self.token_budget:,} tokens is used up after {self.judged:,} "
                "judged pairs, which are kept; run again to go on with a new budget, or raise endpoint_token_budget."
            )
        elif self._stop is None and self._answers >= REFUSED_OF and self._refused >= REFUSED_SHARE * self._answers:
            self._stop = (
                f"endpoint {self.url}: {self._refused:,} of {self._answers:,} answers list fewer than two of the level "
                f"words ({', '.join(self.prompt.words)}) in {self.top_logprobs} tokens; raise endpoint_top_logprobs, "
                "or choose level words this model would say."
            )

    async def _learn_level_tokens(self, client: AsyncOpenAI) -> list[str]:
        """The first token of each level word, as this server writes it: what continues the word repeated.

        A chat model cannot be made to continue a text; there the whole words are taken for tokens.
        """
        words = self.prompt.words
        if self.messages is not None:
            return list(words)
        tokens = []
        for word in words:
            try:
                listed = await self._ask(client, " ".join([word] * REPETITIONS))
            except UnjudgedError as failure:
                raise PrectrError(f"endpoint {self.url}: nothing can be judged, because {failure}.") from failure
            spelled = (f" {word}", word)  # some servers show no space in front
            begins = [token for token in listed if token.strip() and any(s.startswith(token) for s in spelled)]
            if not begins:
                raise PrectrError(
                    f"endpoint {self.url}: {self.model} does not go on with {word!r} after {REPETITIONS} of it, so the "
                    "token it begins with stays unknown; raise endpoint_top_logprobs or choose another level word."
                )
            tokens.append(max(begins, key=lambda token: listed[token]))
        if len(set(tokens)) < len(tokens):
            shown = ", ".join(f"{word} → {self._said(token)!r}" for word, token in zip(words, tokens, strict=True))
            raise PrectrError(
                f"prompt: two level words begin with the same token of {self.model} ({shown}); choose others."
            )
        return tokens

    async def _ask(self, client: AsyncOpenAI, text: str) -> dict[str, float]:
        """The most probable next tokens of a text and their log-probabilities."""
        for attempt in range(self.retries + 1):
            estimate = self._reserve(text)
            try:
                answer = (await self._request(client, text)).text
            except APIStatusError as error:
                if error.status_code in (401, 403, 404) or 300 <= error.status_code < 400:
                    raise PrectrError(self._refusal(error.status_code, error)) from None
                raise UnjudgedError(self._reason(error)) from error
            except OpenAIError as error:
                raise UnjudgedError(self._reason(error)) from error
            try:
                choice, used = read_answer(answer)
                listed = listed_tokens(choice, strip=self.messages is not None)
            except NoLogProbabilitiesError as error:
                raise PrectrError(
                    f"endpoint {self.url}: {self._said(error)}: what it gives are no log-probabilities; set the server "
                    "to give them (before sampling), or name another."
                ) from error
            except (ValueError, TypeError, LookupError, AttributeError):
                # The client retries what HTTP calls an error, with this back-off; a garbled 200 is none.
                await asyncio.sleep(min(0.5 * 2**attempt, 8.0) if attempt < self.retries else 0)
                continue
            if used:
                self.used += used - estimate
                self._reported, self._estimated = self._reported + used, self._estimated + estimate
            if not listed:
                raise UnjudgedError("the answer holds no logprobs, which not every server gives")
            return listed
        raise UnjudgedError("the answer was cut off or is no completion in JSON")

    async def _request(self, client: AsyncOpenAI, text: str) -> Any:
        completions = client.completions if self.messages is None else client.chat.completions
        return await completions.with_raw_response.create(**self.request(text))

    @property
    def path(self) -> str:
        """Where prompts are sent, below the address."""
        return "completions" if self.messages is None else "chat/completions"

    def request(self, text: str) -> dict[str, Any]:
        """What is sent there for a prompt."""
        asked: dict[str, Any] = {"model": self.model, "max_tokens": 1, "temperature": 0}
        if self.messages is None:
            return {**asked, "prompt": text, "logprobs": self.top_logprobs}
        messages = [{**one, "content": one["content"].replace("{prompt}", text)} for one in self.messages]
        return {**asked, "messages": messages, "logprobs": True, "top_logprobs": self.top_logprobs}

    def _reserve(self, text: str) -> int:
        """Counts a request before it is sent, so that those under way cannot break the budget together."""
        estimate = estimate_tokens(text)
        if self._is_used_up or (self.token_budget and self.used + estimate > self.token_budget):
            self._is_used_up = True
            raise UnjudgedError(f"the budget of {self.token_budget:,} tokens is used up")
        self.used += estimate
        return estimate

    def _served_model(self) -> str:
        async def listing() -> str:
            async with self._client() as client:
                return (await client.models.with_raw_response.list()).text

        try:
            names = [one["id"] for one in loads(asyncio.run(listing()))["data"]]
        except APIStatusError as error:
            if error.status_code in (401, 403) or 300 <= error.status_code < 400:
                raise PrectrError(self._refusal(error.status_code, error)) from None
            raise PrectrError(f"endpoint {self.url}/models: {self._reason(error)}; is this the address?") from None
        except OpenAIError as error:
            raise PrectrError(f"endpoint {self.url}: {self._reason(error)}; is the server running?") from None
        except (ValueError, TypeError, LookupError) as error:
            raise PrectrError(f"endpoint {self.url}/models names no model; set endpoint_model.") from error
        if len(names) != 1:
            listed = ", ".join(sorted(self._said(name) for name in names)[:10]) or "none"
            raise PrectrError(f"endpoint {self.url}: it serves {len(names)} models ({listed}); set endpoint_model.")
        if not isinstance(names[0], str) or self._said(names[0]) != names[0]:
            raise PrectrError(
                f"endpoint {self.url}: the one model it serves is called {self._said(names[0])}, which is no name to "
                "keep labels under; set endpoint_model."
            )
        return names[0]

    def _client(self) -> AsyncOpenAI:
        return AsyncOpenAI(**self._connection, http_client=http_client(self.timeout))

    def _said(self, text: object) -> str:
        """What the server says, for a message; a key that it repeats is not shown."""
        return printable(text, os.environ.get("OPENAI_API_KEY", ""))

    def _refusal(self, status: int, error: APIStatusError) -> str:
        if 300 <= status < 400:
            where = self._said(error.response.headers.get("location", "nowhere"))
            return (
                f"endpoint {self.url}: it redirects to {where} ({status}), where no prompt is sent; give that address "
                "if you trust it."
            )
        if status == 404:
            return (
                f"endpoint {self.url}: it knows no /{self.path} or no model {self.model!r} (404); check that the "
                "address ends in /v1, and endpoint_model."
            )
        has_key = bool(os.environ.get("OPENAI_API_KEY"))
        cure = "it refused the key in OPENAI_API_KEY" if has_key else "it wants a key; set OPENAI_API_KEY"
        return f"endpoint {self.url}: {cure} ({status})."

    def _reason(self, error: OpenAIError) -> str:
        if isinstance(error, APITimeoutError):
            return f"no answer came within {self.timeout:g} s"
        if isinstance(error, APIStatusError):
            return f"the server answered {error.status_code} ({self._said(error.message)})"
        return f"the connection failed ({self._said(error.__cause__ or error)})"


class UnjudgedError(Exception):
    """One pair went without an answer; the message completes "because …"."""


def open_endpoint(url: str, prompt: Prompt, arguments: TeacherArguments) -> EndpointTeacher:
    """The teacher at `url`, as the settings describe it."""
    return EndpointTeacher(url, prompt, **endpoint_settings(arguments))


def endpoint_settings(arguments: TeacherArguments) -> dict[str, Any]:
    """The settings by the names of `EndpointTeacher`'s arguments."""
    return {
        "query_tokens": arguments.teacher_query_tokens,
        "item_tokens": arguments.teacher_item_tokens,
        "model": arguments.endpoint_model,
        "top_logprobs": arguments.endpoint_top_logprobs,
        "concurrency": arguments.endpoint_concurrency,
        "timeout": arguments.endpoint_timeout,
        "retries": arguments.endpoint_retries,
        "token_budget": arguments.endpoint_token_budget,
        "chat_template": Path(arguments.endpoint_chat_template) if arguments.endpoint_chat_template else None,
    }
