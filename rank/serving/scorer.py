"""A trained ranker in front of a data set: its items, its past events, and what stage one says of any pair.

The one way to score: `Ranker.score` (a page), `rank score` (tables), `rank explain` and `rank validate` all go
through `Scorer.prepare`, which is training's own preparation, and the `Predictor`, which judges test weeks too. All
of it in float32: bfloat16 says something else of a page than of the same page among others.

The ranker's folder is where a run left it, so the folder above holds the run's other artifacts: stage one's stored
probabilities are read from there, and only pairs that are not among them are scored anew, by the encoder that scored
those.
"""

from functools import cached_property
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch

from prectr.data.contract import SCHEMAS, has_table, read_table
from prectr.rank.config import WhereArguments
from prectr.rank.features.frozen_vectors import FrozenVectors, unit_vectors
from prectr.rank.features.groups import is_item_text, is_soft_count
from prectr.rank.features.likeness import Likeness
from prectr.rank.features.prepare import RawSet, prepare
from prectr.rank.features.prepared_set import PreparedSet
from prectr.rank.features.shop import Shop
from prectr.rank.history.codes import encode
from prectr.rank.history.log import BehaviourLog
from prectr.rank.history.score_log import kept_encoder
from prectr.rank.history.stage_one import LevelProb
from prectr.rank.inputs.events import Events
from prectr.rank.inputs.texts import Texts
from prectr.rank.model.predictor import ItemVectors, Predictor
from prectr.rank.model.trained import TrainedRanker
from prectr.rank.serving.config import DataArguments, RankerArguments
from prectr.rank.serving.stored import StoredPairs, is_as_judged, require_same_run, run_of, stored_level_prob
from prectr.shared.encoder.level_encoder import LevelEncoder
from prectr.shared.errors import PrectrError
from prectr.shared.run.steps import RECORD, fingerprint_of_tables, read_record
from prectr.shared.store.at_hand import here

SHOWN = 5
"""Data sets that a refusal names."""


class StageOne:
    """What stage one says of pairs: read where a run has stored it, computed where it has not.

    Args:
        encoder: scores pairs that are not stored. items: whose texts it reads.
        stored: pairs that are scored already; None: nothing is stored.
    """

    def __init__(self, encoder: LevelEncoder, items: pa.Table, stored: StoredPairs | None = None) -> None:
        self.encoder, self.items, self.stored = encoder, items, stored

    @cached_property
    def _rows(self) -> pa.Table:
        """The row of every stored pair."""
        assert self.stored is not None
        table = self.stored.table
        return table.select(["query", "item_id"]).append_column("row", pa.array(np.arange(len(table)), pa.int64()))

    def of(self, pairs: pa.Table) -> LevelProb:
        """Probabilities of all pairs in a table with columns query and item_id; rows without a query have none.

        Raises:
            PrectrError: an item is not in the items table.
        """
        searched = pairs.select(["query", "item_id"]).filter(pc.field("query").is_valid())
        wanted = searched.group_by(["query", "item_id"], use_threads=False).aggregate([])
        parts = []
        if self.stored is not None:
            found = wanted.join(self._rows, ["query", "item_id"], join_type="left outer", use_threads=False)
            known, wanted = (found.filter(test(found["row"])) for test in (pc.is_valid, pc.is_null))
            parts.append(self.stored.table.take(known["row"]).select(["query", "item_id", "level_prob"]))
        if wanted.num_rows or not parts or not parts[0].num_rows:
            parts.append(self._scored(wanted))
        schema = pa.schema([("query", pa.string()), ("item_id", pa.string()), ("level_prob", pa.list_(pa.float32()))])
        return LevelProb(pa.concat_tables([part.cast(schema) for part in parts]))

    def _scored(self, wanted: pa.Table) -> pa.Table:
        queries, ids, texts = wanted["query"], wanted["item_id"], self.items["text"]
        row = encode(ids, self.items["item_id"].combine_chunks())
        if (row < 0).any():
            missing = ids[int((row < 0).argmax())].as_py()
            raise PrectrError(f"item {missing!r} is not in items.parquet: add it there, or drop the rows that name it.")
        if not len(row):
            # A log without searches still has to know how many levels there are.
            queries, ids, row = texts.slice(0, 1), self.items["item_id"].slice(0, 1), np.zeros(1, np.int32)
        level_prob = self.encoder.score_pairs(queries.to_pylist(), texts.take(pa.array(row)).to_pylist())
        return pa.table({"query": queries, "item_id": ids, "level_prob": list(level_prob)})


