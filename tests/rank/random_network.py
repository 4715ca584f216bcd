"""The random shop with a random network on it: everything from events and impressions to predictions, in an instant."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from prectr.rank.config import HistoryArguments
from prectr.rank.features.feature_map import FeatureMap
from prectr.rank.features.frozen_vectors import unit_vectors
from prectr.rank.features.prepare import prepare
from prectr.rank.features.prepared_set import PreparedSet
from prectr.rank.features.shop import Shop
from prectr.rank.history.slices import BehaviourLog
from prectr.rank.inputs.batch import Batch, page_batch, sample_batches
from prectr.rank.inputs.events import Events
from prectr.rank.inputs.text_tables import TextTables, name_texts, with_texts
from prectr.rank.inputs.texts import Texts, name_pairs, token_tensors
from prectr.rank.model.predictor import Predictor
from prectr.rank.model.ranker_model import RankerConfig, RankerModel
from prectr.rank.training.exposure_bias import draw_neighbours, never_shown
from prectr.shared.encoder.level_encoder import LevelEncoder
from prectr.shared.encoder.level_head import TokenVectors
from tests.rank.random_shop import (
    CATEGORY_OF_QUERY,
    ITEMS,
    NUM_LEVELS,
    Event,
    level_prob,
    make_log,
    random_events,
    random_impressions,
)
from tests.shared.encoder.tiny_encoder import tiny_encoder

QUERIES = sorted(CATEGORY_OF_QUERY)
HISTORY = HistoryArguments(history_in_category=4, history_overall=6, cross_history=6)


def arrays(prepared: PreparedSet) -> dict[str, Any]:
    return {item.name: getattr(prepared, item.name) for item in fields(prepared)}


def tables_of(encoder: LevelEncoder, texts: Texts) -> TextTables:
    """The pooled vectors of all texts as this encoder makes them."""
    parts = (unit_vectors(encoder, tokens, bf16=False) for tokens in (texts.query, texts.item))
    return TextTables(*(torch.from_numpy(np.concatenate(list(each))) for each in parts))


class Scene:
    """One network, fitted on nothing, and what it makes of any log and any impressions.

    Attributes:
        impressions, prepared: 12 pages of 4 on the log of `random_events(0)`, position and all.
        losses: settings of the losses that need no noise, whose draws follow the order of rows.
    """

    losses = {"debias_weight": 0.0, "relevance_weight": 0.0}
    history = HISTORY

    def __init__(self, folder: Path):
        words = ["text", *map(str, range(ITEMS.num_rows)), "cola", "tea", "soap", "new", "query"]
        self.encoder = tiny_encoder(folder, [str(level) for level in range(NUM_LEVELS)], words=words)
        position = pa.array(list(range(4)) * 12, pa.int32())
        self.impressions = random_impressions(0).append_column("position", position)
        self.shop = self.shop_of(make_log(random_events(0)))
        raw = prepare(self.impressions, self.shop, HISTORY)
        self.feature_map = FeatureMap.fit(ITEMS, raw.impressions, raw.features, min_count=1)
        self.prepared = raw.finish(self.feature_map, self.shop)
        self.texts = Texts.tokenize(self.encoder, self.shop.query_texts, self.shop.item_texts)
        self.tables = tables_of(self.encoder, self.texts)
        self.model = self.network()

    def network(self, **changes: Any) -> RankerModel:
        """Random weights, none of them zero, so that every part of a batch moves the scores."""
        torch.manual_seed(1)
        config = {
            "numeric_names": self.feature_map.numeric_names,
            "categorical_names": self.feature_map.categorical_names,
            "cardinalities": self.feature_map.cardinalities,
            "item_columns": self.feature_map.item_columns,
            "num_levels": NUM_LEVELS,
            "numeric_bins": 4,
            "embedding_size": 3,
            "hidden_sizes": [16],
            "attention_size": 8,
            "attention_heads": 2,
            "dropout": 0.0,
            "text_size": 5,
            "members": 2,
        }
        model = RankerModel(RankerConfig(**(config | changes)), self.encoder)
        sampled = with_texts(sample_batches(self.prepared, self.events(self.shop), 0), self.tables)
        model.start_from(sampled, 0.1, self.tables.item)
        for name, parameter in model.named_parameters():
            if not name.startswith("encoder."):
                torch.nn.init.normal_(parameter, std=0.3)
        return model.eval()

    def shop_of(self, log: BehaviourLog) -> Shop:
        return Shop(ITEMS, log, level_prob(), QUERIES)

    def prepare(self, events: list[Event] | BehaviourLog, impressions: pa.Table) -> tuple[PreparedSet, Shop]:
        shop = self.shop_of(events if isinstance(events, BehaviourLog) else make_log(events))
        return prepare(impressions, shop, HISTORY).finish(self.feature_map, shop), shop

    def events(self, shop: Shop) -> Events:
        return Events(
            shop.log, self.feature_map.transform_items(ITEMS), self.feature_map.event_types, shop.text_of_item
        )

    def predict(self, prepared: PreparedSet, shop: Shop | None = None, batch: int = 1000) -> dict[str, np.ndarray]:
        return Predictor(self.model, self.texts, self.events(shop or self.shop), bf16=False).predict(
            prepared, batch, "scoring"
        )

    def told(self, events: list[Event] | BehaviourLog, impressions: pa.Table) -> dict[str, Any]:
        """Features, slices and predictions, by name."""
        prepared, shop = self.prepare(events, impressions)
        return arrays(prepared) | self.predict(prepared, shop)

    def encode(self, batch: Batch) -> Batch:
        """Give a batch the vectors of all its texts, past events' too, with their gradient: plain backpropagation."""

        def encoded(tokens: dict[str, np.ndarray], rows: torch.Tensor) -> TokenVectors:
            return self.encoder.encode_by_length(*token_tensors(tokens, rows.numpy()))

        if "pair_features" not in batch:
            batch["query_tokens"] = encoded(self.texts.query, batch["pair_queries"])
            batch["item_tokens"] = encoded(self.texts.item, batch["pair_items"])
        if "item_used" in batch:
            batch["query_table"] = encoded(self.texts.query, batch["query_used"]).pooled
            batch["item_table"] = encoded(self.texts.item, batch["item_used"]).pooled
        return batch

    def batch(self, prepared: PreparedSet, pages: np.ndarray | None = None) -> Batch:
        """A training batch of the pages, in their order."""
        pages = np.arange(prepared.num_pages) if pages is None else pages
        batch = page_batch(prepared, pages, prepared.page_bounds(), self.events(self.shop))
        rows = batch["row"].numpy()
        name_texts(batch)
        text, pair = name_pairs(prepared.query_text[rows], prepared.item_text[rows])
        batch |= {**text, "pair": torch.from_numpy(pair), "step": torch.tensor(0)}
        self.encode(batch)
        batch |= {"place": torch.arange(len(rows)), "size": torch.tensor(len(rows))}
        batch["lowered"] = (batch["level"] - 1).clamp(min=0)
        neighbour = draw_neighbours(batch["level"].numpy(), batch["page"].numpy(), np.zeros(len(rows)))
        batch["neighbour"] = torch.from_numpy(neighbour)
        batch["level_drop"] = (batch["level"] - batch["level"][batch["neighbour"]]).float()
        batch["negative_numeric"] = torch.from_numpy(never_shown(self.feature_map, batch["numeric"].numpy()))
        if prepared.position is not None:
            batch["position"] = torch.from_numpy(prepared.position[rows].astype(np.int64))
        return batch
