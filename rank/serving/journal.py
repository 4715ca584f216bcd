"""The journal: what a live memory was told, on disk before it is acknowledged.

One SQLite file (write-ahead log, `synchronous=FULL`) holds events, items and erasures, each in the order in which they
came, and the pages that were served, as far as they had been written when a process ended. Whoever appends while
another is writing finds their events written with the next commit: a group commit, so that the disk's latency is paid
once for all that wait. Memories follow it by row number, in this process and in others. [O]
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Self

from prectr.rank.history.event import Event, in_order
from prectr.rank.serving.traffic.served import Served
from prectr.shared.errors import PrectrError
from prectr.shared.text_file import require_file

SCHEMA_VERSION = 1
PATIENCE = 30.0
"""Seconds to wait for another process that is writing."""
_LAST = 2**63 - 1

_SCHEMA = """
CREATE TABLE IF NOT EXISTS events (
    row INTEGER PRIMARY KEY AUTOINCREMENT, event_id TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, user_id TEXT, query TEXT,
    query_category TEXT, item_id TEXT, page_id, timestamp INTEGER NOT NULL, clicked INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS events_of_user ON events (user_id);
CREATE TABLE IF NOT EXISTS items (
    row INTEGER PRIMARY KEY AUTOINCREMENT, item_id TEXT NOT NULL, text TEXT NOT NULL, category TEXT,
    attributes TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS erasures (row INTEGER PRIMARY KEY AUTOINCREMENT, user_id TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS pages (
    page_id INTEGER PRIMARY KEY, timestamp INTEGER NOT NULL, user_id TEXT, query TEXT NOT NULL, query_category TEXT,
    ranker TEXT NOT NULL, items TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS pages_of_user ON pages (user_id);
"""


@dataclass(frozen=True)
class Item:
    """An item of the catalogue: `attributes` are its `cat_*` and `num_*` columns."""

    item_id: str
    text: str
    category: str | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict)


class Appended(NamedTuple):
    """How many events were new, and how many had been appended before."""

    new: int
    repeated: int


class Position(NamedTuple):
    """How far a reader has come: the last row of each kind that it knows."""

    event: int = 0
    item: int = 0
    erasure: int = 0


BEGINNING = Position()
END = Position(_LAST, _LAST, _LAST)


class News(NamedTuple):
    """What came after a position, and the position behind it. Erasures concern what was known before the events."""

    erased: list[str]
    items: list[Item]
    events: list[Event]
    position: Position


class _Waiting:
    """Events that wait for the next commit."""

    def __init__(self, events: Sequence[Event]) -> None:
        self.events = events
        self.appended: Appended | None = None
        self.error: BaseException | None = None


class Journal:
    """Appends and reads; may be used by many threads, and the file by many processes.

    Args:
        path: the file, made where it is not there; None: in memory, and gone with the process.

    Raises:
        PrectrError: the file is no journal, a damaged one, or one of a newer version. Pages of the file are checked for
            sense as it is opened; there is no checksum of what they say.
    """

    def __init__(self, path: Path | None) -> None:
        self._name = ":memory:" if path is None else str(path)
        if path is not None:
            if path.exists():
                require_file(path, "it is missing.")
                if not path.stat().st_size:  # one that is begun has its head at once
                    raise self._damaged("it is empty")
            path.parent.mkdir(parents=True, exist_ok=True)
        self._connection = sqlite3.connect(
            self._name, timeout=PATIENCE, isolation_level=None, check_same_thread=False, cached_statements=64
        )
        self._use = threading.Lock()  # of the connection
        self._queue, self._queued = threading.Lock(), list[_Waiting]()
        self._noted: list[Served] = []
        try:
            self._open()
        except (sqlite3.DatabaseError, PrectrError) as error:
            self._connection.close()
            if isinstance(error, PrectrError):
                raise
            raise PrectrError(f"{self._name} is no journal ({error}): name another file, or move it away.") from error

    def _open(self) -> None:
        # What a user had erased is overwritten on disk too.
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "secure_delete=ON"):
            self._connection.execute(f"PRAGMA {pragma}")
        if (fault := self._connection.execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
            raise self._damaged(" ".join(fault.split()))
        version = self._connection.execute("PRAGMA user_version").fetchone()[0]
        if version > SCHEMA_VERSION:
            raise PrectrError(
                f"{self._name} is of version {version}, this code reads {SCHEMA_VERSION}: install a newer prectr."
            )
        self._connection.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA user_version={SCHEMA_VERSION}; COMMIT;")

    def append(self, events: Iterable[Event]) -> Appended:
        """Write events; when this returns they are on disk. An `event_id` that is there already changes nothing.

        The order of the rows is that of calls, and within one that of the log (`in_order`).
        """
        mine = _Waiting(in_order(list(events)))
        if not mine.events:
            return Appended(0, 0)
        with self._queue:
            self._queued.append(mine)
        with self._use:
            if mine.appended is None and mine.error is None:
                with self._queue:
                    group, self._queued = self._queued, []
                self._write_events(group)
        if mine.error is not None:
            raise mine.error
        assert mine.appended is not None
        return mine.appended

    def note(self, page: Served) -> None:
        """Keep a page that was served; it is written with the next events, or by `flush`: nobody waits for the disk."""
        with self._queue:
            self._noted.append(page)

    def flush(self) -> None:
        """Write the pages that were noted."""
        if self._noted:
            with self._use, self._transaction():
                self._write_pages()

    def pages(self) -> Iterator[Served]:
        """The pages that were served, in the order of their time."""
        self.flush()
        with self._use, self._reading():
            rows = self._connection.execute("SELECT * FROM pages ORDER BY timestamp, page_id").fetchall()
            return iter([Served.of_row(row) for row in rows])

    def put_items(self, items: Iterable[Item]) -> None:
        """Write items, new or changed; when this returns they are on disk."""
        rows = [(i.item_id, i.text, i.category, json.dumps(dict(i.attributes), ensure_ascii=False)) for i in items]
        with self._use, self._transaction():
            self._connection.executemany(
                "INSERT INTO items (item_id, text, category, attributes) VALUES (?, ?, ?, ?)", rows
            )

    def erase_user(self, user_id: str) -> None:
        """Delete a user's events and pages for good, and say so to all who follow."""
        with self._use:
            with self._transaction():
                self._write_pages()
                for table in ("events", "pages"):
                    self._connection.execute(f"DELETE FROM {table} WHERE user_id = ?", (user_id,))
                self._connection.execute("INSERT INTO erasures (user_id) VALUES (?)", (user_id,))
            # The log of writes holds the old pages until they are written back.
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def read(self, after: Position = BEGINNING, most: int = -1, until: Position = END) -> News:
        """What came after a position, and not after another; of events `most` at once (-1: all)."""
        run = self._connection.execute
        between = "WHERE row > ? AND row <= ? ORDER BY row"
        bounds = list(zip(after, until, strict=True))
        with self._use, self._reading(), self._transaction("DEFERRED"):
            erased = run(f"SELECT row, user_id FROM erasures {between}", bounds[2]).fetchall()
            items = run(f"SELECT * FROM items {between}", bounds[1]).fetchall()
            events = run(f"SELECT * FROM events {between} LIMIT ?", (*bounds[0], most)).fetchall()
            known = [Item(item_id, text, category, json.loads(more)) for _, item_id, text, category, more in items]
        last = (rows[-1][0] if rows else before for rows, before in zip((events, items, erased), after, strict=True))
        return News(
            [user for _, user in erased],
            known,
            [Event._make((*row[1:9], bool(row[9]))) for row in events],
            Position(*last),
        )

    def last_second(self) -> int | None:
        """When the latest event was."""
        with self._use:
            latest: int | None = self._connection.execute("SELECT max(timestamp) FROM events").fetchone()[0]
        return latest

    def changed(self) -> int:
        """A number that is another one whenever another connection has written; costs next to nothing."""
        with self._use:
            version: int = self._connection.execute("PRAGMA data_version").fetchone()[0]
        return version

    def close(self) -> None:
        """Write what was noted, and what is in the log of writes back into the file."""
        self.flush()
        with self._use:
            self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _write_events(self, group: Sequence[_Waiting]) -> None:
        insert = (
            f"INSERT OR IGNORE INTO events ({', '.join(Event._fields)}) VALUES ({', '.join('?' * len(Event._fields))})"
        )
        found = []
        try:
            with self._transaction():
                self._write_pages()
                for waiting in group:
                    before = self._connection.total_changes
                    self._connection.executemany(insert, waiting.events)
                    new = self._connection.total_changes - before
                    found.append(Appended(new, len(waiting.events) - new))
        except BaseException as error:
            for waiting in group:
                waiting.error = error
            return
        for waiting, appended in zip(group, found, strict=True):
            waiting.appended = appended

    def _write_pages(self) -> None:
        """Within a transaction; of a page that is served again the latest answer counts."""
        with self._queue:
            noted, self._noted = self._noted, []
        rows = [page.row() for page in noted]
        self._connection.executemany("INSERT OR REPLACE INTO pages VALUES (?, ?, ?, ?, ?, ?, ?)", rows)

    def _damaged(self, fault: str) -> PrectrError:
        return PrectrError(
            f"{self._name} is damaged ({fault}): put a copy of it in its place, or move it away to begin anew."
        )

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """Within, what cannot be read of the file is said in a sentence."""
        try:
            yield
        except (sqlite3.DatabaseError, ValueError, TypeError, KeyError) as error:
            if isinstance(error, sqlite3.OperationalError) and "decode" not in str(error):  # locked, or a full disk
                raise
            raise self._damaged(" ".join(str(error).split())) from error

    def _transaction(self, kind: str = "IMMEDIATE") -> _Transaction:
        return _Transaction(self._connection, kind)


class _Transaction:
    def __init__(self, connection: sqlite3.Connection, kind: str) -> None:
        self._connection, self._kind = connection, kind

    def __enter__(self) -> None:
        self._connection.execute(f"BEGIN {self._kind}")

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        self._connection.execute("COMMIT" if error is None else "ROLLBACK")
