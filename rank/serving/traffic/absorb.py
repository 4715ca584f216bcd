"""`python -m rank absorb --journal FILE`: fold what the journal has into the tables; a new data folder beside the old
one, then the switch. Events become behaviours, and pages that were shown impressions.

Who has the old folder open goes on reading it: nothing in it is changed. `absorbed.json` says how far the new one has
come in the journal; a memory that begins with it takes up from there. [O]
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from prectr.data.contract import SCHEMAS, SEARCH, has_table, read_table, table_path
from prectr.rank.config import WhereArguments
from prectr.rank.history.codes import encode
from prectr.rank.history.event import CLICK, Event
from prectr.rank.history.rows import NO_PAGE, seconds_of
from prectr.rank.serving.config import AbsorbArguments, DataArguments
from prectr.rank.serving.journal import BEGINNING, Item, Journal, Position
from prectr.rank.serving.traffic.impressions import shown_pages, stand_in, tables_beside, with_pages
from prectr.shared.errors import PrectrError
from prectr.shared.run.console import console
from prectr.shared.run.hold import hold
from prectr.shared.run.schema import member, read_json
from prectr.shared.store.names import is_uri

ABSORBED = "absorbed.json"
Shown = tuple[int, str]
"""An item of a page."""


def absorb(run: WhereArguments, given: DataArguments, arguments: AbsorbArguments) -> None:
    """The verb: the data folder becomes one that holds the journal's events; the former is kept as `<folder>.before`.

    Raises:
        PrectrError: there is no such folder or journal.
    """
    if given.data and is_uri(given.data):
        raise PrectrError(f"--data {given.data}: what is absorbed is written into it: name a folder of this machine.")
    data = Path(given.data) if given.data else Path(run.artifacts) / run.name / "data"
    with hold(data.parent):
        _absorb(data, Path(arguments.journal), arguments.held_out)


def _absorb(data: Path, path: Path, held_out: float) -> None:
    new, before = (data.with_name(f"{data.name}.{which}") for which in ("new", "before"))
    if before.is_dir() and not data.exists():  # an absorption was killed between its two renamings
        os.replace(before, data)
    for found in (data, path):
        if not found.exists():
            raise PrectrError(
                f"{found} is not there: name the data folder with --data, the events' file with --journal."
            )
    shutil.rmtree(new, ignore_errors=True)
    with Journal(path) as journal:
        events, pages = write_absorbed(data, journal, new, held_out)
    shutil.rmtree(before, ignore_errors=True)
    os.replace(data, before)
    os.replace(new, data)
    told = f"{events:,} events absorbed, {pages:,} new pages of impressions; as it was: {before}"
    console.print(f"{data}: {told}", highlight=False, soft_wrap=True)
    console.print("Next:  python -m rank run", highlight=False)


def absorbed(data: Path) -> Position:
    """How far into the journal a data folder has come."""
    path = data / ABSORBED
    if not path.exists():
        return BEGINNING
    stored = read_json(path)
    return Position(*(member(stored, name, path, int) for name in Position._fields))


def last_second(data: Path, journal: Path) -> int | None:
    """When the latest event of tables and journal was; None: there is none."""
    latest: list[int] = []
    if has_table(data, "behaviours"):
        latest = seconds_of(read_table(data, "behaviours", ["timestamp"])["timestamp"])[-1:].tolist()
    with Journal(journal) as opened:
        latest += filter(None, [opened.last_second()])
    return max(latest, default=None)


def write_absorbed(data: Path, journal: Journal, target: Path, held_out: float) -> tuple[int, int]:
    """Write `target`: the data folder with the journal's items, events and pages, without the users it erased.

    Other tables are linked, not copied. Returns how many events were new, and how many pages of impressions.
    """
    news = journal.read(absorbed(data))
    target.mkdir(parents=True)
    for file in data.iterdir():
        if file.is_file() and file.name not in ("items.parquet", "behaviours.parquet", "step.json", ABSORBED):
            os.link(file, target / file.name)
    for table in ("impressions", "users"):
        if news.erased and has_table(data, table):
            _write(target, table, _without(read_table(data, table), news.erased))
    items = _with_items(read_table(data, "items"), news.items)
    behaviours = (
        read_table(data, "behaviours") if has_table(data, "behaviours") else SCHEMAS["behaviours"].empty_table()
    )
    known = encode(pa.array([event.item_id for event in news.events], pa.string()), items["item_id"].combine_chunks())
    events = [event for event, code in zip(news.events, known.tolist(), strict=True) if code >= 0]
    pages = 0
    if has_table(target, "impressions"):
        former = read_table(target, "impressions")
        # Of pages that were absorbed before, clicks may come now.
        clicked, _ = _with_clicks(former, _clicked_items(events))
        later = with_pages(clicked, shown_pages(events, journal.pages()), held_out)
        if later is None and not clicked["clicked"].equals(former["clicked"]):
            _write(target, "impressions", clicked)
        if later is not None:
            shown = pc.unique(later["page_id"])
            pages = len(shown) - pc.sum(pc.is_in(shown, pc.unique(former["page_id"]))).as_py()
            _write(target, "impressions", later)
            for table, rows in tables_beside(target, later).items():
                _write(target, table, rows)
            table_path(target, "gold").unlink(missing_ok=True)  # it judges what was shown in the former test weeks
    _write(target, "items", items)
    _write(target, "behaviours", _with_events(_without(behaviours, news.erased), events))
    # Written last: a folder without it has absorbed nothing.
    (target / ABSORBED).write_text(json.dumps(news.position._asdict()) + "\n", encoding="utf-8")
    return len(events), pages


def _write(folder: Path, table: str, rows: pa.Table) -> None:
    path = table_path(folder, table)
    path.unlink(missing_ok=True)  # what is linked there is the former folder's
    pq.write_table(rows, path, compression="zstd")


def _without(table: pa.Table, erased: list[str]) -> pa.Table:
    gone = pc.is_in(table["user_id"], value_set=pa.array(erased, pa.string()))
    return table.filter(pc.invert(gone)) if erased else table


def _with_items(items: pa.Table, put: list[Item]) -> pa.Table:
    """The table with items added, or in the place of those of their id."""
    latest = {item.item_id: item for item in put}
    if not latest:
        return items
    rows = [{"item_id": i.item_id, "text": i.text, "category": i.category, **i.attributes} for i in latest.values()]
    means = {name: pc.mean(items[name]).as_py() for name in items.column_names if name.startswith("num_")}
    added = {}
    for name in items.column_names:
        values = [row.get(name) for row in rows]
        added[name] = [stand_in(name, means) if value is None else value for value in values]
    new = pa.table(added, schema=items.schema)
    place = np.arange(items.num_rows)
    code = encode(items["item_id"], new["item_id"].combine_chunks())
    place[code >= 0] = items.num_rows + code[code >= 0]
    unknown = np.flatnonzero(~np.isin(np.arange(new.num_rows), code)) + items.num_rows
    return pa.concat_tables([items, new]).take(pa.array(np.concatenate([place, unknown])))


def _with_clicks(table: pa.Table, clicked_items: set[Shown]) -> tuple[pa.Table, set[Shown]]:
    """The table with those rows clicked, and all items of their pages that it has; page_id, item_id and clicked are
    read of it."""
    pages = pa.array(sorted({page for page, _ in clicked_items}), pa.int64())
    rows = np.flatnonzero(pc.fill_null(pc.is_in(table["page_id"], value_set=pages), False).to_numpy())
    if not len(rows):
        return table, set()
    some = table.select(["page_id", "item_id"]).take(pa.array(rows))
    keys = list(zip(*(column.to_pylist() for column in some.columns), strict=True))
    clicked = table["clicked"].to_numpy().copy()
    clicked[rows] |= np.array([key in clicked_items for key in keys])
    return table.set_column(table.column_names.index("clicked"), "clicked", [pa.array(clicked)]), set(keys)


def _clicked_items(events: list[Event]) -> set[Shown]:
    return {(event.page, str(event.item_id)) for event in events if event.kind == CLICK and event.page != NO_PAGE}


def _with_events(behaviours: pa.Table, events: list[Event]) -> pa.Table:
    """The table with events as rows; a click on an item of a page that is there makes that row a clicked one."""
    clicked_items = _clicked_items(events)
    behaviours, shown = _with_clicks(behaviours, clicked_items)
    shown |= {(event.page, str(event.item_id)) for event in events if event.kind != CLICK and event.page != NO_PAGE}
    new = []
    for event in events:
        key = event.page, str(event.item_id)
        if event.kind == CLICK and event.page != NO_PAGE:
            if key in shown:
                continue
            shown.add(key)
        new.append(
            {
                **{
                    name: getattr(event, name)
                    for name in ("user_id", "query", "query_category", "item_id", "event_type")
                },
                "query": event.query if event.event_type == SEARCH else None,
                "clicked": event.is_clicked or key in clicked_items and event.page != NO_PAGE,
                "timestamp": event.timestamp,
                "page_id": _page_of(event),
            }
        )
    new = [row for row in new if row["event_type"] != SEARCH or row["query"] is not None]
    schema = SCHEMAS["behaviours"]
    added = pa.table({name: pa.array([row[name] for row in new], schema.field(name).type) for name in schema.names})
    together = pa.concat_tables([behaviours.select(schema.names).cast(schema), added.cast(schema)])
    return together.sort_by([("timestamp", "ascending"), ("page_id", "ascending")])


def _page_of(event: Event) -> int | None:
    """The page of a row; what was searched without one has a page of its shopper, query and time."""
    if event.event_type != SEARCH:
        return None
    if event.page != NO_PAGE:
        return event.page
    name = json.dumps([event.user_id, event.query, event.timestamp])
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest()) >> 2
