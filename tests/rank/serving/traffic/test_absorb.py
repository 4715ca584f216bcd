"""`rank absorb`: the tables hold what the journal held, and a memory that begins with them takes nothing twice."""

import shutil
from pathlib import Path

import pyarrow.compute as pc
import pytest

from prectr.data.checks.validate import validate
from prectr.data.contract import read_table
from prectr.rank.__main__ import main
from prectr.rank.history.event import Event
from prectr.rank.history.rows import seconds_of
from prectr.rank.serving.journal import Item, Journal
from prectr.rank.serving.live import LiveRanker
from prectr.rank.serving.traffic.served import Served, ServedItem
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


def test_one_killed_between_its_two_renamings_goes_on(home: Path, tmp_path: Path) -> None:
    data, path = tmp_path / "data", tmp_path / "journal.sqlite"
    events = cut(home, data, START)
    with Journal(path) as journal:
        journal.append(events)
    shutil.copytree(data, tmp_path / "data.new")
    data.rename(tmp_path / "data.before")
    absorb(data, path)
    assert read_table(data, "behaviours").num_rows == read_table(home / "data", "behaviours").num_rows


def test_a_missing_journal_is_named(home: Path, tmp_path: Path) -> None:
    with pytest.raises(PrectrError, match="name the data folder"):
        absorb(home / "data", tmp_path / "nowhere.sqlite")


def test_what_was_shown_becomes_impressions_and_the_tables_stay_sound(home: Path, tmp_path: Path) -> None:
    data, path = tmp_path / "data", tmp_path / "journal.sqlite"
    shutil.copytree(home / "data", data)
    former = read_table(data, "impressions")
    last = int(seconds_of(former["timestamp"]).max())
    ids = read_table(data, "items")["item_id"].to_pylist()[:4]
    with Journal(path) as journal:
        for number in range(40):
            page, second, user = 10**9 + number, last + 60 * (number + 1), f"new {number % 7}"
            items = [ServedItem(item, {"ctx_num_price": 7.5, "ctx_cat_weekday": "day3"}) for item in ids[::-1]]
            journal.note(Served(page, second + 1, user, "a new query", "home", "champion", items))
            shown = [Event(f"{number} {i}", "impression", user, "a new query", None, i, page, second) for i in ids[:3]]
            journal.append([*shown, Event(f"{number} c", "click", user, "a new query", None, ids[0], page, second + 5)])
        journal.append([Event("alone", "click", "u", "a new query", None, ids[0], 7 * 10**9, last + 9)])
        journal.append([Event("no page", "click", "u", "a new query", None, ids[0], None, last + 9)])
    absorb(data, path)
    validate(data)  # what `rank run` asks of tables
    table = read_table(data, "impressions")
    new = table.filter(pc.greater_equal(table["page_id"], 10**9))
    assert new.num_rows == 120 and set(table["split"].to_pylist()) == {"train", "validation", "test"}
    splits = new.group_by("split").aggregate([("page_id", "count_distinct")]).to_pylist()
    pages = {each["split"]: each["page_id_count_distinct"] for each in splits}
    assert pages["train"] > 25 and pages["test"] + pages["validation"] == 40 - pages["train"]
    assert not pc.any(pc.equal(new["page_id"], 7 * 10**9)).as_py()
    assert set(table.filter(pc.less(table["page_id"], 10**9))["split"].to_pylist()) == {"train"}
    first = new.filter(pc.equal(new["page_id"], 10**9)).to_pylist()
    assert [row["item_id"] for row in first] == ids[2::-1] and [row["position"] for row in first] == [0, 1, 2]
    assert [row["clicked"] for row in first] == [False, False, True]
    assert {(row["ctx_num_price"], row["ctx_cat_weekday"], row["query_category"]) for row in first} == {
        (7.5, "day3", "home")
    }
    # Its own events are not before it: a ranker that is trained on it does not see them.
    assert int(seconds_of(new["timestamp"]).min()) == last + 60
    assert read_table(tmp_path / "data.before", "impressions").equals(former)


def test_a_handful_of_pages_leaves_the_impressions_as_they_are(home: Path, tmp_path: Path) -> None:
    data, path = tmp_path / "data", tmp_path / "journal.sqlite"
    shutil.copytree(home / "data", data)
    former, item = read_table(data, "impressions"), read_table(data, "items")["item_id"][0].as_py()
    with Journal(path) as journal:
        journal.append([Event(f"{n}", "impression", "u", "q", None, item, 10**9 + n, 2 * 10**9 + n) for n in range(5)])
    absorb(data, path)
    assert read_table(data, "impressions").equals(former) and (data / "gold.parquet").exists()
    # A click on what the table has already shown is one there too.
    row = former.filter(pc.invert(former["clicked"])).slice(0, 1).to_pylist()[0]
    with Journal(path) as journal:
        shown = (row["query"], None, row["item_id"], row["page_id"], 2 * 10**9)
        journal.append([Event("late", "click", row["user_id"], *shown)])
    absorb(data, path)
    table = read_table(data, "impressions")
    assert pc.sum(table["clicked"]).as_py() > pc.sum(former["clicked"]).as_py()
    same = pc.and_(pc.equal(table["page_id"], row["page_id"]), pc.equal(table["item_id"], row["item_id"]))
    assert pc.all(table.filter(same)["clicked"]).as_py()


def test_a_search_without_an_item_is_no_row(home: Path, tmp_path: Path) -> None:
    data, path = tmp_path / "data", tmp_path / "journal.sqlite"
    cut(home, data, START)
    before = read_table(data, "behaviours").num_rows
    with Journal(path) as journal:
        journal.append([Event("1", "search", user_id="u", query="q", page_id=7, timestamp=START)])
    absorb(data, path)
    assert read_table(data, "behaviours").num_rows == before
