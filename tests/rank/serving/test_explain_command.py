"""`python -m rank explain` fits a screen, takes any query and items, and says which pages there are."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from prectr.data.contract import read_table
from prectr.rank.__main__ import main
from prectr.rank.serving import explain_screen
from prectr.rank.serving.explain import explain_page
from prectr.rank.serving.ranker import Ranker
from prectr.rank.serving.scorer import Scorer
from prectr.shared.errors import PrectrError
from prectr.shared.run.console import PlainConsole
from tests.rank.toy_run import split_of


def last_page(home: Path) -> Any:
    table = split_of(home, "test")
    return table.filter(np.asarray(table["page_id"]) == table["page_id"][-1].as_py())


def flags(home: Path, *more: str) -> list[str]:
    return ["explain", "--profile", "smoke", "--ranker", str(home / "ranker"), *more]


def test_the_command_prints_a_screen_or_json_alone(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = str(last_page(home)["page_id"][0].as_py())
    main(flags(home, "--page", page, "--json"))
    facts = json.loads(capsys.readouterr().out)
    assert facts["page"] == int(page) and facts["candidates"][0]["gold_level"] in range(4)
    main(flags(home, "--page", page))
    printed = capsys.readouterr().out
    assert facts["why"][:30] in printed and "r_user" in printed and "r_cross" in printed


@pytest.fixture
def page_of_twelve(home: Path, scorer: Scorer) -> dict[str, Any]:
    """The facts of a page, its candidates repeated until there are twelve, with texts of any length."""
    facts = explain_page(scorer, last_page(home), None, 3, 3) | {"reconstructed": "Pages are simulated: see README."}
    found = facts["candidates"]
    twelve = [{**found[n % len(found)], "text": f"GOODS {n} A VERY LONG NAME OF AN ITEM " * 5} for n in range(12)]
    return facts | {"candidates": twelve, "query": "a query " * 40, "why": "a reason and " * 30}


def shown(
    facts: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], width: int = 150
) -> list[str]:
    monkeypatch.setattr(explain_screen, "console", PlainConsole(width=width))
    explain_screen.show(facts, "artifacts/toy/ranker")
    return capsys.readouterr().out.splitlines()


@pytest.mark.parametrize("width", [100, 150])
def test_a_page_of_twelve_fits_a_screen(
    page_of_twelve: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], width: int
) -> None:
    lines = shown(page_of_twelve, monkeypatch, capsys, width)
    assert len(lines) <= 40, "\n".join(lines)
    assert max(map(len, lines)) <= 100
    assert sum("r_user: " in line for line in lines) == 1, "attention is told once"
    assert sum("A VERY LONG" in line and "…" in line for line in lines) >= 12
    header = next(line for line in lines if line.startswith("logits that each part"))
    assert header.split()[-12:] == [str(number) for number in range(1, 13)]


def test_more_than_twelve_are_listed_and_the_first_twelve_compared(
    page_of_twelve: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    many = page_of_twelve | {"candidates": page_of_twelve["candidates"] * 3}
    lines = shown(many, monkeypatch, capsys)
    assert any(line.lstrip().startswith("36 ") for line in lines) and max(map(len, lines)) <= 100


def test_the_terminal_obeys_no_text(
    page_of_twelve: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page_of_twelve["candidates"][0]["text"] = "shoe\x1b[2J\n[red]a"
    lines = shown(page_of_twelve, monkeypatch, capsys)
    assert len(lines) <= 40 and not any("\x1b" in line for line in lines) and any("[red]a" in line for line in lines)


def test_any_query_with_any_items(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ids = read_table(home / "data", "items")["item_id"].to_pylist()[:2]
    given = json.dumps({"item_id": "mine", "text": "scarf"})
    items = [*ids, "a blue scarf that nobody sold", given]
    user = last_page(home)["user_id"][0].as_py()
    main(flags(home, "--query", "a query that nobody typed", "--items", *items, "--user", str(user), "--json"))
    facts = json.loads(capsys.readouterr().out)
    by_text = {each["text"] for each in facts["candidates"]}
    assert {"a blue scarf that nobody sold", "scarf"} < by_text and len(facts["candidates"]) == 4
    assert facts["query"] == "a query that nobody typed" and facts["page"] is None
    assert facts["history"]["user"] > 0, "the user's past is that of the log"
    last = max(read_table(home / "data", "behaviours")["timestamp"].to_pylist())
    assert facts["timestamp"] > last.isoformat()
    main(flags(home, "--query", "a query that nobody typed", "--items", *items, "--time", "1990-01-01T00:00:00"))
    assert "on none of 0 of r_user" in capsys.readouterr().out


def test_items_that_are_none_are_refused(home: Path) -> None:
    known = read_table(home / "data", "items")["item_id"][0].as_py()
    with pytest.raises(PrectrError, match=f"number 1: '{known}x' is no item of the catalogue: is it '{known}'"):
        main(flags(home, "--query", "q", "--items", f"{known}x"))
    with pytest.raises(PrectrError, match="number 2: '{bad' is no JSON"):
        main(flags(home, "--query", "q", "--items", known, "{bad"))
    with pytest.raises(PrectrError, match="'num_weigth'.* nothing this ranker was trained with"):
        main(flags(home, "--query", "q", "--items", '{"text": "a", "num_weigth": 3}'))


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "neither is given"),
        (["--page", "1", "--query", "q", "--items", "a"], "both are given"),
        (["--query", "q"], "--items is missing"),
        (["--page", "1", "--items", "a"], "--query is missing"),
    ],
)
def test_a_page_or_a_query_and_not_both(home: Path, words: list[str], told: str) -> None:
    with pytest.raises(PrectrError, match=told):
        main(flags(home, *words))


def test_a_page_that_is_not_there_lists_some_that_are(home: Path) -> None:
    page = str(last_page(home)["page_id"][0].as_py())
    with pytest.raises(PrectrError, match="it is in split .*test.*: add --split"):
        main(flags(home, "--page", page, "--split", "validation"))
    there = split_of(home, "test")["page_id"].unique().to_pylist()
    named = ", ".join(map(str, there[:5]))
    with pytest.raises(PrectrError, match=f"no page -5 in 'test'; there are {named} and {len(there) - 5} others"):
        main(flags(home, "--page", "-5"))
    with pytest.raises(PrectrError, match="name one of .*test.* with --split"):
        main(flags(home, "--page", "-5", "--split", "nowhere"))


def test_a_ranker_explains_what_it_scores(home: Path) -> None:
    ranker = Ranker.from_pretrained(home / "ranker")
    items = read_table(home / "data", "items").to_pylist()[:3]
    context = {"timestamp": 1_500_000_000}
    facts = ranker.explain("red scarf", items, context=context, top_features=2)
    scores = ranker.score("red scarf", items, context=context)
    by_item = {each["item_id"]: each["p_click"] for each in facts["candidates"]}
    assert [by_item[item["item_id"]] for item in items] == pytest.approx(scores["p_click"].tolist(), abs=1e-6)
    assert facts["why"].startswith("1. ") and len(facts["candidates"][0]["occlusion"]["inputs"]) == 2
    assert "the user" not in json.dumps(facts["why"]) and facts["page"] is None
