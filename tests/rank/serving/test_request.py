"""What callers hand to `Ranker.score` is read as they mean it, or refused in one sentence."""

import math
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from prectr import Ranker
from prectr.shared.errors import PrectrError

NOW = 1_480_000_000
QUERY = "red shirt"
TEXTS = ("red cotton shirt", "blue wool lamp", "steel pot large", "red shirt small")


@pytest.fixture(scope="module")
def ranker(home: Path) -> Ranker:
    return Ranker.from_pretrained(home / "ranker")


@pytest.fixture(autouse=True)
def _features_may_be_missing() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def page(**more: Any) -> list[dict[str, Any]]:
    return [{"text": text, "category": "clothing", **more} for text in TEXTS]


def events(**more: Any) -> list[dict[str, Any]]:
    return [
        {"item_id": f"e{n}", "text": TEXTS[n % 4], "query": QUERY, "timestamp": NOW - 86_400 * n, "page_id": n, **more}
        for n in range(1, 6)
    ]


def scored(ranker: Ranker, items: Any = None, past: Any = None, **context: Any) -> np.ndarray:
    items = page() if items is None else items
    return ranker.score(QUERY, items, past, {"timestamp": NOW, **context})["p_click"]


def refused(complaint: str, ranker: Ranker, *given: Any, query: Any = QUERY, **named: Any) -> None:
    with pytest.raises(PrectrError, match=complaint) as raised:
        ranker.score(query, *given, **named)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "missing", [None, math.nan, "", "  ", "None", "nan", "NULL", pd.NA, pd.NaT, np.float64("nan"), pa.scalar(None)]
)
def test_candidates_without_an_id_are_items_of_their_own(ranker: Ranker, missing: Any) -> None:
    np.testing.assert_array_equal(scored(ranker, page(item_id=missing)), scored(ranker))


def test_one_id_of_two_texts_is_refused_and_of_one_text_is_one_item(ranker: Ranker) -> None:
    refused("candidate 1: item_id 'a' has two values of 'text'", ranker, page(item_id="a"))
    twice = [page(item_id="a")[0]] * 2
    found = scored(ranker, twice)
    assert found[0] == found[1]


def test_an_event_may_know_an_older_text_of_a_candidate(ranker: Ranker) -> None:
    items = [
        {**item, "item_id": f"e{n + 1}"} for n, item in enumerate([{"text": TEXTS[(n + 1) % 4]} for n in range(4)])
    ]
    older = [{**event, "text": "what it was called"} for event in events()]
    np.testing.assert_array_equal(scored(ranker, items, older[:4]), scored(ranker, items, events()[:4]))


def test_of_two_texts_of_a_past_item_the_latest_counts_in_any_order(ranker: Ranker) -> None:
    past = [{**event, "item_id": "same", "text": f"{TEXTS[n % 4]}"} for n, event in enumerate(events())]
    np.testing.assert_array_equal(scored(ranker, None, past), scored(ranker, None, past[::-1]))


@pytest.mark.parametrize("as_kind", [np.str_, pa.scalar, lambda text: np.array(text)])
def test_texts_of_any_library(ranker: Ranker, as_kind: Any) -> None:
    items = [{key: as_kind(value) for key, value in item.items()} for item in page(item_id="7x")[:1]]
    expected = ranker.score(QUERY, page(item_id="7x")[:1], None, {"timestamp": NOW})["p_click"]
    found = ranker.score(as_kind(QUERY), items, None, {"timestamp": NOW})["p_click"]
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("as_kind", [int, float, str, np.int32, np.float64, pa.scalar])
def test_numbers_as_ids_and_as_numbers(ranker: Ranker, as_kind: Any) -> None:
    numeric = [name for name in (*ranker.columns.items, *ranker.columns.context) if "num_" in name]
    assert numeric
    items = [{**item, "item_id": as_kind(n), numeric[0]: as_kind(3)} for n, item in enumerate(page())]
    expected = [{**item, "item_id": str(n), numeric[0]: 3.0} for n, item in enumerate(page())]
    np.testing.assert_array_equal(scored(ranker, items), scored(ranker, expected))


