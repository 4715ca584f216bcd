"""The hand-made features: what the past says about an impression in numbers, for the ranker and LightGBM alike.

Everything a user did is read from the window [since_row, before_row), so that a cut history changes all of it
together; everything about items and queries is read from all users' events strictly before the impression. A user's
id is no feature. Counts are over fixed windows (26 weeks unless said otherwise) and rates carry a prior, since a log
begins somewhere: what grows with the length of the log would drift between training and test weeks. [O]

What counts as what: a skip is an item of a page that was not clicked, a showing any item of a page; a click is a
clicked item of a page or any event without one (a purchase elsewhere, an item added to the cart), each row once. Counts
and rates are those of the behaviours table as it is given: neither `negative_sampling_rate` nor the weights of
impressions correct them, since training and scoring read the same table.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from prectr.rank.history.codes import encode
from prectr.rank.history.log import DAY, BehaviourLog, Coded
from prectr.shared.errors import PrectrError

HISTORY_WEEKS = 26
WEEK = 7 * DAY
PRIOR_EVENTS = 20.0  # events that a rate's prior weighs as much as
PRIOR_RATE = 0.1  # the rate of a category of which nothing is known
PRIOR_GAP_DAYS = 28.0  # the time between purchases of an item of which nothing is known
LEAST_PRICE = 0.01
OF_PAGE = frozenset({"user", "query", "category"})  # parts of a key that all candidates of a page have in common
MAX_CYCLES = 3.0  # log-ratio of days since the last click to the typical gap, at most


class Feature(NamedTuple):
    """One column: what it is called, its unit, which part of the past it is read from, and what it says."""

    name: str
    unit: str
    source: str
    meaning: str


@dataclass(frozen=True)
class FeatureMatrix:
    """Features of n impressions: `values` float32 [n, F], finite, and what each column means."""

    features: tuple[Feature, ...]
    values: np.ndarray

    @property
    def names(self) -> list[str]:
        return [feature.name for feature in self.features]

    def column(self, name: str) -> np.ndarray:
        return self.values[:, self.names.index(name)]

    def beside(self, other: FeatureMatrix) -> FeatureMatrix:
        """The same impressions with the columns of both."""
        return FeatureMatrix(self.features + other.features, np.concatenate([self.values, other.values], 1))


def compute_features(
    log: BehaviourLog,
    items: pa.Table,
    impressions: pa.Table,
    level_prob: np.ndarray,
    since_row: np.ndarray | None = None,
    coded: Coded | None = None,
    item_row: np.ndarray | None = None,
) -> FeatureMatrix:
    """All features of `impressions`, which must hold whole pages: some features compare the candidates of a page.

    Args:
        items, impressions: tables of the contract; pages are told apart by (split, page_id).
        level_prob: float [n, K], stage one's P(level | query, item) of each impression.
        since_row: int64 [n], where each user's history begins (`BehaviourLog.cut_since`); None: at the log's
            beginning.
        coded: what `log.encode` says of the impressions, where it is known. item_row: so the rows [n] of their items.

    Raises:
        PrectrError: a feature is not a finite number.
    """
    coded = log.encode(impressions) if coded is None else coded
    if item_row is None:
        item_row = encode(impressions["item_id"], items["item_id"].combine_chunks())
    page = _Pages(impressions)
    since = np.zeros(len(coded.user), np.int64) if since_row is None else since_row
    past = _Past(log, coded, since, page.page)
    table = _Table()
    _user_matches(table, past)
    _user_activity(table, past)
    _popularity(table, past, page)
    _levels(table, past, page, np.asarray(level_prob, np.float64))
    _numbers(table, page, items, item_row, impressions)
    return table.matrix()


_TRANSFORMS: dict[str, Callable[[np.ndarray], np.ndarray]] = {"log1p count": np.log1p, "log1p days": np.log1p}


class _Table:
    """Columns as they are added, each with what it means."""

    def __init__(self) -> None:
        self._features: list[Feature] = []
        self._columns: list[np.ndarray] = []

    def section(self, source: str) -> Callable[[str, str, np.ndarray, str], None]:
        """`add(name, unit, values, meaning)` for columns read from `source`; a unit of log1p takes the logarithm."""

        def add(name: str, unit: str, values: np.ndarray, meaning: str) -> None:
            self._features.append(Feature(name, unit, source, meaning))
            self._columns.append(_TRANSFORMS.get(unit, np.asarray)(values).astype(np.float32, copy=False))

        return add

    def matrix(self) -> FeatureMatrix:
        """All of them, looked at together: a call for each column of a page takes longer than what it does."""
        values = np.stack(self._columns, 1)
        if not np.isfinite(values).all():
            column, row = (int(place) for place in np.argwhere(~np.isfinite(values.T))[0])
            raise PrectrError(
                f"impressions: feature {self._features[column].name!r}, row {row}: found {values[row, column]}: give a "
                "finite number."
            )
        return FeatureMatrix(tuple(self._features), values)


class _Past:
    """What the log holds before each of n impressions, counted per index and window."""

    def __init__(self, log: BehaviourLog, coded: Coded, since_row: np.ndarray, page: np.ndarray):
        self.log, self.coded, self._since_row, self._page = log, coded, since_row, page
        self._first = np.unique(page, return_index=True)[1]
        self._of_pages = coded.take(self._first)
        self._bounds: dict[tuple[str, int], tuple[np.ndarray, np.ndarray]] = {}
        self._lists: dict[str, np.ndarray] = {}
        self._until: dict[str, np.ndarray] = {}
        self._begin: dict[int, np.ndarray] = {}

    def codes(self, part: str, of_page: bool = False) -> np.ndarray:
        if not part.startswith("same_"):
            return getattr(self._of_pages if of_page else self.coded, part)
        groups, item = self.log.item_groups[part.removeprefix("same_")], self.coded.item
        return np.where(item >= 0, groups[np.maximum(item, 0)], -1)

    def lists(self, index: str, of_page: bool = False) -> np.ndarray:
        """The list of each impression [n], or of each page."""
        if index not in self._lists:
            parts = self.log.specs[index].parts
            self._lists[index] = self.log.index(index).lookup(*(self.codes(part, of_page) for part in parts))
        return self._lists[index]

    def window(self, index: str, weeks: int) -> tuple[np.ndarray, np.ndarray]:
        """The last `weeks` before each impression; a user's own events no earlier than their history is cut."""
        if weeks not in self._begin:
            self._begin[weeks] = self.log.rows_before(self.coded.seconds - weeks * WEEK)
        begin = self._begin[weeks]
        if "user" in self.log.specs[index].parts:
            begin = np.maximum(begin, self._since_row)
        return np.minimum(begin, self.coded.before_row), self.coded.before_row

    def bounds(self, index: str, weeks: int = HISTORY_WEEKS) -> tuple[np.ndarray, np.ndarray]:
        """Where in the index each list's events of the window begin and end; searched for once."""
        if (index, weeks) not in self._bounds:
            self._bounds[index, weeks] = self._search(index, weeks)
        return self._bounds[index, weeks]

    def _search(self, index: str, weeks: int) -> tuple[np.ndarray, np.ndarray]:
        of_page = OF_PAGE.issuperset(self.log.specs[index].parts)
        found, lists = self.log.index(index), self.lists(index, of_page)
        since_row, before_row = self.window(index, weeks)
        if of_page:  # the same for all candidates of a page
            since_row, before_row = since_row[self._first], before_row[self._first]
        if index not in self._until:
            self._until[index] = found.until(lists, before_row)
        begin, end = found.since(lists, since_row, self._until[index]), self._until[index]
        return (begin[self._page], end[self._page]) if of_page else (begin, end)

    def count(self, index: str, weeks: int = HISTORY_WEEKS) -> np.ndarray:
        begin, end = self.bounds(index, weeks)
        return end - begin

    def total(self, index: str) -> np.ndarray:
        return self.log.index(index).total_between(*self.bounds(index))

    def last_row(self, index: str) -> np.ndarray:
        return self.log.index(index).take_back(*self.bounds(index), 1)[:, 0]

    def days_since(self, row: np.ndarray) -> np.ndarray:
        """Days from the events `row` to the impressions; where there is none, the whole window."""
        if not len(self.log):
            return np.full(len(row), HISTORY_WEEKS * 7.0)
        return np.where(row < 0, HISTORY_WEEKS * 7.0, (self.coded.seconds - self.log.seconds[row]) / DAY)


