"""Token ids of one fixed length, from any number of threads.

A tokenizer of transformers writes padding and truncation into the one object that all threads share, on every call:
two calls of unequal length at once cut each other's texts. Here both are written once, into a copy that nothing changes
afterwards.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerBase


class FixedLength:
    """A tokenizer that cuts and pads every text to the same number of tokens; padding stands behind the text.

    Args:
        tokenizer: where the vocabulary comes from; it is neither changed nor kept, unless it is one written in Python,
            which keeps nothing between calls.
        length: tokens of each text, special ones included.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, length: int) -> None:
        self.length = length
        self._slow: PreTrainedTokenizerBase | None = None
        backend: Tokenizer | None = getattr(tokenizer, "backend_tokenizer", None)
        if backend is None:
            self._slow = tokenizer
            return
        self._fast = Tokenizer.from_str(backend.to_str())
        self._fast.encode_special_tokens = bool(tokenizer.split_special_tokens)
        self._fast.enable_truncation(length, strategy="longest_first", direction=tokenizer.truncation_side)
        padding = {} if tokenizer.pad_token is None else {"pad_token": tokenizer.pad_token}
        # Where there is no padding token any will do: its place has weight 0 and attention 0.
        self._fast.enable_padding(length=length, direction="right", pad_id=tokenizer.pad_token_id or 0, **padding)

    def __call__(self, texts: Sequence[str]) -> dict[str, np.ndarray]:
        """`input_ids` int32 and `attention_mask` int8 of n texts, [n, length] each."""
        if not len(texts):
            ids: list[list[int]] = []
            masks: list[list[int]] = []
        elif self._slow is not None:
            found = self._slow(
                list(texts), padding="max_length", truncation=True, max_length=self.length, padding_side="right"
            )
            ids, masks = found["input_ids"], found["attention_mask"]
        else:
            encoded = self._fast.encode_batch_fast(list(texts))
            ids, masks = [each.ids for each in encoded], [each.attention_mask for each in encoded]
        shape = (len(texts), self.length)
        return {
            "input_ids": np.asarray(ids, np.int32).reshape(shape),
            "attention_mask": np.asarray(masks, np.int8).reshape(shape),
        }
