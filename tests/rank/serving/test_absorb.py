"""`rank absorb`: the tables hold what the journal held, and a memory that begins with them takes nothing twice."""

from pathlib import Path

import pytest

from prectr.data.contract import read_table
from prectr.rank.__main__ import main
from prectr.rank.history.event import Event
from prectr.rank.serving.journal import Item, Journal
from prectr.rank.serving.live import LiveRanker
from prectr.shared.errors import PrectrError
from tests.rank.serving.live_shop import cut, requests_of, worst
from tests.rank.toy_run import split_of

START = 1_511_000_000  # late in the toy shop's year


def absorb(data: Path, journal: Path) -> None:
    main(["absorb", "--profile", "smoke", "--data", str(data), "--journal", str(journal)])


def test_the_tables_become_what_a_log_written_at_once_is(home: Path, tmp_path: Path) -> None:
    data, path = tmp_path / "data", tmp_path / "journal.sqlite"
    events = cut(home, data, START)
    assert events
    clicked = {event.event_id for event in events if event.clicked and event.kind == "impression"}
    with Journal(path) as journal:
        # Clicks come apart, as they do in a shop.
        journal.append([event._replace(clicked=event.clicked and event.event_id not in clicked) for event in events])
        clicks = [event._replace(kind="click", event_id=f"{event.event_id} click") for event in events]
        journal.append([event for event in clicks if event.event_id.removesuffix(" click") in clicked])
    absorb(data, path)
    keys = [("timestamp", "ascending"), ("page_id", "ascending"), ("user_id", "ascending"), ("item_id", "ascending")]
    keys = [*keys, ("event_type", "ascending")]
    expected = read_table(home / "data", "behaviours").sort_by(keys)
    assert (
        read_table(data, "behaviours")
        .sort_by(keys)
        .equals(expected.select(read_table(data, "behaviours").column_names))
    )
    assert read_table(data, "items").equals(read_table(home / "data", "items"))
    # The journal's events are in the tables: a memory that begins with these takes none of them again.
    live = LiveRanker.open(home / "ranker", data, path)
    assert len(live.scorer.log) == expected.num_rows
    whole = LiveRanker.open(home / "ranker", home / "data")
    for request in list(requests_of(split_of(home, "test")).values())[::60]:
        assert worst(live.rank(request).p_click, whole.rank(request).p_click) < 1e-5
    absorb(data, path)
    assert read_table(data, "behaviours").num_rows == expected.num_rows


def test_erased_users_leave_the_tables_and_items_enter_them(home: Path, tmp_path: Path) -> None:
    data, path = tmp_path / "data", tmp_path / "journal.sqlite"
    cut(home, data, START)
    user = read_table(data, "behaviours")["user_id"][0].as_py()
    known = read_table(data, "items").to_pylist()[3]
    with Journal(path) as journal:
        journal.put_items([Item("new", "a new thing", None, {"num_price": 1.0}), Item(known["item_id"], "other text")])
        journal.append(
            [
                Event("a", "purchase", user, None, None, "new", None, START),
                Event("b", "purchase", "v", None, None, "new", None, START),
            ]
        )
        journal.erase_user(user)
    absorb(data, path)
    behaviours, items = read_table(data, "behaviours"), read_table(data, "items").to_pylist()
    assert user not in behaviours["user_id"].to_pylist()
    assert behaviours.to_pylist()[-1]["user_id"] == "v"
    assert items[3]["item_id"] == known["item_id"] and items[3]["text"] == "other text"
    assert (items[-1]["item_id"], items[-1]["text"], items[-1]["num_price"]) == ("new", "a new thing", 1.0)
    assert read_table(tmp_path / "data.before", "items").to_pylist()[3] == known


def test_a_missing_journal_is_named(home: Path, tmp_path: Path) -> None:
    with pytest.raises(PrectrError, match="name the data folder"):
        absorb(home / "data", tmp_path / "nowhere.sqlite")