@pytest.mark.parametrize(
    "moment",
    [
        datetime.fromtimestamp(NOW, UTC),
        datetime.fromtimestamp(NOW, UTC).replace(tzinfo=None),
        pd.Timestamp(NOW, unit="s"),
        pd.Timestamp(NOW, unit="s", tz="Asia/Tokyo"),
        np.datetime64(NOW, "s"),
        pa.scalar(NOW, pa.timestamp("s")),
        pa.scalar(NOW * 1000, pa.timestamp("ms")),
        np.int64(NOW),
        float(NOW) + 0.4,
        datetime.fromtimestamp(NOW, UTC).isoformat(),
        str(NOW),
    ],
)
def test_times_of_any_library(ranker: Ranker, moment: Any) -> None:
    np.testing.assert_array_equal(scored(ranker, None, events(), timestamp=moment), scored(ranker, None, events()))
    past = events()
    past[0]["timestamp"] = moment
    now = {"timestamp": NOW + 60}
    expected = [{**past[0], "timestamp": NOW}, *past[1:]]
    np.testing.assert_array_equal(scored(ranker, None, past, **now), scored(ranker, None, expected, **now))


@pytest.mark.parametrize(
    "moment",
    [
        *(NOW * 1000, NOW * 10**6, NOW * 10**9, str(NOW * 1000), 20_240_316, 0, -5, 10**30, 1e300),
        *("10:30", "yesterday", "2016-13-45 10:00", True, [NOW], b"x", Decimal(NOW)),
    ],
)
def test_what_is_no_time_in_seconds_is_refused(ranker: Ranker, moment: Any) -> None:
    refused("context: 'timestamp'", ranker, page(), context={"timestamp": moment})
    refused("event 0: 'timestamp'", ranker, page(), events(timestamp=moment))


@pytest.mark.parametrize("missing", [None, math.nan, pd.NaT, ""])
def test_an_event_needs_a_time_and_a_page_is_now(ranker: Ranker, missing: Any) -> None:
    refused("event 0: 'timestamp' is missing", ranker, page(), events(timestamp=missing))
    assert np.isfinite(scored(ranker, timestamp=missing)).all()


@pytest.mark.parametrize("word", [False, 0, "false", "0", "No", " FALSE ", np.bool_(False), pa.scalar(False), 0.0])
def test_what_says_no_is_no_click(ranker: Ranker, word: Any) -> None:
    np.testing.assert_array_equal(
        scored(ranker, None, events(clicked=word)), scored(ranker, None, events(clicked=False))
    )


@pytest.mark.parametrize("word", [True, 1, "true", "1", "Yes", np.bool_(True), pa.scalar(1), 1.0])
def test_what_says_yes_is_a_click_as_is_an_event_that_says_nothing(ranker: Ranker, word: Any) -> None:
    np.testing.assert_array_equal(scored(ranker, None, events(clicked=word)), scored(ranker, None, events()))


@pytest.mark.parametrize("word", [None, math.nan, "", "maybe", -1, "clicked", pd.NA, "ja", "-3"])
def test_what_says_neither_is_refused(ranker: Ranker, word: Any) -> None:
    refused("event 0: 'clicked'", ranker, page(), events(clicked=word))


def test_a_generator_is_a_list(ranker: Ranker) -> None:
    expected = scored(ranker, page(), events())
    np.testing.assert_array_equal(scored(ranker, (item for item in page()), iter(events())), expected)
    np.testing.assert_array_equal(scored(ranker, tuple(page()), np.array(events())), expected)
    rows = [row for _, row in pd.DataFrame(page()).iterrows()]
    np.testing.assert_array_equal(scored(ranker, rows, pd.DataFrame(events()).to_dict("records")), expected)


@pytest.mark.parametrize(
    "items",
    ["red shirt", ["red shirt"], {"text": "red shirt"}, [["red shirt"]], None, 3, pd.DataFrame(page()), b"x", [None]],
)
def test_what_is_no_list_of_mappings_is_refused(ranker: Ranker, items: Any) -> None:
    refused("give a list of mappings", ranker, items)
    if items is not None:
        refused("give a list of mappings", ranker, page(), items)


@pytest.mark.parametrize("query", [None, "", "  ", 7, ["red"], b"red", math.nan, {"q": 1}])
def test_a_query_is_a_text(ranker: Ranker, query: Any) -> None:
    refused("^query ", ranker, page(), query=query)


def test_there_have_to_be_items(ranker: Ranker) -> None:
    refused("at least one item", ranker, [])
    refused("at least one item", ranker, iter([]))
    refused("candidate 0: 'text' is missing or empty; give the item's text: a ranker by", ranker, [{"item_id": "1"}])


