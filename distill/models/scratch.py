"""A text encoder from nothing, over word pieces learnt from the data's own texts: for a language that no trained
encoder at hand can spell.

It knows no language: what it learns it learns from the labels, so it needs many more of them than a warm start does.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

WIDTH, HEADS = 256, 4
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
ALPHABET = 6000
"""Characters that get a piece of their own, the most frequent first: enough for Chinese or Japanese shop texts."""

NORMALIZER = normalizers.Sequence([normalizers.NFKC(), normalizers.BertNormalizer(lowercase=True, strip_accents=False)])
SPLITTER = pre_tokenizers.BertPreTokenizer()


def words_of(text: str) -> list[str]:
    """The words of a text as `word_pieces` parts them: what a piece may be at most."""
    return [word for word, _ in SPLITTER.pre_tokenize_str(NORMALIZER.normalize_str(text))]


def word_pieces(texts: Sequence[str], vocabulary_size: int) -> PreTrainedTokenizerFast:
    """Byte-pair merges of the characters of `texts`, at most `vocabulary_size` pieces; lower-cased, each CJK character
    a word, combining marks kept (in many scripts they are the vowels).

    The same texts give the same pieces, which the library's WordPiece trainer does not promise, and runs without
    blanks, as Thai writes them, may be of any length.
    """
    tokenizer = Tokenizer(models.BPE(unk_token="[UNK]"))
    tokenizer.normalizer, tokenizer.pre_tokenizer = NORMALIZER, SPLITTER
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary_size, limit_alphabet=ALPHABET, special_tokens=SPECIAL, show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    return bert_tokenizer(tokenizer)


def bert_tokenizer(tokenizer: Tokenizer) -> PreTrainedTokenizerFast:
    """A vocabulary with the special tokens of BERT as its encoders read it: [CLS] text [SEP]."""
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(token, tokenizer.token_to_id(token)) for token in ("[CLS]", "[SEP]")],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    )


def scratch_encoder(
    folder: Path, texts: Sequence[str], num_layers: int, vocabulary_size: int, longest: int, seed: int
) -> None:
    """Saves an untrained BERT of `num_layers` x 256 and its tokenizer, learnt from `texts`, to `folder`.

    Args:
        longest: tokens of the longest text it will read.
    """
    tokenizer = word_pieces(texts, vocabulary_size)
    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=WIDTH,
        num_hidden_layers=num_layers,
        num_attention_heads=HEADS,
        intermediate_size=4 * WIDTH,
        max_position_embeddings=max(128, longest),
        pad_token_id=tokenizer.pad_token_id,
    )
    BertModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
