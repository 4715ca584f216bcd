"""Level words as tokens: what a causal model is asked for, and how its answers make log-odds of the levels.

A level is as probable as its whole word: the product of P(token | prompt, tokens before it) [chain rule], so words may
begin alike and have any number of tokens. What all words begin with (the blank of ` 0`, ` 1`) becomes the end of the
prompt, and where each word is then one token, the K logits there are all that is needed. Where a word goes on, the
model is asked again behind each beginning of it, and only there are logits of the whole vocabulary computed [O].
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from prectr.shared.errors import PrectrError

Tokens = tuple[int, ...]

LEAST = 1e-7
"""Of the probability that a word ends where another goes on; rounding must not make it 0."""


@dataclass(frozen=True)
class LevelWords:
    """K words as tokens, lowest level first.

    Args:
        common: what all of them begin with; it belongs to the prompt.
        words: what remains of each; one of them may be empty.
    """

    common: Tokens
    words: tuple[Tokens, ...]

    @classmethod
    def of(cls, names: Sequence[str], tokens: Sequence[Sequence[int]], unknown: int | None = None) -> LevelWords:
        """Words `names` of so many `tokens`.

        Raises:
            PrectrError: a word without tokens or with the `unknown` one, or two words of the same tokens.
        """
        written: list[Tokens] = [tuple(each) for each in tokens]
        for name, word in zip(names, written, strict=True):
            if not word or unknown in word:
                raise PrectrError(
                    f"prompt: this teacher's vocabulary cannot write the level word {name!r}; choose another."
                )
        for word in written:
            alike = [name for name, other in zip(names, written, strict=True) if other == word]
            if len(alike) > 1:
                raise PrectrError(
                    f"prompt: the level words {', '.join(alike)} are the same tokens to this teacher; choose others."
                )
        shared = 0
        while len(written) > 1 and len({word[: shared + 1] for word in written}) == 1:
            shared += 1
        return cls(written[0][:shared], tuple(word[shared:] for word in written))

    @cached_property
    def nodes(self) -> list[Tokens]:
        """The M beginnings of words behind which the model is asked for a token; the empty one, the prompt's end, is
        first.
        """
        return sorted(
            {word[:end] for word in self.words for end in range(len(word))}, key=lambda node: (len(node), node)
        )

    @cached_property
    def tokens(self) -> list[int]:
        """The T distinct tokens of the words; where each is one token, in their order."""
        return list(dict.fromkeys(token for word in self.words for token in word))

    @property
    def is_plain(self) -> bool:
        """Whether every word is one token, so that what else might follow the prompt cancels."""
        return all(len(word) == 1 for word in self.words)

    @property
    def ends(self) -> list[int]:
        """The last token of every word [K]."""
        return [([*self.common, *word])[-1] for word in self.words]

    def log_odds(self, asked: Tensor) -> Tensor:
        """[n, M, T] -> [n, K] log-odds of the levels.

        Args:
            asked: of n prompts, behind each of `nodes`, what `tokens` are given: logits if `is_plain`, else
                log-probabilities among the whole vocabulary.
        """
        if self.is_plain:
            return asked[:, 0].log_softmax(-1)
        node = {each: number for number, each in enumerate(self.nodes)}
        column = {token: number for number, token in enumerate(self.tokens)}
        levels = []
        for word in self.words:
            steps = [asked[:, node[word[:end]], column[token]] for end, token in enumerate(word)]
            if word in node:  # another word goes on from here, which is not this one
                goes_on = [column[token] for token in {w[len(word)] for w in self.words if _goes_on(word, w)}]
                share = asked[:, node[word]][:, goes_on].exp().sum(-1)
                steps.append((1 - share).clamp(min=LEAST).log())
            levels.append(torch.stack(steps).sum(0))
        return torch.stack(levels, 1).log_softmax(-1)


def _goes_on(word: Tokens, other: Tokens) -> bool:
    return len(other) > len(word) and other[: len(word)] == word
