"""Clicks in files of their own: each is on a showing, or is told with its row and why not."""

import json
from pathlib import Path
from typing import Any

import pytest

from prectr.data.contract import read_table
from prectr.data.converters.arguments.command import read_conversion
from prectr.shared.errors import PrectrError
from tests.data.converters.sources import convert_to, log_rows, pages, rows_of, told, write_csv, write_lines

SHOWN = "--query q --item title --item_id sku --timestamp at --user visitor --position rank"


def two_files(folder: Path, *more: dict[str, Any]) -> tuple[str, Path]:
    """What was shown, without clicks, and the clicks; gives the command, but for the flags of the clicks."""
    rows = [{**row, "qid": f"q{number // 5}"} for number, row in enumerate(log_rows())]
    clicks = [
        {"query_id": row["qid"], "sku": row["sku"], "who": row["visitor"], "when": row["at"] + 30, "words": row["q"]}
        for row in rows
        if row["click"]
    ]
    write_csv(folder / "shown.csv", [{name: row[name] for name in row if name != "click"} for row in rows])
    file = write_lines(folder / "clicks.jsonl", [*clicks, *more])
    return f"table {folder / 'shown.csv'} {SHOWN} --click_files {file} --click_item sku", file


def clicked_of(folder: Path) -> list[tuple[Any, ...]]:
    return sorted(rows_of(folder, "behaviours", "user_id", "query", "item_id", "clicked"))


EXPECTED = sorted((row["visitor"], row["q"], row["sku"], bool(row["click"])) for row in log_rows())


@pytest.mark.parametrize(
    "flags",
    ["--page qid --click_page query_id", "--click_user who --click_timestamp when --click_query words"],
)
def test_clicks_are_joined_by_page_or_by_user_and_time(tmp_path: Path, flags: str) -> None:
    command, _ = two_files(tmp_path)
    assert clicked_of(convert_to(tmp_path, f"{command} {flags}")) == EXPECTED


def test_a_log_that_is_judged_too_takes_clicks_of_other_files(tmp_path: Path) -> None:
    command, _ = two_files(tmp_path)
    folder = convert_to(tmp_path, f"{command} --page qid --click_page query_id --level rank")
    assert clicked_of(folder) == EXPECTED
    assert {row[0] for row in rows_of(folder, "pairs", "level")} - {None}


def test_every_click_that_finds_no_showing_is_told_by_row(tmp_path: Path) -> None:
    more = [
        {"query_id": "q99", "sku": "001"},
        {"query_id": "q3", "sku": "999"},
        {"query_id": "q3", "sku": None},
        {"query_id": None, "sku": "001"},
        {"query_id": "q0", "sku": pages()[0]["results"][pages()[0]["clicks"][0] - 1]["id"]},
    ]
    command, file = two_files(tmp_path, *more)
    folder = convert_to(tmp_path, f"{command} --page qid --click_page query_id")
    said = told(folder)
    assert clicked_of(folder) == EXPECTED
    assert "4 of 65 clicks are on no result of their query: left out" in said
    for row, why in (
        (61, "are of a query that is not there"),
        (62, "are of a query that did not return the item"),
        (63, "name no item"),
        (64, "name no query, and no user and time"),
    ):
        assert f"1 {why} ({file}, row {row})" in said
    assert "65 clicks: 60 on a result of their own, 1 repeated, 4 left out" in said


@pytest.mark.parametrize(("minutes", "joined"), [("30", False), ("90", True)])
def test_a_click_is_of_the_last_page_of_its_user_so_many_minutes_before(
    tmp_path: Path, minutes: str, joined: bool
) -> None:
    skipped = next(row for row in log_rows() if not row["click"])
    late = {"sku": skipped["sku"], "who": skipped["visitor"], "when": skipped["at"] + 3600}
    command, _ = two_files(tmp_path, late)
    flags = f"--click_user who --click_timestamp when --click_minutes {minutes}"
    found = clicked_of(convert_to(tmp_path, f"{command} {flags}"))
    assert ((skipped["visitor"], skipped["q"], skipped["sku"], True) in found) is joined


