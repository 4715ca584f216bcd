"""What is trained to measure with: the whole ranker on a small random encoder, and its base module with text off.

Seconds are the process's own, of one core: whatever else the machine does is not in them.
"""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

from benchmarks.scale.log import WORDS
from prectr.distill.models.random_models import word_tokenizer
from prectr.rank.config import LossArguments, ModelArguments, TrainArguments
from prectr.rank.features.feature_map import FeatureMap
from prectr.rank.features.frozen_vectors import write_frozen_vectors
from prectr.rank.features.prepared_set import PreparedSet
from prectr.rank.features.shop import Shop
from prectr.rank.inputs.batch import Batch, page_batch, sample_batches
from prectr.rank.inputs.events import Events, Past
from prectr.rank.inputs.replay import Replay
from prectr.rank.inputs.text_tables import TextTables, with_texts
from prectr.rank.inputs.texts import Texts, tokenize_to_disk
from prectr.rank.model.ranker_model import RankerConfig, RankerModel
from prectr.rank.training.exposure_bias import HardNegatives
from prectr.rank.training.losses import click_loss
from prectr.rank.training.objective import Objective
from prectr.rank.training.page_order import PageBatches
from prectr.rank.training.schedule import BatchSchedule
from prectr.rank.training.trainer import train
from prectr.shared.encoder.level_encoder import LevelEncoder
from prectr.shared.encoder.level_head import EncoderConfig
from prectr.shared.run.console import progress
from prectr.shared.seeds import generator, set_seed

STEPS = 200
REPLAYED = 2_000
TEXT_OFF_PAGES = 400  # pages in a batch without text
TEXT_OFF: dict[str, Any] = {
    "user_preference": False, "cross_preference": False, "incentive": "none", "numeric_bins": 4,
    "hidden_sizes": [128, 64], "text_vectors": False, "members": 1,
}  # fmt: skip
"""The base module alone, and a small one: the faster it is, the more of the time is that of the data's way to it."""


class TimedEvents(Events):
    """Events that say how long gathering them took."""

    gather_seconds = 0.0

    def gather(self, rows: np.ndarray, seconds: np.ndarray, query: np.ndarray) -> Past:
        started = time.process_time()
        gathered = super().gather(rows, seconds, query)
        self.gather_seconds += time.process_time() - started
        return gathered


class TimedSchedule(BatchSchedule):
    """A schedule that says how long making its batches took, and of how many impressions they were."""

    batch_seconds, rows = 0.0, 0

    def __getitem__(self, number: int) -> Batch:
        started = time.process_time()
        batch = super().__getitem__(number)
        self.batch_seconds += time.process_time() - started
        self.rows += len(batch["row"])
        return batch


def random_encoder(level_names: list[str], seed: int) -> LevelEncoder:
    """Two layers of width 64 over the words of the log."""
    tokenizer = word_tokenizer([*WORDS, *map(str, range(100))])
    set_seed(seed)
    words = PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]")
    bert = BertModel(
        BertConfig(vocab_size=len(words), hidden_size=64, num_hidden_layers=2, num_attention_heads=4,
                   intermediate_size=256), add_pooling_layer=False,
    )  # fmt: skip
    return LevelEncoder(bert, words, EncoderConfig(level_names)).eval()


