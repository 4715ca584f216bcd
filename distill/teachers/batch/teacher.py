"""A hosted model that is asked in batches: an `EndpointTeacher` for whom a whole labelling job is one upload."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from openai import APIStatusError, AsyncOpenAI, OpenAIError

from prectr.distill.config import TeacherArguments
from prectr.distill.teachers.base import Pair
from prectr.distill.teachers.batch.lines import Unanswered, read_answers, request_lines
from prectr.distill.teachers.batch.server import SECONDS, run_batch
from prectr.distill.teachers.endpoint import EndpointTeacher, endpoint_settings
from prectr.distill.teachers.endpoint_answers import (
    Levels,
    NoLogProbabilitiesError,
    listed_tokens,
    read_answer,
)
from prectr.distill.teachers.endpoint_texts import estimate_tokens
from prectr.distill.teachers.endpoint_transport import http_client
from prectr.distill.teachers.prompt import Prompt
from prectr.shared.errors import PrectrError

LIVE_PAIRS = 1000
"""So many pairs at once are asked one by one at the full price: a day's wait for calibration or a comparison would cost
more than the cents it saves [O].
"""

MOST_PAIRS = 20_000
"""Of a batch; hosted servers take 50,000 lines and some 200 MB."""

ROUNDS = 3
"""What a batch left unanswered and may be answered another time goes out as another one."""

FILE_SECONDS, MOST_FILE_BYTES = 600.0, 1 << 30
"""For a file up or down, and of one."""


class BatchTeacher(EndpointTeacher):
    """As `EndpointTeacher`, whose fingerprint, and so whose labels, it shares; what it is asked by the thousand goes
    through /v1/files and /v1/batches.

    A killed command goes on with the batch it started: `kept` remembers it by what it asks. Lines that failed for good,
    and all that three batches left unanswered, are pairs that were not judged.

    Args:
        kept: folder of what is under way. live_pairs: asked one by one up to so many.
        seconds: between looks at a batch, at first.

    Attributes:
        shard_size: pairs to be handed to `score` at once in a long job.
        price_share: of the live endpoint's price. promised_seconds: within which a batch is answered.
    """

    shard_size, price_share, promised_seconds = MOST_PAIRS, 0.5, 24 * 3600.0

    def __init__(
        self,
        url: str,
        prompt: Prompt,
        *,
        kept: Path,
        live_pairs: int = LIVE_PAIRS,
        seconds: float = SECONDS,
        **settings: Any,
    ) -> None:
        super().__init__(url, prompt, **settings)
        self.kept, self.live_pairs, self.seconds = kept, live_pairs, seconds

    async def _score(self, pairs: Sequence[Pair]) -> list[Levels | str]:
        if len(pairs) <= self.live_pairs:
            return await super()._score(pairs)
        found: list[Levels | str] = ["the job was stopped"] * len(pairs)
        try:
            self._afford(pairs)
            async with self._client() as client:
                if self._level_tokens is None:
                    self._level_tokens = await self._learn_level_tokens(client)
            await self._ask_in_batches(pairs, found)
        except PrectrError as stop:
            self._stop = str(stop)
        return found

    async def _ask_in_batches(self, pairs: Sequence[Pair], found: list[Levels | str]) -> None:
        """Fills `found`, round by round."""
        rows = list(range(len(pairs)))
        client = http_client(max(self.timeout, FILE_SECONDS), MOST_FILE_BYTES)
        async with AsyncOpenAI(**{**self._connection, "timeout": FILE_SECONDS}, http_client=client) as carrier:
            for _ in range(ROUNDS):
                lines = request_lines(self.path, (self.request(self.text(pairs[row])) for row in rows))
                try:
                    batch = await run_batch(carrier, self.url, self.path, lines, self.kept, self.seconds)
                except APIStatusError as error:
                    raise PrectrError(
                        self._refusal(error.status_code, error)
                        if error.status_code in (401, 403)
                        else f"endpoint {self.url}: {self._reason(error)}; run again to go on."
                    ) from None
                except OpenAIError as error:
                    raise PrectrError(f"endpoint {self.url}: {self._reason(error)}; run again to go on.") from None
                again = []
                for row, answer in zip(rows, read_answers(batch.files, len(rows)), strict=True):
                    found[row] = answer.reason if isinstance(answer, Unanswered) else self._read(answer)
                    if isinstance(answer, Unanswered) and answer.again:
                        again.append(row)
                if all(isinstance(found[row], str) for row in rows):
                    batch.forget()  # the same lines may fare better another day
                if not again or len(again) == len(rows) or batch.status == "cancelled":
                    return
                rows = again

    def _read(self, answer: str) -> Levels | str:
        """One line's answer."""
        try:
            choice, used = read_answer(answer)
            listed = listed_tokens(choice, strip=self.messages is not None)
        except NoLogProbabilitiesError as error:
            return self._said(error)
        except (ValueError, TypeError, LookupError, AttributeError):
            return "the answer is no completion"
        self.used += used
        return self._levels(listed) if listed else "the answer holds no logprobs, which not every server gives"

    def _afford(self, pairs: Sequence[Pair]) -> None:
        """A batch is paid for whole, so it is not begun where the budget may not suffice."""
        needed = sum(estimate_tokens(self.text(pair)) for pair in pairs)
        left = max(0, self.token_budget - self.used)
        if self.token_budget and needed > left:
            raise PrectrError(
                f"endpoint {self.url}: a batch of {len(pairs):,} prompts takes about {needed:,} tokens, and "
                f"endpoint_token_budget leaves {left:,}; raise it, or label fewer pairs."
            )


def open_batch(url: str, prompt: Prompt, arguments: TeacherArguments, kept: Path) -> BatchTeacher:
    """The teacher at `url`, as the settings describe it."""
    return BatchTeacher(url, prompt, kept=kept, **endpoint_settings(arguments))
