"""An explained page on one screen: the reason, the candidates, what each part added, what the attention looked at."""

from collections.abc import Iterable, Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from prectr.rank.serving.explain import KINDS
from prectr.rank.serving.why import parts_of, told_apart
from prectr.shared.run.console import console, format_cell, visible

WIDTH = 100
COMPARED = 12
"""Candidates whose parts stand side by side; with more, the first of them."""

PARTS, EVENTS, QUERY = 8, 2, 40
"""Rows at most: parts of a score, largest first, and past events of each kind; characters of the query."""


def show(facts: dict[str, Any], ranker: str) -> None:
    """Print what `explain_page` found of a page; one of 12 candidates fits into 40 lines of 100 columns."""
    candidates = facts["candidates"]
    query = facts["query"] if len(facts["query"]) <= QUERY else f"{facts['query'][:QUERY]}…"
    at = f"{query!r} at {facts['timestamp']}"
    where = at if facts["page"] is None else f"Page {facts['page']} ({facts['split']}): {at}"
    _line(f"{where}; levels: {' · '.join(facts['level_names'])}")
    _line(f"Why: {facts['why']}")
    _show_candidates(candidates)
    _show_parts(candidates[:COMPARED])
    if facts["looked_at"]:
        _show_attention(facts)
    _line(" · ".join(filter(None, ["All of it as JSON: --json", facts["reconstructed"], ranker])))


def _show_candidates(candidates: Sequence[dict[str, Any]]) -> None:
    grid = _grid()
    grid.add_column("", justify="right")
    grid.add_column("candidates, best first", no_wrap=True, overflow="ellipsis", ratio=1)
    for name in ("clicked", "gold", "π", "P(click|level)", "p_click", "τ"):
        grid.add_column(name, justify="right", no_wrap=True)
    texts = told_apart([each["text"] for each in candidates])
    for number, (text, each) in enumerate(zip(texts, candidates, strict=True), 1):
        clicked = {True: "yes", False: "", None: ""}[each["clicked"]]
        gold = "" if each["gold_level"] is None else str(each["gold_level"])
        levels = (_shares(each["level_prob"], 2), _shares(each["p_click_given_level"], 3))
        _add(grid, [str(number), text, clicked, gold, *levels, f"{each['p_click']:.3f}", f"{each['tau']:+.2f}"])
    console.print(grid, width=_width())


def _show_parts(candidates: Sequence[dict[str, Any]]) -> None:
    """Parts by candidates: a column for each, so that two are compared along a line."""
    parts = [parts_of(each) for each in candidates]
    sizes = {name: max(abs(part[name]) for part in parts) for name in parts[0]}
    largest = sorted((name for name in sizes if sizes[name]), key=lambda name: -sizes[name])[:PARTS]
    grid = _grid()
    grid.add_column("logits that each part adds", no_wrap=True, overflow="ellipsis", ratio=1)
    for number in range(1, len(candidates) + 1):
        grid.add_column(str(number), justify="right", no_wrap=True)
    for name in largest:
        _add(grid, [name, *(_signed(part[name]) for part in parts)])
    console.print(grid, width=_width())
    first = ", ".join(f"{name} {value:+.2f}" for name, value in candidates[0]["occlusion"]["inputs"].items())
    if first:
        _line(f"Single inputs that moved 1. most: {first}")


def _show_attention(facts: dict[str, Any]) -> None:
    """What the attention looked at: the page's mean, since its candidates share one past."""
    alpha = facts["candidates"][0]["alpha"]
    grid = _grid()
    grid.add_column("weight", justify="right", no_wrap=True)
    share = "" if alpha is None else f"; α = {alpha:.2f} of it is r_user"
    title = f"past events looked at, mean of the page{share}"
    grid.add_column(title, no_wrap=True, overflow="ellipsis", ratio=1)
    for name in ("clicked", "days ago", "level"):
        grid.add_column(name, justify="right", no_wrap=True)
    for kind, seen in facts["looked_at"].items():
        source = KINDS[kind] + (f" {facts['cross_from']}" if kind == "cross" else "")
        _add(grid, [f"{seen['nothing']:.2f}", f"on none of {facts['history'][kind]} of {source}", "", "", ""])
        for event in seen["events"][:EVENTS]:
            level = "" if event["level"] is None else f"{event['level']:.2f}"
            clicked = "yes" if event["clicked"] else "no"
            _add(grid, [f"{event['weight']:.2f}", f"  {event['text']}", clicked, f"{event['days_ago']:.1f}", level])
    console.print(grid, width=_width())


def _grid() -> Table:
    """A table without lines between its cells: each would be a line of the screen."""
    return Table(box=None, padding=(0, 1, 0, 0), expand=True, header_style="bold")


def _add(grid: Table, cells: Iterable[str]) -> None:
    grid.add_row(*(Text(format_cell(visible(cell).replace("\n", " "))) for cell in cells))


def _shares(values: Iterable[float], digits: int) -> str:
    return " ".join(f"{value:.{digits}f}".removeprefix("0") for value in values)


def _signed(value: float) -> str:
    """In five characters, so that twelve fit."""
    return "·" if abs(value) < 0.005 else f"{value:+.2f}".replace("0.", ".") if abs(value) < 10 else f"{value:+.0f}"


def _width() -> int:
    return min(WIDTH, console.width)


def _line(text: str) -> None:
    console.print(text, highlight=False, width=_width())
