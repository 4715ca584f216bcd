"""Clients of other rerankers find what they expect."""

from typing import Any

import pytest
from starlette.testclient import TestClient

from tests.rank.service.fake_live import FakeLive

TEXTS = ["dog food", "orange juice", "dog food"]


@pytest.mark.parametrize("path", ["/v1/rerank", "/v2/rerank"])
@pytest.mark.parametrize("documents", [TEXTS, [{"text": text, "title": "x"} for text in TEXTS]])
def test_cohere_and_jina(client: TestClient, path: str, documents: Any) -> None:
    body = {
        "model": "rerank-v3.5",
        "query": "orange juice",
        "documents": documents,
        "top_n": 2,
        "max_tokens_per_doc": 9,
    }
    found = client.post(path, json={**body, "return_documents": True}).json()
    assert [each["index"] for each in found["results"]] == [1, 0] and found["model"] == "rerank-v3.5"
    assert found["results"][0]["document"] == {"text": "orange juice"}
    assert 0 < found["results"][1]["relevance_score"] < found["results"][0]["relevance_score"] < 1
    assert "document" not in client.post(path, json=body).json()["results"][0]


def test_text_embeddings_inference(client: TestClient) -> None:
    body = {"query": "orange juice", "texts": TEXTS, "raw_scores": False, "truncate": True, "return_text": True}
    found = client.post("/rerank", json=body).json()
    assert [each["index"] for each in found] == [1, 0, 2] and found[0]["text"] == "orange juice"


def test_a_document_may_be_an_item_of_the_catalogue(client: TestClient, live: FakeLive) -> None:
    body = {"query": "juice", "documents": [{"id": "1", "text": "orange juice"}], "user_id": "u"}
    assert client.post("/v1/rerank", json=body).status_code == 200
    assert live.requests[0].candidates[0].item_id == "1" and live.requests[0].user_id == "u"


def test_relevance_alone_can_be_asked_for(client: TestClient) -> None:
    body = {"query": "orange juice", "documents": TEXTS, "score": "relevance"}
    assert client.post("/v1/rerank", json=body).json()["results"][0]["relevance_score"] == pytest.approx(0.9)
