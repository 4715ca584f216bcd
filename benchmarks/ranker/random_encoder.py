"""Stage two as it would be without distilling: `--encoder` is like another one in all but what it learnt."""

from pathlib import Path

import numpy as np
import pyarrow.compute as pc
from transformers import AutoModel

from prectr.data.contract import read_table
from prectr.shared.encoder.level_encoder import LevelEncoder
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


def _pairs(data: Path, seed: int) -> tuple[list[str], list[str]]:
    """Queries and item texts of training impressions."""
    logged = read_table(data, "impressions", ["query", "item_id", "split"]).filter(pc.field("split") == "train")
    rows = generator(seed, "random encoder").integers(0, len(logged), SAMPLE)
    items = read_table(data, "items", ["item_id", "text"])
    drawn = logged.take(np.sort(rows))
    text = items["text"].take(pc.index_in(drawn["item_id"], value_set=items["item_id"].combine_chunks()))
    return drawn["query"].to_pylist(), text.to_pylist()
