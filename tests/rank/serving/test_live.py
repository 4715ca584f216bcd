"""A ranker with live memory scores as it was judged: by the log before a page, however that log came to be known."""

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from prectr.data.contract import read_table
from prectr.rank.history.event import Event
from prectr.rank.serving.journal import Appended
from prectr.rank.serving.live import Candidate, Item, LiveRanker, Ranked, RankRequest
from prectr.shared.encoder.level_encoder import LevelEncoder
from prectr.shared.errors import PrectrError
from tests.rank.serving.live_shop import cut, requests_of, worst
from tests.rank.toy_run import predictions, split_of

CLOSE = 1e-5
EVERY = 12  # so-manieth page is asked


class Judged:
    """Pages of the test weeks with what the run predicts of them, in the order of time."""

    def __init__(self, home: Path) -> None:
        table = split_of(home, "test")
        page, predicted = table["page_id"].to_numpy(), predictions(home, "test")
        self.requests = dict(sorted(requests_of(table).items(), key=lambda each: each[1].timestamp or 0))
        self.expected = {
            number: {name: values[page == number] for name, values in predicted.items()} for number in self.requests
        }
        self.start = min(request.timestamp or 0 for request in self.requests.values())

    def some(self) -> Iterator[tuple[int, RankRequest]]:
        yield from list(self.requests.items())[::EVERY]

    def distance(self, number: int, ranked: Ranked) -> float:
        return max(worst(getattr(ranked, name), values) for name, values in self.expected[number].items())


@pytest.fixture(scope="module")
def judged(home: Path) -> Judged:
    return Judged(home)


@pytest.fixture(scope="module")
def shop(home: Path, judged: Judged, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Event]]:
    """A data folder whose log ends where the test weeks begin, and their events."""
    folder = tmp_path_factory.mktemp("cut") / "data"
    return folder, cut(home, folder, judged.start)


@pytest.fixture(scope="module")
def live(home: Path) -> LiveRanker:
    return LiveRanker.open(home / "ranker", home / "data")


def same(ours: Ranked, theirs: Ranked) -> None:
    assert worst(ours.p_click, theirs.p_click) < CLOSE


def test_each_page_at_its_own_time_is_as_it_was_predicted(judged: Judged, live: LiveRanker) -> None:
    for number, request in judged.some():
        ranked = live.rank(request)
        assert judged.distance(number, ranked) < CLOSE
        assert ranked.item_id == [each.item_id for each in request.candidates]
        assert (np.diff(ranked.p_click[ranked.order]) <= 0).all()


