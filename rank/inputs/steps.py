"""The steps that read texts once for all: `texts`, `text_vectors`, `pair_features` and `judged_pair_features`."""

import hashlib
import json
from pathlib import Path
from typing import NamedTuple

import numpy as np

from prectr.rank.features.frozen_vectors import write_frozen_vectors
from prectr.rank.features.prepared_set import PreparedSet
from prectr.rank.inputs.frozen_text import PAIRS, TEXTS, VALUES, distinct_pairs, write_pair_features
from prectr.rank.inputs.replay import Replay, read_replay
from prectr.rank.inputs.texts import Texts, tokenize_to_disk
from prectr.rank.workspace import PAIR_FEATURES, Workspace


def write_texts(workspace: Workspace, work: Path) -> None:
    """The step `texts`: every query, then the catalogue's item texts and behind them those of the replay alone."""
    shop, encoder = workspace.shop(), workspace.start_encoder()
    _, others = read_replay(workspace.folder / "replay", shop)
    tokenize_to_disk(encoder, shop.query_texts, [*shop.item_texts, *others], work)


def write_text_vectors(workspace: Workspace, work: Path) -> None:
    """The step `text_vectors`: a vector of every text of the catalogue and of every query, by the encoder that judges
    the log: what a warm start has learnt to read of texts is what that one says, not what its own has become."""
    shop, encoder = workspace.shop(), workspace.stage_one()
    tokens = work / "checkpoints"  # a warm start's own are in texts/
    tokens.mkdir(exist_ok=True)
    tokenize_to_disk(encoder, shop.query_texts, shop.item_texts, tokens)
    texts = Texts.open(tokens)
    write_frozen_vectors(encoder, texts.item, texts.query, work, workspace.training.bf16, workspace.engine)


class StoredPairs(NamedTuple):
    """Distinct pairs whose features are stored: their numbers int64 [D], ascending, among `num_items` item texts."""

    pairs: np.ndarray
    num_items: int


def stored_pairs(workspace: Workspace, name: str) -> StoredPairs:
    """The pairs that training shows or replays (`pair_features`), or those that are judged (`judged_pair_features`)."""
    replayed = name == PAIR_FEATURES
    sets = ["train"] if replayed else workspace.sets()[1:]
    shop = workspace.shop()
    replay, others = read_replay(workspace.folder / "replay", shop)
    rows: list[PreparedSet | Replay] = [PreparedSet.open(workspace.folder / "features" / each) for each in sets]
    if replayed:
        rows.append(replay)
    num_items = len(shop.item_texts) + len(others)
    return StoredPairs(distinct_pairs(((part.query_text, part.item_text) for part in rows), num_items), num_items)


def fingerprint_of_pairs(stored: StoredPairs) -> str:
    """sha256 of which pairs they are."""
    return hashlib.sha256(stored.pairs.data).hexdigest()


def write_frozen_text(workspace: Workspace, stored: StoredPairs, bf16: bool, work: Path) -> None:
    """The steps `pair_features` and `judged_pair_features`: the features of all pairs by the encoder that training
    starts from."""
    texts = Texts.open(workspace.folder / "texts")
    np.save(work / PAIRS, stored.pairs)
    write_pair_features(workspace.start_encoder(), texts, stored.pairs, work / VALUES, bf16)
    (work / TEXTS).write_text(json.dumps({"items": stored.num_items}), encoding="utf-8")
