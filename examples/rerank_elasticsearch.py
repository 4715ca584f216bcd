"""Elasticsearch or OpenSearch finds 100 products, prectr orders them, and what was shown goes back as events.

    python examples/rerank_elasticsearch.py http://localhost:9200/products/_search title "2 liter soda" --user 7

The standard library alone. A hit is the item of the same id in prectr's catalogue; a product that is new goes to
`PUT /v1/items` when it goes to the index.
"""

import argparse
import json
import uuid
from typing import Any
from urllib.request import Request, urlopen


def post(address: str, body: dict[str, Any]) -> Any:
    """Send JSON, read JSON."""
    request = Request(address, json.dumps(body).encode(), {"content-type": "application/json"})
    with urlopen(request, timeout=10) as answer:
        return json.load(answer)


def search(engine: str, field: str, ranker: str, query: str, user: str | None = None, shown: int = 10) -> list[dict]:
    """The engine's hits in the ranker's order."""
    hits = post(engine, {"query": {"match": {field: query}}, "size": 100})["hits"]["hits"]
    if not hits:
        return []
    candidates = [{"item_id": hit["_id"]} for hit in hits]
    page = post(f"{ranker}/v1/rank", {"query": query, "user_id": user, "candidates": candidates})
    ranked = [hits[place] for place in page["order"]]
    tell(ranker, "impression", page["page_id"], query, user, [hit["_id"] for hit in ranked[:shown]])
    return ranked


def tell(ranker: str, kind: str, page_id: int, query: str, user: str | None, items: list[str]) -> None:
    """Events of a page: `impression` when it is shown, `click` when somebody clicks."""
    same = {"kind": kind, "page_id": page_id, "query": query, "user_id": user}
    post(
        f"{ranker}/v1/events", {"events": [{"event_id": str(uuid.uuid4()), "item_id": item, **same} for item in items]}
    )


def main(argv: list[str] | None = None) -> None:
    """Print the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("engine", help="address of an index's _search")
    parser.add_argument("field", help="field of the text that people read")
    parser.add_argument("query")
    parser.add_argument("--ranker", default="http://localhost:8000", help="where `python -m rank serve` listens")
    parser.add_argument("--user", help="whose past counts")
    given = parser.parse_args(argv)
    for place, hit in enumerate(search(given.engine, given.field, given.ranker, given.query, given.user)[:10], 1):
        print(place, hit["_id"], hit["_source"][given.field])


if __name__ == "__main__":
    main()
