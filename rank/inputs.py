"""From prepared impressions to the network's batches.

Pages are the unit: the impressions of a page share the user's history, so a batch is a set of whole pages and its past
events are gathered once per page. Every distinct text of a batch is encoded once, every distinct (query, item text)
pair compared once. A batch depends on the seed and its number alone: a resumed run sees what the killed one would have,
and of several processes each takes its part of the same batch.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from data.contract import EVENT_TYPES
from rank.behaviour_log import DAY, BehaviourLog
from rank.feature_map import FeatureMap
from rank.features import is_stage_one
from rank.hard_negatives import Noise, draw_neighbours, lower_level
from rank.matches import match_statistics
from rank.page_order import PageBatches
from rank.pair_features import PairFeatures, number_pairs
from shared.config import PrectrError
from shared.encoder import LevelEncoder
from shared.npy import NpyWriter, open_array
from shared.seeds import generator
from shared.whole_batch import part

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


class BatchSchedule(Dataset):
    """Every batch of a training run, in order: first those in which the text encoder rests and all else learns [O],
    then the level module's warm-up, then everything. [P: these two steps]

    While the text encoder rests its texts are not encoded: what the level head reads of a pair is computed once.

    Args:
        prepared, events, texts, replay: where batches are read from. replay: None when nothing is replayed.
        pages_per_batch: pages in a batch; the last batch of a pass is left out when it is short.
        pages_together: so many pages of one category go into a batch together: they share item texts, which are then
            encoded once [O].
        resting_epochs, epochs: passes over the pages without and with the text encoder, each in a new order.
        features: of all pairs, the replayed ones included; only batches without the text encoder read them.
        warmup_share: warm-up batches (replayed pairs alone) as a share of those in which everything learns.
        replay_share: replayed pairs as a share of all pairs of a batch.
        feature_map: of the numbers and categoricals in `prepared`.
        noise: what the batch's hard negatives are made of; None: it has none.

    Raises:
        PrectrError: a warm-up is asked for, but there is nothing to replay.
    """

    def __init__(
        self,
        prepared: PreparedSet,
        events: Events,
        texts: Texts,
        replay: Replay | None,
        *,
        pages_per_batch: int,
        pages_together: int,
        resting_epochs: float = 0.0,
        features: PairFeatures | None = None,
        epochs: float,
        warmup_share: float,
        replay_share: float,
        feature_map: FeatureMap,
        noise: Noise | None,
        seed: int,
    ) -> None:
        if warmup_share > 0 and replay is None:
            raise PrectrError(
                "the warm-up trains the level module on replayed pairs, but replay_share is 0: raise it, or set "
                "warmup_share: 0 too."
            )
        self.prepared, self.events, self.texts, self.replay = prepared, events, texts, replay
        # A mean of 1 leaves the balance of the losses, and the learning rate, as they are without weights.
        self.mean_weight = None if prepared.weight is None else prepared.weight.mean(dtype=np.float64)
        self.bounds = prepared.page_bounds()
        self.seed, self.noise, self.feature_map = seed, noise, feature_map
        self.pages = PageBatches(
            prepared.category,
            pages_per_batch=pages_per_batch,
            pages_together=pages_together,
            epochs=resting_epochs + epochs,
            seed=seed,
        )
        self.features = features
        self.num_resting = min(round(self.pages.per_pass * resting_epochs), len(self.pages))
        self.num_warmup = round((len(self.pages) - self.num_resting) * warmup_share)
        per_page = len(prepared) / prepared.num_pages
        self.num_replayed = round(self.pages.pages_per_batch * per_page * replay_share / (1 - replay_share))

    def __len__(self) -> int:
        return self.num_warmup + len(self.pages)

    def __getitem__(self, number: int) -> dict[str, Tensor]:
        """This process's part of batch `number`: of its pages, and of its replayed pairs.

        `place` [B] says where its impressions stand among the `size` impressions of the whole batch.
        """
        batch: dict[str, Tensor] = {"step": torch.tensor(number)}
        pairs: dict[str, np.ndarray] = {}  # query and item text [2, n] of the pairs, by what they are there for
        rests = number < self.num_resting
        warms_up = 0 <= number - self.num_resting < self.num_warmup
        drawn = self._draw_replay(number, warms_up)
        if not warms_up:
            pages = self.pages[number if rests else number - self.num_warmup]
            whole, own = np.sort(pages), np.sort(part(pages))
            ends = np.cumsum(self.bounds[whole + 1] - self.bounds[whole])
            place = page_rows(np.concatenate([[0], ends]), np.searchsorted(whole, own))
            batch |= self._exposures(own) | {"place": torch.from_numpy(place), "size": torch.tensor(ends[-1])}
            rows = batch["row"].numpy()
            pairs["pair"] = np.stack([self.prepared.query_text[rows], self.prepared.item_text[rows]])
            if self.noise is not None:
                batch |= self._lowered(batch, number)
        if self.replay is not None:
            pairs["replay_pair"] = self.replay.texts(part(drawn))
            batch["replay_target"] = torch.from_numpy(self.replay.target[part(drawn)])
        query_text, item_text = np.concatenate(list(pairs.values()), 1)
        if rests:
            if self.features is None:
                raise ValueError("resting_epochs without the features of the pairs")
            values, pair = self.features.rows(query_text, item_text)
            text = {"pair_features": values}
        else:
            text, pair = text_batch(self.texts, query_text, item_text)
        each = np.split(pair, np.cumsum([rows.shape[1] for rows in pairs.values()])[:-1])
        return batch | text | {name: torch.from_numpy(rows) for name, rows in zip(pairs, each, strict=True)}

    def _exposures(self, pages: np.ndarray) -> dict[str, Tensor]:
        batch = page_batch(self.prepared, pages, self.bounds, self.events)
        rows = batch["row"].numpy()
        if self.prepared.position is not None:
            batch["position"] = torch.from_numpy(self.prepared.position[rows].astype(np.int64))
        if self.prepared.weight is not None:
            weight = self.prepared.weight[rows] / self.mean_weight
            batch["weight"] = torch.from_numpy(weight.astype(np.float32))
        return batch

    def _draw_replay(self, number: int, warms_up: bool) -> np.ndarray:
        """Which pairs the whole batch replays; a warm-up batch holds nothing else, so it has as many as a full one."""
        if self.replay is None:
            return np.zeros(0, np.int64)
        count = self.num_replayed * (4 if warms_up else 1)
        return generator(self.seed, "replay", number).integers(0, len(self.replay), count)

    def _lowered(self, batch: dict[str, Tensor], number: int) -> dict[str, Tensor]:
        """By how many levels each impression's hard negative falls, `level_drop` [B] (0: it has none), and what to: the
        label `lowered` [B]; or the row of a `neighbour` [B] on the page, and the numbers that it has then."""
        # A page is one process's as a whole, so its rows find their neighbours among that process's.
        draw = generator(self.seed, "hard negatives", number).random(int(batch["size"]))[batch["place"].numpy()]
        if self.noise != "toward_neighbour":
            lowered = lower_level(batch["level"], torch.from_numpy(draw))
            return {"lowered": lowered, "level_drop": (batch["level"] - lowered).float()}
        level_prob = self.prepared.level_prob[batch["row"].numpy()]
        expected = level_prob @ np.arange(level_prob.shape[1], dtype=np.float32)
        neighbour = draw_neighbours(expected, batch["page"].numpy(), draw)
        numeric = self.feature_map.never_shown(batch["numeric"].numpy())
        of_stage_one = [place for place, name in enumerate(self.feature_map.numeric_names) if is_stage_one(name)]
        numeric[:, of_stage_one] = batch["numeric"].numpy()[neighbour][:, of_stage_one]
        nobody = {"cross_mask": torch.zeros_like(batch["cross_mask"])}
        target = batch["categorical"][:, : self.events.item_categorical.shape[1]]
        return {
            "neighbour": torch.from_numpy(neighbour),
            "level_drop": torch.from_numpy(expected - expected[neighbour]),
            "negative_numeric": torch.from_numpy(numeric),
            "negative_cross_matches": _matches("cross", batch | nobody, target),
        }
