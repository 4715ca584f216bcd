"""Bodies are read as Python reads them, whoever reads them."""

import json
from typing import Annotated, Any

import pytest
from fastapi import APIRouter, Body, FastAPI, Request
from starlette.responses import Response
from starlette.testclient import TestClient

from prectr.rank.service.answers import answer
from prectr.rank.service.routes.quick_json import QuickRoute

router = APIRouter(route_class=QuickRoute)


@router.post("/")
async def echo(request: Request, body: Annotated[Any, Body()]) -> Response:
    return answer({"said": repr(body)})


@pytest.mark.parametrize(
    "body",
    [
        '{"a": [1, 2.5, -0.0, 1e-7, 1e400, 123456789012345678901234567890, null, true], "b": {"ä": "\\u00e4\\n"}}',
        '{"a": 1, "a": 2}',
        '{"a": "half of a pair: \\ud800"}',
        "[NaN, Infinity, -Infinity]",
        f"{'[' * 500}{']' * 500}",
    ],
)
def test_every_body_is_read_as_by_python(body: str) -> None:
    app = FastAPI()
    app.include_router(router)
    found = TestClient(app).post("/", content=body.encode(), headers={"content-type": "application/json"})
    assert found.json() == {"said": repr(json.loads(body))}


def test_what_is_no_json_is_refused() -> None:
    app = FastAPI()
    app.include_router(router)
    found = TestClient(app).post("/", content=b"{'a': 1}", headers={"content-type": "application/json"})
    assert found.status_code == 422 and found.json()["detail"][0]["type"] == "json_invalid"


def test_numbers_come_back_as_they_were() -> None:
    numbers = [0.1, 1e-7, 1 / 3, 1e300, 5e-324, 0.30000001192092896]
    assert json.loads(answer({"numbers": numbers}).body) == {"numbers": numbers}
