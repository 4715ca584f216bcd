"""Reranking as others do it, so that what people already have can call it: Cohere's and Jina's `/v1/rerank` and
`/v2/rerank`, text-embeddings-inference's `/rerank`.

Their documents have no past here unless they carry an `id` of the catalogue; the shopper is somebody new unless
`user_id` says whose past counts.
"""

import secrets
from typing import Any

import numpy as np
from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from prectr.rank.service.answers import REFUSALS, answer, expected_level, require_finite
from prectr.rank.service.bodies import CandidateBody, RerankBody, Shopper
from prectr.rank.service.checking import candidates_of, check_texts, request_of
from prectr.rank.service.errors import RefusedError
from prectr.rank.service.keys import require_reader
from prectr.rank.service.routes.quick_json import QuickRoute
from prectr.rank.service.routes.ranking import new_page_id
from prectr.rank.service.state import Service

router = APIRouter(
    route_class=QuickRoute, dependencies=[Depends(require_reader)], responses=REFUSALS, tags=["reranking"]
)


@router.post("/v1/rerank")
@router.post("/v2/rerank")
async def rerank(body: RerankBody, request: Request) -> Response:
    """Cohere's and Jina's answer: results with index and relevance_score, best first."""
    service: Service = request.app.state.service
    texts, scores, order = await _scored(service, body)
    return answer(
        {
            "id": secrets.token_hex(16),
            "object": "list",
            "model": body.model or "prectr",
            "results": [
                {
                    "index": place,
                    "relevance_score": float(scores[place]),
                    **({"document": {"text": texts[place]}} if body.return_documents else {}),
                }
                for place in order
            ],
            "usage": {"total_tokens": 0},
            "meta": {"api_version": {"version": "1"}},
        }
    )


@router.post("/rerank")
async def rerank_texts(body: RerankBody, request: Request) -> Response:
    """text-embeddings-inference's answer: a list of index and score, best first."""
    service: Service = request.app.state.service
    texts, scores, order = await _scored(service, body)
    rows: list[dict[str, Any]] = [
        {"index": place, "score": float(scores[place]), **({"text": texts[place]} if body.return_text else {})}
        for place in order
    ]
    return answer(rows)


async def _scored(service: Service, body: RerankBody) -> tuple[list[str], np.ndarray, list[int]]:
    """Texts and scores [n] as they were sent, and the places of the best `top_n`."""
    check_texts(body, service.settings)
    candidates = [
        CandidateBody(text=each) if isinstance(each, str) else CandidateBody(text=each.text, item_id=each.id)
        for each in _documents(body)
    ]
    wanted = request_of(service, body.query, candidates_of(service, candidates), Shopper(user_id=body.user_id))
    ranked = (await service.rank(wanted, new_page_id())).ranked
    require_finite(ranked.p_click, ranked.level_prob)
    scores = ranked.p_click if body.score == "click" else expected_level(ranked.level_prob)
    order = np.argsort(-scores, kind="stable")[: body.top_n].tolist()
    return [candidate.text or "" for candidate in candidates], scores, order


def _documents(body: RerankBody) -> list[Any]:
    if (body.documents is None) == (body.texts is None):
        raise RefusedError(422, "send the texts to be ranked as documents (Cohere, Jina) or as texts, one of them.")
    documents = list[Any](body.documents or body.texts or [])
    for number, each in enumerate(documents):
        if each == "":
            raise RefusedError(422, f"documents.{number} is empty: send its text.")
    return documents
