"""The two files of a batch: prompts as JSON lines, and the lines that answer them, in any order and perhaps not all."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from prectr.distill.teachers.endpoint_answers import printable
from prectr.shared.strict_json import loads

AGAIN = (408, 409, 429)
"""Beside 5xx, status codes of a line that may be answered another time."""

EXPIRED = "batch_expired"
"""The code of lines that the day did not suffice for."""


@dataclass(frozen=True)
class Unanswered:
    """A line without an answer: why, and whether asking again may help."""

    reason: str
    again: bool


def request_lines(path: str, bodies: Iterable[Mapping[str, Any]]) -> bytes:
    """A line per request to `/v1/<path>`, known by its number."""
    lines = [
        {"custom_id": str(number), "method": "POST", "url": f"/v1/{path}", "body": body}
        for number, body in enumerate(bodies)
    ]
    return "".join(json.dumps(line) + "\n" for line in lines).encode()


def read_answers(files: Sequence[bytes], size: int) -> list[str | Unanswered]:
    """Of each of `size` requests its answer's body, as JSON, or why there is none.

    Args:
        files: what the server wrote, answers and errors; a line that is garbled, or answers none of the requests, is
            left out, and of two for one request an answer counts before an error.
    """
    found: list[str | Unanswered] = [Unanswered("no line of the batch's output answers it", again=True)] * size
    for number, outcome in _lines(files):
        if number < size and isinstance(found[number], Unanswered):
            found[number] = outcome
    return found


def _lines(files: Sequence[bytes]) -> Iterator[tuple[int, str | Unanswered]]:
    for text in b"\n".join(files).split(b"\n"):
        try:
            line = loads(text)
            yield int(line["custom_id"]), _outcome(line)
        except (ValueError, TypeError, LookupError, AttributeError):
            continue  # it names no request, so the one it was for stays without an answer


def _outcome(line: dict[str, Any]) -> str | Unanswered:
    error, response = line.get("error") or {}, line.get("response") or {}
    if error:
        return Unanswered(printable(f"{error.get('code')}: {error.get('message')}"), again=error.get("code") == EXPIRED)
    status, body = response.get("status_code"), response.get("body")
    if status != 200:
        told = (body or {}).get("error") or {}
        is_worth_it = isinstance(status, int) and (status in AGAIN or status >= 500)
        return Unanswered(printable(f"the server answered {status} ({told.get('message')})"), again=is_worth_it)
    return json.dumps(body)