class Scorer:
    """A ranker with items and past events.

    Args:
        items: the contract's table; columns that the ranker was not trained with are ignored.
        batch_size: impressions scored at once.
        vectors: of the texts of `items`, by the encoder that judged the log of the ranker's run.
    """

    def __init__(
        self,
        ranker: TrainedRanker,
        items: pa.Table,
        log: BehaviourLog,
        stage_one: StageOne,
        batch_size: int,
        vectors: FrozenVectors | None,
    ) -> None:
        self.ranker, self.log, self.stage_one = ranker, log, stage_one
        self.batch_size = batch_size
        self.items = _item_columns(ranker, items)
        self.likeness = Likeness.of(self.items, log.items, vectors)
        feature_map = ranker.feature_map
        texts = self.items["text"].combine_chunks().dictionary_encode()
        self.events = Events(
            log,
            feature_map.transform_items(self.items).astype(np.int32),
            feature_map.event_types,
            texts.indices.to_numpy(),
        )
        self._texts: list[str] = texts.dictionary.to_pylist()

    @cached_property
    def item_vectors(self) -> torch.Tensor | None:
        """Pooled vectors [n, V] of the distinct texts of `items`, by which the network compares them."""
        if not self.ranker.model.config.text_vectors:
            return None
        encoder = self.ranker.model.encoder
        parts = unit_vectors(encoder, encoder.tokenize(self._texts, "item"), bf16=False)
        return torch.from_numpy(np.concatenate(list(parts)))

    @classmethod
    def open(cls, ranker: str | Path, data: Path, batch_size: int) -> "Scorer":
        """Open a ranker's folder (or hub id) and a data folder.

        Where `data` is what the ranker's run indexed, the run's own index of past events is used; any other data
        folder is indexed in memory. Without behaviours.parquet every user is new.

        Raises:
            PrectrError: a file is missing, the items lack a column the ranker was trained with, or a folder of the run
                is no longer what the ranker was made of.
        """
        trained = TrainedRanker.from_pretrained(ranker)
        items = read_table(data, "items")
        if not items.num_rows:
            raise PrectrError(f"{data}/items.parquet has no rows: write the items there.")
        # Of a ranker on a hub there is no run: its own encoder scores, and everything is indexed in memory.
        run = run_of(ranker)
        encoder, stored = trained.model.encoder, None
        if run:
            require_same_run(Path(ranker), run)
            stored = stored_level_prob(run, data, items)
        if run and stored is not None:
            if not kept_encoder(run).is_dir():
                raise PrectrError(
                    f"{kept_encoder(run)} is not there: {run} is of an older version; run `python -m rank run` again."
                )
            encoder = LevelEncoder.from_pretrained(kept_encoder(run))
        stage_one = StageOne(encoder, items, stored)
        vectors = FrozenVectors.open(run / "text_vectors") if run and (run / "text_vectors").is_dir() else None
        if run and _is_indexed(run / "behaviours", data):
            log = BehaviourLog.open(run / "behaviours")
        else:
            of_run = None if run is None or vectors is None else _TextVectors.of(run, vectors)
            vectors = frozen_vectors(trained, encoder, items, of_run)
            behaviours = SCHEMAS["behaviours"].empty_table()
            if has_table(data, "behaviours"):
                behaviours = read_table(data, "behaviours")
            log = BehaviourLog.from_tables(items, behaviours, stage_one.of(behaviours), trained.columns.matched)
        return cls(trained, items, log, stage_one, batch_size, vectors)

    def prepare(self, impressions: pa.Table) -> tuple[Shop, RawSet, PreparedSet]:
        """Everything about whole pages that is known before the network sees them."""
        candidates = pc.is_in(self.items["item_id"], pc.unique(impressions["item_id"]))
        queries = sorted(pc.unique(impressions["query"]).to_pylist())
        level_prob = self.stage_one.of(impressions)
        shop = Shop(self.items.filter(candidates), self.log, level_prob, queries, likeness=self.likeness)
        raw = prepare(impressions, shop, self.ranker.history)
        return shop, raw, raw.finish(self.ranker.feature_map, shop)

    def predictor(self, shop: Shop) -> Predictor:
        """The network with the texts of `shop`."""
        texts = Texts.tokenize(self.ranker.model.encoder, shop.query_texts, shop.item_texts)
        items = None
        if self.item_vectors is not None:
            own = encode(pa.array(shop.item_texts, pa.string()), pa.array(self._texts, pa.string()))
            items = ItemVectors(self.item_vectors[torch.from_numpy(own.astype(np.int64))], self.item_vectors)
        return Predictor(self.ranker.model, texts, self.events, bf16=False, items=items)

    def predict(self, shop: Shop, prepared: PreparedSet) -> dict[str, np.ndarray]:
        """`p_click` [n], `level_prob` [n, K], `p_click_given_level` [n, K] and `tau` [n], in the order of the table
        given to `prepare`.
        """
        found = self.predictor(shop).predict(prepared, self.batch_size)
        order = np.argsort(prepared.impression)
        return {name: values[order] for name, values in found.items()}