class _Pages:
    """Which impressions are candidates of one page, and comparisons among them."""

    def __init__(self, impressions: pa.Table):
        page_id = impressions["page_id"].to_numpy()
        if "split" in impressions.column_names:
            split = impressions["split"].combine_chunks().dictionary_encode().indices.to_numpy()
            page_id = np.unique(page_id, return_inverse=True)[1] * (int(split.max(initial=0)) + 1) + split
        _, self.page, sizes = np.unique(page_id, return_inverse=True, return_counts=True)
        self.size = sizes[self.page]
        self._num_pages = len(sizes)

    def mean(self, values: np.ndarray) -> np.ndarray:
        return (np.bincount(self.page, values, self._num_pages) / np.bincount(self.page, minlength=self._num_pages))[
            self.page
        ]

    def best(self, values: np.ndarray) -> np.ndarray:
        best = np.full(self._num_pages, -np.inf)
        np.maximum.at(best, self.page, values)
        return best[self.page]

    def rank(self, values: np.ndarray) -> np.ndarray:
        """The share of the page's other candidates with a higher value, 0 (the best) to 1; ties count half."""
        order = np.lexsort((-values, self.page))
        page, value = self.page[order], values[order]
        new_page = np.diff(page, prepend=-1) != 0
        first_of_page = np.maximum.accumulate(np.where(new_page, np.arange(len(page)), 0))
        tie = np.cumsum(new_page | (np.diff(value, prepend=np.nan) != 0)) - 1
        place = np.bincount(tie, np.arange(len(page)) - first_of_page) / np.bincount(tie)
        ranks = np.empty(len(page))
        ranks[order] = place[tie]
        return np.where(self.size > 1, ranks / np.maximum(self.size - 1, 1), 0.5)