def train_with_text(
    shop: Shop, prepared: PreparedSet, feature_map: FeatureMap, level_names: list[str], seed: int, work: Path
) -> dict[str, float]:
    """`STEPS` steps of the default training, drawing at random from the whole file; seconds and rows by name."""
    set_seed(seed)
    arguments, losses = TrainArguments(warmup_share=0.0, bf16=False, logging_steps=STEPS), LossArguments()
    model = RankerModel(
        _config(feature_map, len(level_names), **asdict(ModelArguments())), random_encoder(level_names, seed)
    )
    tokenize_to_disk(model.encoder, shop.query_texts, shop.item_texts, work / "texts")
    texts = Texts.open(work / "texts")
    draw = generator(seed, "scale", "replay")
    replay = Replay(
        draw.integers(0, len(shop.query_texts), REPLAYED).astype(np.int32),
        draw.integers(0, len(shop.item_texts), REPLAYED).astype(np.int32),
        np.eye(len(level_names), dtype=np.float32)[draw.integers(0, len(level_names), REPLAYED)],
    )
    of_items = feature_map.transform_items(shop.items).astype(np.int32)
    events = TimedEvents(shop.log, of_items, feature_map.event_types, shop.text_of_item)
    (work / "text_vectors").mkdir()
    write_frozen_vectors(model.encoder, texts.item, texts.query, work / "text_vectors", bf16=False)
    tables = TextTables.open(work / "text_vectors")
    model.start_from(with_texts(sample_batches(prepared, events, seed), tables), prepared.click_rate(1.0), tables.item)
    events.gather_seconds = 0.0
    schedule = TimedSchedule(
        prepared, events, replay,
        pages_per_batch=arguments.pages_per_batch, pages_together=arguments.pages_together,
        epochs=STEPS / (prepared.num_pages // arguments.pages_per_batch),
        warmup_share=0.0, replay_share=losses.replay_share,
        hard_negatives=HardNegatives(losses.noise, feature_map), seed=seed,
    )  # fmt: skip
    started = time.process_time()
    log = train(Objective(model, losses, seed, tables), schedule, texts, arguments, seed, work).log
    return {
        "seconds": time.process_time() - started,
        "gather_seconds": events.gather_seconds,
        "batch_seconds": schedule.batch_seconds,
        "rows": schedule.rows,
        "pages": len(schedule.pages) * schedule.pages.pages_per_batch,
        "loss": next(line["loss"] for line in reversed(log) if "loss" in line),
    }


class StoredLevels(nn.Module):
    """In the place of the encoder: π as stage one stored it. A pair's state is its π."""

    def __init__(self, num_levels: int) -> None:
        super().__init__()
        self.num_levels = self.state_size = num_levels

    def level_logits(self, state: Tensor) -> Tensor:
        return state.clamp(min=1e-6).log()


def train_without_text(
    shop: Shop, prepared: PreparedSet, feature_map: FeatureMap, num_levels: int, seed: int
) -> dict[str, float]:
    """One epoch over all pages of the base module alone: no text is encoded, and no history attended to, though every
    batch carries its histories.
    """
    set_seed(seed)
    config = _config(feature_map, num_levels, **TEXT_OFF)
    model = RankerModel(config, StoredLevels(num_levels))  # type: ignore[arg-type]
    events = TimedEvents(shop.log, feature_map.transform_items(shop.items).astype(np.int32), feature_map.event_types)
    model.start_from(sample_batches(prepared, events, seed), prepared.click_rate(1.0))
    events.gather_seconds = 0.0
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    batches = PageBatches(prepared.category, pages_per_batch=TEXT_OFF_PAGES, pages_together=6, epochs=1.0, seed=seed)
    bounds = prepared.page_bounds()
    started, batch_seconds, rows, losses = time.process_time(), 0.0, 0, []
    for pages in progress(batches, "an epoch with text off"):
        begun = time.process_time()
        batch = page_batch(prepared, np.sort(pages), bounds, events)
        state = torch.from_numpy(prepared.level_prob[batch["row"].numpy()])
        batch_seconds += time.process_time() - begun
        loss = click_loss(model.score(state, batch, model.context(batch, None))["member_scores"], batch["clicked"])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        rows += len(state)
        losses.append(loss.item())
    return {
        "seconds": time.process_time() - started,
        "gather_seconds": events.gather_seconds,
        "batch_seconds": batch_seconds,
        "rows": rows,
        "loss": float(np.mean(losses[-100:])),
    }


def _config(feature_map: FeatureMap, num_levels: int, **settings: object) -> RankerConfig:
    return RankerConfig(
        numeric_names=feature_map.numeric_names,
        categorical_names=feature_map.categorical_names,
        cardinalities=feature_map.cardinalities,
        item_columns=feature_map.item_columns,
        num_levels=num_levels,
        num_event_types=len(feature_map.event_types),
        **settings,  # type: ignore[arg-type]
    )
