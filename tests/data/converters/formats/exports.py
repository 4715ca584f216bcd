"""The pages of `sources.pages` as ten tools export them, each with the command that reads it.

Every writer gives the command; the files lie in the folder it was given. A price is 2.5 times the item's number.
"""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tests.data.converters.sources import items, judgements, pages, write_csv, write_lines

SECONDS_TO_CLICK = 40


def price_of(item: str) -> float:
    return 2.5 * int(item)


def iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def clicked(page: dict[str, Any]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Rank from 1 and result of every click."""
    yield from ((rank, page["results"][rank - 1]) for rank in page["clicks"])


def write_catalogue(folder: Path) -> Path:
    rows = [
        {"sku": item["id"], "name": item["title"], "kind": item["kind"], "price": price_of(item["id"])}
        for item in items()
    ]
    return write_csv(folder / "products.csv", rows)


CATALOGUE = "--items_id sku --item name --category kind --item_numeric price"


def elasticsearch(folder: Path) -> str:
    """Hits of a search of the data stream `behavioral_analytics-events-shop`; clicks name the words and no search."""
    events: list[dict[str, Any]] = []
    for page in pages():
        who = {"session": {"id": "s" + page["user"]}, "user": {"id": page["user"]}, "labels": {"device": "mobile"}}
        found = [{"document": {"id": result["id"], "index": "products"}} for result in page["results"]]
        search = {"query": page["query"], "results": {"items": found, "total_results": 5}}
        search |= {"page": {"current": 1, "size": 5}, "search_application": "shop"}
        events.append({"@timestamp": iso(page["timestamp"]), "event": {"action": "search"}, **who, "search": search})
        for _, result in clicked(page):
            click = {
                "@timestamp": iso(page["timestamp"] + SECONDS_TO_CLICK),
                "event": {"action": "search_click"},
                **who,
            }
            events.append({**click, "search": {"query": page["query"]}, "document": {"id": result["id"]}})
    events.append({"@timestamp": iso(pages()[0]["timestamp"]), "event": {"action": "page_view"}, "page": {"url": "/"}})
    write_lines(folder / "events.ndjson", [{"_index": "events", "_source": event} for event in events])
    return (
        f"elasticsearch {folder / 'events.ndjson'} --items {write_catalogue(folder)} {CATALOGUE} "
        "--context_categorical labels.device"
    )


def opensearch(folder: Path) -> str:
    """The indices `ubi_queries` and `ubi_events`."""
    queries, events = [], []
    for number, page in enumerate(pages()):
        who = {"client_id": page["user"], "application": "shop", "query_id": f"q{number}"}
        hits = [result["id"] for result in page["results"]]
        query = {"user_query": page["query"], "query_response_hit_ids": hits, "query_attributes": {"device": "mobile"}}
        queries.append({**who, **query, "timestamp": iso(page["timestamp"])})
        for rank, result in clicked(page):
            about = {"object": {"object_id": result["id"], "object_id_field": "sku"}, "position": {"ordinal": rank}}
            event = {"action_name": "click", "timestamp": iso(page["timestamp"] + 40), "event_attributes": about}
            events.append({**who, **event})
    write_lines(folder / "queries.ndjson", queries)
    write_lines(folder / "events.ndjson", events)
    return (
        f"ubi {folder / 'queries.ndjson'} {folder / 'events.ndjson'} --items {write_catalogue(folder)} {CATALOGUE} "
        "--context_categorical query_attributes.device"
    )


def algolia(folder: Path) -> str:
    """Search responses with user and time, and Insights events, whose ids are lists and times milliseconds."""
    searches, events = [], []
    for number, page in enumerate(pages()):
        hits = [
            {"objectID": each["id"], "name": each["text"], "kind": each["category"], "price": price_of(each["id"])}
            for each in page["results"]
        ]
        answer = {"query": page["query"], "queryID": f"{number:032x}", "page": 0, "hitsPerPage": 20, "hits": hits}
        searches.append(
            {**answer, "userToken": page["user"], "timestamp": page["timestamp"] * 1000, "device": "mobile"}
        )
        for rank, result in clicked(page):
            event = {"eventType": "click", "eventName": "Product Clicked", "index": "products", "positions": [rank]}
            event |= {"queryID": f"{number:032x}", "objectIDs": [result["id"]], "userToken": page["user"]}
            events.append({**event, "timestamp": page["timestamp"] * 1000 + 40_000})
    bought = {"eventType": "conversion", "eventSubtype": "purchase", "eventName": "Bought", "userToken": "u1"}
    events.append({**bought, "objectIDs": ["003", "004"], "timestamp": pages()[9]["timestamp"] * 1000})
    write_lines(folder / "searches.jsonl", searches)
    write_lines(folder / "insights.jsonl", [{"events": events[:3]}, *events[3:]])
    return (
        f"algolia {folder / 'searches.jsonl'} {folder / 'insights.jsonl'} --category kind --item_numeric price "
        "--context_categorical device"
    )


def typesense(folder: Path) -> str:
    """Analytics events alone: a log of clicks."""
    events = [
        {
            "name": "product_clicks",
            "event_type": "click",
            "data": {"q": page["query"], "doc_id": result["id"], "user_id": page["user"]},
            "timestamp": page["timestamp"],
        }
        for page in pages()
        for _, result in clicked(page)
    ]
    write_lines(folder / "events.jsonl", events)
    return f"typesense {folder / 'events.jsonl'} --items {write_catalogue(folder)} {CATALOGUE}"


def parameters(**values: Any) -> list[dict[str, Any]]:
    """As BigQuery writes them: one of four values is there."""
    kinds = ("string_value", "int_value", "float_value", "double_value")
    return [
        {"key": key, "value": dict.fromkeys(kinds) | {"int_value" if isinstance(value, int) else "string_value": value}}
        for key, value in values.items()
    ]


def ga4_events() -> list[dict[str, Any]]:
    """A search, then the list of its results at the same address, another list, and a selection."""
    found = []
    for page in pages():
        moment = page["timestamp"] * 1_000_000
        at = f"https://shop.example/search?q={page['query']}"
        who = {"user_pseudo_id": page["user"], "user_id": None, "device": {"category": "mobile"}}
        goods = [
            {
                "item_id": each["id"],
                "item_name": each["text"],
                "item_category": each["category"],
                "price": price_of(each["id"]),
                "item_list_name": "Search results",
                "item_list_index": str(place),
            }
            for place, each in enumerate(page["results"])
        ]
        asked = parameters(search_term=page["query"], page_location=at, ga_session_id=7)
        here = parameters(page_location=at, ga_session_id=7)
        found += [
            {"event_name": "view_search_results", "event_timestamp": moment, **who, "event_params": asked, "items": []},
            {"event_name": "view_item_list", "event_timestamp": moment + 900, **who, "event_params": here}
            | {"items": goods[::-1]},
            {"event_name": "view_item_list", "event_timestamp": moment + 950, **who, "event_params": here}
            | {"items": [{**goods[0], "item_id": "019", "item_list_name": "You may also like"}]},
        ]
        for rank, _ in clicked(page):
            select = {"event_name": "select_item", "event_timestamp": moment + 40_000_000, **who, "event_params": here}
            found.append({**select, "items": [goods[rank - 1]]})
    return found


GA4_FLAGS = ("--lists", "Search results", "--item_numeric", "price", "--context_categorical", "device.category")


def ga4(folder: Path) -> str:
    events = [{**event, "event_timestamp": str(event["event_timestamp"])} for event in ga4_events()]
    return f"ga4 {write_lines(folder / 'events.json', events)}"


def ga4_parquet(folder: Path) -> str:
    pq.write_table(pa.Table.from_pylist(ga4_events()), folder / "events.parquet")
    return f"ga4 {folder / 'events.parquet'}"


def shopify(folder: Path) -> str:
    """Customer events of a pixel; a click is a product page, and products have variants."""
    events: list[dict[str, Any]] = []

    def variant(result: dict[str, Any], number: int = 1) -> dict[str, Any]:
        product = {"id": result["id"], "title": result["text"], "vendor": "Acme", "type": result["category"]}
        amount = {"amount": price_of(result["id"]), "currencyCode": "EUR"}
        return {"id": f"{result['id']}-{number}", "title": "Default Title", "price": amount, "product": product}

    for page in pages():
        who = {"clientId": page["user"], "context": {"navigator": {"language": "en"}}}
        found = [variant(each, number) for each in page["results"] for number in (1, 2)]
        asked = {"searchResult": {"query": page["query"], "productVariants": found}}
        events.append({"name": "search_submitted", "timestamp": iso(page["timestamp"]), **who, "data": asked})
        for _, result in clicked(page):
            seen = {"productVariant": variant(result, 2)}
            events.append({"name": "product_viewed", "timestamp": iso(page["timestamp"] + 40), **who, "data": seen})
    line = {"variant": variant({"id": "003", "text": "black shoe", "category": "shoe"})}
    bought = {"checkout": {"lineItems": [line]}}
    events.append(
        {"name": "checkout_completed", "timestamp": iso(pages()[9]["timestamp"]), "clientId": "u1", "data": bought}
    )
    write_lines(folder / "events.jsonl", events)
    return (
        f"shopify {folder / 'events.jsonl'} --item_numeric price.amount --item_categorical vendor "
        "--context_categorical context.navigator.language"
    )


def quepid(folder: Path) -> str:
    """Ratings as Quepid's basic export: query, docid, rating."""
    rows = [{"query": row["query"], "docid": row["id"], "rating": row["rating"]} for row in judgements()]
    write_csv(folder / "ratings.csv", rows)
    return (
        f"table {folder / 'ratings.csv'} --query query --item_id docid --level rating "
        f"--items {write_catalogue(folder)} {CATALOGUE}"
    )


def matomo(folder: Path) -> str:
    """Visits, a JSON array: each a search and a product view, one an order."""
    visits: list[dict[str, Any]] = []
    for page in pages():
        search = {"type": "search", "siteSearchKeyword": page["query"], "timestamp": page["timestamp"]}
        views = [
            {
                "type": "action",
                "url": f"https://shop.example/{each['id']}",
                "productViewSku": each["id"],
                "productViewName": each["text"],
                "productViewCategories": [each["category"]],
                "productViewPrice": price_of(each["id"]),
                "timestamp": page["timestamp"] + 40,
            }
            for _, each in clicked(page)
        ]
        other = {"type": "action", "url": "https://shop.example/", "timestamp": page["timestamp"] - 5}
        visits.append({"idVisit": len(visits), "visitorId": page["user"], "actionDetails": [other, search, *views]})
    order = {"type": "ecommerceOrder", "itemDetails": [{"itemSKU": "003", "quantity": 1}]}
    visits[9]["actionDetails"].append({**order, "timestamp": pages()[9]["timestamp"] + 60})
    (folder / "visits.json").write_text(json.dumps(visits))
    return f"matomo {folder / 'visits.json'} --item_numeric productViewPrice"


def solr(folder: Path) -> str:
    """The request log, and a table of clicks that name the request's id."""
    lines, clicks = [], []
    for number, page in enumerate(pages()):
        at = datetime.fromtimestamp(page["timestamp"], UTC).strftime("%Y-%m-%d %H:%M:%S.123")
        words = page["query"].replace(" ", "+")
        params = f"q={words}&fl=id,name&start=0&rows=5&qid=q{number}&uid={page['user']}&wt=json"
        head = f"{at} INFO  (qtp1-{number}) [c:products s:shard1 r:core_node2 x:products_shard1_replica_n1]"
        lines.append(
            f"{head} o.a.s.c.S.Request [products] webapp=/solr path=/select params={{{params}}} hits=5 status=0 QTime=3"
        )
        lines.append(f"{head} o.a.s.c.S.Request [products] webapp=/solr path=/update params={{commit=true}} status=0")
        clicks += [{"qid": f"q{number}", "sku": each["id"]} for _, each in clicked(page)]
    (folder / "solr.log").write_text("\n".join(lines) + "\n")
    write_csv(folder / "clicks.csv", clicks)
    return (
        f"solr {folder / 'solr.log'} --search_id qid --items {write_catalogue(folder)} {CATALOGUE} "
        f"--click_files {folder / 'clicks.csv'} --click_page qid --click_item sku"
    )


def plain(folder: Path) -> str:
    """A table as a German spreadsheet writes it: semicolons, `1,50` and `01.03.2024`."""
    rows = []
    for number, page in enumerate(pages()):
        day = datetime(2024, 1 + number // 28, 1 + number % 28, tzinfo=UTC)
        for rank, each in enumerate(page["results"], 1):
            row = {"Datum": f"{day:%d.%m.%Y}", "Kunde": page["user"], "Suche": page["query"], "Nr": each["id"]}
            price = f"{price_of(each['id']):.2f}".replace(".", ",")
            row |= {"Titel": each["text"], "Art": each["category"], "Preis": price, "Platz": rank}
            rows.append({**row, "Klick": "ja" if rank in page["clicks"] else "nein"})
    write_csv(folder / "log.csv", rows, ";", "utf-8-sig")
    return (
        f"table {folder / 'log.csv'} --query Suche --item Titel --item_id Nr --category Art --item_numeric Preis "
        "--clicked Klick --clicked_value ja --timestamp Datum --user Kunde --position Platz --decimal , "
        "--time_format %d.%m.%Y"
    )


WITH_PAGES: dict[str, tuple[Callable[[Path], str], tuple[str, ...], str, str]] = {
    "elasticsearch": (elasticsearch, (), "num_price", "ctx_cat_labels_device"),
    "opensearch": (opensearch, (), "num_price", "ctx_cat_query_attributes_device"),
    "algolia": (algolia, (), "num_price", "ctx_cat_device"),
    "ga4": (ga4, GA4_FLAGS, "num_price", "ctx_cat_device_category"),
    "ga4_parquet": (ga4_parquet, GA4_FLAGS, "num_price", "ctx_cat_device_category"),
    "shopify": (shopify, (), "num_price_amount", "ctx_cat_context_navigator_language"),
}
"""Tools that say what was shown: how to write it, more flags, and the columns of the price and of a context."""

CLICKS_ALONE: dict[str, tuple[Callable[[Path], str], str]] = {
    "typesense": (typesense, "num_price"),
    "matomo": (matomo, "num_productviewprice"),
    "solr": (solr, "num_price"),
}
"""Tools that do not."""
