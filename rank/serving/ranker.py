"""The trained ranker as people use it: a folder to save and load, and `score` for one query.

    ranker = Ranker.from_pretrained("artifacts/journey/ranker")
    ranker.score("2 liter soda", [{"item_id": "1", "text": "SOFT DRINKS 2 LITER", "category": "SOFT DRINKS"}])

The folder holds config.json, feature_map.json, model.safetensors (all but the encoder) and encoder/ (the text encoder
as the ranker's training left it, again in Hugging Face format). It holds no user ids, no queries and no behaviours.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from safetensors.torch import load_file, save_file

from prectr.data.contract import SCHEMAS
from prectr.rank.config import HistoryArguments
from prectr.rank.features.feature_map import FeatureMap
from prectr.rank.features.prepare import Shop, prepare
from prectr.rank.history.log import BehaviourLog
from prectr.rank.history.stage_one import LevelProb
from prectr.rank.inputs.batch import page_batch
from prectr.rank.inputs.events import Events
from prectr.rank.inputs.texts import Texts, text_batch
from prectr.rank.model.ranker_model import RankerConfig, RankerModel
from prectr.rank.serving.request import SHOPPER, Columns, _behaviours, _item, _seconds
from prectr.shared.atomic import atomic_write
from prectr.shared.encoder.level_encoder import LevelEncoder
from prectr.shared.errors import PrectrError
from prectr.shared.hub import local_folder
from prectr.shared.run.schema import read_versioned, versioned

CONFIG, FEATURE_MAP, WEIGHTS, ENCODER = "config.json", "feature_map.json", "model.safetensors", "encoder"
SCHEMA_VERSION = 2  # of config.json and what lies beside it; raised whenever older code could not read it


class Ranker:
    """A network with the feature map that feeds it.

    Attributes:
        model: the network. feature_map: from features and ids to its inputs. history: how much of the past it reads.
        level_names: relevance levels, lowest first.
    """

    def __init__(
        self,
        model: RankerModel,
        feature_map: FeatureMap,
        history: HistoryArguments,
        level_names: Sequence[str],
        columns: "Columns",
    ):
        self.model = model.eval()
        self.feature_map = feature_map
        self.history = history
        self.level_names = list(level_names)
        self.columns = columns

    def __repr__(self) -> str:
        size = sum(p.numel() for p in self.model.parameters()) / 1e6
        return (
            f"Ranker({size:.1f} M parameters, {len(self.feature_map.numeric_names)} numbers, levels {self.level_names})"
        )

    def save_pretrained(self, folder: Path | str) -> None:
        """Write the folder described above; a ranker that embeds user ids has them in its feature map."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        self.save_weights(folder)
        self.model.encoder.save_pretrained(folder / ENCODER)
        (folder / FEATURE_MAP).write_text(self.feature_map.to_json() + "\n", encoding="utf-8")
        config = {
            "model_type": "prectr-ranker",
            "level_names": self.level_names,
            "network": asdict(self.model.config),
            "history": asdict(self.history),
            "columns": asdict(self.columns),
        }
        text = json.dumps(versioned(config, SCHEMA_VERSION), indent=2)
        (folder / CONFIG).write_text(text + "\n", encoding="utf-8")

    def save_weights(self, folder: Path) -> None:
        """Write the weights of all but the encoder, or leave those that are there."""
        weights = {
            name: tensor.contiguous()
            for name, tensor in self.model.state_dict().items()
            if not name.startswith(f"{ENCODER}.")
        }
        with atomic_write(folder / WEIGHTS) as temporary:
            save_file(weights, temporary, metadata={"format": "pt"})

    @classmethod
    def from_pretrained(cls, folder: Path | str) -> "Ranker":
        """Open a ranker's folder, or a Hugging Face hub id.

        Raises:
            PrectrError: a file is missing, or written by newer code; the message names it.
        """
        path = local_folder(folder)
        missing = [name for name in (CONFIG, FEATURE_MAP, WEIGHTS, ENCODER) if not (path / name).exists()]
        if missing:
            raise PrectrError(
                f"{folder}: {missing[0]} is missing, so this is not a ranker's folder; `make rank` writes one."
            )
        config = read_versioned(path / CONFIG, SCHEMA_VERSION, SCHEMA_VERSION)
        model = RankerModel(RankerConfig(**config["network"]), LevelEncoder.from_pretrained(path / ENCODER))
        missing_keys, unexpected = model.load_state_dict(load_file(path / WEIGHTS), strict=False)
        absent = [key for key in missing_keys if not key.startswith(f"{ENCODER}.")]
        if absent or unexpected:
            raise PrectrError(
                f"{path / WEIGHTS} does not fit {CONFIG}: tensor {(absent + unexpected)[0]!r} is off; save it again."
            )
        feature_map = FeatureMap.from_json((path / FEATURE_MAP).read_text(encoding="utf-8"))
        history, columns = HistoryArguments(**config["history"]), Columns(**config["columns"])
        return cls(model, feature_map, history, config["level_names"], columns)

    @torch.inference_mode()
    def score(
        self,
        query: str,
        items: Sequence[Mapping[str, Any]],
        user_events: Sequence[Mapping[str, Any]] | None = None,
        context: Mapping[str, Any] | None = None,
    ) -> dict[str, np.ndarray]:
        """Score a page of candidate items for one query and one shopper.

        Args:
            query: what was typed.
            items: n candidates, each with `text` and, as far as known, `item_id`, `category`, `cat_*` and `num_*`
                attributes and `ctx_*` context of its own (price, promotion). Unknown ids are normal.
            user_events: the shopper's past, in any order: each an item as above with `timestamp` (datetime or seconds),
                `clicked` (default True) and, as far as known, `query` and `page_id`; one without a query has an
                `event_type` (default "purchase"). None or empty: a new shopper.
            context: `ctx_*` values of the whole page, `timestamp` (default: now) and `query_category` (default: the
                candidates' most frequent category).

        Returns:
            Arrays by name, in the items' order: `p_click` [n], `level_prob` [n, K], `p_click_given_level` [n, K],
            `tau` [n].

        Raises:
            PrectrError: an item without text, or an event without a timestamp.
        """
        if not items:
            raise PrectrError("score needs at least one item.")
        shop, impressions = self._shop(query, items, list(user_events or []), dict(context or {}))
        prepared = prepare(impressions, shop, self.history).finish(self.feature_map, shop)
        of_items = self.feature_map.transform_items(shop.items)
        events = Events(shop.log, of_items, self.feature_map.event_types)
        batch = page_batch(prepared, np.arange(1), prepared.page_bounds(), events)
        texts = Texts.tokenize(self.model.encoder, shop.query_texts, shop.item_texts)
        text, pair = text_batch(texts, prepared.query_text, prepared.item_text)
        output = self.model({**batch, **text, "pair": torch.from_numpy(pair)})
        return {
            "p_click": torch.sigmoid(output["score"]).numpy(),
            "level_prob": torch.softmax(output["level_logits"].float(), -1).numpy(),
            "p_click_given_level": torch.sigmoid(output["click_logits"]).numpy(),
            "tau": output["tau"].numpy(),
        }

    def _shop(
        self, query: str, items: Sequence[Mapping[str, Any]], events: list[Mapping[str, Any]], context: dict[str, Any]
    ) -> tuple[Shop, pa.Table]:
        """The page and the shopper's past as tables of the data contract, so that training's own code reads them."""
        candidates = [_item(item, f"candidate {number}", number) for number, item in enumerate(items)]
        past = [_item(event, f"event {number}", number) for number, event in enumerate(events)]
        catalogue = {item["item_id"]: item for item in [*past, *candidates]}
        item_table = pa.table(
            {
                name: self._column(name, [item.get(name) for item in catalogue.values()])
                for name in ("item_id", "text", "category", *self.columns.items)
            }
        )
        now = _seconds(context.pop("timestamp", datetime.now(UTC)), "context")
        categories = [item["category"] for item in candidates if item["category"] is not None]
        query_category = context.pop("query_category", max(sorted(set(categories)), key=categories.count, default=None))
        behaviours = pa.table(_behaviours(events, past), schema=SCHEMAS["behaviours"]).sort_by(
            [("timestamp", "ascending"), ("page_id", "ascending")]
        )
        rows = len(candidates)
        columns_of_page: dict[str, Any] = {
            "impression_id": range(rows),
            "page_id": [0] * rows,
            "user_id": [SHOPPER] * rows,
            "query": [query] * rows,
            "query_category": [query_category] * rows,
            "item_id": [item["item_id"] for item in candidates],
            "position": [-1] * rows,
            "timestamp": [now] * rows,
            "clicked": [False] * rows,
            "split": ["test"] * rows,
        }
        page = pa.table(
            {name: pa.array(v, SCHEMAS["impressions"].field(name).type) for name, v in columns_of_page.items()}
        )
        for name in self.columns.context:
            page = page.append_column(name, self._column(name, [item.get(name, context.get(name)) for item in items]))
        pairs = {(b["query"], b["item_id"]) for b in behaviours.to_pylist() if b["query"] is not None}
        pairs |= {(query, item["item_id"]) for item in candidates}
        ordered = sorted(pairs)
        level_prob = self.model.encoder.score_pairs(
            [q for q, _ in ordered], [catalogue[item_id]["text"] for _, item_id in ordered]
        )
        scored = pa.table(
            {
                "query": [q for q, _ in ordered],
                "item_id": [item_id for _, item_id in ordered],
                "level_prob": list(level_prob),
            }
        )
        lookup = LevelProb(scored)
        log = BehaviourLog.from_tables(item_table, behaviours, lookup, self.columns.matched)
        return Shop(item_table, log, lookup, [query]), page

    def _column(self, name: str, values: list[Any]) -> pa.Array:
        """A column of the contract; a number nobody gave is the training rows' mean."""
        if not name.startswith(("num_", "ctx_num_")):
            return pa.array([None if value is None else str(value) for value in values], pa.string())
        mean = next(column.mean for column in self.feature_map.numeric if column.name == name)
        return pa.array([mean if value is None else float(value) for value in values], pa.float32())