def test_events_of_other_kinds_count_besides(tmp_path: Path) -> None:
    rows = [{**row, "qid": f"q{number // 5}"} for number, row in enumerate(log_rows())]
    events = [
        {"qid": row["qid"], "sku": row["sku"], "what": "Click", "when": row["at"]} for row in rows if row["click"]
    ]
    events += [{"qid": None, "sku": "004", "what": "purchase", "when": rows[50]["at"]}]
    events += [{"qid": "q1", "sku": "004", "what": "hover", "when": rows[50]["at"]}]
    write_csv(tmp_path / "shown.csv", rows)
    write_lines(tmp_path / "events.jsonl", events)
    folder = convert_to(
        tmp_path,
        f"table {tmp_path / 'shown.csv'} {SHOWN} --page qid --click_files {tmp_path / 'events.jsonl'} --click_page qid "
        "--click_item sku --click_type what --click_value click --other_value purchase --click_timestamp when",
    )
    rows = read_table(folder, "behaviours").to_pylist()
    found = [(row["user_id"], row["query"], row["item_id"], row["clicked"]) for row in rows if row["query"]]
    assert sorted(found) == EXPECTED
    others = [row for row in rows if row["event_type"] != "search"]
    assert [(row["event_type"], row["item_id"], row["page_id"]) for row in others] == [("purchase", "004", None)]


def test_result_pages_take_clicks_of_other_files_attributes_and_context(tmp_path: Path) -> None:
    shown, clicks = [], []
    for number, page in enumerate(pages()):
        results = [{**each, "price": 3.5, "brand": {"name": "Acme"}} for each in page["results"]]
        shown.append({**page, "results": results, "qid": number, "device": "mobile", "clicks": []})
        clicks += [{"page": number, "skus": [page["results"][rank - 1]["id"]]} for rank in page["clicks"]]
    write_lines(tmp_path / "pages.jsonl", shown)
    write_lines(tmp_path / "clicks.jsonl", clicks)
    folder = convert_to(
        tmp_path,
        f"result_pages {tmp_path / 'pages.jsonl'} --page qid --click_files {tmp_path / 'clicks.jsonl'} "
        "--click_page page --click_item skus --item_numeric price --item_categorical brand.name "
        "--context_categorical device --context_numeric price",
    )
    found = rows_of(folder, "behaviours", "page_id", "item_id", "clicked")
    assert sorted(found) == sorted(
        (number, each["id"], rank in page["clicks"])
        for number, page in enumerate(pages())
        for rank, each in enumerate(page["results"], 1)
    )
    assert {row for row in rows_of(folder, "items", "num_price", "cat_brand_name")} == {(3.5, "Acme")}
    assert set(rows_of(folder, "impressions", "ctx_cat_device", "ctx_num_price")) == {("mobile", 3.5)}


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--click_page query_id", "--click_page: name the log's own column of the page with --page"),
        ("--page qid --click_page words", "no click is on a page of .*: compare the ids of both"),
        ("--page qid --click_page nothing", "name no query, and no user and time|no click is on a page"),
        (
            "--page qid --click_page query_id --click_type words --click_value buy",
            "words: no row says 'buy' .*; found ",
        ),
    ],
)
def test_click_files_that_do_not_fit_are_one_sentence(tmp_path: Path, flags: str, message: str) -> None:
    command, _ = two_files(tmp_path)
    with pytest.raises(PrectrError, match=message):
        convert_to(tmp_path, f"{command} {flags}")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--click_page p", "--click_page: name the files of the clicks with --click_files"),
        ("--click_files c.csv", "name the column of the page with --click_page, or else"),
        ("--click_files c.csv --click_page p --click_value click", "name it with --click_type"),
        ("--click_files c.csv --click_page p --click_type t", "say what it says of a click with --click_value"),
        (
            "--click_files c.csv --click_page p --click_type t --click_value c --other_value o",
            "events without a page need a time",
        ),
        ("--click_files c.csv --click_page p --click_minutes 0", "give 1 to 10080 minutes"),
    ],
)
def test_flags_of_clicks_that_do_not_go_together_are_one_sentence(flags: str, message: str) -> None:
    with pytest.raises(PrectrError, match=message):
        read_conversion(["table", "log.csv", "--name", "mine", *SHOWN.split(), *flags.split()])


