"""A LevelEncoder small enough for tests: a random BERT of 2 layers x 32 over a vocabulary of whole words."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from transformers import BertConfig, BertModel, BertTokenizer

from shared.encoder import EncoderConfig, LevelEncoder

WORDS = (
    *("red", "blue", "green", "shirt", "shoe", "hat", "lamp", "table", "soda", "milk", "bread"),
    *("cheap", "large", "small", "2", "liter", "a", "b", "c", "d", "e", "f"),
)


def tiny_encoder(
    folder: Path,
    level_names: Sequence[str] = ("irrelevant", "related", "substitute", "exact"),
    seed: int = 0,
    words: Sequence[str] = WORDS,
) -> LevelEncoder:
    """A seeded random encoder; its vocabulary file is written to `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = folder / "vocab.txt"
    vocabulary.write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words]) + "\n")
    tokenizer = BertTokenizer(str(vocabulary))
    torch.manual_seed(seed)
    bert = BertModel(
        BertConfig(
            vocab_size=len(tokenizer),
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=64,
            max_position_embeddings=64,
        )
    )
    config = EncoderConfig(list(level_names), query_length=8, item_length=16, vector_size=16, state_size=12)
    return LevelEncoder(bert, tokenizer, config).eval()
