"""The journal: what is acknowledged is on disk, once, in order; what is erased is gone."""

import os
import signal
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from prectr.rank.history.event import Event
from prectr.rank.serving.journal import Appended, Item, Journal, Position
from prectr.rank.serving.traffic.served import Served, ServedItem
from prectr.shared.errors import PrectrError
from tests.damages import damaged, flip, is_sentence


def bought(number: int, user: str = "u", second: int | None = None) -> Event:
    return Event(f"e{number}", "purchase", user, None, None, f"i{number}", None, number if second is None else second)


def test_an_event_counts_once_however_often_it_is_sent(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal.sqlite") as journal:
        assert journal.append([bought(1), bought(2), bought(1)]) == Appended(2, 1)
        assert journal.append([bought(2), bought(3)]) == Appended(1, 1)
        assert journal.append([]) == Appended(0, 0)
    with Journal(tmp_path / "journal.sqlite") as journal:
        assert journal.append([bought(3)]) == Appended(0, 1)
        assert [event.event_id for event in journal.read().events] == ["e1", "e2", "e3"]


def test_what_is_read_is_what_was_written_in_the_logs_order(tmp_path: Path) -> None:
    shown = Event("a", "impression", None, "a query", "c", "i", "page of a name", 7, True)
    item = Item("i", "a text", None, {"num_price": 2.5, "cat_brand": "b"})
    with Journal(tmp_path / "journal.sqlite") as journal:
        journal.append([bought(9), shown, bought(3)])
        journal.put_items([item])
        news = journal.read()
        assert news.events == [bought(3), shown, bought(9)]
        assert news.items == [item]
        assert journal.read(news.position) == ([], [], [], news.position)
        assert [event.event_id for event in journal.read(Position(), 1).events] == ["e3"]


def test_another_connection_is_told_that_something_came(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal.sqlite") as writer, Journal(tmp_path / "journal.sqlite") as follower:
        before = follower.changed()
        assert follower.changed() == before
        writer.append([bought(1)])
        assert follower.changed() != before


def test_what_many_append_at_once_is_all_there(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal.sqlite") as journal:
        batches = [[bought(50 * batch + place) for place in range(50)] for batch in range(32)]
        with ThreadPoolExecutor(16) as threads:
            appended = list(threads.map(journal.append, [*batches, *batches]))
        assert sum(each.new for each in appended) == 1600 == sum(each.repeated for each in appended)
        assert len({event.event_id for event in journal.read().events}) == 1600


def test_an_erased_user_is_gone_from_the_file(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    with Journal(path) as journal:
        private = bought(1, "someone to forget")._replace(query="something private")
        journal.append([private, bought(2, "another")])
        journal.erase_user("someone to forget")
        files = [file.read_bytes() for file in tmp_path.iterdir()]
        assert any(b"another" in file for file in files) and not any(b"something private" in file for file in files)
        news = journal.read()
        assert news.erased == ["someone to forget"] and [event.user_id for event in news.events] == ["another"]
        again = bought(3, "someone to forget")
        journal.append([again])
        assert journal.read(news.position).events == [again]


def test_pages_that_were_served_are_kept_and_forgotten_with_their_shopper(tmp_path: Path) -> None:
    items = [ServedItem("i", {"ctx_num_price": 2.0}, None), ServedItem("j", {}, "challenger")]
    pages = [Served(page, 5, user, "q", None, "interleaved", items) for page, user in ((1, "u"), (2, None), (3, "v"))]
    path = tmp_path / "journal.sqlite"
    with Journal(path) as journal:
        for page in pages:
            journal.note(page)
        journal.append([bought(1)])
        with Journal(path) as other:
            assert list(other.pages()) == pages
        journal.note(pages[2]._replace(timestamp=9))  # served again: the latest answer counts
        journal.erase_user("u")
        assert list(journal.pages()) == [pages[1], pages[2]._replace(timestamp=9)]
        journal.note(pages[0]._replace(user_id="w"))
    with Journal(path) as journal:
        assert len(list(journal.pages())) == 3


def test_a_reader_may_stop_at_a_position(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal.sqlite") as journal:
        journal.append([bought(1), bought(2)])
        position = journal.read().position
        journal.append([bought(3)])
        journal.put_items([Item("i", "a text")])
        assert [event.event_id for event in journal.read(until=position).events] == ["e1", "e2"]
        assert journal.read(until=position).items == [] and journal.last_second() == 3


def test_another_file_and_a_newer_version_are_named(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_text("no database, and long enough to be taken for one if nobody looks " * 20)
    with pytest.raises(PrectrError, match="is no journal"):
        Journal(other)
    with sqlite3.connect(tmp_path / "newer") as file:
        file.execute("PRAGMA user_version = 99")
    file.close()
    with pytest.raises(PrectrError, match="version 99"):
        Journal(tmp_path / "newer")


@pytest.fixture
def full(tmp_path: Path) -> Path:
    """A journal of 300 events, 40 items and 20 pages, closed."""
    path = tmp_path / "journal.sqlite"
    with Journal(path) as journal:
        journal.append([bought(number) for number in range(300)])
        journal.put_items([Item(f"i{n}", f"text {n}", None, {"num_price": n, "cat_brand": "b"}) for n in range(40)])
        for page in range(20):
            journal.note(Served(page, 7, "u", "a query", None, "champion", [ServedItem("i1", {"ctx_hour": 3})]))
    return path


KINDS = (
    "truncated",
    "emptied",
    "another file",
    "zeros, as after a power cut",
    "a folder in its place",
)


@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_journal_is_refused(full: Path, kind: str) -> None:
    with damaged(full, kind), pytest.raises(PrectrError, match="journal.sqlite") as error:
        Journal(full)
    assert is_sentence(error.value)
    with Journal(full) as journal:
        assert len(journal.read().events) == 300


@pytest.mark.parametrize("at", range(0, 100, 4))
def test_a_flipped_bit_of_a_journal_ends_in_no_traceback(full: Path, at: int) -> None:
    """Inside a text it may go unseen: there is no checksum of what rows say."""
    flip(full, at / 100)
    try:
        with Journal(full) as journal:
            journal.read()
            list(journal.pages())
    except PrectrError as error:
        assert is_sentence(error)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE items SET attributes = '{' WHERE item_id = 'i3'",
        "UPDATE items SET attributes = X'ff' WHERE item_id = 'i3'",
        "UPDATE items SET text = CAST(X'ff41' AS TEXT)",
        "UPDATE pages SET items = '[' WHERE page_id = 3",
        "UPDATE pages SET items = '3' WHERE page_id = 3",
    ],
)
def test_rows_that_make_no_sense_are_a_sentence(full: Path, change: str) -> None:
    with sqlite3.connect(full) as file:
        file.execute(change)
    file.close()
    with Journal(full) as journal, pytest.raises(PrectrError, match="is damaged") as error:
        journal.read()
        list(journal.pages())
    assert is_sentence(error.value)


WRITER = """
import sys
from pathlib import Path
from prectr.rank.history.event import Event
from prectr.rank.serving.journal import Journal
journal, first = Journal(Path(sys.argv[1])), int(sys.argv[2])
for batch in range(first, 10_000):
    events = [Event(f"{batch} {place}", "purchase", "u", None, None, "i", None, batch) for place in range(20)]
    journal.append(events)
    print(batch, flush=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
def test_a_killed_writer_loses_nothing_that_it_acknowledged_and_doubles_nothing(tmp_path: Path) -> None:
    path, acknowledged = tmp_path / "journal.sqlite", -1
    for round_ in range(3):
        first = max(acknowledged - 2, 0)  # its client sends the last batches again
        command = [sys.executable, "-c", WRITER, str(path), str(first)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            for line in writer.stdout:
                acknowledged = int(line)
                if acknowledged >= first + 5 + 3 * round_:
                    os.kill(writer.pid, signal.SIGKILL)
                    break
            for line in writer.stdout:  # what it had still said
                acknowledged = int(line)
        with Journal(path) as journal:
            ids = [event.event_id for event in journal.read().events]
        assert len(ids) == len(set(ids))
        assert {f"{batch} {place}" for batch in range(acknowledged + 1) for place in range(20)} <= set(ids)
