"""The counts of the history slices: what a loop over the events counts, however pages are put together."""

import math

import numpy as np
import pyarrow as pa
import pytest

from prectr.rank.config import HistoryArguments
from prectr.rank.features import past_columns
from prectr.rank.features.frozen_vectors import FrozenVectors
from prectr.rank.features.groups import (
    SLICES,
    is_exact_match,
    is_item_text,
    is_of_slice,
    is_soft_count,
    unlike_anything,
)
from prectr.rank.features.likeness import Likeness
from prectr.rank.features.prepare import RawSet, prepare
from prectr.rank.features.shop import Shop
from prectr.rank.features.soft_counts import UNLIKE_ANYTHING
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


def by_hand(raw: RawSet, kind: str, attribute: str, items: pa.Table = ITEMS) -> dict[str, list[float]]:
    """`clicks`, `rate_under_query` and `recency`, event by event."""
    values = dict(zip(items["item_id"].to_pylist(), items[attribute].to_pylist(), strict=True))
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


@pytest.mark.parametrize("kind", SLICES)
def test_equal_texts_match_whatever_their_ids(kind):
    texts = pa.array([f"text {number % 3}" for number in range(ITEMS.num_rows)])
    items = ITEMS.set_column(ITEMS.column_names.index("text"), "text", texts)
    raw = prepared(shop=Shop(items, SHOP.log, SHOP.level_prob, SHOP.query_texts))
    for statistic, expected in by_hand(raw, kind, "text", items).items():
        found = raw.features.column(f"{kind}_match_text_{statistic}")
        assert found == pytest.approx(np.array(expected), abs=1e-5)
        assert (found != raw.features.column(f"{kind}_match_item_id_{statistic}")).any()


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
    assert len(counted) == 2 * 6 * 7
    assert all((features.column(name) == np.float32(unlike_anything(name))).all() for name in counted)


def test_a_shop_of_some_items_compares_with_all_past_ones():
    ids = random_impressions(0)["item_id"].to_pylist()[:4]
    page = random_impressions(0).slice(0, 4)
    some = ITEMS.filter(pa.array([item in ids for item in ITEMS["item_id"].to_pylist()]))
    narrow = Shop(some, SHOP.log, level_prob(), SHOP.query_texts, likeness=SHOP.likeness)
    expected, found = (prepare(page, shop, HISTORY).features for shop in (SHOP, narrow))
    assert found.names == expected.names and np.array_equal(found.values, expected.values)


def test_an_attribute_that_an_item_lacks_matches_nothing():
    brand = ITEMS.column_names.index("cat_brand")
    nameless = ITEMS.set_column(brand, "cat_brand", pa.nulls(ITEMS.num_rows, pa.string()))
    likeness = Likeness.of(nameless, SHOP.log.items)
    assert (likeness.codes[:, likeness.attributes.index("cat_brand")] == 0).all()
    assert (likeness.codes[:, likeness.attributes.index("cat_type")] > 0).all()
    assert (Likeness.of(ITEMS.slice(1), SHOP.log.items).codes[:1] == 0).all()


VECTORS = FrozenVectors(
    np.linalg.qr(np.random.default_rng(0).normal(size=(8, 8)))[0].astype(np.float16) * np.float16(0.6)
    + np.float16(0.28),
    np.eye(9, 8, -1, dtype=np.float32),
)
READ = Shop(ITEMS, SHOP.log, SHOP.level_prob, SHOP.query_texts, VECTORS)


