"""A shop that is open, on the toy shop: its base log cut at a time, and the events that come after."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from prectr.data.contract import read_table
from prectr.rank.history.event import Event
from prectr.rank.history.rows import seconds_of
from prectr.rank.serving.live import Candidate, RankRequest


def requests_of(pages: pa.Table) -> dict[int, RankRequest]:
    """The pages of impressions as requests at their own time, by page_id, candidates in the table's order."""
    requests: dict[int, list[dict]] = {}
    for row in pages.set_column(
        pages.column_names.index("timestamp"), "timestamp", [seconds_of(pages["timestamp"])]
    ).to_pylist():
        requests.setdefault(row["page_id"], []).append(row)
    return {page: request_of(rows) for page, rows in requests.items()}


def request_of(rows: list[dict]) -> RankRequest:
    first = rows[0]
    context = [name for name in first if name.startswith("ctx_")]
    candidates = [Candidate(row["item_id"], None, {name: row[name] for name in context}) for row in rows]
    return RankRequest(first["query"], candidates, first["user_id"], first["timestamp"], first["query_category"], {})


def events_of(behaviours: pa.Table) -> list[Event]:
    """The rows of the contract's table as events."""
    seconds = seconds_of(behaviours["timestamp"]).tolist()
    kinds = {"search": "impression"}
    return [
        Event(
            f"event {number}",
            kinds.get(row["event_type"], row["event_type"]),
            *(row[name] for name in ("user_id", "query", "query_category", "item_id", "page_id")),
            second,
            row["clicked"],
        )
        for number, (row, second) in enumerate(zip(behaviours.to_pylist(), seconds, strict=True))
    ]


def cut(home: Path, folder: Path, second: int) -> list[Event]:
    """Write a data folder whose log ends strictly before a time; returns the events from then on."""
    behaviours = read_table(home / "data", "behaviours")
    before = pa.array(seconds_of(behaviours["timestamp"]) < second)
    folder.mkdir()
    pq.write_table(behaviours.filter(before), folder / "behaviours.parquet")
    pq.write_table(read_table(home / "data", "items"), folder / "items.parquet")
    return events_of(behaviours.filter(pc.invert(before)))


def worst(found: np.ndarray, expected: np.ndarray) -> float:
    return float(np.abs(np.asarray(found) - np.asarray(expected)).max())
