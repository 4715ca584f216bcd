"""Which pairs are replayed beside the exposures, so that the encoder, learning from clicks, forgets nothing of
relevance: those of a gold level, and others as the encoder itself judges them before it meets a click.
"""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from prectr.data.contract import read_table, table_path
from prectr.rank.history.score_log import with_level_prob
from prectr.shared.encoder.level_encoder import LevelEncoder
from prectr.shared.errors import PrectrError
from prectr.shared.seeds import generator
from prectr.shared.storage.duckdb import out_of_core, parquet

SEED, DRAWN_AS = 0, ("sample pairs", "label")
"""Of the draw, which is the data set's: every seed of a run replays the same pairs. With stage one's seed 0 they are
those that its teacher was asked first."""

Pair = tuple[str, str]
"""A query and an item text."""


def pairs_to_replay(encoder: LevelEncoder, data: Path, unjudged: int, spill: Path) -> pa.Table:
    """The table query, item_text, level_prob list<float32>[K]: gold levels of the split `train` as one-hot rows, then
    the other pairs.

    Of pairs without a gold level it is the encoder's own judgement, not its teacher's: fine-tuned on gold it may judge
    better than the teacher it learnt from, and would unlearn that (rank/EXPERIMENTS.md) [O; after learning without
    forgetting, Li & Hoiem, ECCV 2016].

    Args:
        encoder: as it was published, K levels.
        unjudged: pairs without a gold level, at most. 0: an encoder that knows nothing of relevance has nothing of its
            own to replay.
        spill: folder for what does not fit into memory.

    Raises:
        PrectrError: there is nothing to replay.
    """
    judged = _distinct_pairs(data)
    gold = judged.filter(pc.field("split") == "train")
    known = set(_texts(judged.filter(pc.field("split") != "unlabelled")))
    unlabelled = _texts(judged.filter(pc.field("split") == "unlabelled"))
    others = _drawn(unlabelled, known, unjudged) if unlabelled else _from_the_log(data, known, unjudged, spill)
    replayed = [*_texts(gold), *others]
    if not replayed:
        raise PrectrError(
            f"{table_path(data, 'pairs')}: nothing to replay: no pair of the split train has a level, and replay_pairs "
            f"is {unjudged}: raise it, or judge some pairs."
        )
    parts = [np.eye(encoder.num_levels, dtype=np.float32)[gold["level"].to_numpy()]]
    if others:
        queries, texts = zip(*others, strict=True)
        parts.append(encoder.score_pairs(queries, texts))
    query, item_text = zip(*replayed, strict=True)
    pairs = pa.table({"query": pa.array(query, pa.string()), "item_text": pa.array(item_text, pa.string())})
    return with_level_prob(pairs, np.concatenate(parts))


def _distinct_pairs(data: Path) -> pa.Table:
    """query, item_text, level and split of the table `pairs`, in its order; items may share a text, so equal rows are
    kept once.
    """
    pairs, items = read_table(data, "pairs"), read_table(data, "items", ["item_id", "text"])
    of_item = items["text"].take(pc.index_in(pairs["item_id"], value_set=items["item_id"].combine_chunks()))
    columns = {"query": pairs["query"], "item_text": pc.coalesce(of_item, pairs["item_text"])}
    columns |= {"level": pairs["level"], "split": pairs["split"], "row": pa.array(range(len(pairs)))}
    distinct = pa.table(columns).group_by(["query", "item_text", "level", "split"]).aggregate([("row", "min")])
    return distinct.sort_by("row_min")


def _drawn(pairs: list[Pair], known: set[Pair], size: int) -> list[Pair]:
    """`size` pairs, or all that are not `known`, in an order that does not depend on `size`."""
    order = generator(SEED, *DRAWN_AS).permutation(len(pairs))
    return list(islice((pairs[row] for row in order if pairs[row] not in known), size))


def _from_the_log(data: Path, known: set[Pair], size: int, spill: Path) -> list[Pair]:
    """`size` pairs where none is `unlabelled`: half were shown in training pages, and as many have any item of the
    catalogue in the place of the one shown, since a page shows few of the low levels [O].
    """
    impressions, items = (parquet(table_path(data, name)) for name in ("impressions", "items"))
    with out_of_core(spill, [data]) as database:
        shown = database.sql(
            f"SELECT DISTINCT query, text FROM {impressions} JOIN {items} USING (item_id) "
            f"WHERE split = 'train' ORDER BY md5(query || chr(31) || text), query, text LIMIT {size}"
        ).fetchall()
    texts = read_table(data, "items", ["text"])["text"]
    other = generator(SEED, *DRAWN_AS).integers(0, len(texts), len(shown))
    mixed = [
        (query, text if number % 2 else texts[int(row)].as_py())
        for number, ((query, text), row) in enumerate(zip(shown, other, strict=True))
    ]
    return [pair for pair in dict.fromkeys(mixed) if pair not in known]


def _texts(pairs: pa.Table) -> list[Pair]:
    return list(zip(pairs["query"].to_pylist(), pairs["item_text"].to_pylist(), strict=True))
