"""The counts of the history slices: what a loop over the events counts, however pages are put together."""

import math

import numpy as np
import pyarrow as pa
import pytest

from prectr.rank.config import HistoryArguments
from prectr.rank.features import past_columns
from prectr.rank.features.groups import SLICES, is_exact_match, is_of_slice, unlike_anything
from prectr.rank.features.likeness import Likeness
from prectr.rank.features.prepare import RawSet, prepare
from prectr.rank.features.shop import Shop
from prectr.rank.history.log import UNCUT
from tests.rank.random_shop import (
    CATEGORY_OF_QUERY,
    DAY,
    ITEMS,
    level_prob,
    make_log,
    random_events,
    random_impressions,
)

HISTORY = HistoryArguments(history_in_category=4, history_overall=6, cross_history=6)
SHOP = Shop(ITEMS, make_log(random_events(0)), level_prob(), sorted(CATEGORY_OF_QUERY))


def prepared(cut: np.ndarray | int = UNCUT, shop: Shop = SHOP) -> RawSet:
    return prepare(random_impressions(0), shop, HISTORY, cut)


def by_hand(raw: RawSet, kind: str, attribute: str) -> dict[str, list[float]]:
    """`clicks`, `rate_under_query` and `recency`, event by event."""
    values = dict(zip(ITEMS["item_id"].to_pylist(), ITEMS[attribute].to_pylist(), strict=True))
    log, found = SHOP.log, {"clicks": [], "rate_under_query": [], "recency": []}
    for row, page in enumerate(raw.page):
        wanted = values[raw.impressions["item_id"][row].as_py()]
        clicks = recency = asked = shown = 0.0
        for event in (user := raw.user_rows if kind == "user" else raw.cross_rows)[page][user[page] >= 0]:
            if values[log.items[int(log.item[event])].as_py()] != wanted:
                continue
            clicked, same = bool(log.clicked[event]), raw.query[page] >= 0 and log.query[event] == raw.query[page]
            clicks += clicked
            recency += clicked / (1 + (raw.seconds[page] - log.seconds[event]) / DAY)
            asked, shown = asked + clicked * same, shown + same
        found["clicks"].append(math.log1p(clicks))
        found["rate_under_query"].append((asked + 0.5) / (shown + 2))
        found["recency"].append(math.log1p(10 * recency))
    return found


@pytest.mark.parametrize("kind", SLICES)
@pytest.mark.parametrize("attribute", ["item_id", "category", "cat_type", "cat_brand"])
def test_counts_are_those_of_a_loop_over_the_slice(kind, attribute):
    raw = prepared()
    for statistic, expected in by_hand(raw, kind, attribute).items():
        found = raw.features.column(f"{kind}_match_{attribute}_{statistic}")
        assert found == pytest.approx(np.array(expected), abs=1e-5) and len(set(expected)) > 1


def test_how_pages_are_put_together_changes_nothing(monkeypatch):
    together = prepared().features.values
    for cells in (1, 50, 200):
        monkeypatch.setattr(past_columns, "CELLS_AT_ONCE", cells)
        assert np.allclose(prepared().features.values, together, atol=1e-6)


def test_a_block_of_pages_holds_at_most_so_many_cells(monkeypatch):
    monkeypatch.setattr(past_columns, "CELLS_AT_ONCE", 100)
    sizes = np.array([2, 3, 30, 1, 1, 9, 10])
    blocks = list(past_columns.page_blocks(sizes, 5))
    assert blocks == [slice(0, 2), slice(2, 3), slice(3, 5), slice(5, 7)]
    assert list(past_columns.page_blocks(sizes[:0], 5)) == []


def test_a_cut_history_is_counted_as_it_is_cut():
    cut = prepared(0).features
    whole = prepared().features
    for name in (name for name in cut.names if is_of_slice(name, "user")):
        assert (cut.column(name) == np.float32(unlike_anything(name))).all() and (
            name.endswith("under_query") or (whole.column(name) != cut.column(name)).any()
        )
    others = [name for name in cut.names if is_of_slice(name, "cross")]
    assert others and all(np.array_equal(cut.column(name), whole.column(name)) for name in others)
    assert all(is_exact_match(name) for name in others)


def test_without_a_log_nothing_matches():
    empty = Shop(ITEMS, make_log([]), level_prob(), sorted(CATEGORY_OF_QUERY))
    features = prepared(shop=empty).features
    counted = [name for name in features.names if is_of_slice(name, "user") or is_of_slice(name, "cross")]
    assert len(counted) == 2 * 5 * 7
    assert all((features.column(name) == np.float32(unlike_anything(name))).all() for name in counted)


def test_a_shop_of_some_items_compares_with_all_past_ones():
    ids = random_impressions(0)["item_id"].to_pylist()[:4]
    page = random_impressions(0).slice(0, 4)
    some = ITEMS.filter(pa.array([item in ids for item in ITEMS["item_id"].to_pylist()]))
    narrow = Shop(some, SHOP.log, level_prob(), SHOP.query_texts, SHOP.likeness)
    expected, found = (prepare(page, shop, HISTORY).features for shop in (SHOP, narrow))
    assert found.names == expected.names and np.array_equal(found.values, expected.values)


def test_an_attribute_that_an_item_lacks_matches_nothing():
    brand = ITEMS.column_names.index("cat_brand")
    nameless = ITEMS.set_column(brand, "cat_brand", pa.nulls(ITEMS.num_rows, pa.string()))
    likeness = Likeness.of(nameless, SHOP.log.items)
    assert (likeness.codes[:, likeness.attributes.index("cat_brand")] == 0).all()
    assert (likeness.codes[:, likeness.attributes.index("cat_type")] > 0).all()
    assert (Likeness.of(ITEMS.slice(1), SHOP.log.items).codes[:1] == 0).all()


def test_every_column_says_what_it_is():
    features = {feature.name: feature for feature in prepared().features.features}
    one = features["cross_match_cat_brand_share_under_query"]
    assert (one.source, one.unit) == ("cross matches", "share")
    assert one.meaning == "other users' share of the clicks under the query that were on items of its brand"
    assert features["user_match_item_id_clicks"].meaning == "the user's clicks on this item"
