"""The page in a real browser, before the real ranker of a toy run: what a person does, and what is seen of it."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from prectr.data.contract import read_table
from prectr.rank.service.app import create_app
from prectr.rank.service.retrieval import Catalogue
from prectr.rank.service.serve import seconds_ahead, window_of
from prectr.rank.service.settings import Settings
from prectr.rank.serving.live import LiveRanker
from tests.rank.service.served import served

api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
if BROWSER is None:
    pytest.skip("no Chromium on this machine", allow_module_level=True)

WAIT = 20_000  # milliseconds, until the page shows what it should


@pytest.fixture(scope="module")
def address(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    live = LiveRanker.open(home / "ranker", home / "data", tmp_path_factory.mktemp("journal") / "journal.sqlite")
    settings = Settings(ahead=seconds_ahead(home / "data", home / "none.sqlite"))
    app = create_app(live, settings, Catalogue.of_table(live.scorer.items), window_of(home / "data"))
    with served(app) as address:
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def page(browser: Any, address: str) -> Iterator[Any]:
    """A page of a visit of its own; what the console called an error fails the test."""
    context = browser.new_context()
    page, errors = context.new_page(), []
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.set_default_timeout(WAIT)
    page.goto(address)
    yield page
    context.close()
    assert not errors


@pytest.fixture
def query(home: Path) -> str:
    """The most frequent one."""
    return read_table(home / "data", "impressions", ["query"])["query"].value_counts().to_pylist()[0]["values"]


def search(page: Any, query: str) -> list[str]:
    """Ask, and read the ranker's column: texts of its cards, with their figures."""
    page.fill("#query", query)
    with page.expect_response("**/v1/events"):
        page.click("#search button")
    return cards(page)


def cards(page: Any) -> list[str]:
    page.wait_for_selector("#column-prectr .card")
    return page.locator("#column-prectr .card").all_inner_texts()


def answered(page: Any, query: str) -> dict[str, Any]:
    """Ask, and read what the service says to the page."""
    with page.expect_response("**/v1/search") as response:
        search(page, query)
    return response.value.json()


def test_a_search_shows_every_order_beside_the_others(page: Any, query: str) -> None:
    assert len(search(page, query)) > 1
    assert page.locator("#columns .column h2").all_inner_texts() == ["PRECTR", "Relevance alone", "BM25"]
    assert page.locator("#column-prectr .card").first.locator(".levels span").count() == 4
    assert "items in" in page.inner_text("#status")


def test_another_shopper_sees_other_figures(page: Any, query: str) -> None:
    before = search(page, query)
    page.wait_for_selector("#shopper option:nth-child(2)", state="attached")
    with page.expect_response("**/v1/events"):
        page.select_option("#shopper", index=1)
    assert cards(page) != before
    assert "Latest clicks of" in page.inner_text("#past-title")


def test_a_click_changes_the_next_search(page: Any, query: str) -> None:
    before = answered(page, query)
    place = page.locator("#column-prectr .card").count() - 1
    last = before["results"][before["orders"]["prectr"][place]]
    card = page.locator("#column-prectr .card").nth(place)
    for number in range(1, 4):
        with page.expect_response("**/v1/shoppers"):  # asked for once the click is taken in
            card.locator(".title").click()
        page.wait_for_selector(f"#column-prectr .chosen:has-text('clicked {last['clicked'] + number} time')")
    api.expect(page.locator("#status")).to_contain_text("Counted as a click", timeout=WAIT)
    after = answered(page, query)
    again = next(each for each in after["results"] if each["item_id"] == last["item_id"])
    assert again["clicked"] == last["clicked"] + 3 and again["p_click"] != last["p_click"]
    api.expect(page.locator("#status")).to_contain_text("changed places", timeout=WAIT)


def test_the_slider_leaves_out_what_is_too_likely_of_a_low_level(page: Any, query: str) -> None:
    search(page, query)
    with page.expect_response("**/v1/search"):
        page.locator("#floor").evaluate("e => { e.value = 1; e.dispatchEvent(new Event('input', {bubbles: true})); }")
    api.expect(page.locator("#status")).to_contain_text("left out", timeout=WAIT)
    assert page.locator("#column-prectr .card").count() == 0


def test_the_drawer_says_why(page: Any, query: str) -> None:
    search(page, query)
    page.locator("#column-prectr .card").first.get_by_text("why?").click()
    page.wait_for_selector("#drawer-body table")
    assert "P(click | level)" in page.inner_text("#drawer-body")
    page.click("#drawer-close")
    assert not page.locator("#drawer").is_visible()


def test_on_a_phone_nothing_is_wider_than_the_screen_but_the_columns(page: Any, query: str) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    search(page, query)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
