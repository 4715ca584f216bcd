"""What single objects of tools' logs say happened: shapes that the exports of `test_exports` do not hold."""

import io
from pathlib import Path
from typing import Any

import pytest

from prectr.data.converters.arguments.logs import EventArguments
from prectr.data.converters.events.happening import SEARCH, Happening
from prectr.data.converters.formats import algolia, elasticsearch, ga4, matomo, shopify, solr, typesense
from prectr.data.converters.reading.values import value_at


def said(tool: Any, found: dict[str, Any], **arguments: Any) -> list[Happening]:
    return list(tool.TOOL.happenings(found, EventArguments(**arguments)))


def ids(happening: Happening) -> list[Any]:
    return [item for item, _ in happening.items]


@pytest.mark.parametrize(
    ("tool", "found", "place"),
    [
        (
            elasticsearch,
            {
                "event": {"action": "search"},
                "search": {"query": "q", "page": {"current": 3, "size": 10}, "results": {}},
            },
            20,
        ),
        (algolia, {"query": "q", "queryID": "a", "page": 2, "hitsPerPage": 20, "hits": []}, 40),
        (typesense, {"request_params": {"q": "q", "per_page": 5}, "page": 2, "hits": []}, 5),
        (typesense, {"request_params": {"q": "q"}, "page": "2", "hits": []}, 0),
    ],
)
def test_later_pages_begin_further_down(tool: Any, found: dict[str, Any], place: int) -> None:
    [search] = said(tool, found)
    assert (search.action, search.query, search.place) == (SEARCH, "q", place)


def test_typesense_searches_and_both_shapes_of_its_events() -> None:
    hits = [{"document": {"id": "1", "name": "red shoe"}}, {"document": "broken"}, {"highlights": []}]
    [search] = said(typesense, {"request_params": {"q": "shoe"}, "hits": hits, "user_id": "u", "timestamp": 5})
    assert search.items == [("1", {"id": "1", "name": "red shoe"})]
    [sent] = said(typesense, {"type": "click", "name": "n", "data": {"q": "shoe", "doc_id": "1", "user_id": "u"}})
    listed = {"event_type": "conversion", "doc_ids": ["1", "2"], "query": "shoe", "user_id": "u", "timestamp": 7}
    [got] = said(typesense, {"events": [listed, "broken"]})
    assert (sent.action, sent.query, ids(sent)) == ("click", "shoe", ["1"])
    assert (got.action, got.query, ids(got), got.timestamp) == ("conversion", "shoe", ["1", "2"], 7)
    assert said(typesense, {"event_type": "search", "data": {"q": "shoe"}}) == []


def test_lists_of_ga4_are_those_named_in_their_order() -> None:
    items = [{"item_id": "2", "item_list_index": "1"}, {"item_id": "1", "item_list_index": "0"}]
    event = {"event_name": "view_item_list", "items": items, "event_timestamp": 1}
    named = {**event, "event_params": [{"key": "item_list_id", "value": {"string_value": "results"}}]}
    [every], [one] = said(ga4, event), said(ga4, named, lists=["results"])
    assert ids(every) == ids(one) == ["1", "2"] and every.query is None
    assert said(ga4, event, lists=["results"]) == [] and said(ga4, named, lists=["others"]) == []
    assert said(ga4, {"event_name": "view_item_list", "items": None}) == []


def test_a_product_of_shopify_is_one_whatever_its_variants() -> None:
    def variant(product: Any, number: int) -> dict[str, Any]:
        return {"id": number, "title": "Default", "product": {"id": product, "title": f"title {product}"}}

    found = {"productVariants": [variant("7", 1), variant("7", 2), {"product": None}, variant("8", 3)], "query": "q"}
    [search] = said(shopify, {"name": "search_submitted", "data": {"searchResult": found}})
    assert ids(search) == ["7", "8"] and search.items[0][1]["title"] == "title 7"
    cart = {"data": {"cartLine": {"merchandise": variant("8", 3)}}}
    assert ids(said(shopify, {"name": "product_added_to_cart", **cart})[0]) == ["8"]


def test_what_else_a_visit_holds_is_passed_over() -> None:
    actions = ["broken", {"type": "outlink"}, {"type": "search", "siteSearchKeyword": "q", "timestamp": 3}]
    assert [each.query for each in said(matomo, {"actionDetails": actions})] == ["q"]
    assert said(matomo, {"actionDetails": None}) == []


def test_a_request_of_solr_is_read_from_either_layout_and_once() -> None:
    line = "{} INFO (qtp1) [c:p] o.a.s.c.S.Request [p] webapp=/solr path=/select params={{{}}} hits=3 status=0"
    log = "\n".join(
        [
            line.format("2024-05-16 12:34:56.789", "q=red%20shoe&qid=7&start=0"),
            line.format("2024-05-16T12:35:56.789Z", "q=red+shoe&qid=7&start=10"),
            line.format("2024-05-16 12:36:00.000", "q=*:*&qid=8"),
            "java.lang.Exception: path=/select",
        ]
    )
    found = [each for _, each in solr.parse(Path("solr.log"), io.StringIO(log))]
    assert [each["time"] for each in found] == ["2024-05-16 12:34:56", "2024-05-16T12:35:56Z", "2024-05-16 12:36:00"]
    searches = [each for one in found for each in said(solr, one, search_id="qid")]
    assert [(each.query, each.page, each.timestamp) for each in searches] == [("red shoe", "7", "2024-05-16 12:34:56")]


def test_a_path_goes_into_lists_by_number_and_into_pairs_by_key() -> None:
    pairs = [{"key": "a", "value": {"string_value": None, "int_value": 3}}, {"key": "b", "value": "plain"}, "broken"]
    found = {"items": [{"id": "1"}], "params": pairs}
    assert [value_at(found, path) for path in ("items.0.id", "items.1.id", "items.x")] == ["1", None, None]
    assert [value_at(found, path) for path in ("params.a", "params.b", "params.c")] == [3, "plain", None]