def _rate(events: np.ndarray, of: np.ndarray, prior: np.ndarray | float) -> np.ndarray:
    return (events + PRIOR_EVENTS * prior) / (of + PRIOR_EVENTS)


def _user_matches(table: _Table, past: _Past) -> None:
    """What the user clicked of this very item, and of items like it: attention cannot count, so we do."""
    add = table.section("user history")
    in_category = past.count("user_same_category_clicked")
    for match in ("item", *past.log.item_groups):
        index = "user_item_clicked" if match == "item" else f"user_same_{match}_clicked"
        same = {"item": "this item", "category": "its category"}.get(match, f"its {match} within its category")
        clicks, last = past.count(index), past.last_row(index)
        whole = past.count("user_clicked") if match == "category" else in_category
        add(f"user_{match}_clicks", "log1p count", clicks, f"clicks on {same}")
        add(f"user_{match}_share", "share", clicks / (whole + 1), f"{same}: share of the clicks one step wider")
        add(f"user_{match}_days", "log1p days", past.days_since(last), f"since the last click on {same}")
        add(f"user_{match}_never", "0/1", last < 0, f"no click on {same}")

    last, last_in_category = past.last_row("user_item_clicked"), past.last_row("user_same_category_clicked")
    category, lists = past.log.index("user_same_category_clicked"), past.lists("user_same_category_clicked")
    later = np.where(last < 0, in_category, category.count(lists, last + 1, past.coded.before_row))
    is_last = (last >= 0) & (last == last_in_category)
    cycles = np.log(np.maximum(past.days_since(last), 1)) - np.log(_typical_gap(past))
    cycles = np.where(last < 0, 0, np.clip(cycles, -MAX_CYCLES, MAX_CYCLES))
    skips = past.count("user_item") - past.count("user_item_clicked")
    add("user_item_skips", "log1p count", skips, "times this item was shown and not clicked")
    add("user_item_clicks_since", "log1p count", later, "clicks on its category after the last one on this item")
    add("user_item_is_last", "0/1", is_last, "the last click on its category was on this item")
    add("user_item_cycle", "log ratio", cycles, "days since the last click on it over its typical gap; 0 without one")


def _typical_gap(past: _Past) -> np.ndarray:
    """Days between one user's clicks on the item, the geometric mean over all users, shrunk towards four weeks."""
    total, repeats = past.total("item_repeat")[:, 0], past.count("item_repeat")
    return np.expm1((total + PRIOR_EVENTS * np.log1p(PRIOR_GAP_DAYS)) / (repeats + PRIOR_EVENTS))


def _user_activity(table: _Table, past: _Past) -> None:
    add = table.section("user history")
    add("user_pages", "log1p count", past.count("user_page"), "pages seen")
    for index, name, where in (("user", "user_all", ""), ("user_category", "user_query", " in the query's category")):
        clicked, skipped = past.count(f"{index}_clicked"), past.count(f"{index}_skipped")
        rate = _rate(clicked, clicked + skipped, PRIOR_RATE)
        days = past.days_since(past.last_row(index))
        add(f"{name}_clicks", "log1p count", clicked, f"clicks{where}")
        add(f"{name}_skips", "log1p count", skipped, f"items shown and not clicked{where}")
        add(f"{name}_click_rate", "rate", rate, f"clicks per event{where}")
        add(f"{name}_days", "log1p days", days, f"since the last event{where}")


