"""The network for one page as ONNX: `RankerModel` itself, of candidates that share one past. [O]

A training batch seats its pages in rows by their sizes, which no graph can hold; of one page everybody sits in one row.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from prectr.rank.config import HistoryArguments
from prectr.rank.inputs.batch import Batch, Kind
from prectr.rank.inputs.events import EVENT_SCALARS
from prectr.rank.model.predictor import SCORES
from prectr.rank.model.ranker_model import RankerModel, TextVectors
from prectr.rank.serving.export.graph import Computed, Graph, write_graph

PAST = ("categorical", "level_prob", "scalars", "mask")
STATE, QUERY, ITEM, VECTORS = "relevance", "query_vector", "item_vectors", "vectors"
OF_CANDIDATES = (STATE, "numeric", "categorical", ITEM)


class _Page(nn.Module):
    """From what `page_inputs` gives to `SCORES`."""

    def __init__(self, model: RankerModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, given: Mapping[str, Tensor]) -> Computed:
        model, size = self.model, given[STATE].shape[0]
        kinds = model.config.preferences
        past = {kind: {name: given[f"{kind}_{name}"] for name in PAST} for kind in kinds}
        page = torch.zeros(size, dtype=torch.int64)
        batch = cast(Batch, {**given, **past, "page": page})
        vectors = None
        if QUERY in given:
            of_past = {kind: given[f"{kind}_{VECTORS}"] for kind in kinds}
            vectors = TextVectors(given[QUERY].expand(size, -1), given[ITEM], of_past)
        found = model.score(model.state(given[STATE], vectors), batch, model.context(batch, vectors))
        return tuple(found[name] for name in SCORES)


def write_page_network(model: RankerModel, history: HistoryArguments, path: Path) -> None:
    """Write the network to one file, for any number of candidates and a past as long as `history` says."""
    example = page_inputs(model, *_drawn(model, history))
    sizes = {name: {0: "candidates"} for name in OF_CANDIDATES if name in example}
    write_graph(_Page(model), example, SCORES, sizes, path)


def page_inputs(model: RankerModel, relevance: Tensor, batch: Batch, vectors: TextVectors | None) -> dict[str, Tensor]:
    """What the graph reads of a page: relevance states [n, S], its batch, and the vectors of its texts."""
    columns, kinds = cast(dict[str, Tensor], batch), model.config.preferences
    given = {STATE: relevance, **{name: columns[name] for name in ("numeric", "categorical", "cross_depth")}}
    for kind in kinds:
        past = cast(dict[str, Tensor], batch[kind])
        given |= {f"{kind}_{name}": past[name] for name in PAST}
    if vectors is not None:
        given |= {QUERY: vectors.query[:1], ITEM: vectors.item}
        given |= {f"{kind}_{VECTORS}": vectors.past[kind] for kind in kinds}
    return given


class PageNetwork:
    """What `write_page_network` wrote, in place of the model; see `Predictor`."""

    def __init__(self, model: RankerModel, graph: Graph) -> None:
        self.model, self.graph = model, graph

    def __call__(self, relevance: Tensor, batch: Batch, vectors: TextVectors | None) -> dict[str, Tensor]:
        """`SCORES` of the candidates of one page, by name."""
        return self.graph(page_inputs(self.model, relevance, batch, vectors))


def _drawn(model: RankerModel, history: HistoryArguments) -> tuple[Tensor, Batch, TextVectors | None]:
    """A page of two candidates, as an example."""
    config, drawn, size = model.config, torch.Generator().manual_seed(0), 2
    lengths: dict[Kind, int] = {
        "user": history.history_in_category + history.history_overall,
        "cross": history.cross_history,
    }

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=drawn)

    batch: Batch = {
        "numeric": normal(size, len(config.numeric_names)),
        "categorical": torch.zeros(size, len(config.cardinalities), dtype=torch.int64),
        "cross_depth": torch.zeros(1, dtype=torch.int64),
    }
    for kind in config.preferences:
        length = lengths[kind]
        batch[kind] = {
            "categorical": torch.zeros(1, length, len(config.item_columns), dtype=torch.int64),
            "level_prob": normal(1, length, config.num_levels).softmax(-1),
            "scalars": normal(1, length, EVENT_SCALARS + config.num_event_types - 1).abs(),
            "mask": torch.ones(1, length) > 0,
        }
    vectors = None
    if config.text_vectors:
        width = config.text_size
        past = {kind: normal(1, lengths[kind], width) for kind in config.preferences}
        vectors = TextVectors(normal(1, width).expand(size, -1), normal(size, width), past)
    return normal(size, model.encoder.state_size), batch, vectors
