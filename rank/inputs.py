"""From prepared impressions to the network's batches.

Pages are the unit: the impressions of a page share the user's history, so a batch is a set of whole pages and its past
events are gathered once per page. Every distinct text of a batch is encoded once, every distinct (query, item text)
pair compared once. Which pages make which batch of a training is `rank/schedule.py`.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from data.contract import EVENT_TYPES
from rank.behaviour_log import DAY, BehaviourLog
from rank.matches import match_statistics
from rank.pair_features import number_pairs
from shared.encoder import LevelEncoder
from shared.npy import NpyWriter, open_array
from shared.seeds import generator

PAIRS_STEP = 64  # distinct pairs of a batch are padded to a multiple of this: few shapes, few compiled kernels
SAMPLED_PAGES = 4000
PAGES_OF_A_SAMPLE = 100  # that are gathered at once
ROWS_AT_ONCE = 1 << 20  # of what is summed over all rows
OF_PAGES = frozenset({"user", "query", "category", "seconds", "user_rows", "cross_rows", "cross_depth"})
TEXTS_AT_ONCE = 1 << 16  # that are tokenised together
GAP_SCALE = 6.0  # log1p(days since) is about 6 after a year


@dataclass
class PreparedSet:
    """The impressions of one split, everything known about them before the network: n impressions on P pages.

    Kept as one .npy file per field, so that a set is opened memory-mapped.
    """

    impression: np.ndarray  # [n] int64, row in the impressions table
    numeric: np.ndarray  # [n, F] float32, hand-made features, standardised
    categorical: np.ndarray  # [n, C] int32
    clicked: np.ndarray  # [n] uint8
    level_prob: np.ndarray  # [n, K] float32, stage one's
    query_text: np.ndarray  # [n] int32, row of `Texts.query`
    item_text: np.ndarray  # [n] int32, row of `Texts.item`
    page: np.ndarray  # [n] int32, ascending 0 … P − 1
    user: np.ndarray  # [P] int32, code in the log; -1 unknown
    query: np.ndarray  # [P] int32, code in the log; -1 unknown
    category: np.ndarray  # [P] int32, the query's category in the log; -1 unknown
    seconds: np.ndarray  # [P] int64, when the page was shown
    user_rows: np.ndarray  # [P, H] int32, rows of the log, -1 where there is no event
    cross_rows: np.ndarray  # [P, X] int32
    cross_depth: np.ndarray  # [P] int8: 0 the query's own events, 1 backed off to its category, 2 none
    position: np.ndarray | None = None  # [n] int32, place on the page from 0, -1 unknown; no feature, training's alone
    weight: np.ndarray | None = None  # [n] float32, how much each impression counts; None: all alike

    def save(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for item in fields(self):
            if (array := getattr(self, item.name)) is not None:
                np.save(folder / f"{item.name}.npy", array)

    @classmethod
    def open(cls, folder: Path) -> "PreparedSet":
        paths = {item.name: folder / f"{item.name}.npy" for item in fields(cls)}
        given = {name for name, path in paths.items() if path.exists() or name not in ("position", "weight")}
        return cls(**{name: open_array(path) for name, path in paths.items() if name in given})

    def __len__(self) -> int:
        return len(self.page)

    @property
    def num_pages(self) -> int:
        return len(self.seconds)

    def page_bounds(self) -> np.ndarray:
        """[P + 1] first impression of each page, and the end."""
        return np.searchsorted(self.page, np.arange(self.num_pages + 1))

    def full_log_weight(self, negative_sampling_rate: float) -> np.ndarray | None:
        """How much each impression counts in the full log [n]: its weight, divided by the share that was kept if it
        is unclicked; None: all alike. Metrics of a thinned log that are weighted so are those of the full log."""
        if self.weight is None and negative_sampling_rate == 1:
            return None
        weight = np.ones(len(self)) if self.weight is None else self.weight.astype(np.float64)
        return np.where(self.clicked == 1, weight, weight / negative_sampling_rate)

    def click_rate(self, negative_sampling_rate: float) -> float:
        """The click-through rate of the full log."""
        clicks = total = 0.0
        for start in range(0, len(self), ROWS_AT_ONCE):
            part = self.take(slice(start, start + ROWS_AT_ONCE))
            weight = part.full_log_weight(negative_sampling_rate)
            clicks += float(part.clicked.sum() if weight is None else weight[part.clicked == 1].sum())
            total += float(len(part) if weight is None else weight.sum())
        return clicks / total

    def take(self, rows: np.ndarray | slice) -> "PreparedSet":
        """Those impressions, with all pages."""
        arrays = {item.name: getattr(self, item.name) for item in fields(self) if item.name not in OF_PAGES}
        return replace(self, **{name: array[rows] for name, array in arrays.items() if array is not None})

    def sample(self, most: int, seed: int) -> np.ndarray:
        """Rows [m ≤ most] drawn at random, ascending: all where there are no more. What is fitted on is read so."""
        if len(self) <= most:
            return np.arange(len(self))
        return np.sort(generator(seed, "sample of rows").choice(len(self), most, replace=False, shuffle=False))


@dataclass
class Events:
    """What a past event carries into the network: stored columns only, no text."""

    log: BehaviourLog
    item_categorical: np.ndarray  # [items of the log, item columns] int32
    event_types: Sequence[str] = EVENT_TYPES  # the types told apart (`FeatureMap.event_types`)
    # [types of the log, types told apart - 1]: one-hot, zeros for a search and for a type never trained on. The
    # attention's first layer is linear, so a type's row of its weights is the type's embedding.
    kinds: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        self.kinds = np.array(self.log.event_types)[:, None] == np.array(self.event_types)[1:]

    def gather(self, rows: np.ndarray, seconds: np.ndarray, query: np.ndarray, kind: str) -> dict[str, Tensor]:
        """Columns of the events `rows` [P, H] (-1: none) seen from pages at `seconds` [P] under `query` [P]."""
        known = rows >= 0
        where = np.where(known, rows, 0)
        log = self.log
        if not len(log.seconds):
            shape = (*rows.shape, self.item_categorical.shape[1])
            level_prob = np.zeros((*rows.shape, log.level_prob.shape[1]), np.float32)
            categorical, scalars = np.zeros(shape, np.int64), np.zeros((*rows.shape, 3 + self.kinds.shape[1]))
        else:
            gap = np.log1p(np.maximum(seconds[:, None] - log.seconds[where], 0) / DAY) / GAP_SCALE
            same_query = (log.query[where] == query[:, None]) & (query[:, None] >= 0)
            always = np.stack([log.clicked[where], gap, same_query], -1)
            scalars = np.concatenate([always, self.kinds[log.event[where]]], -1) * known[..., None]
            level_prob = log.level_prob[where].astype(np.float32) * known[..., None]
            categorical = self.item_categorical[log.item[where]].astype(np.int64) * known[..., None]
        return {
            f"{kind}_categorical": torch.from_numpy(categorical),
            f"{kind}_level_prob": torch.from_numpy(level_prob),
            f"{kind}_scalars": torch.from_numpy(scalars.astype(np.float32)),
            f"{kind}_mask": torch.from_numpy(known),
        }


@dataclass
class Texts:
    """Every distinct text, tokenised once: ids and masks [n, L]."""

    query: dict[str, np.ndarray]
    item: dict[str, np.ndarray]

    @classmethod
    def tokenize(
        cls, encoder: LevelEncoder, queries: list[str], items: list[str], folder: Path | None = None
    ) -> "Texts":
        """Args:
        folder: where the tokens are written, to be read memory-mapped; None: they are in memory.
        """
        if folder is None:
            return cls(encoder.tokenize(queries, "query"), encoder.tokenize(items, "item"))
        folder.mkdir(parents=True, exist_ok=True)
        return cls(_tokens_on_disk(encoder, queries, "query", folder), _tokens_on_disk(encoder, items, "item", folder))

    def batch(self, kind: str, used: np.ndarray) -> dict[str, Tensor]:
        """The texts `used` [m]: ids and masks [m, L]."""
        tokens = getattr(self, kind)
        return {
            f"{kind}_ids": torch.from_numpy(tokens["input_ids"][used].astype(np.int64)),
            f"{kind}_mask": torch.from_numpy(tokens["attention_mask"][used].astype(np.int64)),
        }


def _tokens_on_disk(
    encoder: LevelEncoder, texts: list[str], kind: Literal["query", "item"], folder: Path
) -> dict[str, np.ndarray]:
    with ExitStack() as stack:
        files: dict[str, NpyWriter] = {}
        for start in range(0, max(len(texts), 1), TEXTS_AT_ONCE):
            for name, tokens in encoder.tokenize(texts[start : start + TEXTS_AT_ONCE], kind).items():
                if name not in files:
                    file = NpyWriter(folder / f"{kind}_{name}.npy", tokens.dtype, tokens.shape[1:])
                    files[name] = stack.enter_context(file)
                files[name].append(tokens)
    return {name: open_array(folder / f"{kind}_{name}.npy") for name in files}


@dataclass
class Replay:
    """Pairs of all levels, replayed beside the exposures: gold ones, and those stage one judges by itself."""

    query_text: np.ndarray  # [r] int32
    item_text: np.ndarray  # [r] int32
    target: np.ndarray  # [r, K] float32, a distribution over levels

    def __len__(self) -> int:
        return len(self.target)

    def texts(self, rows: np.ndarray) -> np.ndarray:
        """Query and item text of some pairs: [2, n]."""
        return np.stack([self.query_text[rows], self.item_text[rows]])


def page_rows(bounds: np.ndarray, pages: np.ndarray) -> np.ndarray:
    """The rows of `pages`, one page after the other; page p has the rows from `bounds[p]` to before `bounds[p + 1]`."""
    lengths = bounds[pages + 1] - bounds[pages]
    ends = np.cumsum(lengths)
    return np.repeat(bounds[pages] - (ends - lengths), lengths) + np.arange(lengths.sum())


def page_batch(prepared: PreparedSet, pages: np.ndarray, bounds: np.ndarray, events: Events) -> dict[str, Tensor]:
    """All of a batch but its texts: what `RankerModel.score` reads."""
    lengths, rows = bounds[pages + 1] - bounds[pages], page_rows(bounds, pages)
    seen_from = (prepared.seconds[pages], prepared.query[pages])
    batch = {
        "numeric": torch.from_numpy(np.ascontiguousarray(prepared.numeric[rows])),
        "categorical": torch.from_numpy(prepared.categorical[rows].astype(np.int64)),
        "clicked": torch.from_numpy(prepared.clicked[rows].astype(np.float32)),
        "level": torch.from_numpy(prepared.level_prob[rows].argmax(1)),
        "page": torch.from_numpy(np.repeat(np.arange(len(pages)), lengths)),
        "row": torch.from_numpy(rows),
        **events.gather(prepared.user_rows[pages], *seen_from, "user"),
        **events.gather(prepared.cross_rows[pages], *seen_from, "cross"),
        "cross_depth": torch.from_numpy(prepared.cross_depth[pages].astype(np.int64)),
    }
    target = batch["categorical"][:, : events.item_categorical.shape[1]]  # columns of the item come first
    return batch | {f"{kind}_matches": _matches(kind, batch, target) for kind in ("user", "cross")}


def sample_batches(prepared: PreparedSet, events: Events, seed: int) -> Iterator[dict[str, Tensor]]:
    """Batches of `SAMPLED_PAGES` pages, or of all if there are fewer: what is fitted on training rows reads these."""
    size = min(SAMPLED_PAGES, prepared.num_pages)
    pages = np.sort(generator(seed, "sampled pages").choice(prepared.num_pages, size, replace=False))
    bounds = prepared.page_bounds()
    for some in np.array_split(pages, -(-size // PAGES_OF_A_SAMPLE)):
        yield page_batch(prepared, some, bounds, events)


def _matches(kind: str, batch: dict[str, Tensor], target: Tensor) -> Tensor:
    clicked, gap, same_query = batch[f"{kind}_scalars"][..., :3].unbind(-1)
    days = torch.expm1(gap * GAP_SCALE)
    events, mask = batch[f"{kind}_categorical"], batch[f"{kind}_mask"]
    return match_statistics(target, events, mask, clicked, days, same_query, batch["page"])


def text_batch(texts: Texts, query_text: np.ndarray, item_text: np.ndarray) -> tuple[dict[str, Tensor], np.ndarray]:
    """Distinct texts and pairs of n (query, item text) pairs, and each one's place among the distinct pairs [n]."""
    width = int(item_text.max()) + 1
    distinct, pair = np.unique(number_pairs(query_text, item_text, width), return_inverse=True)
    used_query, pair_query = np.unique(distinct // width, return_inverse=True)
    used_item, pair_item = np.unique(distinct % width, return_inverse=True)
    # Padding pairs repeat the first one: their states are computed, and read by nobody.
    padding = np.zeros(-len(distinct) % PAIRS_STEP, np.int64)
    return {
        **texts.batch("query", used_query),
        **texts.batch("item", used_item),
        "pair_query": torch.from_numpy(np.concatenate([pair_query, padding])),
        "pair_item": torch.from_numpy(np.concatenate([pair_item, padding])),
    }, pair
