"""One unit vector per distinct text, of an encoder that no longer moves: how alike two items are, in words. [O]

The encoder is the one that judges the log. The network's own goes on learning; these vectors stay, so that what is
read off them is a column like any other, the same for the network and for its rivals, and for a warm start as before.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch

from prectr.shared.encoder.level_encoder import LevelEncoder
from prectr.shared.engine.job import Arrays, Engine, Job
from prectr.shared.engine.plain import PLAIN
from prectr.shared.storage.npy import NpyWriter, open_array
from prectr.shared.training.device import GPUS_OF_A_PART, autocast, compute_device

ITEMS, QUERIES, AXES = "items.npy", "queries.npy", "item_axes.npy"
AXES_AT_MOST = 32
TEXTS_AT_ONCE = 512  # that are encoded together
TEXTS_OF_A_PART = 16 * TEXTS_AT_ONCE
ROWS_AT_ONCE = 1 << 14  # of a table that is read for its axes
LEAST_VARIANCE = 1e-6  # of the first axis': an axis of less is rounding


@dataclass(frozen=True)
class FrozenVectors:
    """The vectors of a catalogue's item texts, and the axes along which they differ most.

    Attributes:
        items: float16 [item texts, V], in the order of `Shop.item_texts` of the whole catalogue; memory-mapped or not.
        axes: float32 [1 + min(32, V), V], the mean and the principal axes (`principal_axes`), or None: not known.
        folder: where both were opened, if they were.
    """

    items: np.ndarray
    axes: np.ndarray | None = None
    folder: Path | None = None

    @classmethod
    def open(cls, folder: Path) -> Self:
        """What `write_frozen_vectors` wrote, memory-mapped."""
        return cls(open_array(folder / ITEMS), open_array(folder / AXES), folder)

    def __reduce__(self) -> tuple[Callable[..., Self], tuple[Any, ...]]:
        """To another process travels the folder, where there is one, and not what is mapped of it."""
        return (type(self), (self.items, self.axes)) if self.folder is None else (type(self).open, (self.folder,))

    @classmethod
    def of_texts(cls, encoder: LevelEncoder, texts: list[str], bf16: bool, axes: np.ndarray | None = None) -> Self:
        """In memory, of a catalogue's distinct item texts."""
        tokens = encoder.tokenize(texts, "item")
        return cls(np.concatenate(list(unit_vectors(encoder, tokens, bf16))), axes)

    @property
    def num_units(self) -> int:
        """How many `units` an item has."""
        return min(AXES_AT_MOST, self.items.shape[1])

    def units(self, rows: np.ndarray) -> np.ndarray:
        """Where items are along the axes: float32 [n, units]; 0, the catalogue's mean, where `rows` [n] is -1 or the
        axes are not known."""
        found = np.zeros((len(rows), self.num_units), np.float32)
        if self.axes is not None and (known := rows >= 0).any():
            distinct, place = np.unique(rows[known], return_inverse=True)
            mean, *axes = self.axes
            found[known] = ((self.items[distinct].astype(np.float32) - mean) @ np.stack(axes, 1))[place]
        return found


def write_frozen_vectors(
    encoder: LevelEncoder,
    items: dict[str, np.ndarray],
    queries: dict[str, np.ndarray],
    folder: Path,
    bf16: bool,
    engine: Engine = PLAIN,
) -> None:
    """Write what `FrozenVectors.open` reads, and the vectors of the queries beside it, in the order of their tokens.

    Args:
        items, queries: `input_ids` and `attention_mask` [n, L] of every text. bf16: matrix products in bfloat16.
    """
    for path, tokens in ((folder / ITEMS, items), (folder / QUERIES, queries)):
        job = Job(
            f"vectors of {path.stem}", lambda: encoder, partial(_vectors, bf16), _size, "texts", gpus=GPUS_OF_A_PART
        )
        size, kept = len(tokens["input_ids"]), folder / "checkpoints" / path.stem
        with NpyWriter(path, np.float16, (encoder.text_encoder.config.hidden_size,)) as file:
            for found in engine.map(job, _parts(tokens), size, kept):
                file.append(found["vectors"])
    vectors = open_array(folder / ITEMS)
    parts = (vectors[start : start + ROWS_AT_ONCE] for start in range(0, len(vectors), ROWS_AT_ONCE))
    np.save(folder / AXES, principal_axes(parts, vectors.shape[1]))


def _parts(tokens: dict[str, np.ndarray]) -> Iterator[dict[str, np.ndarray]]:
    for start in range(0, len(tokens["input_ids"]), TEXTS_OF_A_PART):
        yield {name: tokens[name][start : start + TEXTS_OF_A_PART] for name in ("input_ids", "attention_mask")}


def _size(tokens: dict[str, np.ndarray]) -> int:
    return len(tokens["input_ids"])


def _vectors(bf16: bool, encoder: LevelEncoder, tokens: dict[str, np.ndarray]) -> Arrays:
    return {"vectors": np.concatenate(list(unit_vectors(encoder, tokens, bf16)))}


@torch.inference_mode()
def unit_vectors(encoder: LevelEncoder, tokens: dict[str, np.ndarray], bf16: bool) -> Iterator[np.ndarray]:
    """`TokenVectors.pooled` of n texts, float16 [n, V], a few texts at a time."""
    encoder = encoder.to(compute_device()).eval()
    for start in range(0, len(tokens["input_ids"]), TEXTS_AT_ONCE):
        ids, mask = (
            torch.from_numpy(tokens[name][start : start + TEXTS_AT_ONCE].astype(np.int64)).to(encoder.device)
            for name in ("input_ids", "attention_mask")
        )
        with autocast(encoder.device, bf16):
            pooled = encoder.encode_by_length(ids, mask).pooled
        yield pooled.float().cpu().numpy().astype(np.float16)


def principal_axes(parts: Iterable[np.ndarray], width: int, at_most: int = AXES_AT_MOST) -> np.ndarray:
    """The mean of vectors, and the axes of most variance in their order: float32 [1 + min(at_most, V), V].

    An axis is a unit vector whose largest entry is positive; one along which nothing varies is 0 throughout.

    Args:
        parts: [n, V] of all vectors. width: V.
    """
    count, total, products = 0, np.zeros(width), np.zeros((width, width))
    for part in parts:
        values = part.astype(np.float64)
        count, total, products = count + len(values), total + values.sum(0), products + values.T @ values
    mean = total / max(count, 1)
    variance, axes = np.linalg.eigh(products / max(count, 1) - np.outer(mean, mean))
    axes, variance = axes.T[::-1][:at_most], variance[::-1][:at_most]
    axes = axes * np.sign(np.take_along_axis(axes, np.abs(axes).argmax(1)[:, None], 1))
    axes[variance <= LEAST_VARIANCE * max(variance[0], 0.0)] = 0.0
    return np.concatenate([mean[None], axes]).astype(np.float32)
