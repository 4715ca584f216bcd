"""The category of a query is what was clicked under it before, and nothing of the future."""

from pathlib import Path
from typing import Any

from tests.data.converters.sources import START, convert_to, rows_of, told, write_csv

FLAGS = "--query q --item title --item_id id --category kind --clicked clicked --timestamp at --page page"
ITEMS = {"a": "shoe", "b": "scarf", "c": "shoe"}


def log(clicks: str, *, skipped: bool = True) -> list[dict[str, Any]]:
    """A page a minute, all of one query, that shows a, b and c; `clicks` has the item clicked on each."""
    rows = []
    for page, clicked in enumerate(clicks):
        for item, kind in ITEMS.items():
            if skipped or item == clicked:
                row = {"q": "red thing", "title": f"red {item}", "id": item, "kind": kind, "page": page}
                rows.append({**row, "clicked": int(item == clicked), "at": START + 60 * page})
    return rows


def categories(tmp_path: Path, rows: list[dict[str, Any]], *flags: str) -> list[str | None]:
    """Of each page, in order of time."""
    shares = "--history_share 0 --new_users_share 0"
    folder = convert_to(tmp_path, f"table {write_csv(tmp_path / 'log.csv', rows)} {FLAGS} {shares} {' '.join(flags)}")
    found = dict(rows_of(folder, "impressions", "page_id", "query_category"))
    return [found[page] for page in sorted(found)]


def test_it_is_what_was_clicked_most_before(tmp_path: Path) -> None:
    # Of page 0 what it shows most; then shoe, until scarf has been clicked more often than shoe.
    found = categories(tmp_path, log("abbbbbbbba"))
    assert found == ["shoe", "shoe", "shoe", *["scarf"] * 7]


def test_clicks_of_the_judged_pages_do_not_count(tmp_path: Path) -> None:
    early, late = "abbb" + "ab" * 8, "aaaaa"
    assert categories(tmp_path, log(early + late), "--test_share", "0.2")[-1] == "scarf"


def test_a_later_click_changes_no_earlier_page(tmp_path: Path) -> None:
    found = []
    for name, clicks in (("x", "ab" * 10), ("y", "ab" * 5 + "b" * 10)):
        (tmp_path / name).mkdir()
        found.append(categories(tmp_path / name, log(clicks)))
    one, other = found
    assert one[:11] == other[:11] and one != other


def test_a_category_that_is_named_stays(tmp_path: Path) -> None:
    rows = [row | {"of": "things"} for row in log("ab" * 10)]
    assert set(categories(tmp_path, rows, "--query_category", "of")) == {"things"}


def test_sampled_skips_name_no_category(tmp_path: Path) -> None:
    rows = log("ac" * 10, skipped=False)
    flags = FLAGS.replace("--clicked clicked ", "") + " --history_share 0 --new_users_share 0"
    folder = convert_to(tmp_path, f"table {write_csv(tmp_path / 'log.csv', rows)} {flags}")
    found = dict(rows_of(folder, "impressions", "page_id", "query_category"))
    assert found[0] is None and set(list(found.values())[1:]) == {"shoe"}
    assert any(line.startswith("no categories of queries: 19 of 20") for line in told(folder).splitlines())