def test_texts_are_compared_event_by_event():
    raw = prepared(shop=READ)
    vectors, log = VECTORS.items.astype(np.float32), SHOP.log
    row = {item: place for place, item in enumerate(ITEMS["item_id"].to_pylist())}
    for kind, slices in (("user", raw.user_rows), ("cross", raw.cross_rows)):
        clicks, nearest, skipped = [], [], []
        for place, page in enumerate(raw.page):
            events = slices[page][slices[page] >= 0]
            ours = vectors[row[raw.impressions["item_id"][place].as_py()]]
            cosine = np.array([vectors[row[log.items[int(item)].as_py()]] @ ours for item in log.item[events]])
            clicked = log.clicked[events] == 1
            clicks.append(math.log1p(np.exp(-0.5 * ((cosine[clicked] - 0.5) / 0.1) ** 2).sum()))
            nearest.append(cosine[clicked].max(initial=-1))
            skipped.append(cosine[~clicked].mean() if (~clicked).any() else 0)
        for name, expected in (("50_clicks", clicks), ("nearest", nearest), ("skipped_mean", skipped)):
            assert raw.features.column(f"{kind}_text_{name}") == pytest.approx(np.array(expected), abs=1e-4)
            assert len(set(expected)) > 3
    units = np.stack([raw.features.column(f"item_text_pca_{unit}") for unit in range(8)], 1)
    texts = [row[item] for item in raw.impressions["item_id"].to_pylist()]
    np.testing.assert_allclose(units, vectors[texts] - VECTORS.axes[0], atol=1e-6)


def test_without_vectors_no_column_speaks_of_texts_and_with_them_the_others_stay():
    plain, read = prepared().features, prepared(shop=READ).features
    new = [name for name in read.names if name not in plain.names]
    assert new == [name for name in read.names if is_soft_count(name) or is_item_text(name)]
    assert len(new) == 2 * len(UNLIKE_ANYTHING) + 8
    assert all(np.array_equal(plain.column(name), read.column(name)) for name in plain.names)
    assert not any(is_exact_match(name) for name in new) and not is_soft_count("user_text_clicks")
    cut = prepared(0, READ).features
    of_user = [name for name in new if is_of_slice(name, "user")]
    assert of_user and all((cut.column(name) == np.float32(unlike_anything(name))).all() for name in of_user)


def test_what_the_catalogue_lacks_is_like_nothing():
    item, page = np.full(2, -1), np.zeros(2, np.int64)
    slices = {kind: np.arange(4)[None] for kind in SLICES}
    found = past_columns.past_columns(READ.likeness, SHOP.log, item, page, np.array([10**9]), np.zeros(1), slices)
    counted = [name for name in found.names if not is_item_text(name)]
    for name in counted:
        assert (found.column(name) == np.float32(unlike_anything(name))).all(), name
    assert not any(found.column(f"item_text_pca_{unit}").any() for unit in range(8))


def test_every_column_says_what_it_is():
    features = {feature.name: feature for feature in prepared().features.features}
    one = features["cross_match_cat_brand_share_under_query"]
    assert (one.source, one.unit) == ("cross matches", "share")
    assert one.meaning == "other users' share of the clicks under the query that were on items of its brand"
    assert features["user_match_item_id_clicks"].meaning == "the user's clicks on this item"
    assert features["user_match_text_clicks"].meaning == "the user's clicks on items of the very same text"
    features = {feature.name: feature for feature in prepared(shop=READ).features.features}
    soft = features["user_text_85_rate"]
    assert (soft.source, soft.unit) == ("user texts", "rate")
    assert soft.meaning == "the user's click-through of items whose text is alike by about 0.85"
    assert features["cross_text_nearest"].meaning.startswith("other users' cosine to the clicked item that reads")
    assert features["item_text_pca_1"].source == "item text"


def test_columns_of_texts_that_nobody_reads_are_not_computed_and_all_others_are_as_they_were(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    vectors = np.random.default_rng(0).normal(size=(8, 4)).astype(np.float16)
    shop = Shop(ITEMS, SHOP.log, level_prob(), sorted(CATEGORY_OF_QUERY), FrozenVectors(vectors))
    whole = prepared(shop=shop).features
    read = [name for name in whole.names if not is_soft_count(name) and not is_item_text(name)]
    monkeypatch.setattr(past_columns, "soft_statistics", lambda *_: pytest.fail("texts were compared"))
    found = prepare(random_impressions(0), shop, HISTORY, read=read).features
    assert found.names == whole.names and np.isfinite(found.values).all()
    for name in read:
        np.testing.assert_array_equal(found.column(name), whole.column(name))
    for name in filter(is_soft_count, found.names):
        assert set(found.column(name)) == {np.float32(unlike_anything(name))}