def _popularity(table: _Table, past: _Past, page: _Pages) -> None:
    add, compare = table.section("all users"), table.section("page")
    week, month, two_months = (past.count("item_clicked", weeks) for weeks in (1, 4, 8))
    trend = np.log((month + 1) / (two_months - month + 1))
    gap = np.log1p(two_months) - np.log1p(page.best(two_months))
    add("item_clicks_1w", "log1p count", week, "clicks on the item in 1 week")
    add("item_clicks_4w", "log1p count", month, "clicks on the item in 4 weeks")
    add("item_clicks_8w", "log1p count", two_months, "clicks on the item in 8 weeks")
    add("item_trend", "log ratio", trend, "clicks on the item in the last 4 weeks over the 4 weeks before")
    compare("item_clicks_rank", "share", page.rank(two_months), "candidates with more clicks in 8 weeks")
    compare("item_clicks_gap", "log ratio", gap, "clicks in 8 weeks over the most clicked candidate's")

    repeats = _rate(past.count("item_repeat"), past.count("item_clicked"), PRIOR_RATE)
    add("item_repeat_rate", "rate", repeats, "clicks on the item by someone who had clicked it in the 8 weeks before")
    add("item_gap_days", "log1p days", _typical_gap(past), "typical time between one user's clicks on the item")

    category_ctr = _ctr(past, "category", PRIOR_RATE)
    item_ctr = _ctr(past, "item", category_ctr)
    shown, clicked = past.count("query_item"), past.count("query_item_clicked")
    query_item_ctr = _rate(clicked, shown, item_ctr)
    share = clicked / (past.count("query_clicked") + 1)
    add("category_ctr", "rate", category_ctr, "click-through rate in the query's category")
    add("item_ctr", "rate", item_ctr, "click-through rate of the item; prior: category_ctr")
    compare("item_ctr_rank", "share", page.rank(item_ctr), "candidates with a higher item_ctr")
    add("query_item_ctr", "rate", query_item_ctr, "click-through rate of the item under the query; prior: item_ctr")
    compare("query_item_ctr_rank", "share", page.rank(query_item_ctr), "candidates with a higher query_item_ctr")
    add("query_item_shown", "log1p count", shown, "times the item was shown under the query")
    add("query_item_share", "share", share, "the item's share of the clicks under the query")
    add("query_shown", "log1p count", past.count("query"), "items shown under the query")


def _ctr(past: _Past, index: str, prior: np.ndarray | float) -> np.ndarray:
    """Clicks per showing; what happened without a page was not shown."""
    elsewhere = past.count(f"{index}_purchased")
    return _rate(past.count(f"{index}_clicked") - elsewhere, past.count(index) - elsewhere, prior)


def _levels(table: _Table, past: _Past, page: _Pages, level_prob: np.ndarray) -> None:
    add, compare = table.section("stage one"), table.section("page")
    levels = np.arange(level_prob.shape[1])
    expected, top = level_prob @ levels, level_prob[:, -1]
    add("expected_level", "level", expected, "mean of P(level | query, item)")
    for level in levels:
        add(f"level_prob_{level}", "probability", level_prob[:, level], f"P(level = {level} | query, item)")
    compare("level_rank", "share", page.rank(expected), "candidates with a higher expected level")
    compare("level_gap", "level", expected - page.best(expected), "expected level above the best candidate's")
    compare("top_level_ratio", "ratio", top / np.maximum(page.best(top), 1e-6), "P(highest level) over the best one")

    by_category = _clicked_levels(past, "category_clicked", np.full_like(level_prob, 1 / len(levels)))
    for name, source, where in (("query", "all users", "under the query"), ("user", "user history", "of the user")):
        clicked = _clicked_levels(past, f"{name}_clicked", by_category)
        add = table.section(source)
        affinity = (level_prob * clicked).sum(1)
        add(f"{name}_level_affinity", "probability", affinity, f"a past click {where} had this item's level")
        add(f"{name}_level_gap", "level", expected - clicked @ levels, f"expected level above the past clicks' {where}")


def _clicked_levels(past: _Past, index: str, prior: np.ndarray) -> np.ndarray:
    """The distribution [n, K] over levels of what was clicked, shrunk towards `prior` [n, K]."""
    total = past.total(index)
    return (total + PRIOR_EVENTS * prior) / (total.sum(1, keepdims=True) + PRIOR_EVENTS)


def _numbers(table: _Table, page: _Pages, items: pa.Table, item_row: np.ndarray, impressions: pa.Table) -> None:
    """The data set's own numbers, as they are and compared with the page's mean; prices as a ratio."""
    compare = table.section("page")
    compare("page_size", "log1p count", page.size, "candidates")
    numbers = {name: items[name].to_numpy()[item_row] for name in items.column_names if name.startswith("num_")}
    numbers |= {name: impressions[name].to_numpy() for name in impressions.column_names if name.startswith("ctx_num_")}
    for name, values in numbers.items():
        add = table.section("context" if name.startswith("ctx_") else "item")
        values = values.astype(np.float64)
        add(name, "as given", values, f"column {name}")
        if name.endswith("price"):
            ratio = np.log(np.maximum(values, LEAST_PRICE) / np.maximum(page.mean(values), LEAST_PRICE))
            compare(f"{name}_ratio", "log ratio", ratio, f"{name} over the page's mean")
        else:
            compare(f"{name}_gap", "as given", values - page.mean(values), f"{name} above the page's mean")