class _TextVectors(NamedTuple):
    """Vectors of a run's item texts, [n, V]."""

    texts: pa.Array
    vectors: FrozenVectors

    @classmethod
    def of(cls, run: Path, vectors: FrozenVectors) -> Self:
        """Of no text where the run's items are no longer those that were read."""
        own = run / "data"
        texts = pa.array([], pa.string())
        if has_table(own, "items") and is_as_judged(run, own):
            texts = _distinct_texts(read_table(own, "items", ["text"]))
        return cls(texts, vectors)


def frozen_vectors(
    ranker: TrainedRanker, encoder: LevelEncoder, items: pa.Table, of_run: _TextVectors | None = None
) -> FrozenVectors | None:
    """Vectors of the texts of `items`, if the ranker's features were made of any; along the axes of its run's. What the
    run read is not read again: its features were made of that."""
    if not any(is_soft_count(name) or is_item_text(name) for name in ranker.feature_map.numeric_names):
        return None
    texts = _distinct_texts(items)
    if of_run is None:
        return FrozenVectors.of_texts(encoder, texts.to_pylist(), bf16=False)
    row = encode(texts, of_run.texts)
    new = np.flatnonzero(row < 0)
    found = np.empty((len(texts), of_run.vectors.items.shape[1]), np.float16)
    found[row >= 0] = of_run.vectors.items[row[row >= 0]]
    if len(new):
        found[new] = FrozenVectors.of_texts(encoder, texts.take(pa.array(new)).to_pylist(), bf16=False).items
    return FrozenVectors(found, of_run.vectors.axes)


def _distinct_texts(items: pa.Table) -> pa.Array:
    return items["text"].combine_chunks().dictionary_encode().dictionary


def ranker_and_data(run: WhereArguments, chosen: RankerArguments, given: DataArguments) -> tuple[str, Path]:
    """The ranker's folder (or hub id) and the data folder that the settings name.

    Raises:
        PrectrError: the data set has no ranker; or there is no data folder beside one, and none is named.
    """
    ranker = str(here(chosen.ranker or Path(run.artifacts) / run.name / "ranker"))
    data = here(given.data) if given.data else Path(ranker).parent / "data"
    if not chosen.ranker and not Path(ranker).is_dir():
        raise PrectrError(f"{ranker} is not there: {_others(Path(run.artifacts))}.")
    if not data.is_dir():
        raise PrectrError(f"{data} is not there: name the folder of items.parquet and behaviours.parquet with --data.")
    return ranker, data


def _others(artifacts: Path) -> str:
    """What to do where a data set has no ranker: make one, or name one that is there."""
    there = sorted(ranker.parent.name for ranker in artifacts.glob("*/ranker") if (ranker.parent / "data").is_dir())
    if not there:
        return "run `make rank`, or name a ranker's folder or hub id with --ranker"
    more = f" and {len(there) - SHOWN} more" if len(there) > SHOWN else ""
    are = "is" if len(there) == 1 else "are"
    return f"run `make rank`, or give --name {', '.join(there[:SHOWN])}{more}, which {are} there"


def _item_columns(ranker: TrainedRanker, items: pa.Table) -> pa.Table:
    missing = [name for name in ranker.columns.items if name not in items.column_names]
    if missing:
        raise PrectrError(
            f"items.parquet: column {missing[0]!r} is missing: the ranker was trained with it, so add it."
        )
    return items.select(["item_id", "text", "category", *ranker.columns.items])


def _is_indexed(behaviours: Path, data: Path) -> bool:
    if not (behaviours / RECORD).is_file() or not has_table(data, "behaviours"):
        return False
    return read_record(behaviours).inputs.get("data") == fingerprint_of_tables(data)
