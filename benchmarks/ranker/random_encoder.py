"""Stage two as it would be without distilling: an encoder like another one in all but what it learnt, and gold pairs
alone to replay.
"""

from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
from transformers import AutoModel

from prectr.data.contract import read_table
from prectr.distill.pairs import read_pairs
from prectr.distill.publishing.replay import pairs_to_replay
from prectr.shared.encoder.level_encoder import LevelEncoder
from prectr.shared.errors import PrectrError
from prectr.shared.run.steps import fingerprint_of, fingerprint_of_tables, run_step
from prectr.shared.seeds import generator, set_seed

SAMPLE = 2000  # logged pairs that the head's features are standardised over, as before any training


def build_random_encoder(source: Path, data: Path, seed: int, folder: Path) -> None:
    """Write an untrained twin of the encoder in `source` to `folder`.

    Tokens and their idf weights are counted, not learnt, and stay; the word embeddings are random, so that only equal
    words look alike.
    """

    def build(work: Path) -> None:
        trained = LevelEncoder.from_pretrained(source)
        set_seed(seed)
        untrained = LevelEncoder(
            AutoModel.from_config(trained.text_encoder.config), trained.tokenizer, trained.config
        ).eval()
        untrained.idf.copy_(trained.idf)
        untrained.fit_features(*_pairs(data, seed))
        untrained.save_pretrained(work)

    inputs = {"encoder": fingerprint_of(source), "data": fingerprint_of_tables(data), "seed": seed}
    run_step("random encoder", folder, inputs, build, sources=[LevelEncoder.__module__])


def build_gold_replay(untrained: Path, data: Path, folder: Path) -> None:
    """Write a `replay/` to `folder` that holds the gold pairs of `data`: what a log's owner has without a teacher.

    The pairs that stage one judges itself would hand on what the distilled encoder knows.

    Args:
        untrained: any encoder of the data's levels.

    Raises:
        PrectrError: there are no gold pairs to train on.
    """

    def build(work: Path) -> None:
        gold = read_pairs(data).get("train")
        if gold is None or not len(gold):
            raise PrectrError(
                f"{data}: random_encoder learns relevance from gold pairs, and no pair of the split train has a level; "
                "name the other systems with --systems."
            )
        table = pairs_to_replay(LevelEncoder.from_pretrained(untrained), gold, gold.take(np.array([], int)))
        pq.write_table(table, work / "replay.parquet", compression="zstd")

    inputs = {"encoder": fingerprint_of(untrained), "data": fingerprint_of_tables(data)}
    run_step("gold replay", folder, inputs, build, sources=[pairs_to_replay.__module__])


def _pairs(data: Path, seed: int) -> tuple[list[str], list[str]]:
    """Queries and item texts of training impressions."""
    logged = read_table(data, "impressions", ["query", "item_id", "split"]).filter(pc.field("split") == "train")
    rows = generator(seed, "random encoder").integers(0, len(logged), SAMPLE)
    items = read_table(data, "items", ["item_id", "text"])
    drawn = logged.take(np.sort(rows))
    text = items["text"].take(pc.index_in(drawn["item_id"], value_set=items["item_id"].combine_chunks()))
    return drawn["query"].to_pylist(), text.to_pylist()
