"""`--append`: the tables are those of one conversion of all files, byte for byte, and nothing counts twice."""

import json
from pathlib import Path
from typing import Any

import pytest

from prectr.data.converters.arguments.command import read_conversion
from prectr.data.converters.mapping import own_names
from prectr.shared.errors import PrectrError
from tests.data.converters.formats.exports import GA4_FLAGS, ga4_events
from tests.data.converters.sources import convert_to, items, judgements, log_rows, pages, told, write_csv, write_lines

FLAGS = "--query q --item title --item_id sku --timestamp at --user visitor --position rank --clicked click"


def days(folder: Path) -> tuple[Path, Path]:
    """The log in two files."""
    rows = log_rows()
    return write_csv(folder / "a.csv", rows[:200]), write_csv(folder / "b.csv", rows[200:])


def tables(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted(folder.glob("*.parquet"))}


def test_a_table_that_grew_is_the_table_of_all_files(tmp_path: Path) -> None:
    first, second = days(tmp_path)
    once = convert_to(tmp_path / "once", f"table {first} {second} {FLAGS} --category kind --item_numeric price")
    grown = convert_to(tmp_path / "grown", f"table {first} {FLAGS} --category kind --item_numeric price")
    before = tables(grown)
    convert_to(tmp_path / "grown", f"table {second} --append")
    assert tables(grown) == tables(once) and tables(grown) != before
    assert told(grown) == told(once)
    records = [json.loads((folder / "step.json").read_text())["inputs"] for folder in (once, grown)]
    assert records[0] == records[1]


def test_three_files_grow_by_what_is_named(tmp_path: Path) -> None:
    rows, rated, goods = log_rows(), judgements(), items()
    log = [
        write_csv(tmp_path / f"log{part}.csv", rows[at]) for part, at in enumerate((slice(0, 200), slice(200, None)))
    ]
    ratings = [
        write_csv(tmp_path / f"rated{part}.csv", rated[at]) for part, at in enumerate((slice(0, 48), slice(48, None)))
    ]
    catalogue = write_csv(tmp_path / "goods.csv", goods)
    flags = f"{FLAGS} --judgements_query query --judgements_item_id id --level rating --items_id id"
    whole = f"table {log[0]} {log[1]} --judgements {ratings[0]} {ratings[1]} --items {catalogue} {flags}"
    once = convert_to(tmp_path / "once", whole)
    grown = convert_to(tmp_path / "grown", f"table {log[0]} --judgements {ratings[0]} --items {catalogue} {flags}")
    convert_to(tmp_path / "grown", f"table {log[1]} --append --judgements {ratings[1]}")
    assert tables(grown) == tables(once)


def test_a_stream_of_events_grows_though_a_days_end_is_in_both_files(tmp_path: Path) -> None:
    events = ga4_events()
    parts = [
        write_lines(tmp_path / f"{part}.jsonl", events[at]) for part, at in enumerate((slice(0, 160), slice(150, None)))
    ]
    once = convert_to(tmp_path / "once", f"ga4 {parts[0]} {parts[1]}", *GA4_FLAGS)
    grown = convert_to(tmp_path / "grown", f"ga4 {parts[0]}", *GA4_FLAGS)
    convert_to(tmp_path / "grown", f"ga4 {parts[1]} --append")
    whole = convert_to(tmp_path / "whole", f"ga4 {write_lines(tmp_path / 'all.jsonl', events)}", *GA4_FLAGS)
    assert tables(grown) == tables(once) == tables(whole)
    assert f"{parts[1]}: " in told(grown) and "are there already: left out" in told(grown)


def test_what_is_there_already_is_told_or_refused(tmp_path: Path) -> None:
    first, second = days(tmp_path)
    folder = convert_to(tmp_path, f"table {first} {FLAGS}")
    before = tables(folder)
    convert_to(tmp_path, f"table {first} --append")
    assert tables(folder) == before
    with pytest.raises(PrectrError, match=f"{first}: .* has it already: name those that are new"):
        convert_to(tmp_path, f"table {first} {second} --append")
    copy = tmp_path / "copy.csv"
    copy.write_bytes(first.read_bytes() + b"\n")
    with pytest.raises(PrectrError, match=r"copy.csv: all its 200 rows are there already: name files with others"):
        convert_to(tmp_path, f"table {copy} --append")
    assert tables(folder) == before


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--query title", "--query: it was made with 'q', not 'title': leave the flag out"),
        ("--items goods.csv", "--items: it was made without: convert all files anew"),
        ("--seed 3", "--seed: it was made with 0, not 3"),
    ],
)
def test_the_flags_are_those_it_was_made_with(tmp_path: Path, flags: str, message: str) -> None:
    first, second = days(tmp_path)
    convert_to(tmp_path, f"table {first} {FLAGS}")
    goods = write_csv(tmp_path / "goods.csv", [{"sku": item["id"], "title": item["title"]} for item in items()])
    with pytest.raises(PrectrError, match=message):
        convert_to(tmp_path, f"table {second} --append {flags.replace('goods.csv', str(goods))}")


def test_there_has_to_be_something_to_add_to(tmp_path: Path) -> None:
    with pytest.raises(PrectrError, match="there is no mapping.yaml, so there is nothing to add to"):
        convert_to(tmp_path, "table b.csv --append")
    with pytest.raises(PrectrError, match="say which data set is added to with --name"):
        read_conversion(["table", "b.csv", "--append"])


def test_the_mapping_reads_another_log_alike_and_names_what_the_shop_says(tmp_path: Path) -> None:
    first, second = days(tmp_path)
    folder = convert_to(tmp_path, f"table {first} {FLAGS} --item_numeric price")
    convert_to(tmp_path / "other", f"table {second} --mapping {folder / 'mapping.yaml'}")
    names: dict[str, Any] = json.loads((folder / "summary.json").read_text())["conversion"]["names"]
    assert names == {
        "text": ["title"],
        "user_id": ["visitor"],
        "query": ["q"],
        "item_id": ["sku"],
        "timestamp": ["at"],
        "position": ["rank"],
        "num_price": ["price"],
    }


def test_the_column_that_tells_pages_apart_is_a_name_of_the_shop_s(tmp_path: Path) -> None:
    conversion = read_conversion(["table", "b.csv", *FLAGS.split(), "--page", "visit", "--name", "mine"])
    assert own_names(conversion, None)["page_id"] == ["visit"]


def test_result_pages_that_two_files_share_are_one(tmp_path: Path) -> None:
    found = pages()
    first = write_lines(tmp_path / "a.jsonl", found[:40])
    second = write_lines(tmp_path / "b.jsonl", found[35:])
    grown = convert_to(tmp_path, f"result_pages {first}")
    convert_to(tmp_path, f"result_pages {second} --append")
    whole = convert_to(tmp_path / "whole", f"result_pages {write_lines(tmp_path / 'all.jsonl', found)}")
    assert tables(grown) == tables(whole)
    assert f"{second}: 25 of 125 rows, the first row 1, are there already: left out" in told(grown)