@pytest.mark.parametrize("slip", ["{}s", "{}_", "x{}", "no_such"])
@pytest.mark.parametrize("where", ["candidate 0", "event 0", "context"])
def test_a_feature_the_ranker_does_not_know_is_refused(ranker: Ranker, slip: str, where: str) -> None:
    context = ranker.columns.context
    known = context[0] if where == "context" else ranker.columns.items[0]
    key = f"{known[:4]}{slip.format(known[4:])}"
    parts = {"candidate 0": ([{**page()[0], key: 1}],), "event 0": (page(), events(**{key: 1})), "context": (page(),)}
    refused(
        f"{where}: '{key}' is nothing this ranker",
        ranker,
        *parts[where],
        context={key: 1} if where == "context" else None,
    )


@pytest.mark.parametrize("key", ["Text", "item_Id", "categoy", "clickd", "timestmp"])
def test_a_slip_of_a_known_key_is_refused_and_own_keys_stay(ranker: Ranker, key: str) -> None:
    one = {name: value for name, value in events()[0].items() if name.lower() != key.lower()}
    one = {name: value for name, value in one.items() if name[:4] != key[:4]}
    refused(f"event 0: '{key}' .* is it", ranker, page(), [{**one, key: "x"}])
    np.testing.assert_array_equal(scored(ranker, page(shelf="B2", seller_rank=3)), scored(ranker))


@pytest.mark.parametrize("value", [[1.0], {"a": 1}, b"1", object(), np.zeros(2)])
def test_a_value_is_a_scalar(ranker: Ranker, value: Any) -> None:
    for key in ("item_id", "text", "category", ranker.columns.items[0]):
        refused(f"candidate 0: '{key}' is a ", ranker, [{**page()[0], key: value}])


@pytest.mark.parametrize("value", ["cheap", "1,5", 1e300, "0x10", 10**400])
def test_a_number_is_a_number(ranker: Ranker, value: Any) -> None:
    name = next(name for name in ranker.columns.context if "num_" in name)
    refused(f"context: '{name}' is ", ranker, page(), context={name: value})


@pytest.mark.parametrize("missing", [None, math.nan, math.inf, -math.inf, "NaN", "", pd.NA])
def test_a_missing_number_is_one_that_nobody_gave(ranker: Ranker, missing: Any) -> None:
    name = next(name for name in ranker.columns.context if "num_" in name)
    np.testing.assert_array_equal(scored(ranker, **{name: missing}), scored(ranker))
    np.testing.assert_array_equal(scored(ranker, page(**{name: missing}), **{name: 4.0}), scored(ranker, **{name: 4.0}))


def test_missing_features_are_named_once(ranker: Ranker) -> None:
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("default")
        for _ in range(3):
            ranker.score(QUERY, page())
    assert len(told) == 1 and told[0].filename == __file__
    assert all(name in str(told[0].message) for name in (*ranker.columns.items, *ranker.columns.context))


def test_pages_may_have_names(ranker: Ranker) -> None:
    named = [{**event, "page_id": f"page-{event['page_id']}"} for event in events()]
    np.testing.assert_array_equal(scored(ranker, None, named), scored(ranker, None, events()))


def test_sixteen_threads_score_as_one_does(ranker: Ranker) -> None:
    draw = np.random.default_rng(0)
    words = " ".join(TEXTS).split()
    requests = [
        (" ".join(draw.choice(words, 1 + n % 7)), [{"text": " ".join(draw.choice(words, k))} for k in (1, 9, 30)])
        for n in range(24)
    ]
    now = {"timestamp": NOW}
    alone = [ranker.score(query, items, events(), now) for query, items in requests]
    with ThreadPoolExecutor(16) as threads:
        together = list(threads.map(lambda request: ranker.score(*request, events(), now), requests * 2))
    for number, found in enumerate(together):
        for name, values in alone[number % len(requests)].items():
            np.testing.assert_allclose(found[name], values, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(
    "query", ["red  shirt", " red shirt\n", "red\u00a0shirt", "red\u200b shirt", "\tred\u3000shirt"]
)
def test_white_space_of_every_kind_is_one_query(ranker: Ranker, query: str) -> None:
    found = ranker.score(query, page(), events(query=query), {"timestamp": NOW})["p_click"]
    np.testing.assert_array_equal(found, scored(ranker, None, events()))
