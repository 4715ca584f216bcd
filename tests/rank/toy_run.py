"""What a run of stage two leaves behind, on the toy shop, with an untrained ranker and seeded random probabilities."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import torch

import prectr.data.toy as toy
from prectr.data.contract import read_table
from prectr.rank.config import HistoryArguments
from prectr.rank.features.columns import Columns
from prectr.rank.features.feature_map import FeatureMap
from prectr.rank.features.frozen_vectors import FrozenVectors, write_frozen_vectors
from prectr.rank.features.prepare import prepare
from prectr.rank.features.prepared_set import PreparedSet
from prectr.rank.features.shop import Shop
from prectr.rank.history.log import BehaviourLog
from prectr.rank.history.stage_one import LevelProb
from prectr.rank.inputs.batch import sample_batches
from prectr.rank.inputs.events import Events
from prectr.rank.inputs.text_tables import TextTables, with_texts
from prectr.rank.inputs.texts import Texts
from prectr.rank.model.predictor import Predictor
from prectr.rank.model.ranker_model import RankerConfig, RankerModel
from prectr.rank.serving.ranker import Ranker
from prectr.shared.run.steps import fingerprint_of_tables, run_step
from tests.rank.history.toy_level_prob import random_level_prob
from tests.shared.encoder.tiny_encoder import tiny_encoder
from tests.shared.made_once import made_once

LEVEL_NAMES = ["irrelevant", "related", "substitute", "exact"]
HISTORY = HistoryArguments(history_in_category=6, history_overall=6, cross_history=6, cold_share=0.0)


def build_run(home: Path, **network: Any) -> None:
    """Fill `home` with data, encoder, level_prob, behaviours, text_vectors, features/train and ranker, as a run."""
    data = home / "data"
    toy.build(data, 5)
    items, behaviours, impressions = (read_table(data, name) for name in ("items", "behaviours", "impressions"))
    encoder = tiny_encoder(home / "vocabulary", LEVEL_NAMES)
    encoder.save_pretrained(home / "level_prob" / "encoder")
    stored = random_level_prob(impressions, behaviours)
    pq.write_table(stored, home / "level_prob" / "level_prob.parquet")

    def index(work: Path) -> None:
        BehaviourLog.build(data, LevelProb.read(home / "level_prob" / "level_prob.parquet"), work)

    run_step("behaviours", home / "behaviours", {"data": fingerprint_of_tables(data)}, index)
    queries = sorted(set(impressions["query"].to_pylist()))
    texts = Texts.tokenize(encoder, queries, items["text"].combine_chunks().dictionary_encode().dictionary.to_pylist())
    (home / "text_vectors").mkdir()
    write_frozen_vectors(encoder, texts.item, texts.query, home / "text_vectors", bf16=False)
    shop = whole_shop(home)
    training = split_of(home, "train")
    raw = prepare(training, shop, HISTORY)
    feature_map = FeatureMap.fit(items, raw.impressions, raw.features)
    prepared = raw.finish(feature_map, shop)
    run_step("features", home / "features", {"seed": 0}, lambda work: prepared.save(work / "train"))
    ranker = untrained(feature_map, home, Columns.of(items, training, shop.log), **network)
    events = Events(shop.log, feature_map.transform_items(items), item_text=shop.text_of_item)
    tables = TextTables.open(home / "text_vectors")
    ranker.model.start_from(with_texts(sample_batches(prepared, events, 0), tables), 0.1, tables.item)

    def save(work: Path) -> None:
        ranker.save_pretrained(work)
        figures = {"auc": 0.7, "pcoc": 1.0, "ece": 0.01, "n": {"impressions": 100, "clicks": 10}, "ci95": {}}
        (work / "metrics.json").write_text(json.dumps({"exposed": figures}))

    run_step("ranker", home / "ranker", {}, save)


def copy_run(factory: pytest.TempPathFactory, home: Path) -> Path:
    """`home`, filled as by `build_run`: a copy of what one process made for all."""
    return Path(shutil.copytree(made_once(factory, "toy_run", build_run), home, dirs_exist_ok=True))


def untrained(feature_map: FeatureMap, home: Path, columns: Columns, seed: int = 0, **network: Any) -> Ranker:
    """A random ranker for this feature map."""
    torch.manual_seed(seed)
    settings = {
        "hidden_sizes": [16],
        "attention_size": 8,
        "attention_heads": 2,
        "text_size": 6,
        "members": 2,
        **network,
    }
    config = RankerConfig(
        numeric_names=feature_map.numeric_names,
        categorical_names=feature_map.categorical_names,
        cardinalities=feature_map.cardinalities,
        item_columns=feature_map.item_columns,
        num_levels=len(LEVEL_NAMES),
        **settings,
    )
    model = RankerModel(config, tiny_encoder(home / "vocabulary", LEVEL_NAMES, seed=seed + 1))
    for parameter in (parameter for name, parameter in model.named_parameters() if "null" in name):
        torch.nn.init.normal_(parameter)
    return Ranker(model, feature_map, HISTORY, LEVEL_NAMES, columns)


def whole_shop(home: Path) -> Shop:
    """The shop as a run opens it: the whole catalogue, every query."""
    impressions = read_table(home / "data", "impressions")
    return Shop(
        read_table(home / "data", "items"),
        BehaviourLog.open(home / "behaviours"),
        LevelProb.read(home / "level_prob" / "level_prob.parquet"),
        sorted(set(impressions["query"].to_pylist())),
        FrozenVectors.open(home / "text_vectors"),
    )


def split_of(home: Path, split: str) -> pa.Table:
    return read_table(home / "data", "impressions").filter(pc.field("split") == split)


def predictions(home: Path, split: str) -> dict[str, np.ndarray]:
    """What a run predicts of a split, in the order of its table: all of it prepared at once."""
    _, predictor, prepared = opened(home, split)
    found = predictor.predict(prepared, 4096, split)
    return {name: values[np.argsort(prepared.impression)] for name, values in found.items()}


def opened(home: Path, split: str) -> tuple[Ranker, Predictor, PreparedSet]:
    """A run's ranker, what predicts with it, and a split prepared for it."""
    ranker, shop = Ranker.from_pretrained(home / "ranker"), whole_shop(home)
    prepared = prepare(split_of(home, split), shop, ranker.history).finish(ranker.feature_map, shop)
    texts = Texts.tokenize(ranker.model.encoder, shop.query_texts, shop.item_texts)
    of_items = ranker.feature_map.transform_items(shop.items).astype(np.int32)
    events = Events(shop.log, of_items, ranker.feature_map.event_types, shop.text_of_item)
    return ranker, Predictor(ranker.model, texts, events, bf16=False), prepared