def test_a_second_opening_encodes_nothing(home: Path, judged: Judged, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a text is encoded anew")

    LiveRanker.open(home / "ranker", home / "data")
    monkeypatch.setattr(LevelEncoder, "encode", refuse)
    live = LiveRanker.open(home / "ranker", home / "data")
    number, request = next(judged.some())
    assert judged.distance(number, live.rank(request)) < CLOSE


def test_fed_event_by_event_it_scores_as_with_the_whole_log(
    home: Path, judged: Judged, shop: tuple[Path, list[Event]], tmp_path: Path
) -> None:
    folder, events = shop
    live = LiveRanker.open(home / "ranker", folder, tmp_path / "journal.sqlite")
    seconds = groupby(events, key=lambda event: event.timestamp)
    waiting: list[Event] = []
    unlike = 0.0
    for number, request in judged.some():
        while not waiting or waiting[-1].timestamp < (request.timestamp or 0):
            live.add_events(waiting)  # whole seconds, all before the page but the last
            waiting = list(next(seconds)[1])
        empty = not events or waiting[0].timestamp >= (request.timestamp or 0)
        assert empty
        assert judged.distance(number, live.rank(request)) < CLOSE
        unlike = max(unlike, judged.distance(number, live.rank(request_before(request, judged.start))))
    assert unlike > 10 * CLOSE  # the events say something
    live.close()
    # A new process reads the journal and knows the same, and more than it is asked for.
    again = LiveRanker.open(home / "ranker", folder, tmp_path / "journal.sqlite")
    for number, request in list(judged.some())[-3:]:
        assert judged.distance(number, again.rank(request)) < CLOSE


def request_before(request: RankRequest, second: int) -> RankRequest:
    return RankRequest(
        request.query, request.candidates, request.user_id, second, request.query_category, request.context
    )


def test_an_event_sent_twice_counts_once_and_a_new_one_changes_the_next_answer(
    home: Path, judged: Judged, tmp_path: Path
) -> None:
    live = LiveRanker.open(home / "ranker", home / "data", tmp_path / "journal.sqlite")
    request = list(judged.requests.values())[-1]
    later = request_before(request, (request.timestamp or 0) + 60)
    before = live.rank(later)
    item = request.candidates[0].item_id
    event = Event(
        "one", "purchase", request.user_id, None, request.query_category, item, None, (request.timestamp or 0) + 1
    )
    assert live.add_events([event]) == Appended(1, 0)
    once = live.rank(later)
    assert worst(once.p_click, before.p_click) > CLOSE
    assert live.add_events([event, event]) == Appended(0, 2)
    np.testing.assert_array_equal(live.rank(later).p_click, once.p_click)
    # What was asked for an earlier time is as it was.
    assert judged.distance(list(judged.requests)[-1], live.rank(request)) < CLOSE


def test_an_erased_user_is_scored_as_a_stranger_here_after_a_restart_and_in_other_workers(
    home: Path, judged: Judged, tmp_path: Path
) -> None:
    path = tmp_path / "journal.sqlite"
    live, follower = (LiveRanker.open(home / "ranker", home / "data", path) for _ in range(2))
    request = list(judged.requests.values())[-1]
    second = (request.timestamp or 0) + 60
    event = Event("one", "purchase", request.user_id, None, None, request.candidates[0].item_id, None, second - 30)
    stranger = RankRequest(request.query, request.candidates, "never seen", second, request.query_category)
    known = RankRequest(request.query, request.candidates, request.user_id, second, request.query_category)
    untold = live.rank(stranger)
    assert worst(live.rank(known).p_click, untold.p_click) > CLOSE
    live.add_events([event])
    same(follower.rank(known), live.rank(known))
    live.erase_user(str(request.user_id))
    for each in (live, follower, LiveRanker.open(home / "ranker", home / "data", path)):
        same(each.rank(known), each.rank(stranger))
        # The base's rows stay until it is written anew, as nobody's; the recent one is gone.
        same(each.rank(stranger), untold)


def test_items_that_are_put_are_as_if_they_had_been_there(home: Path, judged: Judged, tmp_path: Path) -> None:
    items = read_table(home / "data", "items")
    number, request = list(judged.some())[-1]
    missing = {each.item_id for each in request.candidates[:3]}
    data = tmp_path / "data"
    data.mkdir()
    kept = pa.array([item not in missing for item in items["item_id"].to_pylist()])
    pq.write_table(items.filter(kept), data / "items.parquet")
    whole = tmp_path / "whole"
    whole.mkdir()
    pq.write_table(items, whole / "items.parquet")
    # What the run has stored is of the items it knew; without it all are judged alike.
    run = shutil.copytree(home, tmp_path / "run", ignore=shutil.ignore_patterns("level_prob.parquet"))
    expected = LiveRanker.open(run / "ranker", whole).rank(request)
    live = LiveRanker.open(run / "ranker", data, tmp_path / "journal.sqlite")
    with pytest.raises(PrectrError, match="not in the catalogue"):
        live.rank(request)
    rows = [row for row in items.to_pylist() if row["item_id"] in missing]
    live.put_items([item_of(row) for row in rows])
    same(live.rank(request), expected)
    same(LiveRanker.open(run / "ranker", data, tmp_path / "journal.sqlite").rank(request), expected)
    # With its text and attributes a candidate need not be put first.
    given = {row["item_id"]: item_of(row) for row in rows}
    candidates = [
        Candidate(
            each.item_id,
            given[each.item_id].text,
            {**each.attributes, "category": given[each.item_id].category, **given[each.item_id].attributes},
        )
        if each.item_id in missing
        else each
        for each in request.candidates
    ]
    asked = RankRequest(request.query, candidates, request.user_id, request.timestamp, request.query_category)
    same(LiveRanker.open(run / "ranker", data).rank(asked), expected)


def item_of(row: dict) -> Item:
    attributes = {name: value for name, value in row.items() if name.startswith(("cat_", "num_"))}
    return Item(row["item_id"], row["text"], row["category"], attributes)


def test_an_item_with_another_text_is_judged_by_it(home: Path, judged: Judged) -> None:
    live = LiveRanker.open(home / "ranker", home / "data")
    _, request = next(judged.some())
    before = live.rank(request)
    row = next(row for row in read_table(home / "data", "items").to_pylist() if row["item_id"] == before.item_id[0])
    live.put_items([item_of({**row, "text": "something else altogether"})])
    changed = live.rank(request)
    assert worst(changed.level_prob[0], before.level_prob[0]) > CLOSE
    live.put_items([item_of(row)])
    assert worst(live.rank(request).level_prob, before.level_prob) < CLOSE


def test_an_event_of_an_unknown_item_is_named_and_nothing_is_taken(live: LiveRanker) -> None:
    known = live.scorer.items["item_id"][0].as_py()
    good = Event("good", "purchase", "u", None, None, known, None, 1)
    with pytest.raises(PrectrError, match="item 'nowhere' is not in the catalogue"):
        live.add_events([good, good._replace(event_id="bad", item_id="nowhere")])
    assert live.add_events([good]) == Appended(1, 0)
    with pytest.raises(PrectrError, match="at least one candidate"):
        live.rank(RankRequest("red scarf", []))


def test_candidates_that_nobody_put_are_let_go_when_there_are_many(
    home: Path, judged: Judged, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("prectr.rank.serving.live.MOST_ADOPTED", 4)
    live = LiveRanker.open(home / "ranker", home / "data")
    scorer, known = live.scorer, next(judged.some())
    sizes = [len(part) for part in (scorer.log.items, scorer.items, scorer.texts, scorer.judged_texts)]
    attributes = {"category": "a new one", "cat_brand": "a new brand", "num_price": 2.0}

    def ask(*names: str) -> np.ndarray:
        own = [Candidate(name, f"text of {name}", attributes) for name in names]
        return live.rank(RankRequest("red scarf", [*own, *known[1].candidates[:2]])).p_click

    first = ask("a", "b", "c")
    np.testing.assert_array_equal(ask("a", "b", "c"), first)
    for number in range(20):
        ask(f"x {number}", f"y {number}", f"z {number}")
        now = [len(part) for part in (scorer.log.items, scorer.items, scorer.texts, scorer.judged_texts)]
        assert all(size <= before + 4 for size, before in zip(now, sizes, strict=True))
    np.testing.assert_allclose(ask("a", "b", "c"), first, atol=CLOSE)
    assert judged.distance(known[0], live.rank(known[1])) < CLOSE
    with pytest.raises(PrectrError, match="item 'a' is not in the catalogue"):
        live.add_events([Event("e", "purchase", "u", None, None, "a", None, 1)])
    # What is put for good stays, under the text that it was put with.
    live.put_items([Item("a", "another text", "a new one")])
    assert live.add_events([Event("e", "purchase", "u", None, None, "a", None, 1)]) == Appended(1, 0)
    ask("p", "q", "r", "s")
    ask("t", "u", "v", "w")
    assert scorer.items["text"].to_pylist().count("another text") == 1
    assert len(scorer.log.items) <= sizes[0] + 1 + 4


def test_what_never_was_asked_is_scored_and_explained(live: LiveRanker) -> None:
    ids = live.scorer.items["item_id"].to_pylist()[:5]
    request = RankRequest("a query that nobody typed", [Candidate(item) for item in ids])
    ranked = live.rank(request)
    assert np.isfinite(ranked.p_click).all() and ranked.level_prob.shape == (5, 4)
    np.testing.assert_allclose(ranked.level_prob.sum(1), 1, atol=1e-5)
    facts = live.explain(request)
    assert [each["item_id"] for each in facts["candidates"]] == [ids[row] for row in ranked.order]


def test_sixteen_threads_get_what_one_gets(home: Path, judged: Judged, tmp_path: Path) -> None:
    live = LiveRanker.open(home / "ranker", home / "data", tmp_path / "journal.sqlite")
    requests = list(judged.some())
    last = max(request.timestamp or 0 for _, request in requests)
    item = requests[0][1].candidates[0].item_id

    def work(number: int) -> float:
        page, request = requests[number % len(requests)]
        event = Event(f"e{number}", "purchase", f"user {number}", None, None, item, None, last + number)
        live.add_events([event])
        return judged.distance(page, live.rank(request))

    with ThreadPoolExecutor(16) as threads:
        assert max(threads.map(work, range(64))) < CLOSE
    assert len(live.scorer.log) == len(live.scorer.live_log.base) + 64
