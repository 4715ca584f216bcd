"""One batch at an OpenAI-compatible server: upload, start, wait, download; and a note of it on disk, so that a command
that was killed goes on waiting for the batch it has paid for.

A batch is known by what it asks: the same lines for the same server are the same batch, whoever asks.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Awaitable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from openai import APIStatusError, AsyncOpenAI

from prectr.distill.teachers.endpoint_answers import printable
from prectr.shared.atomic import atomic_write
from prectr.shared.errors import PrectrError
from prectr.shared.run.console import print_line
from prectr.shared.strict_json import loads

ENDED = ("completed", "expired", "cancelled", "failed")
LISTED = 100
"""Batches that are looked through for one whose number was lost."""

SECONDS, LONGEST = 5.0, 60.0
"""Between looks at a batch: at first, and after doubling."""


@dataclass(frozen=True)
class Batch:
    """A batch that has ended: how, and the files it left. `note` is where it is remembered."""

    status: str
    files: list[bytes]
    note: Path

    def forget(self) -> None:
        """The same lines are a new batch next time."""
        self.note.unlink(missing_ok=True)


async def run_batch(
    client: AsyncOpenAI, url: str, path: str, lines: bytes, kept: Path, seconds: float = SECONDS
) -> Batch:
    """Has the server answer `lines`, or goes on where an earlier call was stopped.

    Args:
        url: of the API. path: what the lines ask, `completions` or `chat/completions`.
        kept: folder of the notes. seconds: between the first looks.

    Raises:
        PrectrError: the server takes no batches, does not know the file or batch it gave out, or refused the lines.
        OpenAIError: as the client raises it.
    """
    note = kept / f"{hashlib.sha256(url.encode() + b' ' + lines).hexdigest()[:32]}.json"
    known = _read(note)
    batch = known.get("batch") and await _look(client, known["batch"])
    if not batch:
        batch = await _start(client, url, path, lines, note, known.get("file"))
    number, wait = batch["id"], seconds
    while batch.get("status") not in ENDED:
        await asyncio.sleep(wait)
        wait = min(2 * wait, LONGEST)
        batch = await _look(client, number)
        if batch is None:
            note.unlink(missing_ok=True)
            raise PrectrError(f"batch {number} at {url}: the server no longer knows it; run again to start a new one.")
    if batch["status"] == "failed":
        note.unlink(missing_ok=True)
        raise PrectrError(f"batch {number} at {url} was refused: {_reason(batch)}; mend that and run again.")
    files = []
    for name in ("output_file_id", "error_file_id"):
        if batch.get(name):
            try:
                files.append((await client.files.with_raw_response.content(batch[name])).content)
            except APIStatusError as error:
                if error.status_code != 404:
                    raise
                note.unlink(missing_ok=True)
                raise PrectrError(
                    f"batch {number} at {url}: the server no longer has its answers; run again to start a new one."
                ) from None
    return Batch(batch["status"], files, note)


async def _start(
    client: AsyncOpenAI, url: str, path: str, lines: bytes, note: Path, file: str | None
) -> dict[str, Any]:
    """A new batch; or the one that was started before a kill and not yet noted, by its file."""
    batch = await _started(client, file) if file else None
    if batch is None:
        try:
            given = client.files.with_raw_response.create(file=("prompts.jsonl", lines), purpose="batch")
            file = str((await _identified(given))["id"])
            # Before the batch, which is what costs: a command killed in between finds it by its file. Nor is it asked
            # for twice, should the answer be lost.
            _write(note, {"server": url, "file": file})
            once, endpoint = client.with_options(max_retries=0), f"/v1/{path}"
            started = once.batches.with_raw_response.create(
                input_file_id=file,
                endpoint=endpoint,  # type: ignore[arg-type]  # one of those that it takes
                completion_window="24h",
            )
            batch = await _identified(started)
        except APIStatusError as error:
            if error.status_code != 404:
                raise
            raise PrectrError(
                f"endpoint {url}: it takes no batches (404 for /files or /batches); name it without `batch:`."
            ) from None
    _write(note, {"server": url, "file": file, "batch": batch["id"]})
    print_line(
        f"… batch {batch['id']} at {url}: {len(lines.splitlines()):,} prompts, answered within 24 hours. Stop this "
        f"command meanwhile if you like: run again, and it goes on waiting ({note})."
    )
    return batch


async def _look(client: AsyncOpenAI, number: str) -> dict[str, Any] | None:
    try:
        return await _identified(client.batches.with_raw_response.retrieve(number))
    except APIStatusError as error:
        if error.status_code != 404:
            raise
        return None


async def _started(client: AsyncOpenAI, file: str) -> dict[str, Any] | None:
    """The batch of an uploaded file, if one was started."""
    try:
        listed = (await _content(client.batches.with_raw_response.list(limit=LISTED))).get("data") or []
    except APIStatusError as error:
        if error.status_code != 404:
            raise
        return None
    return next((one for one in listed if one.get("input_file_id") == file and one.get("id")), None)


async def _identified(call: Awaitable[Any]) -> dict[str, Any]:
    found = await _content(call)
    if not isinstance(found.get("id"), str):
        raise PrectrError(f"batch: the server's answer is none of a batch or a file: {printable(found)}")
    return found


async def _content(call: Awaitable[Any]) -> dict[str, Any]:
    """What the server says, as JSON; nothing where it is garbled."""
    try:
        found = loads((await call).text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _reason(batch: dict[str, Any]) -> str:
    listed = (batch.get("errors") or {}).get("data") or [{}]
    return printable(listed[0].get("message") or "it does not say why")


def _read(note: Path) -> dict[str, str]:
    try:
        found = loads(note.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _write(note: Path, content: dict[str, str | None]) -> None:
    with atomic_write(note) as temporary:
        temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
