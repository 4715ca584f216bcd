"""A server on loopback that takes batches too: files up, a batch of each, files down; slow, forgetful or partial on
demand.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from prectr.distill.teachers.batch.teacher import BatchTeacher
from tests.distill.teachers.endpoint_server import PROMPT, EndpointServer, Reply

Lines = Callable[[dict[str, Any], int], dict[str, Any] | None]
"""(a line that was uploaded, how many batches were before) -> what its output line holds, or None for the ordinary
answer; {} leaves the line out.
"""


def batch_teacher_at(server: BatchServer, kept: Path, **settings: Any) -> BatchTeacher:
    given = {"query_tokens": 16, "item_tokens": 32, "model": "m", "timeout": 30.0, "retries": 1}
    return BatchTeacher(server.url, PROMPT, kept=kept, live_pairs=2, seconds=0.01, **{**given, **settings})


class BatchServer(EndpointServer):
    """As `EndpointServer`.

    Args:
        lines: see `Lines`. statuses: of each look at a batch, the last one for good. errors: of a batch that failed.
        refuses: paths, below /v1, that it answers with this status.

    Attributes:
        uploads: the lines of each file. looks: at batches.
    """

    def __init__(
        self,
        lines: Lines | None = None,
        statuses: tuple[str, ...] = ("completed",),
        errors: list[dict[str, Any]] | None = None,
        refuses: dict[str, int] | None = None,
    ) -> None:
        super().__init__()
        self.lines, self.statuses, self.errors, self.refuses = lines, statuses, errors or [], refuses or {}
        self.files: dict[str, bytes] = {}
        self.uploads: list[list[dict[str, Any]]] = []
        self.batches: dict[str, dict[str, Any]] = {}
        self.looks = 0

    def given(self, path: str) -> Reply:
        path = path.removeprefix("/v1").partition("?")[0]
        if status := self.refuses.get(path):
            return Reply({"error": {"message": "no"}}, status)
        if path == "/batches":
            return Reply({"object": "list", "data": list(self.batches.values()), "has_more": False})
        if path.startswith("/batches/"):
            self.looks += 1
            return self._look(path.removeprefix("/batches/"))
        if found := re.fullmatch(r"/files/(.*)/content", path):
            content = self.files.get(found[1])
            return Reply({"error": {"message": "no such file"}}, 404) if content is None else Reply(content)
        return super().given(path)

    def taken(self, path: str, content: bytes) -> Reply | None:
        path = path.removeprefix("/v1")
        if path not in ("/files", "/batches"):
            return None
        if status := self.refuses.get(path):
            return Reply({"error": {"message": "no"}}, status)
        if path == "/files":
            name = f"file-{len(self.uploads)}"
            # Of a form's parts, the one that holds lines.
            self.uploads.append([json.loads(line) for line in re.findall(rb'^{"custom_id".*$', content, re.MULTILINE)])
            self.files[name] = content
            return Reply({"id": name, "object": "file"})
        asked = json.loads(content)
        number = f"batch-{len(self.batches)}"
        self.batches[number] = {"id": number, "status": "validating", **asked}
        return Reply(self.batches[number])

    def _look(self, number: str) -> Reply:
        if number not in self.batches:
            return Reply({"error": {"message": "no such batch"}}, 404)
        batch = self.batches[number]
        batch["status"] = self.statuses[min(self.looks, len(self.statuses)) - 1]
        if batch["status"] == "failed":
            batch["errors"] = {"data": self.errors}
        elif batch["status"] in ("completed", "expired", "cancelled") and "output_file_id" not in batch:
            self._answer_lines(batch, int(number.removeprefix("batch-")))
        return Reply(batch)

    def _answer_lines(self, batch: dict[str, Any], before: int) -> None:
        found: dict[str, list[str]] = {"output": [], "error": []}
        for line in reversed(self.uploads[int(batch["input_file_id"].removeprefix("file-"))]):
            said = self.lines(line, before) if self.lines is not None else None
            if said is None:
                said = {"response": {"status_code": 200, "body": self.answer(line["body"]).body}, "error": None}
            if said:
                kind = "error" if said.get("error") or said["response"]["status_code"] != 200 else "output"
                found[kind].append(json.dumps({"id": "r", "custom_id": line["custom_id"], **said}))
        for kind, lines in found.items():
            name = f"{kind}-{before}"
            self.files[name] = "\n".join(lines).encode()
            batch[f"{kind}_file_id"] = name if lines else None
