"""Tiny random models over the words of the data at hand, for the smoke profile and the tests: no download, a second
to train.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
from transformers import (
    BertConfig,
    BertModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
)

from prectr.distill.models.scratch import bert_tokenizer

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "<bos>"]


def word_tokenizer(texts: Iterable[str]) -> Tokenizer:
    """One token per lower-cased word or punctuation mark of `texts`."""
    splitter = pre_tokenizers.BertPreTokenizer()
    words = {word for text in texts for word, _ in splitter.pre_tokenize_str(text.lower())}
    vocabulary = {word: index for index, word in enumerate([*SPECIAL, *sorted(words)])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = splitter
    return tokenizer


def random_causal_lm(folder: Path, texts: Iterable[str], seed: int) -> None:
    """Saves an untrained Llama of 2 layers x 64 and its tokenizer to `folder`."""
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=word_tokenizer(texts), bos_token="<bos>", pad_token="[PAD]", unk_token="[UNK]"
    )
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=256,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=None,
        pad_token_id=tokenizer.pad_token_id,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def random_text_encoder(folder: Path, texts: Iterable[str], seed: int) -> None:
    """Saves an untrained BERT of 2 layers x 32, without a head, and its tokenizer to `folder`."""
    tokenizer = bert_tokenizer(word_tokenizer(texts))
    random_bert(tokenizer, seed).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def random_bert(tokenizer: PreTrainedTokenizerBase, seed: int) -> BertModel:
    """An untrained BERT of 2 layers x 32 for the tokenizer's vocabulary, which reads 128 tokens."""
    torch.manual_seed(seed)
    return BertModel(random_bert_config(len(tokenizer), tokenizer.pad_token_id))


def random_bert_config(vocabulary_size: int, pad_token_id: int = 0) -> BertConfig:
    """Of `random_bert`."""
    return BertConfig(
        vocab_size=vocabulary_size,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=128,
        pad_token_id=pad_token_id,
    )
