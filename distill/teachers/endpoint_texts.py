"""What is sent to a server whose tokenizer is out of reach: texts cut by characters, and a chat's messages."""

from __future__ import annotations

import re
from pathlib import Path

from prectr.shared.errors import PrectrError
from prectr.shared.strict_json import loads
from prectr.shared.text_file import read_text

CHARACTERS_PER_TOKEN = 4
"""The server's tokenizer is out of reach, so texts are cut by characters: this many for each token that is kept."""


def estimate_tokens(text: str) -> int:
    """A third of the UTF-8 bytes, rather too many than too few, and the token of the answer."""
    return len(text.encode(errors="replace")) // 3 + 2


def cut(text: str, tokens: int) -> str:
    """At most 4 characters for each token; a word that would be cut in two is left out, unless it is the first."""
    length = tokens * CHARACTERS_PER_TOKEN
    if len(text) <= length:
        return text
    whole_words = re.match(r"(?s)(.*\S)\s", text[: length + 1])
    return whole_words[1] if whole_words else text[:length]


def read_messages(path: Path) -> list[dict[str, str]]:
    """Messages of a chat, {prompt} in one of them.

    Raises:
        PrectrError: no such file, or no JSON list of {"role": …, "content": …} with {prompt} in a content.
    """
    text = read_text(path, "no such file, which --endpoint_chat_template names.")
    wanted = 'a JSON list of {"role": "user", "content": "…"}, with {prompt} in one content'
    try:
        messages = loads(text)
        parts = [{"role": one["role"], "content": one["content"]} for one in messages]
        if not all(isinstance(part, str) for one in parts for part in one.values()):
            raise ValueError("a role or a content is no string")
    except (ValueError, TypeError, LookupError) as error:
        raise PrectrError(f"endpoint_chat_template {path}: not {wanted} ({error}).") from error
    if not any("{prompt}" in one["content"] for one in parts):
        raise PrectrError(f"endpoint_chat_template {path}: {{prompt}} is missing; write {wanted}.")
    return parts
