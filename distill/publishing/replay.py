"""What stage one hands to stage two beside level probabilities: pairs to replay, so that the encoder, learning from
clicks, forgets nothing of relevance.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from prectr.distill.labelling.job import read_labels
from prectr.distill.pairs import Pairs, concatenate, read_pairs
from prectr.distill.publishing.level_prob import PAIRS_AT_ONCE, with_level_prob
from prectr.shared.atomic import atomic_write
from prectr.shared.encoder.level_encoder import LevelEncoder
from prectr.shared.run.steps import fingerprint_of, run_step


def write_replay(folder: Path, data_fingerprint: str) -> None:
    """`replay/`: the table replay.parquet of `pairs_to_replay`, for the published encoder and the pairs it learnt from.

    Args:
        folder: of the data set, with its `encoder/`, `labels/` and `data/`.
    """
    inputs = {"encoder": fingerprint_of(folder / "encoder"), "data": data_fingerprint}

    def build(work: Path) -> None:
        taught, _ = read_labels(folder / "labels")
        gold = read_pairs(folder / "data").get("train", taught.take(np.array([], int)))
        encoder = LevelEncoder.from_pretrained(folder / "encoder")
        with atomic_write(work / "replay.parquet") as temporary:
            pq.write_table(pairs_to_replay(encoder, gold, taught), temporary, compression="zstd")

    run_step("replay", folder / "replay", inputs, build, sources=[__name__])


def pairs_to_replay(encoder: LevelEncoder, gold: Pairs, taught: Pairs) -> pa.Table:
    """The table query, item_text, level_prob list<float32>[K]: gold levels as one-hot rows, then the other pairs.

    Of pairs without a gold level it is the encoder's own judgement, not the teacher's: fine-tuned on gold it may judge
    better than the teacher it learnt from, and would unlearn that (rank/EXPERIMENTS.md) [O; after learning without
    forgetting, Li & Hoiem, ECCV 2016].

    Args:
        encoder: as published, K levels.
        gold: pairs with a gold level. taught: pairs the teacher judged.
    """
    parts = [np.eye(encoder.num_levels, dtype=np.float32)[gold.level]]
    for start in range(0, len(taught), PAIRS_AT_ONCE):
        some = slice(start, start + PAIRS_AT_ONCE)
        parts.append(encoder.score_pairs(taught.query[some].tolist(), taught.item_text[some].tolist()))
    replayed = concatenate([gold, taught])
    texts = pa.table({"query": replayed.query.tolist(), "item_text": replayed.item_text.tolist()})
    return with_level_prob(texts, np.concatenate(parts))
