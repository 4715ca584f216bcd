"""Logs of result pages and of User Behavior Insights: the same pages in either layout give the same tables."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from prectr.data.contract import levels, read_table
from prectr.shared.errors import PrectrError
from tests.data.converters.sources import convert_to, items, pages, rows_of, told, write_csv, write_lines

# ---------------------------------------------------------------- result pages


def test_result_pages_become_impressions_and_behaviours(tmp_path: Path) -> None:
    folder = convert_to(tmp_path, f"result_pages {write_lines(tmp_path / 'pages.jsonl', pages())}")
    rows = rows_of(folder, "behaviours", "user_id", "query", "item_id", "clicked", "page_id")
    expected = [
        (page["user"], page["query"], result["id"], rank in page["clicks"], number)
        for number, page in enumerate(pages())
        for rank, result in enumerate(page["results"], 1)
    ]
    assert sorted(rows) == sorted(expected)
    assert ("007", "green scarf", "scarf") in rows_of(folder, "items", "item_id", "text", "category")
    positions = rows_of(folder, "impressions", "page_id", "position", "item_id")
    assert all(pages()[page]["results"][position]["id"] == item for page, position, item in positions)
    times = {split: [] for split in ("train", "validation", "test")}  # type: dict[str, list[Any]]
    for moment, split in rows_of(folder, "impressions", "timestamp", "split"):
        times.get(split, []).append(moment)
    assert max(times["train"]) < min(times["validation"]) and max(times["validation"]) < min(times["test"])
    assert {row[0] for row in rows_of(folder, "pairs", "split")} == {"unlabelled"} and len(levels(folder)) == 4
    assert json.loads((folder / "summary.json").read_text())["reconstructed"] == ""


def test_what_is_judged_in_no_page_of_the_future_is_for_the_teacher(tmp_path: Path) -> None:
    late = {**pages()[-1], "query": "late words", "timestamp": pages()[-1]["timestamp"] + 60}
    folder = convert_to(tmp_path, f"result_pages {write_lines(tmp_path / 'pages.jsonl', [*pages(), late])}")
    assert "late words" not in {row[0] for row in rows_of(folder, "pairs", "query")}
    assert "late words" in {row[0] for row in rows_of(folder, "impressions", "query")}


def test_other_keys_sessions_and_ranks_from_nought(tmp_path: Path) -> None:
    renamed = [
        {
            "session": {"id": page["user"]},
            "search": {"q": page["query"]},
            "when": page["timestamp"],
            "hits": [{"sku": result["id"], "doc": {"title": result["text"]}} for result in page["results"]],
            "picked": [rank - 1 for rank in page["clicks"]],
        }
        for page in pages()
    ]
    source = write_lines(tmp_path / "pages.jsonl", renamed)
    flags = "--user session.id --query search.q --timestamp when --results hits --result_id sku --result_text doc.title"
    folder = convert_to(tmp_path, f"result_pages {source} {flags} --clicks picked --first_rank 0")
    plain = convert_to(tmp_path / "plain", f"result_pages {write_lines(tmp_path / 'plain.jsonl', pages())}")
    names = ("user_id", "query", "item_id", "clicked", "timestamp")
    assert rows_of(folder, "behaviours", *names) == rows_of(plain, "behaviours", *names)


def test_pages_may_be_one_json_array(tmp_path: Path) -> None:
    (tmp_path / "pages.json").write_text(json.dumps(pages()))
    folder = convert_to(tmp_path, f"result_pages {tmp_path / 'pages.json'}")
    assert len(rows_of(folder, "behaviours", "query")) == 300


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"results": None}, "results, line 1: write a list of objects"),
        ({"results": ["007"]}, "results, line 1: write a list of objects"),
        ({"clicks": [6]}, "clicks, line 1: found rank 6 on a page of 5: write ranks from 1 to 5"),
        ({"clicks": [0]}, "found rank 0 on a page of 5: write ranks from 1 to 5, or say --first_rank 0"),
        ({"clicks": ["1"]}, "found rank '1'"),
        ({"clicks": []}, "clicked: no row is clicked"),
        ({"timestamp": [1]}, "timestamp, row 1: found a list"),
        ({"query": ""}, "no row has both a query and an item with a text"),
        ({"results": [], "clicks": []}, "it holds no rows"),
    ],
)
def test_pages_that_make_no_sense_are_one_sentence(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    source = write_lines(tmp_path / "pages.jsonl", [{**page, **change} for page in pages(20)])
    with pytest.raises(PrectrError) as error:
        convert_to(tmp_path, f"result_pages {source}")
    assert message in str(error.value)


# ---------------------------------------------------------------- User Behavior Insights


def write_ubi(folder: Path, *events: dict[str, Any], wrapped: bool = False, count: int = 60) -> str:
    """The pages as UBI 1.3 logs them, and more events; gives the command."""
    queries, clicks = [], list(events)
    for number, page in enumerate(pages(count)):
        queries.append(
            {
                "application": "shop",
                "query_id": f"q{number}",
                "client_id": page["user"],
                "user_query": page["query"],
                "timestamp": f"{1_700_000_000_000 + 3_600_000 * number}",
                "query_response_id": f"r{number}",
                "query_response_hit_ids": [result["id"] for result in page["results"]],
                "query_attributes": {"filters": []},
            }
        )
        clicks += [event("click", number, page["results"][rank - 1]["id"], rank) for rank in page["clicks"]]
    if wrapped:
        queries = [line for query in queries for line in ({"index": {"_id": query["query_id"]}}, {"_source": query})]
    write_lines(folder / "queries.ndjson", queries)
    write_lines(folder / "events.ndjson", clicks)
    write_csv(folder / "products.csv", items())
    return (
        f"ubi {folder / 'queries.ndjson'} {folder / 'events.ndjson'} --items {folder / 'products.csv'} --items_id id "
        "--item title --category kind"
    )


def event(action: str, page: int, item: str, rank: int = 1) -> dict[str, Any]:
    return {
        "application": "shop",
        "action_name": action,
        "query_id": f"q{page}",
        "client_id": f"u{page % 6}",
        "timestamp": f"{1_700_000_000_000 + 3_600_000 * page + 5_000}",
        "message_type": "INFO",
        "event_attributes": {"object": {"object_id": item, "object_id_field": "sku"}, "position": {"ordinal": rank}},
    }


@pytest.mark.parametrize("wrapped", [False, True])
def test_ubi_gives_the_tables_of_its_pages(tmp_path: Path, wrapped: bool) -> None:
    folder = convert_to(tmp_path, write_ubi(tmp_path, wrapped=wrapped))
    plain = convert_to(tmp_path / "plain", f"result_pages {write_lines(tmp_path / 'pages.jsonl', pages())}")
    for table, names in {
        "impressions": ("user_id", "query", "item_id", "position", "clicked", "timestamp", "split"),
        "behaviours": ("user_id", "query", "item_id", "clicked", "timestamp", "page_id", "event_type"),
        "items": ("item_id", "text", "category"),
    }.items():
        found, expected = rows_of(folder, table, *names), rows_of(plain, table, *names)
        assert set(expected) <= set(found) if table == "items" else found == expected
    assert "times are milliseconds since 1970" in told(folder)


def test_other_actions_are_events_without_a_page(tmp_path: Path) -> None:
    command = write_ubi(
        tmp_path, event("add_to_cart", 3, "001"), event("page_exit", 3, "001"), event("click", 99, "001")
    )
    folder = convert_to(tmp_path, command)
    others = [row for row in read_table(folder, "behaviours").to_pylist() if row["event_type"] != "search"]
    assert [(row["event_type"], row["item_id"], row["user_id"], row["page_id"], row["query"]) for row in others] == [
        ("add_to_cart", "001", "u3", None, None)
    ]
    assert "1 of 61 clicks are on no result of their query" in told(folder)


def test_impression_events_say_what_was_seen_of_a_query(tmp_path: Path) -> None:
    clicked = pages()[30]["results"][pages()[30]["clicks"][0] - 1]["id"]
    folder = convert_to(tmp_path, write_ubi(tmp_path, event("impression", 30, clicked)))
    rows = [row for row in rows_of(folder, "behaviours", "page_id", "item_id", "clicked") if row[0] in (30, 31)]
    assert [row for row in rows if row[0] == 30] == [(30, clicked, True)] and len(rows) == 6


def test_ubi_that_makes_no_sense_is_one_sentence(tmp_path: Path) -> None:
    command = write_ubi(tmp_path)
    queries, events = command.split()[1:3]
    with pytest.raises(PrectrError, match="no event is 'tap' .* found 'click', 'search': name .* --click_actions"):
        convert_to(tmp_path, f"{command} --click_actions tap")
    with pytest.raises(PrectrError, match="no event is 'click', .* found 'search': name the clicks"):
        convert_to(tmp_path, command.replace(events, ""))
    with pytest.raises(PrectrError, match="--items: this log holds no texts of items"):
        convert_to(tmp_path, f"ubi {queries} {events}")
    neither = write_lines(tmp_path / "neither.ndjson", [{"query_id": "q1"}])
    with pytest.raises(PrectrError, match="user_query, row 1: it is no query, with user_query, and no event"):
        convert_to(tmp_path, command.replace(events, str(neither)))
    with pytest.raises(PrectrError, match="column 'ean' is missing; found id, title, kind"):
        convert_to(tmp_path, command.replace("--items_id id", "--items_id ean"))
    lines = Path(queries).read_text().splitlines()
    Path(queries).write_text("\n".join(json.dumps({**json.loads(line), "query_response_hit_ids": 7}) for line in lines))
    with pytest.raises(PrectrError, match="query_response_hit_ids, row 1: found 7: it must be a list of ids"):
        convert_to(tmp_path, command)


@pytest.mark.parametrize(
    "hits", ["001,002", '["001", "002"]', " [001]", ["001", ["002"]], [{"id": "001"}], {"001": 1}, True, 1.5]
)
def test_a_list_of_results_that_is_none_is_refused(tmp_path: Path, hits: Any) -> None:
    command = write_ubi(tmp_path)
    queries = Path(command.split()[1])
    found = [json.loads(line) for line in queries.read_text().splitlines()]
    write_lines(queries, [*found[:3], {**found[3], "query_response_hit_ids": hits}, *found[4:]])
    with pytest.raises(PrectrError, match=r"query_response_hit_ids, row 4: found .*: it must be a list of ids"):
        convert_to(tmp_path, command)


def test_a_single_result_may_be_a_text(tmp_path: Path) -> None:
    command = write_ubi(tmp_path)
    queries = Path(command.split()[1])
    found = [json.loads(line) for line in queries.read_text().splitlines()]
    first = found[3]["query_response_hit_ids"][0]
    write_lines(queries, [*found[:3], {**found[3], "query_response_hit_ids": first}, *found[4:]])
    rows = rows_of(convert_to(tmp_path, command), "behaviours", "page_id", "item_id")
    assert [item for page, item in rows if page == 3] == [first]


def test_searches_under_one_id_are_told_with_their_file_and_row(tmp_path: Path) -> None:
    command = write_ubi(tmp_path)
    queries = Path(command.split()[1])
    found = [json.loads(line) for line in queries.read_text().splitlines()]
    again = {**found[5], "query_id": found[4]["query_id"], "user_query": "another query"}
    write_lines(queries, [*found[:5], again, *found[6:]])
    told_of = (
        rf"^{re.escape(str(queries))}: page, row 5: its page has several \w+, such as .*: give each search an id of"
    )
    with pytest.raises(PrectrError, match=told_of):
        convert_to(tmp_path, command)


def test_queries_and_events_may_come_in_any_order(tmp_path: Path) -> None:
    command = write_ubi(tmp_path)
    queries, events = command.split()[1:3]
    names = ("user_id", "query", "item_id", "position", "clicked", "timestamp", "split")
    folder = convert_to(tmp_path, command)
    turned = convert_to(tmp_path / "turned", command.replace(f"{queries} {events}", f"{events} {queries}"))
    assert rows_of(folder, "impressions", *names) == rows_of(turned, "impressions", *names)


def test_queries_without_their_results_leave_a_log_of_clicks(tmp_path: Path) -> None:
    command = write_ubi(tmp_path)
    queries = Path(command.split()[1])
    found = [json.loads(line) for line in queries.read_text().splitlines()]
    write_lines(queries, [{**each, "query_response_hit_ids": []} for each in found])
    folder = convert_to(tmp_path, command)
    clicks = [row[:2] for row in rows_of(folder, "behaviours", "query", "item_id", "clicked") if row[2]]
    expected = [(page["query"], page["results"][page["clicks"][0] - 1]["id"]) for page in pages()]
    assert sorted(clicks) == sorted(expected)
    assert "no search names its results: a log of clicks alone, 60 of 60 with their search" in told(folder)


HITS = ("query_response_hit_ids", "query_response_hits_ids", "query_response_object_ids", "query_response_objects_ids")
CLICKED: dict[str, Callable[[str], dict[str, Any]]] = {
    "object": lambda item: {"object": {"object_id": item}},
    "data": lambda item: {"data": {"data_id": item}},
    "null object beside data": lambda item: {"object": {"object_id": None}, "data": {"data_id": item}},
}


@pytest.mark.parametrize("clicked", CLICKED)
@pytest.mark.parametrize("key", HITS)
def test_older_names_of_the_results_and_of_what_was_clicked(tmp_path: Path, key: str, clicked: str) -> None:
    command = write_ubi(tmp_path)
    queries, events = map(Path, command.split()[1:3])
    searches = [json.loads(line) for line in queries.read_text().splitlines()]
    for each in searches:
        results = each.pop(HITS[0])
        each |= {HITS[0]: None, key: results}  # an exporter writes the names of all versions, one of them filled
    write_lines(queries, searches)
    found = [json.loads(line) for line in events.read_text().splitlines()]
    for each in found:
        each["event_attributes"] = CLICKED[clicked](each["event_attributes"]["object"]["object_id"])
    write_lines(events, found)
    folder = convert_to(tmp_path, command)
    assert sum(row[0] for row in rows_of(folder, "behaviours", "clicked")) == 60


@pytest.mark.parametrize(
    ("change", "joined"),
    [
        ({}, True),
        ({"timestamp": "1700010804"}, True),
        ({"timestamp": "2023-11-15T01:13:30Z"}, True),
        ({"client_id": "u9"}, False),
        ({"client_id": None}, False),
        ({"timestamp": "1700014600000"}, False),
        ({"timestamp": "1700010799000"}, False),
    ],
)
def test_a_click_that_names_no_query_is_of_its_clients_last_one(
    tmp_path: Path, change: dict[str, Any], joined: bool
) -> None:
    shown, clicked = pages()[3]["results"], pages()[3]["clicks"]
    item = next(result["id"] for rank, result in enumerate(shown, 1) if rank not in clicked)
    lone = {**event("click", 3, item), "query_id": None, **change}
    folder = convert_to(tmp_path, write_ubi(tmp_path, lone))
    assert ((3, item, True) in rows_of(folder, "behaviours", "page_id", "item_id", "clicked")) is joined
    assert ("1 of 61 clicks are on no result" in told(folder)) is not joined


@pytest.mark.parametrize("flags", [[0, 1, 0, 0, 1], [False, True, False, False, True]])
def test_flags_of_every_result(tmp_path: Path, flags: list[int]) -> None:
    source = write_lines(tmp_path / "pages.jsonl", [{**page, "clicks": flags} for page in pages()])
    folder = convert_to(tmp_path, f"result_pages {source} --clicks_are flags")
    positions = {row[0] for row in rows_of(folder, "impressions", "position", "clicked") if row[1]}
    assert positions == {1, 4}


@pytest.mark.parametrize("clicks", [[0, 1, 0, 0, 1], [1, 0, 0, 0, 0], [0, 0, 0, 0, 0], [1, 1, 1, 1, 1]])
@pytest.mark.parametrize("first", ["0", "1"])
def test_what_may_be_ranks_or_flags_is_asked_about(tmp_path: Path, clicks: list[int], first: str) -> None:
    source = write_lines(tmp_path / "pages.jsonl", [{**page, "clicks": clicks} for page in pages()])
    with pytest.raises(PrectrError, match="clicks, line 1: found .* say --clicks_are ranks or --clicks_are flags"):
        convert_to(tmp_path, f"result_pages {source} --first_rank {first}")
