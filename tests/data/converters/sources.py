"""Small sources to convert, and one way to convert them."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from prectr.data.contract import read_table
from prectr.data.converters.arguments.command import read_conversion
from prectr.data.converters.convert import convert

COLOURS = ("red", "blue", "green", "black", "white")
THINGS = ("shoe", "scarf", "pot", "lamp")
START = 1_700_000_000


def items() -> list[dict[str, str]]:
    """Twenty items, whose ids look like numbers but are none."""
    words = [(colour, thing) for thing in THINGS for colour in COLOURS]
    return [
        {"id": f"{number:03d}", "title": f"{colour} {thing}", "kind": thing}
        for number, (colour, thing) in enumerate(words)
    ]


def judgements() -> list[dict[str, Any]]:
    """Twelve queries with six items each, judged 0 to 2: how many words the query and the item share."""
    rows = []
    for number in range(12):
        query = f"{COLOURS[number % 5]} {THINGS[number % 4]}"
        for step in range(6):
            item = items()[(number * 7 + step * 3) % 20]
            shared = len({*query.split()} & {*item["title"].split()})
            rows.append({"query": f"{query} {number}", "id": item["id"], "title": item["title"], "rating": shared})
    return rows


def pages(count: int = 60, users: int = 6) -> list[dict[str, Any]]:
    """Result pages of five items, an hour apart; what shares a word with the query is clicked on every page."""
    found = []
    for number in range(count):
        query = f"{COLOURS[number % 5]} {THINGS[number % 4]}"
        shown = [items()[(number * 7 + step * 3) % 20] for step in range(5)]
        clicks = [rank for rank, item in enumerate(shown, 1) if {*query.split()} & {*item["title"].split()}]
        found.append(
            {
                "user": f"u{number % users}",
                "query": query,
                "timestamp": START + 3600 * number,
                "results": [{"id": item["id"], "text": item["title"], "category": item["kind"]} for item in shown],
                "clicks": clicks[:1] or [1],
            }
        )
    return found


def log_rows(count: int = 60) -> list[dict[str, Any]]:
    """The same pages, one row per item shown."""
    return [
        {
            "visitor": page["user"],
            "q": page["query"],
            "at": page["timestamp"],
            "sku": item["id"],
            "title": item["text"],
            "kind": item["category"],
            "rank": rank,
            "click": int(rank in page["clicks"]),
            "price": 2.5 * rank,
        }
        for page in pages(count)
        for rank, item in enumerate(page["results"], 1)
    ]


def write_lines(path: Path, objects: Iterable[Mapping[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(found) + "\n" for found in objects), encoding="utf-8")
    return path


def write_csv(path: Path, rows: Sequence[Mapping[str, Any]], delimiter: str = ",", encoding: str = "utf-8") -> Path:
    lines = [list(rows[0]), *([str(value) for value in row.values()] for row in rows)]
    path.write_bytes("".join(delimiter.join(line) + "\n" for line in lines).encode(encoding))
    return path


def convert_to(folder: Path, command: str, *flags: str) -> Path:
    """Run `python -m data convert COMMAND --name mine`, and give the folder of the tables."""
    convert(read_conversion([*command.split(), "--artifacts", str(folder / "artifacts"), "--name", "mine", *flags]))
    return folder / "artifacts" / "mine" / "data"


def rows_of(folder: Path, table: str, *columns: str) -> list[tuple[Any, ...]]:
    """Rows of a table of the contract."""
    found = read_table(folder, table, columns).to_pylist()
    return [tuple(row[name] for name in columns) for row in found]


def told(folder: Path) -> str:
    return "\n".join(json.loads((folder / "summary.json").read_text())["conversion"]["told"])
