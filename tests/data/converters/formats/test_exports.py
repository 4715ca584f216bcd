"""Exports of ten tools, one command each, their values cell by cell."""

import json
import re
import shlex
from datetime import UTC, datetime
from pathlib import Path

import pytest

from prectr.data.contract import levels, read_table
from prectr.data.converters.arguments.command import EVENTS, read_conversion
from tests.data.converters.formats import exports
from tests.data.converters.formats.exports import CLICKS_ALONE, WITH_PAGES, price_of
from tests.data.converters.sources import convert_to, items, judgements, pages, rows_of, told


def seconds(moment: datetime) -> int:
    return int(moment.replace(tzinfo=UTC).timestamp())


@pytest.mark.parametrize("tool", WITH_PAGES)
def test_a_tool_that_says_what_was_shown(tmp_path: Path, tool: str) -> None:
    write, flags, price, context = WITH_PAGES[tool]
    folder = convert_to(tmp_path, write(tmp_path), *flags)
    names = ("page_id", "user_id", "query", "timestamp", "item_id", "clicked")
    expected = [
        (number, page["user"], page["query"], page["timestamp"], result["id"], rank in page["clicks"])
        for number, page in enumerate(pages())
        for rank, result in enumerate(page["results"], 1)
    ]
    searches = [row for row in read_table(folder, "behaviours").to_pylist() if row["event_type"] == "search"]
    found = [tuple(seconds(row[name]) if name == "timestamp" else row[name] for name in names) for row in searches]
    assert sorted(found) == sorted(expected)
    for page, position, item, said in rows_of(folder, "impressions", "page_id", "position", "item_id", context):
        assert pages()[page]["results"][position]["id"] == item and said in ("mobile", "en")
    shown = {result["id"] for page in pages() for result in page["results"]}
    known = {row[0]: row[1:] for row in rows_of(folder, "items", "item_id", "text", "category", price)}
    assert shown <= set(known)
    for item in items():
        if item["id"] in known:
            assert known[item["id"]] == (item["title"], item["kind"], pytest.approx(price_of(item["id"])))
    clicks = sum(len(page["clicks"]) for page in pages())
    assert f"{clicks} clicks: {clicks} on a result of their own, 0 repeated, 0 left out" in told(folder)


@pytest.mark.parametrize("tool", CLICKS_ALONE)
def test_a_tool_that_knows_clicks_alone(tmp_path: Path, tool: str) -> None:
    write, price = CLICKS_ALONE[tool]
    folder = convert_to(tmp_path, write(tmp_path))
    rows = [row for row in read_table(folder, "behaviours").to_pylist() if row["event_type"] == "search"]
    found = [
        (row["user_id"], row["query"], seconds(row["timestamp"]), row["item_id"]) for row in rows if row["clicked"]
    ]
    expected = [
        (page["user"], page["query"], page["timestamp"], page["results"][rank - 1]["id"])
        for page in pages()
        for rank in page["clicks"]
    ]
    assert sorted(found) == sorted(expected) and len(rows) > len(found)
    known = {row[0]: row[1:] for row in rows_of(folder, "items", "item_id", "text", "category", price)}
    titles = {item["id"]: (item["title"], item["kind"], price_of(item["id"])) for item in items()}
    assert all(known[item] == titles[item] for item in known) and {row[3] for row in expected} <= set(known)
    assert "Skipped items are sampled" in json.loads((folder / "summary.json").read_text())["reconstructed"]


@pytest.mark.parametrize(
    ("tool", "bought"),
    [("algolia", [("purchase", "003"), ("purchase", "004")]), ("shopify", [("checkout_completed", "003")])],
)
def test_what_users_did_besides_is_an_event_without_a_page(
    tmp_path: Path, tool: str, bought: list[tuple[str, str]]
) -> None:
    write, flags, _, _ = WITH_PAGES[tool]
    rows = read_table(convert_to(tmp_path, write(tmp_path), *flags), "behaviours").to_pylist()
    others = [row for row in rows if row["event_type"] != "search"]
    assert [(row["event_type"], row["item_id"]) for row in others] == bought
    assert {(row["user_id"], row["page_id"], row["query"]) for row in others} == {("u1", None, None)}


def test_ratings_of_quepid(tmp_path: Path) -> None:
    folder = convert_to(tmp_path, exports.quepid(tmp_path))
    gold = {row[:2]: row[2] for row in rows_of(folder, "pairs", "query", "item_id", "level") if row[2] is not None}
    assert gold == {(row["query"], row["id"]): row["rating"] for row in judgements()}
    assert levels(folder) == ["rating 0", "rating 1", "rating 2"]
    assert rows_of(folder, "items", "item_id", "text", "category", "num_price")[7] == (
        "007",
        "green scarf",
        "scarf",
        17.5,
    )


def test_a_plain_table_with_commas_and_days(tmp_path: Path) -> None:
    folder = convert_to(tmp_path, exports.plain(tmp_path))
    for item, text, category, price in rows_of(folder, "items", "item_id", "text", "category", "num_preis"):
        [same] = [each for each in items() if each["id"] == item]
        assert (text, category, price) == (same["title"], same["kind"], price_of(item))
    found = sorted(rows_of(folder, "behaviours", "timestamp", "user_id", "query", "item_id", "clicked"))
    assert found[0][0] == datetime(2024, 1, 1) and found[-1][0] == datetime(2024, 3, 4)
    assert sorted(row[1:] for row in found) == sorted(
        (page["user"], page["query"], result["id"], rank in page["clicks"])
        for page in pages()
        for rank, result in enumerate(page["results"], 1)
    )


def test_the_commands_of_the_readme_are_commands() -> None:
    text = (Path(__file__).parents[4] / "data" / "README.md").read_text(encoding="utf-8")
    table = text[text.index("### Exports of ten tools") : text.index("### What a converter decides")]
    commands = re.findall(r"\| `((?!python )[a-z0-9]+ .*)` \|$", table, re.MULTILINE)
    kinds = [read_conversion([*shlex.split(command), "--name", "mine"]).kind for command in commands]
    assert len(kinds) == 10 and {*EVENTS, "table"} == set(kinds)