# ---------------------------------------------------------------- what a showing lacks, or has of its own


def test_pages_without_a_query_are_those_of_their_category(tmp_path: Path) -> None:
    rows = [{**row, "q": row["q"] if number // 5 % 2 else ""} for number, row in enumerate(log_rows())]
    source = write_csv(tmp_path / "log.csv", rows)
    flags = f"{SHOWN} --clicked click --query_category kind"
    with pytest.raises(PrectrError, match="its page has several categories"):
        convert_to(tmp_path, f"table {source} {flags}")
    rows = [{**row, "kind": "garden"} for row in rows]
    folder = convert_to(tmp_path, f"table {write_csv(tmp_path / 'log.csv', rows)} {flags}")
    assert "150 rows have no query: the category of the page stands for it" in told(folder)
    queries = [row[0] for row in rows_of(folder, "behaviours", "query")]
    assert queries.count("garden") == 150 and len(queries) == 300


@pytest.mark.parametrize(("flags", "query"), [("--no_query home", "home"), ("", "everything")])
def test_a_log_without_queries_and_categories_has_one_query(tmp_path: Path, flags: str, query: str) -> None:
    source = write_csv(tmp_path / "log.csv", log_rows())
    shown = SHOWN.replace("--query q ", "")
    folder = convert_to(tmp_path, f"table {source} {shown} --clicked click {flags}")
    assert {row[0] for row in rows_of(folder, "impressions", "query")} == {query}


def test_judged_pairs_need_a_query() -> None:
    with pytest.raises(PrectrError, match="--query: name the column of what was searched for"):
        read_conversion(["table", "r.csv", "--name", "mine", "--item", "title", "--level", "rating"])


def test_a_text_of_a_showing_makes_an_item_of_its_own(tmp_path: Path) -> None:
    rows = [{**row, "snippet": f"about {row['q']}" if row["rank"] < 5 else ""} for row in log_rows()]
    source = write_csv(tmp_path / "log.csv", rows)
    flags = f"{SHOWN} --clicked click --snippet snippet --category kind --item_numeric price"
    folder = convert_to(tmp_path, f"table {source} {flags}")
    texts = {row[0]: row[1:] for row in rows_of(folder, "items", "item_id", "text", "cat_item", "category")}
    shown = rows_of(folder, "behaviours", "query", "item_id", "clicked")
    assert len(shown) == len(rows)
    titles = {row["sku"]: (row["title"], row["kind"]) for row in rows}
    for query, item, _ in shown:
        whole = item.partition("#")[0]
        title, kind = titles[whole]
        assert texts[item] == (f"{title} about {query}" if "#" in item else title, whole, kind)
    assert sum("#" in item for _, item, _ in shown) == 240 and sum(row[2] for row in shown) == 60


def test_nested_parameters_are_addressed_in_any_json(tmp_path: Path) -> None:
    rows = [
        {
            "event_params": [{"key": "term", "value": {"string_value": row["q"], "int_value": None}}],
            "items": [{"id": row["sku"], "name": row["title"]}],
            "at": row["at"],
            "click": row["click"],
        }
        for row in log_rows()
    ]
    source = write_lines(tmp_path / "log.jsonl", rows)
    flags = "--query event_params.term --item items.0.name --item_id items.0.id --timestamp at --clicked click"
    folder = convert_to(tmp_path, f"table {source} {flags}")
    found = rows_of(folder, "behaviours", "query", "item_id", "clicked")
    assert sorted(found) == sorted((row["q"], row["sku"], bool(row["click"])) for row in log_rows())
    assert json.loads((folder / "summary.json").read_text())["conversion"]["names"]["query"] == ["event_params.term"]
