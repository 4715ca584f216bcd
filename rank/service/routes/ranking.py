"""`/v1/rank`, `/v1/search` and `/v1/explain`: pages, for one shopper at one time."""

import secrets
from dataclasses import replace
from typing import Any

import numpy as np
from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from prectr.rank.service.answers import REFUSALS, RankAnswer, SearchAnswer, answer, as_columns, expected_level
from prectr.rank.service.bodies import ExplainBody, RankBody, SearchBody
from prectr.rank.service.checking import candidates_of, check_count, check_texts, request_of
from prectr.rank.service.dials import ordered
from prectr.rank.service.interface import Candidate, Item
from prectr.rank.service.keys import require_reader
from prectr.rank.service.routes.quick_json import QuickRoute
from prectr.rank.service.state import Service
from prectr.rank.serving.traffic.served import CHAMPION

router = APIRouter(
    route_class=QuickRoute, prefix="/v1", dependencies=[Depends(require_reader)], responses=REFUSALS, tags=["ranking"]
)
PAGE_ID_BITS = 52
PAGE_SIZE = 100


@router.post("/rank", response_model=RankAnswer)
async def rank(body: RankBody, request: Request) -> Response:
    """Rank a page of candidates, from whatever search engine."""
    service: Service = request.app.state.service
    check_texts(body, service.settings)
    page_id = new_page_id() if body.page_id is None else body.page_id
    wanted = request_of(service, body.query, candidates_of(service, body.candidates), body)
    ranking = await service.rank(wanted, page_id, contested=body.level_values is None)
    levels = list(service.live.level_names)
    order = ordered(ranking.ranked, body, levels)
    found = {"page_id": page_id, "levels": levels, "ranker": ranking.ranker, **as_columns(ranking.ranked, order)}
    service.note(wanted, page_id, order.order, ranking)
    return answer(found)


@router.post("/search", response_model=SearchAnswer)
async def search(body: SearchBody, request: Request) -> Response:
    """Search the catalogue and rank what was found; for the page and small shops."""
    service: Service = request.app.state.service
    check_texts(body, service.settings)
    most = service.settings.most_candidates
    check_count("size", body.size or 1, most)
    size = body.size or min(PAGE_SIZE, most)
    page_id, levels = new_page_id(), list(service.live.level_names)
    items, bm25, clicks = await service.retrieving.run(lambda: _found(service, body.query, size))
    if not items:
        orders: dict[str, list[int]] = {"prectr": [], "relevance": [], "bm25": []}
        nothing = {"ranker": CHAMPION, "results": [], "orders": orders, "below_floor": []}
        return answer({"page_id": page_id, "levels": levels, **nothing})
    wanted = request_of(service, body.query, [_candidate(item) for item in items], body)
    wanted = replace(wanted, rivals=body.rivals)
    ranking = await service.rank(wanted, page_id, contested=body.level_values is None)
    ranked, order = ranking.ranked, ordered(ranking.ranked, body, levels)
    columns = as_columns(ranked, order)
    service.note(wanted, page_id, order.order, ranking)
    results = [
        {
            "item_id": item.item_id,
            "text": item.text,
            "category": item.category,
            "attributes": dict(item.attributes),
            **{name: columns[name][place] for name in _SCORES},
            "bm25": bm25.get(item.item_id),
            "clicked": clicks.get(item.item_id, 0),
        }
        for place, item in enumerate(items)
    ]
    orders = {
        "prectr": columns["order"],
        **{name: np.argsort(-scores, kind="stable").tolist() for name, scores in ranked.rivals.items()},
        "relevance": np.argsort(-expected_level(ranked.level_prob), kind="stable").tolist(),
        "bm25": [place for place, item in enumerate(items) if item.item_id in bm25],
    }
    found = {"results": results, "orders": orders, "below_floor": columns["below_floor"]}
    return answer({"page_id": page_id, "levels": levels, "ranker": ranking.ranker, **found})


@router.post("/explain")
async def explain(body: ExplainBody, request: Request) -> Response:
    """Say what each part of the ranker contributed to the scores of a page; takes some hundred times as long."""
    service: Service = request.app.state.service
    check_texts(body, service.settings)
    wanted = request_of(service, body.query, candidates_of(service, body.candidates), body)
    facts = await service.ranking.run(
        lambda: service.live.explain(wanted, body.top_events, body.top_features), "explain"
    )
    return answer(_without(facts, ("user_id", "page", "split")))


_SCORES = ("p_click", "level_prob", "p_click_given_level", "tau", "score")


def new_page_id() -> int:
    """One that no other page has, and that JavaScript can hold."""
    return secrets.randbits(PAGE_ID_BITS)


def _found(service: Service, query: str, size: int) -> tuple[list[Item], dict[str, float], dict[str, int]]:
    """Items that share a word with the query, best first, then those that were clicked under it; BM25 of the former,
    and clicks under the query."""
    service.live.follow()
    matches = service.catalogue.search(query, size)
    bm25 = {found.item.item_id: found.bm25 for found in matches}
    clicks = dict(service.window.clicks_under(query))
    often = [item_id for item_id in sorted(clicks, key=lambda each: (-clicks[each], each)) if item_id not in bm25]
    # Half of the page at least, so that words which no text has do not keep out what people meant by them.
    more = service.catalogue.get(often[: max(size - len(matches), size // 2)])
    items = [found.item for found in matches[: size - len(more)]]
    kept = {item.item_id for item in items}
    return [*items, *more.values()], {name: each for name, each in bm25.items() if name in kept}, clicks


def _candidate(item: Item) -> Candidate:
    """A number of the item, such as its price, is also that of its place on the page."""
    numbers = {f"ctx_{name}": value for name, value in item.attributes.items() if name.startswith("num_")}
    return Candidate(item.item_id, None, numbers)


def _without(value: Any, names: tuple[str, ...]) -> Any:
    """JSON without these fields, and without numbers that JSON has no word for."""
    if isinstance(value, dict):
        return {name: _without(inner, names) for name, inner in value.items() if name not in names}
    if isinstance(value, list | tuple):
        return [_without(inner, names) for inner in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value
