"""The picture of the search page in README: the page of `make demo` in Chromium, after a search, a click and a search.

    make demo &
    python docs/search_page.py http://127.0.0.1:8000 "orange juice"

It writes docs/search_page.png. The first of the shoppers on the list asks.
"""

import shutil
import sys
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

PICTURE = Path(__file__).with_suffix(".png")
SIZE = {"width": 1180, "height": 720}
CLICKED = 2  # place of the item that is clicked, from 0


def main(address: str, query: str) -> None:
    """Take the picture."""
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        page = started.new_page(viewport=SIZE, color_scheme="light")
        page.goto(address)
        page.wait_for_selector("#shopper option:nth-child(2)", state="attached")
        search(page, query)
        with page.expect_response("**/v1/search"):
            page.select_option("#shopper", index=1)
        with page.expect_response("**/v1/shoppers"):
            page.locator("#column-prectr .card").nth(CLICKED).locator(".title").click()
        search(page, query)
        page.locator("#query").blur()
        page.evaluate("scrollTo(0, 0)")
        page.screenshot(path=PICTURE)
        started.close()


def search(page: Page, query: str) -> None:
    page.fill("#query", query)
    with page.expect_response("**/v1/events"):
        page.click("#search button")
    page.wait_for_selector("#column-prectr .card")


if __name__ == "__main__":
    main(*sys.argv[1:])
