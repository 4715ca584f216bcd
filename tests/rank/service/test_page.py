"""The page needs nothing from elsewhere, and takes no text for markup."""

import re

import pytest
from starlette.testclient import TestClient

from prectr.rank.service.routes.page import FILES, FOLDER

SCRIPTS = [name for name in FILES if name.endswith(".js")]
MARKUP = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|srcdoc|setAttribute\(\"on"


@pytest.mark.parametrize("path", ["/", "/docs", *(f"/page/{name}" for name in FILES)])
def test_it_comes_from_the_package_and_lets_nothing_else_in(client: TestClient, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 200
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy and "http" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("name", FILES)
def test_it_names_no_other_address(name: str) -> None:
    text = FILES[name].decode()
    assert not re.findall(r"(?:https?:)?//[a-z][\w.-]*\.[a-z]+", text.replace("http://www.w3.org/2000/svg", ""))
    for named in re.findall(r'(?:src|href)="/page/([^"]+)"', text):
        assert named in FILES
    # What the content-security-policy would not let run.
    assert not re.search(r"<script(?![^>]*src=)|<style|\sstyle=|\son\w+=", text) or name.endswith(".js")


@pytest.mark.parametrize("name", SCRIPTS)
def test_no_script_makes_markup_of_text(name: str) -> None:
    assert not re.search(MARKUP, FILES[name].decode())


def test_every_element_that_the_script_looks_for_is_there() -> None:
    page = FILES["index.html"].decode()
    wanted = set(re.findall(r'byId\("([\w-]+)"\)', FILES["page.js"].decode()))
    assert wanted and all(f'id="{name}"' in page for name in wanted)


def test_hostile_text_is_sent_as_it_is_and_as_json(client: TestClient) -> None:
    answer = client.post("/v1/search", json={"query": "juice"})
    assert answer.headers["content-type"] == "application/json"
    assert "<img src=x onerror=alert(1)> juice" in [each["text"] for each in answer.json()["results"]]


def test_every_file_is_one_that_is_served_and_packed() -> None:
    assert {file.name for file in FOLDER.iterdir()} == set(FILES)


def test_the_description_has_every_route_that_programs_call(client: TestClient) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    assert {
        *("/v1/rank", "/v1/search", "/v1/explain", "/v1/rerank", "/v2/rerank", "/rerank", "/v1/events", "/v1/items"),
        *("/v1/users/{user_id}", "/v1/reload", "/healthz", "/readyz", "/metrics"),
    } == set(paths)
    body = paths["/v1/rank"]["post"]["requestBody"]["content"]["application/json"]["schema"]["$ref"]
    assert body.endswith("RankBody") and "422" in paths["/v1/rank"]["post"]["responses"]
