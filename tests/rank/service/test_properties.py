"""Bodies made of the description's own field names and of any JSON: an answer or a sentence, never a 500."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from prectr.rank.service import bodies
from tests.rank.service.conftest import ADMIN

ROUTES = {
    "/v1/rank": bodies.RankBody,
    "/v1/search": bodies.SearchBody,
    "/v1/explain": bodies.ExplainBody,
    "/v1/events": bodies.EventsBody,
    "/v1/rerank": bodies.RerankBody,
    "/v1/items": bodies.ItemsBody,
}
TEXTS = st.one_of(st.sampled_from(["1", "juice", "click", "2017-01-01", "", " ", "<b>", "\0", "\ud800"]), st.text())
NUMBERS = st.one_of(st.integers(), st.floats(), st.sampled_from([0, 1, -1, 2**53, 2**64, 1e39, 0.5]))
SCALARS = st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS)
ANY = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3))


def of_schema(schema: dict[str, Any], names: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Values that a JSON schema allows, mostly: limits are left to chance."""
    if "$ref" in schema:
        return of_schema(names[schema["$ref"].rpartition("/")[2]], names)
    if "anyOf" in schema:
        return st.one_of(*(of_schema(each, names) for each in schema["anyOf"]))
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    kind = schema.get("type")
    if kind == "array":
        return st.lists(of_schema(schema["items"], names), max_size=3)
    if kind == "object" and "properties" in schema:
        fields = {name: of_schema(each, names) | ANY for name, each in schema["properties"].items()}
        must = {name: fields.pop(name) for name in schema.get("required", [])}
        return st.fixed_dictionaries(must, optional=fields)
    if kind == "object":
        prefixes = st.sampled_from(["cat_a", "num_a", "ctx_num_price", "category", "x"])
        return st.dictionaries(prefixes, SCALARS, max_size=3)
    return {"string": TEXTS, "integer": NUMBERS, "number": NUMBERS, "boolean": st.booleans()}.get(str(kind), st.none())


@pytest.mark.parametrize("path", ROUTES)
@given(data=st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_body_breaks_it(client: TestClient, path: str, data: st.DataObject) -> None:
    schema = ROUTES[path].model_json_schema()
    body = data.draw(of_schema(schema, schema.get("$defs", {})) | ANY)
    method = "PUT" if path == "/v1/items" else "POST"
    headers = {"content-type": "application/json", **ADMIN}
    answer = client.request(method, path, content=json.dumps(body), headers=headers)
    assert answer.status_code < 500, (body, answer.text)
    assert answer.status_code == 200 or answer.json()["error"].endswith(".")
