"""The question put to the teacher: a text file with two placeholders and one word per relevance level."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from transformers import PreTrainedTokenizerBase

from shared.config import PrectrError

FOLDER = Path(__file__).parent / "prompts"


@dataclass(frozen=True)
class Prompt:
    """A prompt file's contents: the template cut at its placeholders, and the level words, lowest level first."""

    before: str
    between: str
    after: str
    words: tuple[str, ...]

    @property
    def fingerprint(self) -> str:
        """Changes with every character that reaches the teacher."""
        return hashlib.sha256(repr((self.before, self.between, self.after, self.words)).encode()).hexdigest()


def read_prompt(name: str, num_levels: int) -> Prompt:
    """Reads `distill/prompts/<name>.txt`, or the file `name`.

    Raises:
        PrectrError: no such file, a placeholder missing or out of order, or not one word per level.
    """
    path = Path(name) if Path(name).suffix == ".txt" else FOLDER / f"{name}.txt"
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in FOLDER.glob("*.txt")))
        raise PrectrError(f"{path}: no such prompt; name one of {known}, or a .txt file.")
    header, dashes, template = path.read_text(encoding="utf-8").partition("\n---\n")
    lines = [line for line in header.splitlines() if line.strip() and not line.startswith("#")]
    if not dashes or len(lines) != 1 or not lines[0].startswith("levels:"):
        raise PrectrError(f"{path}: a prompt file is a line `levels: word | word`, a line `---`, then the prompt.")
    words = tuple(word.strip() for word in lines[0].removeprefix("levels:").split("|"))
    if len(words) != num_levels:
        raise PrectrError(
            f"{path}: {len(words)} level words, but the data has {num_levels} levels; write one word per level."
        )
    before, query, rest = template.strip().partition("{query}")
    between, item, after = rest.partition("{item}")
    if not (query and item):
        raise PrectrError(f"{path}: the prompt needs {{query}} and, after it, {{item}}.")
    return Prompt(before, between, after, words)


class PromptEncoder:
    """Token ids of whole prompts. Texts are tokenised apart from the template, so a long one is cut without losing
    the question.

    Args:
        prompt, tokenizer: the question and the teacher's tokenizer.
        query_tokens, item_tokens: tokens kept of each text.

    Raises:
        PrectrError: two level words begin with the same token, so the next token cannot tell them apart.
    """

    def __init__(self, prompt: Prompt, tokenizer: PreTrainedTokenizerBase, query_tokens: int, item_tokens: int) -> None:
        self.tokenizer = tokenizer
        self.query_tokens, self.item_tokens = query_tokens, item_tokens
        # A space before a placeholder belongs to the first word after it, as in running text.
        self.query_space, self.item_space = _trailing_space(prompt.before), _trailing_space(prompt.between)
        start = [tokenizer.bos_token_id] if tokenizer.bos_token_id is not None else []
        self.before = start + self._ids(prompt.before.removesuffix(self.query_space))
        self.between = self._ids(prompt.between.removesuffix(self.item_space))
        self.after = self._ids(prompt.after)
        self.level_ids = [self._ids(f" {word}")[0] for word in prompt.words]
        if len(set(self.level_ids)) != len(self.level_ids):
            listed = ", ".join(f"{word} → {i}" for word, i in zip(prompt.words, self.level_ids, strict=True))
            raise PrectrError(
                f"prompt: two level words begin with the same token of this teacher ({listed}); choose others."
            )
        self._text_ids = lru_cache(maxsize=100_000)(self._ids)

    def __call__(self, query: str, item_text: str) -> list[int]:
        query_ids = self._text_ids(self.query_space + query)[: self.query_tokens]
        item_ids = self._text_ids(self.item_space + item_text)[: self.item_tokens]
        return [*self.before, *query_ids, *self.between, *item_ids, *self.after]

    def _ids(self, text: str) -> list[int]:
        return self.tokenizer(text, add_special_tokens=False)["input_ids"]


def _trailing_space(text: str) -> str:
    return " " if text.endswith(" ") else ""


def padded_length(length: int, multiple: int = 8) -> int:
    """Few distinct lengths: the arithmetic library builds a kernel for every new shape."""
    return -(-length // multiple) * multiple


def pad(prompts: Sequence[Sequence[int]], length: int, filler: int) -> tuple[np.ndarray, np.ndarray]:
    """Right-padded ids [n, length] int64 and each prompt's last position [n].

    A causal model never looks right, so padding needs no attention mask.
    """
    ids = np.full((len(prompts), length), filler, dtype=np.int64)
    for row, prompt in enumerate(prompts):
        ids[row, : len(prompt)] = prompt
    return ids, np.array([len(prompt) - 1 for prompt in prompts])
