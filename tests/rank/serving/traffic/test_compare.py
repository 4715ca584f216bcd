"""What the journal says of two rankers: who won, by how much, and when it cannot say."""

import json
from pathlib import Path

import pytest

from prectr.rank.__main__ import main
from prectr.rank.history.event import Event
from prectr.rank.serving.journal import Journal
from prectr.rank.serving.traffic.compare import compared
from prectr.rank.serving.traffic.served import CHALLENGER, CHAMPION, INTERLEAVED, Served, ServedItem
from prectr.shared.errors import PrectrError

TEAMS = (CHAMPION, CHALLENGER, CHALLENGER, CHAMPION)


def page(number: int, ranker: str, user: str | None = None) -> Served:
    teams = TEAMS if ranker == INTERLEAVED else (None,) * 4
    items = [ServedItem(f"i{place}", {}, team) for place, team in enumerate(teams)]
    return Served(number, number, user or f"u{number % 30}", "q", None, ranker, items)


def click(number: int, place: int) -> Event:
    return Event(f"c{number} {place}", "click", f"u{number % 30}", "q", None, f"i{place}", number, number)


def shown(number: int) -> Event:
    return Event(f"s{number}", "impression", f"u{number % 30}", "q", None, "i0", number, number)


def test_clicks_speak_for_whose_choice_an_item_was() -> None:
    pages = [page(number, INTERLEAVED) for number in range(120)]
    events = [click(number, 1 if number % 4 else 0) for number in range(100)]  # three of four on the challenger's
    events += [click(number, 3) for number in range(4, 8)]  # 4: twice the champion's; 5, 6, 7: one each
    events += [shown(number) for number in range(120)]
    found = compared(pages, events)["interleaved"]
    assert (found["pages"], found["clicked_pages"]) == (120, 100)
    assert (found["challenger_wins"], found["champion_wins"], found["ties"]) == (72, 25, 3)
    assert found["advantage"]["gap"] == pytest.approx((72 + 1.5) / 100 - 0.5)
    low, high = found["advantage"]["ci95"]
    assert 0 < low < found["advantage"]["gap"] < high


def test_shares_of_shoppers_are_compared_by_their_pages() -> None:
    pages = [page(number, CHALLENGER if number % 30 < 10 else CHAMPION) for number in range(300)]
    events = [shown(number) for number in range(299)]  # nobody says that the last was looked at
    events += [click(number, 0 if number % 30 < 10 else 1) for number in range(299) if number % 2]
    found = compared(pages, events)["shared"]
    assert (found["challenger_pages"], found["champion_pages"]) == (100, 199)
    assert found["clicked_pages"]["challenger"] == 0.5 and abs(found["clicked_pages"]["gap"]) < 0.01
    assert found["clicked_pages"]["ci95"][0] < 0 < found["clicked_pages"]["ci95"][1]
    assert found["reciprocal_rank"]["gap"] == pytest.approx(0.25, abs=0.01)


def test_the_verb(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "journal.sqlite"
    command = ["compare", "--journal", str(path)]
    with pytest.raises(PrectrError, match="is not there"):
        main(command)
    with Journal(path) as journal:
        journal.note(page(0, CHAMPION))
        journal.append([shown(0)])
    with pytest.raises(PrectrError, match="no challenger"):
        main(command)
    with Journal(path) as journal:
        for number in range(1, 60):
            journal.note(page(number, INTERLEAVED))
        journal.append([click(number, 1) for number in range(1, 60)])
    main(command)
    assert "the challenger wins" in capsys.readouterr().out
    main([*command, "--json"])
    assert json.loads(capsys.readouterr().out)["interleaved"]["challenger_wins"] == 59
