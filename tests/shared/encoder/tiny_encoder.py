"""A LevelEncoder small enough for tests: a random text encoder over a vocabulary of whole words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from transformers import BertTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from prectr.distill.models.random_models import random_bert
from prectr.shared.encoder.level_encoder import EncoderConfig, LevelEncoder

WORDS = (
    *("red", "blue", "green", "shirt", "shoe", "hat", "lamp", "table", "soda", "milk", "bread"),
    *("cheap", "large", "small", "2", "liter", "a", "b", "c", "d", "e", "f"),
)


def tiny_encoder(
    folder: Path,
    level_names: Sequence[str] = ("irrelevant", "related", "substitute", "exact"),
    seed: int = 0,
    words: Sequence[str] = WORDS,
    *,
    lower_case: bool = True,
    text_encoder: Callable[[PreTrainedTokenizerBase, int], PreTrainedModel] = random_bert,
) -> LevelEncoder:
    """A seeded random encoder; its vocabulary file is written to `folder`.

    Args:
        lower_case: whether the tokenizer lowers upper case.
        text_encoder: (tokenizer, seed) -> the architecture.
    """
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = folder / "vocab.txt"
    vocabulary.write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words]) + "\n")
    tokenizer = BertTokenizer(str(vocabulary), do_lower_case=lower_case)
    config = EncoderConfig(list(level_names), query_length=8, item_length=16, vector_size=16, state_size=12)
    return LevelEncoder(text_encoder(tokenizer, seed), tokenizer, config).eval()
