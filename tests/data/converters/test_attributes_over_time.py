"""What the rows of a log say of an item changes while it goes on: the earliest counts, in whatever order they come, so
that nothing of the test weeks stands in an earlier row.
"""

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.data.converters.sources import convert_to, log_rows, rows_of, told, write_csv, write_lines

LOG = "--query q --item title --item_id sku --timestamp at --clicked click"

CHANGING: dict[str, tuple[str, Callable[[int], object]]] = {
    "sold": ("item_numeric", lambda place: place),
    "price": ("item_numeric", lambda place: 500 - place),
    "rating": ("item_numeric", lambda place: place % 7 + place / 1000),
    "reviews": ("item_numeric", lambda place: place * place),
    "stock": ("item_categorical", lambda place: f"week {place // 40}"),
    "badge": ("item_categorical", lambda place: "new" if place < 120 else "sale"),
    "shelf": ("item_categorical", lambda place: f"shelf {place % 5}"),
}


@pytest.mark.parametrize("order", ["as logged", "newest first", "shuffled", "in two files", "as JSON lines"])
@pytest.mark.parametrize("name", CHANGING)
def test_the_earliest_counts_in_whatever_order_rows_come(tmp_path: Path, name: str, order: str) -> None:
    flag, value = CHANGING[name]
    rows = [{**row, name: value(place)} for place, row in enumerate(log_rows())]
    earliest = {item: min(row["at"] for row in rows if row["sku"] == item) for item in {row["sku"] for row in rows}}
    expected: dict[str, set[str]] = {item: set() for item in earliest}
    for row in rows:  # a time may have several pages
        if row["at"] == earliest[row["sku"]]:
            expected[row["sku"]].add(str(row[name]))
    if order == "newest first":
        rows.reverse()
    if order == "shuffled":
        random.Random(0).shuffle(rows)
    if order == "as JSON lines":
        source = str(write_lines(tmp_path / "log.jsonl", rows))
    elif order == "in two files":
        halves = {"a.csv": rows[len(rows) // 2 :], "b.csv": rows[: len(rows) // 2]}
        source = " ".join(str(write_csv(tmp_path / file, half)) for file, half in halves.items())
    else:
        source = str(write_csv(tmp_path / "log.csv", rows))
    folder = convert_to(tmp_path, f"table {source} {LOG} --{flag} {name}")
    column = f"{'num' if flag == 'item_numeric' else 'cat'}_{name}"
    found = rows_of(folder, "items", "item_id", column)
    assert {item for item, _ in found} == set(expected)
    for item, said in found:
        kept = [float(each) if flag == "item_numeric" else each for each in expected[item]]
        assert any(said == (pytest.approx(each) if flag == "item_numeric" else each) for each in kept), item
    assert f"items have several values of {column}: the earliest counts" in told(folder)


@pytest.mark.parametrize("name", CHANGING)
def test_what_never_changes_is_not_remarked_on(tmp_path: Path, name: str) -> None:
    flag, value = CHANGING[name]
    rows = [{**row, name: value(int(row["sku"]))} for row in log_rows()]
    folder = convert_to(tmp_path, f"table {write_csv(tmp_path / 'log.csv', rows)} {LOG} --{flag} {name}")
    assert "several values" not in told(folder)
