"""Tiny untrained language models with the vocabularies' habits of well-known families."""

from __future__ import annotations

from pathlib import Path

import torch
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

TEXTS = [
    "red leather shoe blue table lamp big steel bolt Search: Product: Match: none weak close exact 0 1 2 3 yes no",
    "match",
    "Search: red\nProduct: blue lamp\nMatch: exact\n\nSearch: big\n",
    " 无关 弱 相关 完全 不 匹配 нет слабо точно لا نعم ไม่ ใช่",
]

PIECES = Regex(r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+|\s+")
"""How Qwen cuts a text: a digit stands alone and never takes the space before it."""

FAMILIES = ("llama2", "gemma", "qwen", "gpt2")
"""llama2, as Mistral 7B: a blank begins every text; gemma: none does, and digits stand alone, as they do in qwen; gpt2:
byte pairs that take the space before a digit too.
"""


def family_tokenizer(family: str, vocabulary_size: int = 420) -> PreTrainedTokenizerFast:
    """A vocabulary learnt from `TEXTS`; what it lacks it writes as bytes."""
    if family in ("llama2", "gemma"):
        tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
        front = [normalizers.Prepend("▁")] if family == "llama2" else []
        tokenizer.normalizer = normalizers.Sequence([*front, normalizers.Replace(" ", "▁")])
        words = pre_tokenizers.Split("▁", "merged_with_next")
        digits = pre_tokenizers.Split(Regex(r"\p{N}|\n"), "isolated")
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([words, digits])
        tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
        bytes_ = [AddedToken(f"<0x{byte:02X}>", special=False, normalized=False) for byte in range(256)]
        trainer = trainers.BpeTrainer(
            vocab_size=vocabulary_size, special_tokens=["<unk>", "<s>", "</s>", *bytes_], show_progress=False
        )
        special = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    else:
        tokenizer = Tokenizer(models.BPE())
        level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=family == "gpt2")
        cut = [pre_tokenizers.Split(PIECES, "isolated")] if family == "qwen" else []
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([*cut, level])
        tokenizer.decoder = decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        trainer = trainers.BpeTrainer(
            vocab_size=vocabulary_size,
            special_tokens=["<|endoftext|>"],
            initial_alphabet=alphabet,
            show_progress=False,
        )
        special = {"eos_token": "<|endoftext|>"}
    tokenizer.train_from_iterator(TEXTS * 20, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special)


def family_model(folder: Path, family: str, *, tie: bool = False, vocabulary_size: int = 420) -> Path:
    """Saves an untrained causal model of 2 layers x 32 with such a vocabulary."""
    tokenizer = family_tokenizer(family, vocabulary_size)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=256,
        tie_word_embeddings=tie,
        initializer_range=0.3,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
