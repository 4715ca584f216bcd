"""A level encoder as ONNX, in two graphs: token vectors of texts, and pair states of token vectors. [O]

Of one short text ONNX Runtime makes vectors in a third of torch's time; of a hundred in the same, and torch's bfloat16
takes four tenths of that where a processor has it; a hundred pairs take 3.4 ms, with torch 2.7 [measured]. So serving
reads queries here, and leaves item texts and pairs to torch; the graph of pairs is for whoever serves elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from prectr.rank.serving.export.graph import Computed, Graph, write_graph
from prectr.shared.encoder.level_encoder import LevelEncoder
from prectr.shared.encoder.level_head import TokenVectors

IDS, MASK, STATE = "input_ids", "attention_mask", "state"
QUERY, ITEM = "query", "item"


class _Encode(nn.Module):
    """`LevelEncoder.encode`: ids and mask int64 [n, L] → the parts of `TokenVectors`."""

    def __init__(self, encoder: LevelEncoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, given: Mapping[str, Tensor]) -> Computed:
        return tuple(self.encoder.encode(given[IDS], given[MASK]))


class _Compare(nn.Module):
    """`LevelEncoder.state`: the parts of the `TokenVectors` of both sides of n pairs → their states [n, S]."""

    def __init__(self, encoder: LevelEncoder) -> None:
        super().__init__()
        self.head = encoder.head

    def forward(self, given: Mapping[str, Tensor]) -> Computed:
        query, item = (TokenVectors(*(given[f"{side}_{n}"] for n in TokenVectors._fields)) for side in (QUERY, ITEM))
        return (self.head(query, item),)


def write_encoder(encoder: LevelEncoder, vectors: Path, states: Path) -> None:
    """Write the encoder to two files, for any number of texts and pairs, of any length."""
    mask = torch.tensor([[1, 1, 1], [1, 1, 0]])
    sizes = {name: {0: "texts", 1: "tokens"} for name in (IDS, MASK)}
    write_graph(_Encode(encoder), {IDS: mask.clone(), MASK: mask}, TokenVectors._fields, sizes, vectors)
    example = _sides(_drawn(encoder, 3), _drawn(encoder, 4))
    sizes = {name: {0: "pairs"} | _tokens(name) for name in example}
    write_graph(_Compare(encoder), example, (STATE,), sizes, states)


def read_by_graph(encoder: LevelEncoder, vectors: Graph) -> LevelEncoder:
    """The encoder, whose `encode` runs what `write_encoder` wrote of it."""
    reader = copy(encoder)
    reader.encode = partial(_encoded, vectors)  # type: ignore[method-assign]
    return reader


def _encoded(graph: Graph, input_ids: Tensor, attention_mask: Tensor) -> TokenVectors:
    """As `LevelEncoder.encode`."""
    return TokenVectors(**graph({IDS: input_ids, MASK: attention_mask}))


def pair_states(graph: Graph, query: TokenVectors, item: TokenVectors) -> Tensor:
    """As `LevelEncoder.state`."""
    return graph(_sides(query, item))[STATE]


def _sides(query: TokenVectors, item: TokenVectors) -> dict[str, Tensor]:
    sides = ((QUERY, query), (ITEM, item))
    return {f"{side}_{name}": part for side, vectors in sides for name, part in vectors._asdict().items()}


def _tokens(name: str) -> dict[int, str]:
    """Where the number of token places stands in an input of a side."""
    side, _, part = name.partition("_")
    return {} if part == "pooled" else {1: f"{side}_tokens"}


def _drawn(encoder: LevelEncoder, length: int) -> TokenVectors:
    """Of two texts, as an example."""
    size, width = encoder.config.vector_size, encoder.text_encoder.config.hidden_size
    drawn = torch.Generator().manual_seed(length)
    contextual, static, pooled = (
        functional.normalize(torch.randn(*shape, generator=drawn), dim=-1)
        for shape in ((2, length, size), (2, length, width), (2, width))
    )
    return TokenVectors(contextual, static, torch.ones(2, length) > 0, torch.ones(2, length), pooled)
